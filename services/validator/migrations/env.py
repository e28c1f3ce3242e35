"""Alembic environment of validator."""

from services.validator.tables import metadata
from shared.postgres.migrations import run_env

run_env("validator", metadata)
