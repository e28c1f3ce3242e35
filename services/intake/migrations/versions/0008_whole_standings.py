"""A standing is the newest event of its obligation, whole; what older events said is published again by scoring."""

from shared.postgres.migrations import run_sql

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    run_sql(__file__)
