"""A halted consumer is halted until an operator resumes it, whatever restarts; and one agency halts nobody."""

from __future__ import annotations

import argparse
import json
from collections.abc import Awaitable, Callable
from typing import Any

import asyncpg
import pytest
from aiokafka.admin import NewTopic

from shared.consuming.batch import Batch, Record
from shared.consuming.consumers_tool import consumers as command
from shared.consuming.dlq_limit import DlqLimit
from shared.consuming.halting import Halting
from shared.consuming.subscription import Subscription
from shared.contract.events import SUBMISSIONS, SubmissionReceived
from shared.kafka.clients import kept_offsets, make_admin
from shared.postgres.database import Database, Transaction
from shared.runtime.settings import KafkaSettings
from tests.integration.shared.rig import (
    consumers,
    count,
    eventually,
    record,
    relay,
    rows,
    send,
    submission,
    subscription,
)
from tests.integration.shared.test_consumer import run_until

TOPICS = {"scoring.follow": (SUBMISSIONS,)}


async def broken(batch: Batch[SubmissionReceived], tx: Transaction) -> None:
    """A bad deploy."""
    raise KeyError(batch.events[0].key)


async def refuses_one_agency(batch: Batch[SubmissionReceived], tx: Transaction) -> None:
    for event in batch:
        if event.body.agency == "H99.01":
            batch.reject(event, f"{event.body.version} months before it began")
    await record(batch, tx)


async def order(database: Database, what: str, *places: str, batch: bool = False) -> int:
    connection = await asyncpg.connect(database.url)
    try:
        given = argparse.Namespace(what=what, consumer="scoring.follow", places=list(places), batch=batch)
        return await command(connection, given, TOPICS)
    finally:
        await connection.close()


def limited(database: Database, kafka: KafkaSettings, handle: Any = record, **limits: Any) -> Subscription:
    limit = DlqLimit(**{"window": 100, "least": 20, "senders": 5, **limits})
    return subscription(database, kafka, handle, dlq_limit=limit)


def halted(one: Subscription) -> Callable[[], Awaitable[bool]]:
    async def condition() -> bool:
        return one.health.halted

    return condition


async def published(database: Database, kafka: KafkaSettings, *events: SubmissionReceived) -> None:
    sender = relay(database, kafka)
    await sender.start()
    await send(database, events)

    async def sent() -> bool:
        return await count(database, "outbox") == 0

    await eventually(sent, "all is sent")
    await sender.stop()


async def halts(database: Database) -> list[Any]:
    return await rows(database, "SELECT * FROM consumer_halt ORDER BY id")


async def test_one_agencys_bad_history_is_dead_lettered_and_its_neighbours_go_on(
    database: Database, kafka: KafkaSettings
) -> None:
    history = [submission("H99.01", month) for month in range(1, 108)]
    await published(database, kafka, *history, submission("H99.02"))

    async def settled() -> bool:
        return await count(database, "dead_letter") == 107 and await count(database, "applied") == 1

    await run_until(consumers(kafka, limited(database, kafka, refuses_one_agency)), settled, "107 letters, one applied")
    assert await halts(database) == []


async def test_by_share_alone_one_agency_would_halt_all(database: Database, kafka: KafkaSettings) -> None:
    """Negative control."""
    history = [submission("H99.01", month) for month in range(1, 108)]
    await published(database, kafka, *history, submission("H99.02"))
    one = limited(database, kafka, refuses_one_agency, senders=1, share=0.0)
    await run_until(consumers(kafka, one), halted(one), "it halts")


async def _halted_by_a_broken_deploy(database: Database, kafka: KafkaSettings) -> None:
    await published(database, kafka, *(submission(f"H99.{n:02}") for n in range(60)))
    one = limited(database, kafka, broken)

    async def written() -> bool:
        return one.health.halted and len(await halts(database)) == 1

    await run_until(consumers(kafka, one), written, "it halts")
    assert "consumers show scoring.follow" in one.health.state()[1]
    assert await count(database, "applied") == 0
    assert await count(database, "dead_letter") < 20


async def test_a_halt_outlives_a_restart_and_ends_when_an_operator_resumes(
    database: Database, kafka: KafkaSettings, capsys: pytest.CaptureFixture[str]
) -> None:
    await _halted_by_a_broken_deploy(database, kafka)
    before = await count(database, "dead_letter")
    mended = limited(database, kafka)
    running = consumers(kafka, mended)
    await running.start()

    async def joined() -> bool:
        return mended.health.halted and mended.health.busy_since is not None

    async def all_applied() -> bool:
        return await count(database, "applied") == 60 - before

    try:
        await eventually(joined, "a restarted one halts at the same place")
        assert await count(database, "applied") == 0
        capsys.readouterr()
        assert await order(database, "show") == 0
        shown = json.loads(capsys.readouterr().out)
        assert shown["causes"][0]["cause"].startswith("KeyError")
        assert shown["batch"][0]["place"].startswith(f"{SUBMISSIONS}-")
        assert await order(database, "resume") == 0
        await eventually(all_applied, "resumed, it applies all")
        assert await order(database, "resume") == 1
    finally:
        await running.stop()
    assert not mended.health.halted
    (halt,) = await halts(database)
    assert halt.resumed_how == "resume"
    assert halt.resumed_by
    assert await count(database, "dead_letter") == before


async def test_without_a_fix_it_halts_again_and_bury_to_lets_it_go_on(database: Database, kafka: KafkaSettings) -> None:
    await _halted_by_a_broken_deploy(database, kafka)
    again = limited(database, kafka, broken)
    running = consumers(kafka, again)
    await running.start()

    async def halted_twice() -> bool:
        found = await halts(database)
        return len(found) == 2 and found[1].resumed_at is None

    async def all_buried() -> bool:
        if again.health.halted:
            await order(database, "bury-to", batch=True)  # several batches may lie there
        return await count(database, "dead_letter") == 60

    try:
        await eventually(halted(again), "halted since before")
        assert await order(database, "resume") == 0
        await eventually(halted_twice, "nothing is mended: it halts again")
        assert await order(database, "bury-to") == 2
        assert await order(database, "bury-to", "verdicts-0@1") == 2
        await eventually(all_buried, "all are dead letters")
    finally:
        await running.stop()


async def test_one_order_with_places_is_enough_and_is_kept_over_a_restart(
    database: Database, kafka: KafkaSettings, asking: None
) -> None:
    await _halted_by_a_broken_deploy(database, kafka)
    kept = await kept_offsets(kafka, [kafka.topic(SUBMISSIONS)])
    last = [f"{SUBMISSIONS}-{number}@{offsets[-1]}" for (_, number), offsets in kept.items() if offsets]
    assert await order(database, "bury-to", *last) == 0
    one = limited(database, kafka, broken)

    async def buried() -> bool:
        return await count(database, "dead_letter") == 60

    await run_until(consumers(kafka, one), buried, "all are dead letters")
    assert len(await halts(database)) == 1


async def _begin_the_log_again(kafka: KafkaSettings) -> None:
    """The topic as after the loss of Kafka's disks: the same partitions, nothing in them."""
    name = kafka.topic(SUBMISSIONS)
    partitions = len(await kept_offsets(kafka, [name]))
    admin = make_admin(kafka, "test")
    await admin.start()
    try:
        await admin.delete_topics([name])

        async def made() -> bool:
            (answer,) = (await admin.create_topics([NewTopic(name, partitions, 1)])).topic_errors
            return bool(answer[1] == 0)  # not yet, while the old one is being deleted

        await eventually(made, "the topic begins again")
    finally:
        await admin.close()


async def _ordered_then_begun_again(database: Database, kafka: KafkaSettings) -> Subscription:
    """An order for all there is; the log begins again and is replayed; the consumer is as broken as before."""
    await _halted_by_a_broken_deploy(database, kafka)
    kept = await kept_offsets(kafka, [kafka.topic(SUBMISSIONS)])
    last = [f"{SUBMISSIONS}-{number}@{offsets[-1]}" for (_, number), offsets in kept.items() if offsets]
    assert await order(database, "bury-to", *last) == 0
    await _begin_the_log_again(kafka)
    owner = relay(database, kafka)
    await owner.start()

    async def replayed() -> bool:
        again = await kept_offsets(kafka, [kafka.topic(SUBMISSIONS)])
        return sum(len(offsets) for offsets in again.values()) == 60

    await eventually(replayed, "its owner sends the archive again")
    await owner.stop()
    return limited(database, kafka, broken)


async def test_an_order_covers_no_record_of_a_log_that_began_again(
    database: Database, kafka: KafkaSettings, asking: None
) -> None:
    one = await _ordered_then_begun_again(database, kafka)
    await run_until(consumers(kafka, one), halted(one), "the new log's records halt it")
    assert await count(database, "dead_letter") < 20


async def test_the_control_by_offset_alone_the_new_log_is_drained_into_dead_letters(
    database: Database, kafka: KafkaSettings, asking: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    def by_offset(self: Halting, record: Record) -> bool:
        return record.offset <= self._orders.get((record.topic, record.partition), (-1, 0.0))[0]

    monkeypatch.setattr(Halting, "excused", by_offset)
    one = await _ordered_then_begun_again(database, kafka)

    async def drained() -> bool:
        return await count(database, "dead_letter") == 60

    await run_until(consumers(kafka, one), drained, "all are dead letters, and nobody is told")
    assert not one.health.halted


async def test_an_order_for_a_place_that_holds_no_record_is_refused_and_told_what_there_is(
    database: Database, kafka: KafkaSettings, asking: None, capsys: pytest.CaptureFixture[str]
) -> None:
    await _halted_by_a_broken_deploy(database, kafka)
    kept = await kept_offsets(kafka, [kafka.topic(SUBMISSIONS)])
    number, offsets = next((number, offsets) for (_, number), offsets in kept.items() if offsets)
    beyond, nowhere = f"{SUBMISSIONS}-{number}@{offsets[-1] + 1}", f"{SUBMISSIONS}-{len(kept)}@0"
    good = f"{SUBMISSIONS}-{number}@{offsets[-1]}"
    capsys.readouterr()
    assert await order(database, "bury-to", beyond, nowhere, good) == 2
    told = capsys.readouterr().err.splitlines()
    assert len(told) == 2, "all at once, the good one not"
    assert told[0].startswith(f"{beyond}: ")
    assert told[0].endswith(f"{SUBMISSIONS}-{number} có / has 0–{offsets[-1]}")
    assert told[1].startswith(f"{nowhere}: ")
    assert told[1].endswith(f"{SUBMISSIONS} có / has 0–{len(kept) - 1}")
    assert await count(database, "consumer_bury_to") == 0
    assert [halt.resumed_at for halt in await halts(database)] == [None]
    # the control: the good place alone
    assert await order(database, "bury-to", good) == 0
    assert await count(database, "consumer_bury_to") == 1


async def test_an_order_for_a_consumer_that_is_not_halted_leaves_nothing_behind(
    database: Database, kafka: KafkaSettings, asking: None, capsys: pytest.CaptureFixture[str]
) -> None:
    await published(database, kafka, submission("H99.01"))
    kept = await kept_offsets(kafka, [kafka.topic(SUBMISSIONS)])
    place = next(f"{SUBMISSIONS}-{number}@{offsets[-1]}" for (_, number), offsets in kept.items() if offsets)
    for places, batch in (([place], False), ([], True), ([place], True)):
        assert await order(database, "bury-to", *places, batch=batch) == 1
        assert "is not halted" in capsys.readouterr().err
    assert await count(database, "consumer_bury_to") == 0


async def test_a_broken_deploy_does_not_give_up_what_is_deferred(database: Database, kafka: KafkaSettings) -> None:
    async def defers(batch: Batch[SubmissionReceived], tx: Transaction) -> None:
        for event in batch:
            batch.defer(event, "regime/BC/1")

    async def known(tx: Transaction, names: Any) -> set[str]:
        return set(names)

    await published(database, kafka, *(submission(f"H99.{n:02}") for n in range(60)))

    async def deferred() -> bool:
        return await count(database, "deferred_events") == 60

    await run_until(consumers(kafka, subscription(database, kafka, defers)), deferred, "all are deferred")
    one = subscription(database, kafka, broken, known, dlq_limit=DlqLimit(window=100, least=20))
    await run_until(consumers(kafka, one), halted(one), "it halts")
    assert await count(database, "deferred_events") == 60
    assert await count(database, "dead_letter") == 0


@pytest.fixture
def asking(kafka: KafkaSettings, monkeypatch: pytest.MonkeyPatch) -> None:
    """The command finds this Kafka in its environment."""
    monkeypatch.setenv("KAFKA_BOOTSTRAP_SERVERS", kafka.bootstrap_servers)
    monkeypatch.setenv("KAFKA_TOPIC_PREFIX", kafka.topic_prefix)


async def test_list_tells_lag_place_and_cause(
    database: Database, kafka: KafkaSettings, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    await _halted_by_a_broken_deploy(database, kafka)
    monkeypatch.setenv("KAFKA_BOOTSTRAP_SERVERS", kafka.bootstrap_servers)
    monkeypatch.setenv("KAFKA_TOPIC_PREFIX", kafka.topic_prefix)
    capsys.readouterr()
    assert await order(database, "list") == 0
    told = capsys.readouterr().out
    assert "HALTED SINCE" in told
    assert "KeyError" in told
    assert f"{SUBMISSIONS}-" in told
    monkeypatch.setenv("KAFKA_BOOTSTRAP_SERVERS", "127.0.0.1:1")
    assert await order(database, "list") == 0
    told_without = capsys.readouterr()
    assert "lag          ?" in told_without.out
    assert "Kafka does not answer" in told_without.err
