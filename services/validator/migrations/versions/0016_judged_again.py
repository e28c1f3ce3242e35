"""Verdicts that are judged again once the reports that their rules look at have come."""

from shared.postgres.migrations import run_sql

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None


def upgrade() -> None:
    run_sql(__file__)
