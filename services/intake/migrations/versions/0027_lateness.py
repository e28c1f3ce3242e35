"""What an explanation of lateness says of its remedy."""

from shared.postgres.migrations import run_sql

revision = "0027"
down_revision = "0026"
branch_labels = None
depends_on = None


def upgrade() -> None:
    run_sql(__file__)
