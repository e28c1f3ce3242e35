"""Steps that people take with reports, and when obligations are locked."""

from shared.postgres.migrations import run_sql

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None


def upgrade() -> None:
    run_sql(__file__)
