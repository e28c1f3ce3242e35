"""What letters say of requests and NIL reports, and who had a mail sent again."""

from shared.postgres.migrations import run_sql

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    run_sql(__file__)
