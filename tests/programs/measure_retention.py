"""Measures the retention sweep: `python -m tests.programs.measure_retention [PEOPLE]`, 100,000 by default.

Everybody has left and everything was sent, so each transaction blanks as many as it may. Printed: how long one lasts,
looking included, and how long of it keeps the registry's lock, on which loads and changes of keys wait. Submissions
take no such lock. On a PostgreSQL of its own.
"""

from __future__ import annotations

import asyncio
import sys
import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from unittest.mock import patch

from sqlalchemy import text

from deploy.local import Options, Stack
from deploy.local.postgres import create_database
from services.intake.personal_data import handlers
from services.intake.registry import store as registry
from shared.contract.events import PersonRegistered
from shared.postgres.database import Database, Transaction
from shared.postgres.migrations import migrate

KEPT = timedelta(days=90)
_RECORD = """
    jsonb_build_object('person_id', 'n' || n, 'agency', 'H99.' || n % 120, 'name', 'Nguyễn Văn A',
        'contacts', jsonb_build_array(jsonb_build_object('channel', 'email', 'address', 'n' || n || '@example.vn')),
        'offices', jsonb_build_array(jsonb_build_object('role', 'head', 'agency', 'H99.' || n % 120,
                                                        'since', '2020-01-01', 'until', '2025-01-01')))
"""
_PEOPLE = text(f"""
    INSERT INTO registry (key, kind, version, record, revision, changed_at)
    SELECT 'person/n' || n, 'person', 1, {_RECORD}, 1, now() - interval '200 days'
      FROM generate_series(1, CAST(:people AS int)) AS n
""")
_SENT = text(f"""
    INSERT INTO outbox_archive (id, event_id, topic, key, type, headers, body, created_at)
    SELECT n, gen_random_uuid(), 'registry', 'person/n' || n, :type, '[]',
           convert_to(CAST({_RECORD} || '{{"version": 1}}' AS text), 'UTF8'), now()
      FROM generate_series(1, CAST(:people AS int)) AS n
""")


async def measure(url: str, people: int) -> None:
    database = Database(url, pool_size=4, statement_timeout_seconds=600)
    try:
        async with database.transaction() as tx:
            await tx.execute(_PEOPLE, {"people": people})
            await tx.execute(_SENT, {"people": people, "type": PersonRegistered.TYPE})
        async with database.engine.connect() as connection:
            await (await connection.execution_options(isolation_level="AUTOCOMMIT")).execute(text("ANALYZE"))
        lasted, held = await _sweep(database)
        print(f"{people} people: {len(lasted)} transactions, {sum(lasted):.1f} s; {_said(lasted)}")
        print(f"  of these with the lock held: {_said(held)}")
    finally:
        await database.close()


async def _sweep(database: Database) -> tuple[list[float], list[float]]:
    """Sweep until nothing is left; seconds of each transaction, and of each with the lock."""
    lasted: list[float] = []
    held: list[float] = []
    locked_at: list[float] = []
    lock = registry.lock

    async def noted(tx: Transaction) -> int:
        revision = await lock(tx)
        locked_at.append(time.perf_counter())
        return revision

    with patch.object(registry, "lock", noted):
        while True:
            begun = time.perf_counter()
            locked_at.clear()
            async with database.transaction() as tx:
                blanked = await handlers.sweep(tx, datetime.now(UTC), datetime.now(UTC), KEPT)
            ended = time.perf_counter()
            lasted.append(ended - begun)
            held += [ended - locked_at[0]] if locked_at else []
            if not blanked:
                return lasted, held


def _said(seconds: list[float]) -> str:
    ordered = sorted(seconds)
    return f"{ordered[len(ordered) // 2] * 1000:.0f} ms at the median, {ordered[-1] * 1000:.0f} ms at most"


def main() -> int:
    people = int(sys.argv[1]) if len(sys.argv) > 1 else 100_000
    with tempfile.TemporaryDirectory() as folder:
        options = Options(directory=Path(folder), services={}, infrastructure=frozenset({"postgres"}))
        with Stack(options) as stack:
            url = create_database(stack.admin_database_url, "measure", password="test-only")
            migrate("intake", url)
            asyncio.run(measure(url, people))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
