"""Letters of requests that are issued, with what is asked."""

from shared.postgres.migrations import run_sql

revision = "0033"
down_revision = "0032"
branch_labels = None
depends_on = None


def upgrade() -> None:
    run_sql(__file__)
