"""The first tables of intake, and the backbone's."""

from alembic import op

from shared.postgres.migrations import run_backbone, run_sql

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    run_backbone("first")
    run_sql(__file__)
    op.execute("INSERT INTO registry_revision (one_row, revision) VALUES (true, 0)")


def downgrade() -> None:
    raise NotImplementedError("the first migration is not undone: drop the database instead")
