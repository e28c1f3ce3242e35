"""When agencies came to be of another kind, or below others."""

from shared.postgres.migrations import run_sql

revision = "0025"
down_revision = "0024"
branch_labels = None
depends_on = None


def upgrade() -> None:
    run_sql(__file__)
