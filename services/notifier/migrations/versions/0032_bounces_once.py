"""A bounce is taken once for each idempotency key of whoever reports it."""

from shared.postgres.migrations import run_sql

revision = "0032"
down_revision = "0031"
branch_labels = None
depends_on = None


def upgrade() -> None:
    run_sql(__file__)
