"""The relay replaces a producer that has failed, says so in its metric, and blames no producer for a lost database."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import asyncpg
import pytest
from aiokafka.errors import OutOfOrderSequenceNumber

from shared.kafka import aiokafka_internals
from shared.outbox import relay as relaying
from shared.outbox.sending import send_rows
from shared.postgres.database import Database
from shared.runtime.settings import KafkaSettings
from shared.telemetry import metrics
from tests.integration.shared.rig import count, eventually, relay, send, submission


def recreated() -> float:
    return metrics.RELAY_PRODUCER_RECREATED_TOTAL._value.get()  # type: ignore[no-any-return]


def sent(database: Database, number: int) -> Callable[[], Awaitable[bool]]:
    async def condition() -> bool:
        return await count(database, "outbox") == 0 and await count(database, "outbox_archive") == number

    return condition


async def test_a_producer_that_failed_is_replaced_and_counted_once(
    database: Database, kafka: KafkaSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    used: list[Any] = []

    async def fails_once(producer: Any, *args: Any, **options: Any) -> Any:
        used.append(producer)
        if len(used) == 1:
            raise OutOfOrderSequenceNumber("the broker has forgotten this producer")
        return await send_rows(producer, *args, **options)

    monkeypatch.setattr(relaying, "send_rows", fails_once)
    before = recreated()
    sender = relay(database, kafka)
    await sender.start()
    try:
        await send(database, [submission(version=1)])
        await eventually(sent(database, 1), "sent by the next producer")
        await send(database, [submission(version=2)])
        await eventually(sent(database, 2), "and so is the next event")
    finally:
        await sender.stop()
    assert used[0] is not used[1]
    assert recreated() - before == 1


async def test_a_lost_database_session_is_no_failure_of_the_producer(database: Database, kafka: KafkaSettings) -> None:
    before = recreated()
    sender = relay(database, kafka)
    await sender.start()
    connection = await asyncpg.connect(database.url)
    try:
        await send(database, [submission(version=1)])
        await eventually(sent(database, 1), "the first event")
        ended = await connection.fetchval(
            "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity "
            "WHERE application_name = 'intake relay' AND datname = current_database()"
        )
        assert ended == 1
        await send(database, [submission(version=2)])
        await eventually(sent(database, 2), "the second event, by a new session")
    finally:
        await sender.stop()
        await connection.close()
    assert recreated() == before


@pytest.mark.parametrize("part", ["sending", "metadata"])
async def test_a_producer_that_has_lost_a_task_is_replaced_before_its_deadline(
    database: Database, kafka: KafkaSettings, part: str
) -> None:
    before = recreated()
    sender = relay(database, kafka)
    await sender.start()
    try:
        await send(database, [submission(version=1)])
        await eventually(sent(database, 1), "the first event")

        async def raises(*args: Any, **kwargs: Any) -> Any:
            raise RuntimeError("unable to perform operation on a closed transport")

        producer = sender._producer
        assert producer is not None
        producer._sender._send_produce_req = raises
        producer.client._metadata_update = raises
        if part == "metadata":
            producer.client.force_metadata_update()
        await send(database, [submission(version=2)])
        await eventually(sent(database, 2), "the second, by another producer", seconds=20)
    finally:
        await sender.stop()
    assert recreated() == before + 1
    assert not any(not task.done() for task in aiokafka_internals.tasks(producer).values()), "nothing of it goes on"
