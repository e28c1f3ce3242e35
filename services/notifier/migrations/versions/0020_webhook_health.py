"""Since when a webhook's receiver fails."""

from shared.postgres.migrations import run_sql

revision = "0020"
down_revision = "0019"
branch_labels = None
depends_on = None


def upgrade() -> None:
    run_sql(__file__)
