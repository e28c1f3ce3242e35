"""Letters about new versions of regimes: what a version holds, and which are being told."""

from shared.postgres.migrations import run_sql

revision = "0035"
down_revision = "0034"
branch_labels = None
depends_on = None


def upgrade() -> None:
    run_sql(__file__)
