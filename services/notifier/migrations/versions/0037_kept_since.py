"""Since when each version of a regime is here."""

from shared.postgres.migrations import run_sql

revision = "0037"
down_revision = "0036"
branch_labels = None
depends_on = None


def upgrade() -> None:
    run_sql(__file__)
