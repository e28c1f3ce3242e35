"""Reference tables, and which of them rules look up."""

from shared.postgres.migrations import run_sql

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None


def upgrade() -> None:
    run_sql(__file__)
