"""The table of deferred events takes their name."""

from shared.postgres.migrations import run_backbone

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    run_backbone("deferred_events")
