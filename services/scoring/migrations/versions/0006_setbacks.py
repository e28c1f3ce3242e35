"""What a sweep could not do for one period or obligation."""

from shared.postgres.migrations import run_sql

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    run_sql(__file__)
