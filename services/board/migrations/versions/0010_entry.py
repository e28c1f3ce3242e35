"""Forms of regimes, and drafts of reports."""

from shared.postgres.migrations import run_sql

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    run_sql(__file__)
