"""What an explanation of lateness says of its remedy."""

from shared.postgres.migrations import run_sql

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None


def upgrade() -> None:
    run_sql(__file__)


def downgrade() -> None:
    raise NotImplementedError("the read model is made anew instead: python -m services.board rebuild --yes")
