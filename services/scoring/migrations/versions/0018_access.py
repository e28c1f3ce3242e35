"""Copies of keys and of people's offices, so that this service authenticates by itself."""

from shared.postgres.migrations import run_backbone

revision = "0018"
down_revision = "0017"
branch_labels = None
depends_on = None


def upgrade() -> None:
    run_backbone("access")
