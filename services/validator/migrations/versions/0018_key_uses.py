"""When this service last saw each key used."""

from shared.postgres.migrations import run_backbone

revision = "0018"
down_revision = "0017"
branch_labels = None
depends_on = None


def upgrade() -> None:
    run_backbone("key_uses")
