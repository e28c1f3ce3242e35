"""Keys that sign tokens, and the offices of officers."""

from shared.postgres.migrations import run_backbone

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    run_backbone("access_by_token")
