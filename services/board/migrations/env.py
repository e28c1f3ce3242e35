"""Alembic's entry for board's own database."""

from services.board.tables import metadata
from shared.postgres.migrations import run_env

run_env("board", metadata)
