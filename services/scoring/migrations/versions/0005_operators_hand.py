"""What an operator looks into and decides: events set aside, discarded dead letters, halted consumers."""

from shared.postgres.migrations import run_backbone

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    run_backbone("operators_hand")
