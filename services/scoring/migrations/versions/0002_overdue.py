"""Overdue obligations are counted from an index of their own: the gauge no longer reads the whole table."""

from shared.postgres.migrations import run_sql

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    run_sql(__file__)
