"""Knows when a service's `migrate` would do nothing, and so need not be started: its imports cost 2 s of CPU each.

Skipped only when both agree: the migration files are those of the last successful run, and the database itself says
it is at the revision that run left it at. A database that was lost or replaced says something else.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
from pathlib import Path

import asyncpg

from deploy.local.calls import call
from deploy.local.options import ROOT

#: what every service's migrations run as well (shared/postgres/migrations.py, whose imports would cost those 2 s)
BACKBONE = ROOT / "shared" / "postgres" / "backbone"


def is_current(stamp: Path, service: str, database_url: str) -> bool:
    """Whether the last run's stamp still holds."""
    digest = _digest(service)
    with contextlib.suppress(OSError, ValueError, KeyError):
        kept = json.loads(stamp.read_text(encoding="utf-8"))
        if digest is not None and kept["digest"] == digest:
            return bool(kept["revision"]) and kept["revision"] == _revision(database_url)
    return False


def remember(stamp: Path, service: str, database_url: str) -> None:
    """After a successful run."""
    digest = _digest(service)
    if digest is not None:
        stamp.write_text(json.dumps({"digest": digest, "revision": _revision(database_url)}), encoding="utf-8")


def _digest(service: str) -> str | None:
    """Of all migration files by name and content, the backbone's too; None for a service that has none here."""
    files = sorted((ROOT / "services" / service / "migrations" / "versions").glob("*.[ps][yq]*"))
    if not files:
        return None
    files += sorted(BACKBONE.glob("*.sql"))
    return hashlib.sha256(b"".join(f.name.encode() + b"\0" + f.read_bytes() for f in files)).hexdigest()


def _revision(database_url: str) -> str:
    """What Alembic noted in the database; empty where it noted nothing."""

    async def ask() -> str:
        connection = await asyncpg.connect(database_url, timeout=5)
        try:
            rows = await connection.fetch("SELECT version_num FROM alembic_version ORDER BY version_num")
            return ",".join(row["version_num"] for row in rows)
        finally:
            await connection.close()

    with contextlib.suppress(OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError):
        return call(ask)
    return ""
