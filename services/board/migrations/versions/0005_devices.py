"""Wrong passwords of any id by their address, and devices on which people sign in."""

from shared.postgres.migrations import run_sql

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    run_sql(__file__)


def downgrade() -> None:
    raise NotImplementedError("what was counted of wrong passwords is not kept in the older form")
