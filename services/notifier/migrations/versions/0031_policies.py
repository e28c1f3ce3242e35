"""Scoring policies, and by which one each obligation is scored."""

from shared.postgres.migrations import run_sql

revision = "0031"
down_revision = "0030"
branch_labels = None
depends_on = None


def upgrade() -> None:
    run_sql(__file__)
