"""What validation could not judge is shown as such."""

from shared.postgres.migrations import run_sql

revision = "0023"
down_revision = "0022"
branch_labels = None
depends_on = None


def upgrade() -> None:
    run_sql(__file__)
