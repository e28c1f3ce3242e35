"""A mail that has told nobody goes on to the next contact."""

from shared.postgres.migrations import run_sql

revision = "0036"
down_revision = "0035"
branch_labels = None
depends_on = None


def upgrade() -> None:
    run_sql(__file__)
