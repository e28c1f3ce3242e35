"""Withdrawals, so that nothing is compared with a report that does not stand."""

from shared.postgres.migrations import run_sql

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None


def upgrade() -> None:
    run_sql(__file__)
