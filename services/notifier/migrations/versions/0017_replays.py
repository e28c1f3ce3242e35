"""What was sent to a webhook is listed for its owner, and sent again at the owner's order."""

from shared.postgres.migrations import run_sql

revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None


def upgrade() -> None:
    run_sql(__file__)
