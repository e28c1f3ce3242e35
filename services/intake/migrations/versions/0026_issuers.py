"""Keys of services that sign tokens for people who are signed in there."""

from shared.postgres.migrations import run_sql

revision = "0026"
down_revision = "0025"
branch_labels = None
depends_on = None


def upgrade() -> None:
    run_sql(__file__)
