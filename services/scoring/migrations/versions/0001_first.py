"""Scoring's first schema."""

from services.scoring.tables import metadata
from shared.migrations import create_all

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    create_all(metadata)
