"""Notices wait for their window, go out several in one mail, and may be silenced."""

from shared.postgres.migrations import run_sql

revision = "0018"
down_revision = "0017"
branch_labels = None
depends_on = None


def upgrade() -> None:
    run_sql(__file__)
