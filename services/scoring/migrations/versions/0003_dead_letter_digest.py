"""A dead letter is known by what the record is, not by its place alone: a lost log gives places out twice."""

from shared.postgres.migrations import run_backbone

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    run_backbone("dead_letter_digest")
