"""The archive keeps every sent event, in partitions by day, and forgets by dropping whole partitions.

A partition is dropped only when all its rows are older than the retention; nothing is deleted row by row.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

import asyncpg

_NAME = re.compile(r"outbox_archive_(\d{8})")


async def maintain(connection: asyncpg.Connection, now: datetime, *, days_ahead: int = 3, retention_days: int) -> int:
    """Make the partitions of the coming days and drop those past retention. Returns how many were dropped.

    The DEFAULT partition catches what has no partition; a day whose rows already lie there gets none, as PostgreSQL
    would refuse it.
    """
    today = now.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    for ahead in range(1, days_ahead + 1):
        start, end = today + timedelta(days=ahead), today + timedelta(days=ahead + 1)
        name = f"outbox_archive_{start:%Y%m%d}"
        if await connection.fetchval("SELECT to_regclass($1)", name) is None and not await connection.fetchval(
            "SELECT EXISTS (SELECT FROM outbox_archive_default WHERE archived_at >= $1 AND archived_at < $2)",
            start,
            end,
        ):
            await connection.execute(
                f"CREATE TABLE IF NOT EXISTS {name} PARTITION OF outbox_archive "
                f"FOR VALUES FROM ('{start.isoformat()}') TO ('{end.isoformat()}')"
            )
    dropped = 0
    partitions = await connection.fetch(
        "SELECT relid::regclass::text AS name FROM pg_partition_tree('outbox_archive') WHERE isleaf"
    )
    for row in partitions:
        match = _NAME.fullmatch(row["name"])
        if match is None:
            continue
        day = datetime.strptime(match[1], "%Y%m%d").replace(tzinfo=UTC)
        if day + timedelta(days=1) <= today - timedelta(days=retention_days):
            await connection.execute(f"DROP TABLE {row['name']}")
            dropped += 1
    return dropped
