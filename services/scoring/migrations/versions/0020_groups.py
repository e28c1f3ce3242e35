"""Who stands above an agency, and regimes that ask those below one."""

from shared.postgres.migrations import run_sql

revision = "0020"
down_revision = "0019"
branch_labels = None
depends_on = None


def upgrade() -> None:
    run_sql(__file__)
