"""What notifier keeps of an obligation to tell, from its whole state, what is new."""

from shared.postgres.migrations import run_sql

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    run_sql(__file__)
