"""The batch runtime: every event applied once, parked or buried with its evidence; each protection also shown off."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from typing import Any

import pytest
from aiokafka.consumer import fetcher
from faststream import AckPolicy
from sqlalchemy import text

from shared.consuming import subscription as pacing
from shared.consuming.batch import Batch
from shared.consuming.consumers import Consumers
from shared.consuming.dlq_limit import DlqLimit
from shared.consuming.subscription import FETCH_WHILE_IDLE, fetch_pace
from shared.contract.cloudevents import source_of
from shared.contract.events import SUBMISSIONS, SubmissionReceived
from shared.kafka.clients import make_producer
from shared.postgres.database import Database, Transaction
from shared.runtime.settings import KafkaSettings
from shared.runtime.trouble import InfrastructureTrouble
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


def headers(event: SubmissionReceived, **changes: bytes) -> list[tuple[str, bytes]]:
    named = {
        "ce_id": str(event.submission_id).encode(),
        "ce_type": event.TYPE.encode(),
        "ce_source": source_of("intake"),
        **changes,
    }
    return list(named.items())


async def produce(kafka: KafkaSettings, *messages: tuple[bytes | None, bytes | None, list[tuple[str, bytes]]]) -> None:
    """Raw messages (key, value, headers) on `submissions`, as anybody could send them."""
    producer = make_producer(kafka, "test")
    await producer.start()
    try:
        for key, value, message_headers in messages:
            await producer.send_and_wait(kafka.topic(SUBMISSIONS), value, key=key, headers=message_headers)
    finally:
        await producer.stop()


def good(event: SubmissionReceived) -> tuple[bytes, bytes, list[tuple[str, bytes]]]:
    return event.key.encode(), event.encode(), headers(event)


async def applied(database: Database) -> list[tuple[str, int]]:
    return [(row.key, row.version) for row in await rows(database, "SELECT key, version FROM applied ORDER BY place")]


def has_applied(database: Database, number: int) -> Callable[[], Awaitable[bool]]:
    async def condition() -> bool:
        return await count(database, "applied") >= number

    return condition


async def run_until(running: Consumers, condition: Any, what: str) -> None:
    await running.start()
    try:
        await eventually(condition, what)
    finally:
        await running.stop()


async def test_events_are_applied_once_in_order_per_key(database: Database, kafka: KafkaSettings) -> None:
    sender = relay(database, kafka)
    await sender.start()
    events = [submission(f"H99.{n % 7:02}", n // 7 + 1) for n in range(350)]
    await send(database, events)
    try:
        await run_until(consumers(kafka, subscription(database, kafka)), has_applied(database, 350), "all applied")
    finally:
        await sender.stop()
    by_key: dict[str, list[int]] = {}
    for key, version in await applied(database):
        by_key.setdefault(key, []).append(version)
    assert len(by_key) == 7
    assert all(versions == list(range(1, 51)) for versions in by_key.values())


async def _deliver_three_times(database: Database, kafka: KafkaSettings, *, claim: bool) -> int:
    events = [submission(f"H99.{n:02}") for n in range(20)]
    marker = submission("H99.99")
    messages = [good(event) for event in events] * 3
    await produce(kafka, *messages, good(marker))
    seen = 21 if claim else 61
    running = consumers(kafka, subscription(database, kafka, claim=claim))
    await run_until(running, has_applied(database, seen), "all delivered")
    return await count(database, "applied")


async def test_a_duplicate_is_dropped_by_the_inbox(database: Database, kafka: KafkaSettings) -> None:
    assert await _deliver_three_times(database, kafka, claim=True) == 21


async def test_without_the_inbox_duplicates_are_applied_again(database: Database, kafka: KafkaSettings) -> None:
    """Negative control of the claim."""
    assert await _deliver_three_times(database, kafka, claim=False) == 61


async def _crash_in_the_first_batch(database: Database, kafka: KafkaSettings, policy: AckPolicy) -> list[str]:
    """A consumer dies while it handles its first batch; another one takes over. Returns the agencies applied."""
    await produce(kafka, *(good(submission(f"H99.{n:02}")) for n in range(10)))
    reached = asyncio.Event()

    async def hang(batch: Batch[Any], tx: Transaction) -> None:
        reached.set()
        await asyncio.sleep(3600)

    dying = subscription(database, kafka, hang, ack_policy=policy)
    first = consumers(kafka, dying)
    await first.start()
    await asyncio.wait_for(reached.wait(), 20)
    if policy is AckPolicy.ACK_FIRST:
        # the client commits in the background what it has handed out
        async def committed() -> bool:
            consumer = dying._subscriber.consumer
            offsets = [await consumer.committed(place) or 0 for place in consumer.assignment()]
            return sum(offsets) == 10

        await eventually(committed, "ACK_FIRST commits what is still being handled")
    # die without finishing: cancel what runs, clean up nothing, as the end of the process would
    dying._rewind = lambda message: None  # type: ignore[method-assign]
    assert first._broker is not None
    for task in dying._subscriber.tasks:
        task.cancel()
    await asyncio.gather(*dying._subscriber.tasks, return_exceptions=True)
    dying._subscriber.running = False
    await dying._subscriber.consumer.stop()
    await produce(kafka, good(submission("H99.99")))
    second = consumers(kafka, subscription(database, kafka))
    marker = "SELECT 1 FROM applied WHERE key LIKE 'H99.99/%'"

    async def marked() -> bool:
        return bool(await rows(database, marker))

    await run_until(second, marked, "the second consumer applies")
    for task in first._tasks:
        task.cancel()
    return sorted({key.split("/")[0] for key, _ in await applied(database)})


async def test_a_consumer_that_dies_before_its_commit_loses_nothing(database: Database, kafka: KafkaSettings) -> None:
    agencies = await _crash_in_the_first_batch(database, kafka, AckPolicy.NACK_ON_ERROR)
    assert agencies == [*(f"H99.{n:02}" for n in range(10)), "H99.99"]


async def test_ack_first_loses_what_a_dying_consumer_held(database: Database, kafka: KafkaSettings) -> None:
    """Negative control of the ack policy: FastStream's default commits before the work is done."""
    agencies = await _crash_in_the_first_batch(database, kafka, AckPolicy.ACK_FIRST)
    assert len(agencies) < 11


async def test_poison_is_buried_with_all_its_evidence_and_its_neighbours_are_applied(
    database: Database, kafka: KafkaSettings
) -> None:
    first, last = submission("H99.01"), submission("H99.02")
    victim = submission("H99.03")
    key = victim.key.encode()
    await produce(
        kafka,
        good(first),
        (key, b"{not json", headers(victim)),
        (key, None, headers(victim)),
        (key, victim.encode(), headers(victim, ce_id=b"no uuid")),
        (key, victim.encode(), [("ce_type", b"\xff\xfe")]),
        (key, victim.encode(), [*headers(victim, ce_id=str(last.submission_id).encode()), ("bad", b"\xff\xfe\x00")]),
        (b"\xff\x00 other key", victim.encode(), headers(victim)),
        (key, victim.encode(), []),
        good(last),
    )

    async def settled() -> bool:
        return await count(database, "applied") >= 2 and await count(database, "dead_letter") >= 5

    sender = relay(database, kafka)
    await sender.start()
    await run_until(consumers(kafka, subscription(database, kafka)), settled, "poison buried, the rest applied")
    await sender.stop()
    letters = await rows(database, "SELECT * FROM dead_letter ORDER BY id")
    classes = sorted(letter.error_class for letter in letters)
    assert classes == ["MissingId", "MissingType", "NullValue", "ValidationError", "WrongKey"]
    unreadable = next(letter for letter in letters if letter.error_class == "ValidationError")
    assert unreadable.value == b"{not json"
    assert unreadable.key == key
    assert unreadable.consumer == "scoring.follow"
    assert unreadable.attempts == 1
    topics = await rows(database, "SELECT DISTINCT topic FROM outbox_archive UNION SELECT DISTINCT topic FROM outbox")
    assert "scoring.dlq" in {row.topic for row in topics}


async def test_the_culprit_of_a_failing_batch_is_found_and_only_it_is_buried(
    database: Database, kafka: KafkaSettings
) -> None:
    events = [submission(f"H99.{n:02}") for n in range(30)]
    culprit = events[17]

    async def picky(batch: Batch[SubmissionReceived], tx: Transaction) -> None:
        await record(batch, tx)
        if any(event.body.submission_id == culprit.submission_id for event in batch):
            raise KeyError("this one breaks us")

    await produce(kafka, *(good(event) for event in events))
    running = consumers(kafka, subscription(database, kafka, picky))
    await run_until(running, has_applied(database, 29), "the neighbours are applied")
    assert await count(database, "applied") == 29
    (letter,) = await rows(database, "SELECT event_id, error_class FROM dead_letter")
    assert (letter.event_id, letter.error_class) == (culprit.submission_id, "KeyError")


async def test_infrastructure_trouble_is_waited_out_and_never_dead_lettered(
    database: Database, kafka: KafkaSettings
) -> None:
    tries = 0

    async def troubled(batch: Batch[SubmissionReceived], tx: Transaction) -> None:
        nonlocal tries
        await record(batch, tx)
        tries += 1
        if tries < 4:
            raise InfrastructureTrouble("the database is away")

    await produce(kafka, *(good(submission(f"H99.{n:02}")) for n in range(5)))
    running = consumers(kafka, subscription(database, kafka, troubled))
    await run_until(running, has_applied(database, 5), "applied after the trouble")
    assert tries >= 4
    assert await count(database, "applied") == 5
    assert await count(database, "dead_letter") == 0


async def test_an_absurd_share_of_bad_records_halts_instead_of_draining_the_topic(
    database: Database, kafka: KafkaSettings
) -> None:
    await produce(kafka, *((b"H99.%d/BC" % n, b"garbage", headers(submission())) for n in range(60)))
    halting = subscription(database, kafka, dlq_limit=DlqLimit(window=100, least=20, share=0.5), max_records=10)
    running = consumers(kafka, halting)

    async def halted() -> bool:
        return halting.health.halted

    await run_until(running, halted, "the consumer halts")
    assert await count(database, "dead_letter") < 20


async def test_without_the_limit_the_whole_topic_drains_into_the_dead_letters(
    database: Database, kafka: KafkaSettings
) -> None:
    """Negative control of the halt."""
    await produce(kafka, *((b"H99.%d/BC" % n, b"garbage", headers(submission())) for n in range(60)))

    async def drained() -> bool:
        return await count(database, "dead_letter") >= 60

    unlimited = subscription(database, kafka, dlq_limit=DlqLimit(least=10**9), max_records=10)
    await run_until(consumers(kafka, unlimited), drained, "everything is buried")


async def _known_regimes(tx: Transaction, names: Sequence[str]) -> set[str]:
    result = await tx.execute(
        text("SELECT name FROM regimes WHERE name = ANY(CAST(:names AS text[]))"), {"names": names}
    )
    return set(result.scalars())


async def _needs_regime(batch: Batch[SubmissionReceived], tx: Transaction) -> None:
    names = [f"regime/BC/{event.body.regime_version}" for event in batch]
    known = await _known_regimes(tx, names)
    for event in batch:
        if (name := f"regime/BC/{event.body.regime_version}") not in known:
            batch.defer(event, name)
    await record(batch, tx)


async def test_events_about_something_unknown_wait_in_order_and_others_pass(
    database: Database, kafka: KafkaSettings
) -> None:
    async with database.transaction() as tx:
        await tx.execute(text("CREATE TABLE regimes (name text)"))
        await tx.execute(text("INSERT INTO regimes VALUES ('regime/BC/1')"))
    waiting_key = "H99.01"
    events = [
        submission(waiting_key, 1, regime_version=1),
        submission(waiting_key, 2, regime_version=2),  # not known yet
        submission(waiting_key, 3, regime_version=1),  # queues behind it
        submission("H99.02", 1, regime_version=1),
    ]
    await produce(kafka, *(good(event) for event in events))
    running = consumers(kafka, subscription(database, kafka, _needs_regime, _known_regimes, release_seconds=0.05))
    await running.start()
    try:
        await eventually(has_applied(database, 2), "what is known is applied")
        await produce(kafka, good(submission(waiting_key, 4, regime_version=1)))

        async def three_wait() -> bool:
            return await count(database, "deferred_events") == 3

        await eventually(three_wait, "the key's later events queue behind")
        assert [v for k, v in await applied(database) if k.startswith(waiting_key)] == [1]
        async with database.transaction() as tx:
            await tx.execute(text("INSERT INTO regimes VALUES ('regime/BC/2')"))
        await eventually(has_applied(database, 5), "the waiting events are fed")
    finally:
        await running.stop()
    assert [v for k, v in await applied(database) if k.startswith(waiting_key)] == [1, 2, 3, 4]
    assert await count(database, "deferred_events") == 0
    assert await count(database, "dead_letter") == 0


async def test_a_batch_that_fails_while_stopping_is_delivered_again_from_every_partition(
    database: Database, kafka: KafkaSettings
) -> None:
    """FastStream's own nack goes back in one partition only: the others of the batch would be passed over."""
    await produce(kafka, *(good(submission(f"H99.{n:02}")) for n in range(40)))
    failing = subscription(database, kafka)
    original, failures = failing.process, 0

    async def fail_twice(records: Any) -> None:
        nonlocal failures
        if failures < 2 and len({record.partition for record in records}) > 1:
            failures += 1
            raise ConnectionError("once more, please")
        await original(records)

    failing.process = fail_twice  # type: ignore[method-assign]
    await run_until(consumers(kafka, failing), has_applied(database, 40), "all partitions are delivered again")
    assert failures > 0
    assert await count(database, "applied") == 40


@pytest.mark.slow
async def test_members_that_come_and_go_neither_lose_nor_repeat(database: Database, kafka: KafkaSettings) -> None:
    sender = relay(database, kafka)
    await sender.start()

    async def produce_steadily() -> None:
        for version in range(1, 31):
            await send(database, [submission(f"H99.{n:02}", version) for n in range(20)])
            await asyncio.sleep(0.1)

    stable = consumers(kafka, subscription(database, kafka, max_records=20))
    await stable.start()
    producing = asyncio.create_task(produce_steadily())
    try:
        while not producing.done():
            guest = consumers(kafka, subscription(database, kafka, max_records=20))
            await guest.start()
            await asyncio.wait([producing], timeout=1)
            await guest.stop()
        await producing
        await eventually(has_applied(database, 600), "everything is applied", seconds=90)
    finally:
        await stable.stop()
        await sender.stop()
    by_key: dict[str, list[int]] = {}
    for key, version in await applied(database):
        by_key.setdefault(key, []).append(version)
    assert all(versions == list(range(1, 31)) for versions in by_key.values())


async def test_fetches_wait_for_more_while_events_come_and_answer_at_once_while_none_do(
    database: Database, kafka: KafkaSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """aiokafka takes these at construction only; a version that no longer reads them at each fetch is noticed here."""
    fetched: list[tuple[int, int]] = []

    class Noted(fetcher.FetchRequest):  # type: ignore[misc]
        def __init__(self, max_wait_ms: int, min_bytes: int, *others: Any, **named: Any) -> None:
            fetched.append((min_bytes, max_wait_ms))
            super().__init__(max_wait_ms, min_bytes, *others, **named)

    monkeypatch.setattr(fetcher, "FetchRequest", Noted)
    following = subscription(database, kafka)
    running, sender = consumers(kafka, following), relay(database, kafka)

    def fetches(wanted: tuple[int, int]) -> Callable[[], Awaitable[bool]]:
        async def condition() -> bool:
            return fetched[-1:] == [wanted]

        return condition

    await running.start()
    await sender.start()
    try:
        await eventually(fetches(FETCH_WHILE_IDLE), "it is idle at first")
        await send(database, [submission()])
        await eventually(fetches(fetch_pace(1, 600)), "it is busy once an event came")
        await eventually(fetches(FETCH_WHILE_IDLE), "it is idle again after a poll that found nothing")
    finally:
        await running.stop()
        await sender.stop()


@pytest.mark.parametrize("protected", [True, False])
async def test_a_backlog_of_one_partition_is_fetched_without_waiting(
    database: Database, kafka: KafkaSettings, monkeypatch: pytest.MonkeyPatch, protected: bool
) -> None:
    """A partition answers less than a busy fetch waits for: each answer of a backlog would come after the whole wait.

    Negative control: a consumer that does not see that it is behind.
    """
    monkeypatch.setattr(pacing, "FETCH_BUSY_MILLISECONDS", 20_000)
    if not protected:
        monkeypatch.setattr(pacing, "_is_behind", lambda *_: False)
    await produce(kafka, *(good(submission(version=n, figures={"A": "1" * 20_000})) for n in range(1, 41)))
    following = subscription(database, kafka)
    following.inbound = replace(following.inbound, gather_milliseconds=20_000)
    running = consumers(kafka, following)
    await running.start()
    try:
        await eventually(has_applied(database, 40 if protected else 1), "the backlog is applied", seconds=15)
        assert protected or await count(database, "applied") < 40
    finally:
        await running.stop()
