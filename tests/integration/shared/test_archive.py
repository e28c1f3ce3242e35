"""The archive forgets what is past retention, however long one leader leads and wherever a row had to lie."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime, timedelta

import asyncpg
import pytest

from shared.outbox import archive, relay
from shared.outbox.archive import maintain
from shared.outbox.relay import Relay
from shared.postgres.database import Database
from shared.runtime.clock import ManualClock
from shared.runtime.settings import KafkaSettings
from tests.integration.shared.rig import count, eventually, send, submission

#: PostgreSQL's own clock writes archived_at: days that it will not reach during a test stay empty
NOW = datetime(2040, 5, 10, 12, tzinfo=UTC)


@pytest.fixture
async def connection(database: Database) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(database.url)
    yield connection
    await connection.close()


async def partitions(connection: asyncpg.Connection) -> set[str]:
    # the catalogue alone: a reader that locks the partitions one by one can deadlock with the leader that drops them
    rows = await connection.fetch(
        "SELECT relname AS name FROM pg_inherits JOIN pg_class ON pg_class.oid = inhrelid "
        "WHERE inhparent = 'outbox_archive'::regclass"
    )
    return {row["name"].removeprefix("outbox_archive_") for row in rows}


def days(first: datetime, number: int) -> set[str]:
    return {f"{first + timedelta(days=day):%Y%m%d}" for day in range(number)}


async def archived(connection: asyncpg.Connection, at: datetime, rows: int = 1) -> None:
    await connection.execute(
        "INSERT INTO outbox_archive (id, event_id, topic, key, type, created_at, archived_at) "
        "SELECT coalesce((SELECT max(id) FROM outbox_archive), 0) + n, gen_random_uuid(), 't', 'k', 'vn.test', $1, $1 "
        "FROM generate_series(1, $2) AS n",
        at,
        rows,
    )


async def in_default(connection: asyncpg.Connection) -> int:
    return int(await connection.fetchval("SELECT count(*) FROM outbox_archive_default"))


async def test_it_makes_today_and_days_ahead_and_drops_whole_days_past_retention(
    connection: asyncpg.Connection,
) -> None:
    await maintain(connection, NOW, retention_days=30)
    assert await partitions(connection) == {"default"} | days(NOW, 4)
    await archived(connection, NOW)
    assert await in_default(connection) == 0, "the first day's rows have a partition too"
    assert await maintain(connection, NOW + timedelta(days=30), retention_days=30) == 0
    assert await maintain(connection, NOW + timedelta(days=31), retention_days=30) == 1
    assert await count_all(connection) == 0
    assert not days(NOW, 1) & await partitions(connection)


async def count_all(connection: asyncpg.Connection) -> int:
    return int(await connection.fetchval("SELECT count(*) FROM outbox_archive"))


async def test_what_lies_in_default_is_forgotten_past_retention_in_bounded_batches(
    connection: asyncpg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(archive, "DELETED_ROWS", 10)
    monkeypatch.setattr(archive, "DELETIONS", 3)
    await archived(connection, NOW - timedelta(days=31, hours=12, seconds=1), 45)
    await archived(connection, NOW - timedelta(days=30), 7)
    left = []
    for _ in range(3):
        await maintain(connection, NOW, retention_days=30)
        left.append(await in_default(connection))
    assert left == [22, 7, 7]


async def test_a_day_whose_rows_lie_in_default_gets_no_partition_and_the_others_do(
    connection: asyncpg.Connection,
) -> None:
    await archived(connection, NOW)
    await maintain(connection, NOW, retention_days=30)
    assert await partitions(connection) == {"default"} | days(NOW + timedelta(days=1), 3)


async def _maintained_while_a_partition_is_locked(database: Database, connection: asyncpg.Connection) -> None:
    """Somebody who holds one partition and never asks for its parent: waiting for him is half a deadlock."""
    await maintain(connection, NOW, retention_days=30)
    other = await asyncpg.connect(database.url)
    try:
        async with other.transaction():
            await other.execute(f"LOCK TABLE outbox_archive_{NOW:%Y%m%d} IN ACCESS EXCLUSIVE MODE")
            await connection.execute("SET lock_timeout = '1s'")
            await maintain(connection, NOW, retention_days=30)
    finally:
        await other.close()


async def test_the_partitions_are_listed_without_waiting_for_a_lock_on_any(
    database: Database, connection: asyncpg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    await _maintained_while_a_partition_is_locked(database, connection)


async def test_listed_with_their_locks_one_locked_partition_would_hold_up_maintenance(
    database: Database, connection: asyncpg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Negative control."""
    listing = "SELECT relid::regclass::text AS name FROM pg_partition_tree('outbox_archive') WHERE isleaf"
    monkeypatch.setattr(archive, "_PARTITIONS", listing)
    with pytest.raises(asyncpg.exceptions.LockNotAvailableError):
        await _maintained_while_a_partition_is_locked(database, connection)


def _leader(database: Database, kafka: KafkaSettings, clock: ManualClock) -> Relay:
    return Relay("intake", database.url, kafka, clock, retention_days=30)


def _sent(database: Database, number: int) -> Callable[[], Awaitable[bool]]:
    async def sent() -> bool:
        return await count(database, "outbox") == 0 and await count(database, "outbox_archive") >= number

    return sent


async def test_a_leader_of_many_days_goes_on_making_and_dropping_partitions(
    database: Database, kafka: KafkaSettings, connection: asyncpg.Connection
) -> None:
    clock = ManualClock(NOW)
    leader = _leader(database, kafka, clock)
    await leader.start()
    try:
        await eventually(_partitions_are(connection, days(NOW, 4)), "the first partitions")
        clock.advance(days=40)
        later = NOW + timedelta(days=40)
        await eventually(_partitions_are(connection, days(later, 4)), "those of later days, and the old ones gone")
        await send(database, [submission()])
        await eventually(_sent(database, 1), "the leader still sends")
    finally:
        await leader.stop()


async def test_maintained_only_on_taking_the_lead_later_days_would_have_no_partition(
    database: Database, kafka: KafkaSettings, connection: asyncpg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Negative control."""
    monkeypatch.setattr(relay, "MAINTENANCE", timedelta(days=10_000))
    clock = ManualClock(NOW)
    leader = _leader(database, kafka, clock)
    await leader.start()
    try:
        await eventually(_partitions_are(connection, days(NOW, 4)), "the first partitions")
        clock.advance(days=40)
        for number in (1, 2):
            await send(database, [submission(version=number)])
            await eventually(_sent(database, number), "a look at the outbox after the clock has moved")
    finally:
        await leader.stop()
    assert await partitions(connection) == {"default"} | days(NOW, 4)


async def test_a_backup_that_reads_the_archive_delays_its_maintenance_and_not_the_sending(
    database: Database, kafka: KafkaSettings, connection: asyncpg.Connection
) -> None:
    clock = ManualClock(NOW)
    leader = _leader(database, kafka, clock)
    backup = await asyncpg.connect(database.url)
    try:
        async with backup.transaction():
            await backup.fetch("SELECT * FROM outbox_archive")
            await leader.start()
            await send(database, [submission()])
            await eventually(_sent(database, 1), "sent while the archive is being read")
            assert await partitions(connection) == {"default"}
        clock.advance(seconds=3601)
        await eventually(_partitions_are(connection, days(NOW, 4)), "maintained at the next round")
    finally:
        await leader.stop()
        await backup.close()


def _partitions_are(connection: asyncpg.Connection, wanted: set[str]) -> Callable[[], Awaitable[bool]]:
    async def are() -> bool:
        return await partitions(connection) == {"default"} | wanted

    return are
