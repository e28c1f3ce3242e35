"""How the receivers of webhooks fare, as notifier tells it."""

from shared.postgres.migrations import run_sql

revision = "0024"
down_revision = "0023"
branch_labels = None
depends_on = None


def upgrade() -> None:
    run_sql(__file__)
