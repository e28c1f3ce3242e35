"""Who asks reads what is kept of a person; contacts of those who have left are blanked in what was sent."""

from shared.postgres.migrations import run_sql

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None


def upgrade() -> None:
    run_sql(__file__)
