"""Finds an agency's people, and what it still owes, without reading the rest."""

from shared.postgres.migrations import run_sql

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    run_sql(__file__)
