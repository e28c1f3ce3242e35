"""The archive keeps every sent event in daily partitions and deletes by dropping whole partitions.

A partition is dropped once all its rows are older than the retention. Only the DEFAULT partition, which takes the rows
of a day without a partition, is deleted row by row, in bounded batches.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta

import asyncpg

_NAME = re.compile(r"outbox_archive_(\d{8})")

#: rows past retention that one statement deletes from DEFAULT, and statements in one round of maintenance
DELETED_ROWS, DELETIONS = 5000, 20
#: a change of partitions locks readers out for a moment; while a long read runs (a backup), it gives up instead
LOCK_PATIENCE = "1s"

# read from the catalogue alone: pg_partition_tree locks the partitions without their parent, and can deadlock with us
_PARTITIONS = """
    SELECT relname AS name FROM pg_inherits JOIN pg_class ON pg_class.oid = inhrelid
     WHERE inhparent = 'outbox_archive'::regclass
"""
_IN_DEFAULT = "SELECT EXISTS (SELECT FROM outbox_archive_default WHERE archived_at >= $1 AND archived_at < $2)"
# ids rise with time, nearly: this finds the oldest rows without reading all
_DELETE = """
    DELETE FROM outbox_archive_default WHERE ctid = ANY(ARRAY(
      SELECT ctid FROM (SELECT ctid, archived_at FROM outbox_archive_default ORDER BY id LIMIT $2) AS oldest
       WHERE archived_at < $1))
"""


async def maintain(connection: asyncpg.Connection, now: datetime, *, days_ahead: int = 3, retention_days: int) -> int:
    """Create partitions for today and the coming days, drop those past retention. Returns how many were dropped.

    A day with rows in the DEFAULT partition gets no partition of its own: PostgreSQL would refuse it. Raises
    LockNotAvailableError while a long transaction reads the archive.
    """
    today = now.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    oldest = today - timedelta(days=retention_days)
    for ahead in range(days_ahead + 1):
        await _make(connection, today + timedelta(days=ahead))
    dropped = 0
    partitions = await connection.fetch(_PARTITIONS)
    for row in partitions:
        match = _NAME.fullmatch(row["name"])
        if match is None:
            continue
        day = datetime.strptime(match[1], "%Y%m%d").replace(tzinfo=UTC)
        if day + timedelta(days=1) <= oldest:
            async with _patiently(connection):
                await connection.execute(f"DROP TABLE {row['name']}")
            dropped += 1
    for _ in range(DELETIONS):
        if await connection.execute(_DELETE, oldest, DELETED_ROWS) != f"DELETE {DELETED_ROWS}":
            break
    return dropped


async def _make(connection: asyncpg.Connection, start: datetime) -> None:
    end = start + timedelta(days=1)
    name = f"outbox_archive_{start:%Y%m%d}"
    if await connection.fetchval("SELECT to_regclass($1)", name) is not None:
        return
    if await connection.fetchval(_IN_DEFAULT, start, end):
        return
    async with _patiently(connection):
        await connection.execute(
            f"CREATE TABLE IF NOT EXISTS {name} PARTITION OF outbox_archive "
            f"FOR VALUES FROM ('{start.isoformat()}') TO ('{end.isoformat()}')"
        )


@asynccontextmanager
async def _patiently(connection: asyncpg.Connection) -> AsyncIterator[None]:
    async with connection.transaction():
        await connection.execute(f"SET LOCAL lock_timeout = '{LOCK_PATIENCE}'")
        # DROP locks the partition before its parent and readers lock the parent first: without this they can deadlock
        await connection.execute("LOCK TABLE ONLY outbox_archive IN ACCESS EXCLUSIVE MODE")
        yield
