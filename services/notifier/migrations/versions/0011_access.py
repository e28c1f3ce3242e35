"""Copies of keys and of people's offices, so that this service authenticates by itself."""

from shared.postgres.migrations import run_backbone

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None


def upgrade() -> None:
    run_backbone("access")
