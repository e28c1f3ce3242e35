"""When agencies came to be of another kind, or below others, as intake tells it."""

from shared.postgres.migrations import run_sql

revision = "0022"
down_revision = "0021"
branch_labels = None
depends_on = None


def upgrade() -> None:
    run_sql(__file__)
