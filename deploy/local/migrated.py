"""Tells when a service's `migrate` would do nothing, to save the 2 s of CPU that its imports cost.

It is skipped only if the migration files are those of the last successful run and the database is at the revision
which that run left. A lost or replaced database is at another revision.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
from pathlib import Path

import asyncpg

from deploy.local.calls import call
from deploy.local.options import ROOT

#: the files that every service's migrations also run, listed here because importing them would cost those 2 s
BACKBONE = ROOT / "shared" / "postgres" / "backbone"
#: and who owns what afterwards
LEDGERS = ROOT / "shared" / "postgres" / "ledgers.py"


def is_current(stamp: Path, service: str, database_url: str) -> bool:
    """Whether the stamp of the last run is still valid."""
    digest = _digest(service)
    with contextlib.suppress(OSError, ValueError, KeyError):
        kept = json.loads(stamp.read_text(encoding="utf-8"))
        if digest is not None and kept["digest"] == digest:
            return bool(kept["revision"]) and kept["revision"] == _revision(database_url)
    return False


def remember(stamp: Path, service: str, database_url: str) -> None:
    """Store the stamp of a successful run."""
    digest = _digest(service)
    if digest is not None:
        stamp.write_text(json.dumps({"digest": digest, "revision": _revision(database_url)}), encoding="utf-8")


def _digest(service: str) -> str | None:
    """A digest of all migration files by name and content, the backbone's too; None for a service without any here."""
    files = sorted((ROOT / "services" / service / "migrations" / "versions").glob("*.[ps][yq]*"))
    if not files:
        return None
    files += [*sorted(BACKBONE.glob("*.sql")), LEDGERS]
    return hashlib.sha256(b"".join(f.name.encode() + b"\0" + f.read_bytes() for f in files)).hexdigest()


def _revision(database_url: str) -> str:
    """The revision that Alembic stored in the database; empty if none."""

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
