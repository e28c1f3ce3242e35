"""Agencies, whose reports an agency above adds up, and who reports under a regime."""

from shared.postgres.migrations import run_sql

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None


def upgrade() -> None:
    run_sql(__file__)
