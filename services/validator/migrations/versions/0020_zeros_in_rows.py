"""What earlier verdicts call other than 0 may be rows of zeros, which count as zeros since."""

from shared.postgres.migrations import run_sql

revision = "0020"
down_revision = "0019"
branch_labels = None
depends_on = None


def upgrade() -> None:
    run_sql(__file__)


def downgrade() -> None:
    """Not known stays not known."""
