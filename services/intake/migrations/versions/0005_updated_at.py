"""Keeps when each copy was last written, so that an agency can ask for what has changed since."""

from shared.postgres.migrations import run_sql

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    run_sql(__file__)
