"""The first tables of notifier, and the backbone's."""

from services.notifier.tables import metadata
from shared.migrations import create_all

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    create_all(metadata)


def downgrade() -> None:
    raise NotImplementedError("the first migration is not undone: drop the database instead")
