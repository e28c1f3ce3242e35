"""Reports that could not be judged, kept until they are judged again."""

from shared.postgres.migrations import run_sql

revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None


def upgrade() -> None:
    run_sql(__file__)
