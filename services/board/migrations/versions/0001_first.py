"""The first tables of the board, and the backbone's."""

from shared.postgres.migrations import run_backbone, run_sql

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    run_backbone("first")
    run_backbone("dead_letter_digest")
    run_backbone("operators_hand")
    run_backbone("deferred_events")
    run_backbone("access")
    run_sql(__file__)


def downgrade() -> None:
    raise NotImplementedError("the first migration is not undone: drop the database instead")
