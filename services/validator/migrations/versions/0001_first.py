"""Regime versions, verdicts, findings and the backbone's tables."""

from __future__ import annotations

from services.validator.tables import metadata
from shared.migrations import create_all

revision = "0001"
down_revision = None


def upgrade() -> None:
    create_all(metadata)
