"""Alembic environment of validator."""

from services.validator.tables import metadata
from shared.migrations import run_env

run_env("validator", metadata)
