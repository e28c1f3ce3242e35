"""Waivers of rules, and the findings that they make count against nobody."""

from shared.postgres.migrations import run_sql

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None


def upgrade() -> None:
    run_sql(__file__)
