"""Alembic's environment of scoring."""

from services.scoring.tables import metadata
from shared.postgres.migrations import run_env

run_env("scoring", metadata)
