"""People in the registry; a key belongs to a principal and has scopes, and the keys there are agencies'."""

from shared.postgres.migrations import run_sql

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None


def upgrade() -> None:
    run_sql(__file__)
