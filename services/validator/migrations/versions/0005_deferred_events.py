"""The table of deferred events takes their name."""

from shared.postgres.migrations import run_backbone

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    run_backbone("deferred_events")
