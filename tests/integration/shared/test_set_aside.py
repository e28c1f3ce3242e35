"""What Kafka never takes is set aside once, it and nothing else; its key keeps its order, and it can be sent later."""

from __future__ import annotations

import argparse
import asyncio
import json
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import asyncpg
import pytest
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import UnknownError
from sqlalchemy import text

from shared.contract.cloudevents import encode_headers
from shared.contract.events import REGISTRY, SUBMISSIONS
from shared.kafka.clients import make_admin, make_producer, topic_limits
from shared.outbox import Outgoing, publish, sending
from shared.outbox import relay as relaying
from shared.outbox.sending import Sent
from shared.outbox.sizes import event_bytes
from shared.outbox.tool import outbox
from shared.postgres.database import Database
from shared.runtime.settings import KafkaSettings
from tests.integration.shared.rig import count, eventually, relay, rows, send, submission
from tests.integration.shared.test_outbox import read_topic
from tests.stack import Infra

LOW = 20_000


@pytest.fixture(autouse=True)
def _real_kafka(infra: Infra) -> None:
    if not infra.kafka_idempotence:
        pytest.skip("the stand-in takes any size")


async def limit(kafka: KafkaSettings, topic: str, limit_bytes: int) -> None:
    """Set the topic's limit at the cluster, as an operator would."""
    admin = make_admin(kafka, "test")
    await admin.start()
    try:
        wanted = {"max.message.bytes": str(limit_bytes)}
        await admin.alter_configs([ConfigResource(ConfigResourceType.TOPIC, kafka.topic(topic), wanted)])
    finally:
        await admin.close()

    async def set_so() -> bool:
        return await topic_limits(kafka, [topic]) == {topic: limit_bytes}

    await eventually(set_so, "the cluster tells the new limit")


async def command(database: Database, what: str, *ids: int, **options: Any) -> int:
    connection = await asyncpg.connect(database.url)
    try:
        given = {"ids": list(ids), "all": False, "closed": False, "reason": "a test", **options}
        return await outbox(connection, argparse.Namespace(what=what, **given))
    finally:
        await connection.close()


def drained(database: Database, aside: int) -> Callable[[], Awaitable[bool]]:
    async def condition() -> bool:
        return await count(database, "outbox") == 0 and await count(database, "outbox_set_aside") == aside

    return condition


def long(agency: str, version: int = 1, size: int = LOW * 2) -> Any:
    return submission(agency, version, narratives={"N": "x" * size})


def versions(records: Sequence[Any], agency: str) -> list[int]:
    return [json.loads(r.value)["version"] for r in records if r.key.startswith(agency.encode() + b"/")]


async def test_the_culprit_is_what_is_too_large_as_encoded_not_what_has_the_largest_body(
    database: Database, kafka: KafkaSettings
) -> None:
    innocent = submission("H99.02", narratives={"N": "x" * 900_000})
    headers = encode_headers([("note", b"x" * 1_100_000)])
    culprit = Outgoing(SUBMISSIONS, "H99.01/BC/huge", "vn.test.huge", b"{}", headers=headers)
    sender = relay(database, kafka)
    await sender.start()
    try:
        async with database.transaction() as tx:
            await publish(tx, [culprit, innocent])
        await eventually(drained(database, 1), "the outbox is empty and one is set aside")
        (record,) = await read_topic(kafka, SUBMISSIONS, 1)
    finally:
        await sender.stop()
    assert record.key == innocent.key.encode()
    (aside,) = await rows(database, "SELECT * FROM outbox_set_aside")
    assert (aside.key, aside.error_class) == ("H99.01/BC/huge", "MessageSizeTooLargeError")
    assert aside.encoded_bytes > 1_100_000
    assert aside.headers == json.loads(headers)


async def test_size_is_measured_as_kafka_counts_it_to_the_byte(database: Database, kafka: KafkaSettings) -> None:
    event = long("H99.01")
    sender = relay(database, kafka)
    # the traceparent that event_bytes allows for is not there: its name, its value, and their lengths
    size = event_bytes(event) - len("traceparent") - 55 - 2
    await limit(kafka, SUBMISSIONS, size)
    await sender.start()
    try:
        await send(database, [event])
        await eventually(drained(database, 0), "it fits exactly")
    finally:
        await sender.stop()
    await limit(kafka, SUBMISSIONS, size - 1)
    sender = relay(database, kafka)
    await sender.start()
    try:
        await send(database, [event.model_copy(update={"version": 2})])
        await eventually(drained(database, 1), "one byte less and it does not")
    finally:
        await sender.stop()
    (aside,) = await rows(database, "SELECT encoded_bytes FROM outbox_set_aside")
    assert aside.encoded_bytes == size


@pytest.mark.parametrize("told", [True, False], ids=["the limit is told", "the broker refuses the batch"])
async def test_a_key_keeps_its_order_behind_what_was_refused_and_goes_on_when_that_is_sent(
    database: Database, kafka: KafkaSettings, monkeypatch: pytest.MonkeyPatch, told: bool
) -> None:
    await limit(kafka, SUBMISSIONS, LOW)
    if not told:
        monkeypatch.setattr(relaying, "topic_limits", _nothing_told)
    sender = relay(database, kafka)
    await sender.start()
    others = [submission(f"H99.{n:02}", v) for n in range(10, 40) for v in (1, 2)]
    try:
        await send(database, [*others[:30], submission("H99.01", 1), long("H99.01", 2), *others[30:]])
        await send(database, [submission("H99.01", 3)])
        await eventually(drained(database, 2), "the neighbours are sent")
        await send(database, [submission("H99.01", 4)])
        await eventually(drained(database, 3), "a later event of the key queues as well")
        records = await read_topic(kafka, SUBMISSIONS, 61)
        assert versions(records, "H99.01") == [1]
        for n in range(10, 40):
            assert versions(records, f"H99.{n:02}") == [1, 2]
        aside = await rows(database, "SELECT id, behind FROM outbox_set_aside ORDER BY id")
        assert [row.behind for row in aside] == [None, aside[0].id, aside[0].id]

        await limit(kafka, SUBMISSIONS, 1_048_576)
        await sender.stop()
        sender = relay(database, kafka)  # it asks for the limits again
        await sender.start()
        assert await command(database, "retry", aside[0].id) == 0
        await eventually(drained(database, 0), "all is sent")
        assert await command(database, "retry", aside[0].id) == 1  # again: nothing to do
    finally:
        await sender.stop()
    records = await read_topic(kafka, SUBMISSIONS, 64)
    assert versions(records, "H99.01") == [1, 2, 3, 4]
    assert await count(database, "outbox_archive") == 64


async def _nothing_told(*_: Any) -> dict[str, int]:
    return {}


async def test_without_the_queue_a_later_event_would_overtake(
    database: Database, kafka: KafkaSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Negative control of the order."""
    monkeypatch.setattr(Sent, "fronts", lambda self: {})
    await limit(kafka, SUBMISSIONS, LOW)
    sender = relay(database, kafka)
    await sender.start()
    try:
        await send(database, [submission("H99.01", 1), long("H99.01", 2), submission("H99.01", 3)])
        await eventually(drained(database, 1), "only the large one is set aside")
        records = await read_topic(kafka, SUBMISSIONS, 2)
    finally:
        await sender.stop()
    assert versions(records, "H99.01") == [1, 3]


async def test_what_is_given_up_lets_its_key_go_on_and_stays_as_evidence(
    database: Database, kafka: KafkaSettings
) -> None:
    await limit(kafka, SUBMISSIONS, LOW)
    sender = relay(database, kafka)
    await sender.start()
    try:
        await send(database, [long("H99.01", 1), submission("H99.01", 2), long("H99.02", 1)])
        await eventually(drained(database, 3), "set aside")
        first = (await rows(database, "SELECT min(id) FROM outbox_set_aside"))[0][0]
        assert await command(database, "discard", first) == 0
        assert await command(database, "discard", first) == 1
        records = await read_topic(kafka, SUBMISSIONS, 1)
    finally:
        await sender.stop()
    assert versions(records, "H99.01") == [2]
    (kept,) = await rows(database, "SELECT * FROM outbox_set_aside WHERE closed_at IS NOT NULL")
    assert (kept.closed_as, kept.closed_reason) == ("discarded", "a test")
    assert json.loads(kept.body)["version"] == 1
    assert await command(database, "retry", first) == 1


async def test_a_newer_record_of_the_registry_replaces_one_that_was_set_aside(
    database: Database, kafka: KafkaSettings
) -> None:
    await limit(kafka, REGISTRY, LOW)
    sender = relay(database, kafka)
    await sender.start()

    def record(version: int, size: int) -> Outgoing:
        body = json.dumps({"version": version, "x": "x" * size}).encode()
        return Outgoing(REGISTRY, "regime/X/1", "vn.test.regime", body)

    try:
        async with database.transaction() as tx:
            await publish(tx, [record(1, LOW)])
        await eventually(drained(database, 1), "set aside")
        async with database.transaction() as tx:
            await publish(tx, [record(2, 1)])
        (sent,) = await read_topic(kafka, REGISTRY, 1)
        await eventually(drained(database, 1), "sent")
    finally:
        await sender.stop()
    assert json.loads(sent.value)["version"] == 2
    (aside,) = await rows(database, "SELECT closed_as FROM outbox_set_aside")
    assert aside.closed_as == "superseded"


async def test_a_refusal_of_everything_sets_nothing_aside(
    database: Database, kafka: KafkaSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A broker that refuses whatever comes is in trouble itself: all is there when it is well again."""
    refusing, refusals = [True], [0]
    original = make_producer

    def producer(*args: Any) -> Any:
        made = original(*args)
        send_batch = made.send_batch

        async def refuse(*batch: Any, **options: Any) -> Any:
            if not refusing[0]:
                return await send_batch(*batch, **options)
            refusals[0] += 1
            future = asyncio.get_running_loop().create_future()
            future.set_exception(UnknownError("no"))
            return future

        made.send_batch = refuse
        return made

    monkeypatch.setattr(relaying, "make_producer", producer)
    sender = relay(database, kafka)
    await sender.start()
    try:
        await send(database, [submission("H99.01", 1), submission("H99.01", 2), submission("H99.02", 1)])

        async def refused_often() -> bool:
            return refusals[0] >= 6

        await eventually(refused_often, "refused again and again")
        assert await count(database, "outbox") == 3
        assert await count(database, "outbox_set_aside") == 0
        refusing[0] = False
        await eventually(drained(database, 0), "sent")
    finally:
        await sender.stop()
    assert versions(await read_topic(kafka, SUBMISSIONS, 3), "H99.01") == [1, 2]


def refusing(monkeypatch: pytest.MonkeyPatch, times: int) -> None:
    """A broker that answers UNKNOWN_SERVER_ERROR for batches with a record of H99.66, so many times."""
    original, refused = sending._send, [0]

    async def send(producer: Any, prefix: str, place: Any, chain: Any, sent: Sent) -> None:
        for number, (builder, its) in enumerate(chain):
            if refused[0] < times and any(row["key"].startswith("H99.66/") for row in its):
                refused[0] += 1
                future = asyncio.get_running_loop().create_future()
                future.set_exception(UnknownError("no"))

                async def send_batch(*_: Any, _future: Any = future, **__: Any) -> Any:
                    return _future

                await original(argparse.Namespace(send_batch=send_batch), prefix, place, chain[number:], sent)
                return
            await original(producer, prefix, place, [(builder, its)], sent)

    monkeypatch.setattr(sending, "_send", send)


#: 66 has a second event, which queues behind the first
_FIFTY = [submission(f"H99.{n:02}") for n in range(40, 89)]


async def test_one_record_that_the_broker_refuses_again_and_again_is_set_aside_alone(
    database: Database, kafka: KafkaSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    refusing(monkeypatch, 10**6)
    sender = relay(database, kafka)
    await sender.start()
    try:
        await send(database, [*_FIFTY, submission("H99.66", 2)])
        await eventually(drained(database, 2), "all others are sent")
    finally:
        await sender.stop()
    aside = await rows(database, "SELECT key, error_class FROM outbox_set_aside ORDER BY id")
    assert [(r.key.split("/")[0], r.error_class) for r in aside] == [("H99.66", "UnknownError"), ("H99.66", "Behind")]
    records = await read_topic(kafka, SUBMISSIONS, 48)
    assert len({record.key for record in records}) == 48


@pytest.mark.parametrize("times", [1, 2, 3])
async def test_a_passing_refusal_that_hits_one_record_sets_nothing_aside(
    database: Database, kafka: KafkaSettings, monkeypatch: pytest.MonkeyPatch, times: int
) -> None:
    refusing(monkeypatch, times)
    sender = relay(database, kafka)
    await sender.start()
    try:
        await send(database, [*_FIFTY, submission("H99.66", 2)])
        await eventually(drained(database, 0), "all are sent")
    finally:
        await sender.stop()
    records = await read_topic(kafka, SUBMISSIONS, 50)
    first_seen = list(dict.fromkeys(versions(records, "H99.66")))
    assert first_seen == [1, 2]


async def test_a_replay_of_the_archive_is_not_held_up_by_what_a_smaller_log_refuses(
    database: Database, kafka: KafkaSettings
) -> None:
    sender = relay(database, kafka)
    await sender.start()
    await send(database, [long("H99.01", 1), submission("H99.01", 2), submission("H99.02", 1)])
    await eventually(drained(database, 0), "sent")
    await sender.stop()
    await limit(kafka, SUBMISSIONS, LOW)
    async with database.transaction() as tx:
        await tx.execute(text("UPDATE relay_position SET last_offset = last_offset + 1000"))
    sender = relay(database, kafka)
    await sender.start()

    async def replayed() -> bool:
        return not await rows(database, "SELECT 1 FROM relay_state WHERE name = 'replay_after'") and bool(
            await count(database, "outbox_set_aside")
        )

    try:
        await eventually(replayed, "the archive is sent again")
        assert versions(await read_topic(kafka, SUBMISSIONS, 4), "H99.02") == [1, 1]
        await limit(kafka, SUBMISSIONS, 1_048_576)
        await sender.stop()
        sender = relay(database, kafka)
        await sender.start()
        assert await command(database, "retry", all=True) == 0
        await eventually(drained(database, 0), "and so is the rest")
    finally:
        await sender.stop()
    assert versions(await read_topic(kafka, SUBMISSIONS, 6), "H99.01") == [1, 2, 1, 2]
    assert await count(database, "outbox_archive") == 3  # each event once
