"""How far each overdue report has climbed, and what was answered."""

from shared.postgres.migrations import run_sql

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    run_sql(__file__)


def downgrade() -> None:
    raise NotImplementedError("the read model is made anew instead: python -m services.board rebuild --yes")
