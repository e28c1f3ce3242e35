"""Silences are made over HTTP too, once for each idempotency key, and each has a digest."""

from shared.postgres.migrations import run_sql

revision = "0022"
down_revision = "0021"
branch_labels = None
depends_on = None


def upgrade() -> None:
    run_sql(__file__)
