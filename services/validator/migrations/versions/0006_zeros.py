"""A verdict knows whether any figure of its report was other than 0."""

from shared.postgres.migrations import run_sql

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    run_sql(__file__)
