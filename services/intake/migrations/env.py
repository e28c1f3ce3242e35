"""Alembic's entry for intake's own database."""

from services.intake.tables import metadata
from shared.postgres.migrations import run_env

run_env("intake", metadata)
