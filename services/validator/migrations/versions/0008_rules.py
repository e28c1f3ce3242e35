"""What rules of forms say: the basis of a finding, the pack of a verdict, and the figures that rules look back to."""

from shared.postgres.migrations import run_sql

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    run_sql(__file__)
