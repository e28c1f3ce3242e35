"""Regime versions, verdicts, findings and the backbone's tables."""

from __future__ import annotations

from shared.postgres.migrations import run_backbone, run_sql

revision = "0001"
down_revision = None


def upgrade() -> None:
    run_backbone("first")
    run_sql(__file__)
