"""What is published on a transaction arrives if and only if it commits, once, in order per key, and can be replayed."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any

import asyncpg
import pytest

from shared.contract.events import SUBMISSIONS
from shared.kafka.clients import make_reader
from shared.outbox import publish
from shared.outbox.relay import Relay
from shared.outbox.replay import Selection, count_selected, replay_selected
from shared.postgres.database import Database
from shared.runtime.settings import KafkaSettings
from tests.integration.shared.rig import count, eventually, relay, rows, send, submission


async def read_topic(kafka: KafkaSettings, topic: str, at_least: int, *, seconds: float = 20) -> list[Any]:
    """Every record of a topic, once there are `at_least`."""
    reader = make_reader(kafka, "test")
    reader.subscribe([kafka.topic(topic)])
    await reader.start()
    found: list[Any] = []
    try:
        async with asyncio.timeout(seconds):
            while len(found) < at_least:
                for records in (await reader.getmany(timeout_ms=200)).values():
                    found.extend(records)
    finally:
        await reader.stop()
    return found


async def test_a_committed_event_reaches_kafka_as_cloudevents_with_exact_decimals(
    database: Database, kafka: KafkaSettings
) -> None:
    event = submission(figures={"A": "12345678901234567.89", "B": "1.50"})
    sender = relay(database, kafka)
    await sender.start()
    try:
        await send(database, [event])
        (record,) = await read_topic(kafka, SUBMISSIONS, 1)
    finally:
        await sender.stop()
    headers = dict(record.headers)
    assert headers["ce_specversion"] == b"1.0"
    assert headers["ce_type"] == event.TYPE.encode()
    assert headers["ce_source"] == b"/thongsuot/intake"
    assert headers["ce_subject"] == record.key == event.key.encode()
    assert json.loads(record.value)["figures"] == {"A": "12345678901234567.89", "B": "1.50"}
    archived = await rows(database, "SELECT event_id FROM outbox_archive")
    assert [str(row.event_id).encode() for row in archived] == [headers["ce_id"]]
    assert await count(database, "outbox") == 0


async def test_a_rolled_back_event_is_never_sent(database: Database, kafka: KafkaSettings) -> None:
    sender = relay(database, kafka)
    await sender.start()
    try:
        with pytest.raises(ZeroDivisionError):
            await _publish_and_fail(database)
        await send(database, [submission("H99.03")])
        records = await read_topic(kafka, SUBMISSIONS, 1)
    finally:
        await sender.stop()
    assert [record.key.split(b"/")[0] for record in records] == [b"H99.03"]


async def _publish_and_fail(database: Database) -> None:
    async with database.transaction() as tx:
        await publish(tx, [submission("H99.02")])
        raise ZeroDivisionError


async def test_order_per_key_is_commit_order_under_many_writers(database: Database, kafka: KafkaSettings) -> None:
    sender = relay(database, kafka, batch_rows=50)
    await sender.start()
    lock = "SELECT pg_advisory_xact_lock(hashtext($1))"

    async def write(agency: str, versions: range) -> None:
        connection = await asyncpg.connect(database.url)
        for version in versions:
            async with connection.transaction():
                await connection.execute(lock, agency)
                event = submission(agency, version)
                await connection.execute(
                    "INSERT INTO outbox (event_id, topic, key, type, body) VALUES ($1, $2, $3, $4, $5)",
                    event.submission_id, event.TOPIC, event.key, event.TYPE, event.encode(),
                )  # fmt: skip
        await connection.close()

    try:
        await asyncio.gather(*(write(f"H99.{n:02}", range(1, 41)) for n in range(10)))
        records = await read_topic(kafka, SUBMISSIONS, 400)
    finally:
        await sender.stop()
    by_key: dict[bytes, list[int]] = {}
    for record in records:
        by_key.setdefault(record.key, []).append(json.loads(record.value)["version"])
    assert len(records) == 400
    assert all(versions == list(range(1, 41)) for versions in by_key.values())


async def test_only_one_of_two_relays_leads_and_the_other_takes_over(database: Database, kafka: KafkaSettings) -> None:
    first, second = relay(database, kafka), relay(database, kafka)
    await first.start()
    await eventually(_leads(first), "the first relay leads")
    await second.start()
    try:
        await send(database, [submission(version=n) for n in range(1, 11)])
        await eventually(_drained(database), "the first relay drains the outbox")
        assert not second.leading
        await first.stop()
        await eventually(_leads(second), "the second relay takes over")
        await send(database, [submission(version=11)])
        await eventually(_drained(database), "the second relay drains the outbox")
    finally:
        await first.stop()
        await second.stop()
    records = await read_topic(kafka, SUBMISSIONS, 11)
    assert [json.loads(record.value)["version"] for record in records] == list(range(1, 12))


def _leads(sender: Relay) -> Callable[[], Awaitable[bool]]:
    async def leads() -> bool:
        return sender.leading

    return leads


def _drained(database: Database) -> Callable[[], Awaitable[bool]]:
    async def drained() -> bool:
        return await count(database, "outbox") == 0

    return drained


async def test_a_cursor_relay_loses_rows_that_commit_late_and_ours_does_not(
    database: Database, kafka: KafkaSettings
) -> None:
    """Negative control: `id > last` passes over an id that was given early and committed late."""
    early = await asyncpg.connect(database.url)
    insert = "INSERT INTO outbox (event_id, topic, key, type, body) VALUES ($1, $2, $3, $4, $5) RETURNING id"

    async def write(connection: asyncpg.Connection, version: int) -> int:
        event = submission(f"H99.{version:02}", version)
        return int(
            await connection.fetchval(insert, event.submission_id, event.TOPIC, event.key, event.TYPE, event.encode())
        )

    transaction = early.transaction()
    await transaction.start()
    early_id = await write(early, 1)
    late = await asyncpg.connect(database.url)
    late_id = await write(late, 2)
    assert early_id < late_id

    async def cursor_relay(last: int) -> list[int]:
        return [row["id"] for row in await late.fetch("SELECT id FROM outbox WHERE id > $1 ORDER BY id", last)]

    sent_by_cursor = await cursor_relay(0)
    await transaction.commit()
    sent_by_cursor += await cursor_relay(max(sent_by_cursor))
    assert early_id not in sent_by_cursor, "the naive cursor must lose the row, else this control shows nothing"

    sender = relay(database, kafka)
    await sender.start()
    try:
        records = await read_topic(kafka, SUBMISSIONS, 2)
    finally:
        await sender.stop()
        await early.close()
        await late.close()
    assert sorted(json.loads(record.value)["version"] for record in records) == [1, 2]


async def test_replay_sends_the_selected_events_again_under_their_own_ids(
    database: Database, kafka: KafkaSettings
) -> None:
    sender = relay(database, kafka)
    await sender.start()
    wanted = submission("H99.07")
    await send(database, [wanted, submission("H99.08")])
    await eventually(_drained(database), "the outbox is sent")
    connection = await asyncpg.connect(database.url)
    selection = Selection(key=wanted.key)
    assert await count_selected(connection, selection) == {wanted.TYPE: 1}
    assert await replay_selected(connection, selection, sender.send, rate_per_second=1000) == 1
    await connection.close()
    await sender.stop()
    records = await read_topic(kafka, SUBMISSIONS, 3)
    ids = [dict(record.headers)["ce_id"] for record in records if record.key == wanted.key.encode()]
    assert len(ids) == 2
    assert len(set(ids)) == 1


async def test_a_log_shorter_than_what_it_acknowledged_is_rebuilt_from_the_archive(
    database: Database, kafka: KafkaSettings
) -> None:
    sender = relay(database, kafka)
    await sender.start()
    await send(database, [submission(version=n) for n in range(1, 6)])
    await eventually(_drained(database), "the outbox is sent")
    await sender.stop()
    # what the relay remembers lies beyond what the log holds: as after a broker that came back empty
    async with database.transaction() as tx:
        await tx.exec_driver_sql("UPDATE relay_position SET last_offset = last_offset + 1000")
    again = relay(database, kafka)
    await again.start()
    try:
        records = await read_topic(kafka, SUBMISSIONS, 10)
        await eventually(_no_replay_pending(database), "the replay is finished")
    finally:
        await again.stop()
    assert [json.loads(record.value)["version"] for record in records] == [1, 2, 3, 4, 5] * 2


def _no_replay_pending(database: Database) -> Callable[[], Awaitable[bool]]:
    async def finished() -> bool:
        return not await rows(database, "SELECT 1 FROM relay_state WHERE name = 'replay_after'")

    return finished
