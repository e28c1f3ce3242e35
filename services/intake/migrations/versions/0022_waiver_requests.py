"""Requests for waivers of rules, and their decisions."""

from shared.postgres.migrations import run_sql

revision = "0022"
down_revision = "0021"
branch_labels = None
depends_on = None


def upgrade() -> None:
    run_sql(__file__)
