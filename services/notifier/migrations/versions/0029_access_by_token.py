"""Keys that sign tokens, and the offices of officers."""

from shared.postgres.migrations import run_backbone

revision = "0029"
down_revision = "0028"
branch_labels = None
depends_on = None


def upgrade() -> None:
    run_backbone("access_by_token")
