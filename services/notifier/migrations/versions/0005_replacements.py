"""A regime version may say which one it replaces; letters that could not be composed are found again."""

from shared.postgres.migrations import run_sql

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    run_sql(__file__)
