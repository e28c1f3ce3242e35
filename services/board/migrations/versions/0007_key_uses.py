"""When this service last saw each key used."""

from shared.postgres.migrations import run_backbone

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    run_backbone("key_uses")
