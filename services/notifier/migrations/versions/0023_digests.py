"""Digests: which a person has chosen, how far their rounds are, and the scores that they tell."""

from shared.postgres.migrations import run_sql

revision = "0023"
down_revision = "0022"
branch_labels = None
depends_on = None


def upgrade() -> None:
    run_sql(__file__)
