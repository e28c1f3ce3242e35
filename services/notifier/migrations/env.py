"""Alembic's entry for notifier's own database."""

from services.notifier.tables import metadata
from shared.postgres.migrations import run_env

run_env("notifier", metadata)
