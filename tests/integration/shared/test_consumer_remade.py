"""A Kafka client that cannot go on by itself is made anew, and nothing is lost or repeated by that."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import pytest
from aiokafka.errors import CommitFailedError, KafkaError

from shared.consuming import health
from shared.consuming import subscription as consumer_module
from shared.consuming.subscription import Subscription
from shared.kafka import aiokafka_internals
from shared.kafka.clients import make_admin
from shared.postgres.database import Database
from shared.runtime import failpoints
from shared.runtime.settings import KafkaSettings
from shared.telemetry import metrics
from tests.integration.shared.rig import consumers, count, eventually, relay, send, submission, subscription

Break = Callable[[Subscription], Awaitable[None]]


async def _break(following: Subscription) -> None:
    """What aiokafka does once its coordination has ended on an unexpected error: every poll raises, for ever.

    Returns after the first poll that raised: one that was under way could still bring an event.
    """

    async def raises(*args: Any, **kwargs: Any) -> Any:
        raise KafkaError("Unexpected error during coordination")

    following._subscriber.consumer._fetcher.fetched_records = raises

    async def broken() -> bool:
        return following.health.failed_polls > 0

    await eventually(broken, "a poll raises")


async def _end_fetching(following: Subscription) -> None:
    """What happens when aiokafka writes to a connection that was just reset: fetching ends, and polls find nothing."""
    fetcher = following._subscriber.consumer._fetcher

    def raises(assignment: Any) -> Any:
        raise RuntimeError("unable to perform operation on a closed transport")

    fetcher._get_actions_per_node = raises

    async def ended() -> bool:
        return bool(fetcher.error_future.done())

    await eventually(ended, "fetching has ended")


def _end(part: str) -> Break:
    """End one of the client's other tasks, as an error does that it does not expect; polls and fetches go on."""

    async def end(following: Subscription) -> None:
        consumer = following._subscriber.consumer

        async def raises(*args: Any, **kwargs: Any) -> Any:
            raise RuntimeError("unable to perform operation on a closed transport")

        if part == "metadata":
            consumer._client._metadata_update = raises
            consumer._client.force_metadata_update()
        elif part == "heartbeat":
            consumer._coordinator._do_heartbeat = raises
        else:
            consumer._coordinator.ensure_coordinator_known = raises
            consumer._coordinator.coordinator_dead()

        async def ended() -> bool:
            return bool(aiokafka_internals.ended(consumer))

        await eventually(ended, f"{part} has ended")

    return end


async def _hang_its_commits(following: Subscription) -> None:
    """What a commit did whose coordinator was looked for by a task that waited for another one, which had ended."""

    async def never(*args: Any, **kwargs: Any) -> Any:
        await asyncio.Event().wait()

    following._subscriber.consumer._coordinator.ensure_coordinator_known = never
    following._subscriber.consumer._coordinator._do_commit_offsets = never


async def _applied(database: Database, number: int) -> bool:
    return await count(database, "applied") == number


def _remade(reason: str) -> float:
    return metrics.CONSUMER_REMADE_TOTAL.labels("scoring.follow", reason)._value.get()  # type: ignore[no-any-return]


async def _goes_on(database: Database, kafka: KafkaSettings, broken_by: Break, seconds: float) -> bool:
    """Whether an event behind a broken client is applied within so long."""
    following = subscription(database, kafka)
    running, sender = consumers(kafka, following), relay(database, kafka)
    await running.start()
    await sender.start()
    try:
        await send(database, [submission(agency="H99.01")])
        await eventually(lambda: _applied(database, 1), "the first event is applied")
        await broken_by(following)
        await send(database, [submission(agency="H99.02")])
        try:
            await eventually(lambda: _applied(database, 2), "the event behind the broken client", seconds=seconds)
        except AssertionError:
            return False
        return True
    finally:
        await running.stop()
        await sender.stop()


@pytest.mark.parametrize("broken_by", [_break, _end_fetching], ids=["every poll raises", "fetching has ended"])
async def test_a_broken_client_is_made_anew(database: Database, kafka: KafkaSettings, broken_by: Break) -> None:
    assert await _goes_on(database, kafka, broken_by, 45)


@pytest.mark.whole
async def test_without_the_look_at_its_fetching_a_client_would_poll_in_vain_for_ever(
    database: Database, kafka: KafkaSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(aiokafka_internals, "ended", lambda consumer: "")
    assert not await _goes_on(database, kafka, _end_fetching, 14)


@pytest.mark.whole
async def test_without_the_remaking_the_consumer_stays_dead(
    database: Database, kafka: KafkaSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(health, "FAILED_POLLS", 10**9)
    assert not await _goes_on(database, kafka, _break, 14)


@pytest.mark.parametrize("part", ["metadata", "heartbeat", "coordination"])
async def test_a_client_that_has_lost_one_of_its_tasks_is_made_anew_before_it_is_needed(
    database: Database, kafka: KafkaSettings, part: str
) -> None:
    before = _remade("task_ended")

    async def end_and_wait(following: Subscription) -> None:
        await _end(part)(following)
        await eventually(remade, "the client is made anew")

    async def remade() -> bool:
        return _remade("task_ended") == before + 1

    assert await _goes_on(database, kafka, end_and_wait, 45)


async def test_commits_that_hang_have_a_deadline_and_the_client_is_made_anew(
    database: Database, kafka: KafkaSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(consumer_module, "COMMIT_SECONDS", 1.0)
    following = subscription(database, kafka)
    running, sender = consumers(kafka, following), relay(database, kafka)
    before = _remade("commits_late")

    async def remade() -> bool:
        return _remade("commits_late") == before + 1 and bool(following.health.assigned)

    await running.start()
    await sender.start()
    try:
        await send(database, [submission(agency="H99.01")])
        await eventually(lambda: _applied(database, 1), "the first event is applied")
        await _hang_its_commits(following)
        await send(database, [submission(agency="H99.02")])
        await eventually(remade, "the client is made anew")
        await send(database, [submission(agency="H99.03")])
        await eventually(lambda: _applied(database, 3), "the event behind it")
        await eventually(lambda: _committed(kafka, 3), "all is committed, though no event came behind the second")
    finally:
        await running.stop()
        await sender.stop()


async def test_an_offset_whose_commit_failed_is_committed_without_another_event(
    database: Database, kafka: KafkaSettings
) -> None:
    following = subscription(database, kafka)
    running, sender = consumers(kafka, following), relay(database, kafka)
    await running.start()
    await sender.start()
    try:
        await send(database, [submission(agency="H99.01")])
        await eventually(lambda: _committed(kafka, 1), "the first is committed")
        coordinator = following._subscriber.consumer._coordinator
        original, failures = coordinator._do_commit_offsets, iter([1])

        async def fails_once(*args: Any) -> Any:
            if next(failures, None):
                raise CommitFailedError
            return await original(*args)

        coordinator._do_commit_offsets = fails_once
        await send(database, [submission(agency="H99.02")])
        await eventually(lambda: _committed(kafka, 2), "and so is the second")
        assert next(failures, None) is None, "its first commit failed"
    finally:
        await running.stop()
        await sender.stop()


async def test_a_busy_consumer_commits_seldom_and_what_is_left_once_it_is_idle(
    database: Database, kafka: KafkaSettings
) -> None:
    kafka = kafka.model_copy(update={"commit_every_seconds": 3600.0})
    following = subscription(database, kafka)
    running, sender = consumers(kafka, following), relay(database, kafka)
    await running.start()
    await sender.start()
    try:
        await send(database, [submission(agency="H99.01")])
        await eventually(lambda: _applied(database, 1), "the first event is applied")
        await eventually(lambda: _committed(kafka, 1), "it is committed at once")
        sent: list[Any] = []
        coordinator = following._subscriber.consumer._coordinator
        original = coordinator._do_commit_offsets

        async def noted(*args: Any) -> Any:
            sent.append(args)
            return await original(*args)

        coordinator._do_commit_offsets = noted
        await following._subscriber.consumer.commit()  # as after a batch
        assert sent == []
        await send(database, [submission(agency="H99.02")])
        await eventually(lambda: _committed(kafka, 2), "the second is committed though no event comes behind it")
    finally:
        await running.stop()
        await sender.stop()


async def _committed(kafka: KafkaSettings, number: int) -> bool:
    admin = make_admin(kafka, "test")
    await admin.start()
    try:
        offsets = await admin.list_consumer_group_offsets(f"{kafka.topic_prefix}scoring.follow")
        return bool(sum(max(0, committed.offset) for committed in offsets.values()) == number)
    finally:
        await admin.close()


# --- writes on closed transports, everywhere at once --------------------------------------------------------------

#: each fifth write
CLOSED = "kafka.send=closed*60/5"
#: as many writes one after the other as end every task of a client that writes
CLOSED_FOR_A_WHILE = "kafka.send=closed*6"
EVENTS = 40


#: aiokafka leaves a connection open where its first request fails in a way it does not expect
leaves_connections = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")


@pytest.fixture
def _disarmed() -> Iterator[None]:
    yield
    failpoints.arm("")
    gc.collect()  # what a test has left is told in that test


async def _all_applied(database: Database, seconds: float) -> bool:
    try:
        await eventually(lambda: _applied(database, EVENTS), "all are applied", seconds=seconds)
    except AssertionError:
        return False
    return True


async def _withstands_closed_transports(database: Database, kafka: KafkaSettings) -> bool:
    """Whether the relay and a consumer get every event through while writes of theirs meet closed transports."""
    running, sender = consumers(kafka, subscription(database, kafka)), relay(database, kafka)
    await running.start()
    await sender.start()
    try:
        await send(database, [submission(agency="H99.00")])
        await eventually(lambda: _applied(database, 1), "the first event is applied")
        failpoints.arm(CLOSED)
        for number in range(1, EVENTS):
            await send(database, [submission(agency=f"H99.{number:02}")])
            await asyncio.sleep(0.05)
        return await _all_applied(database, 30)
    finally:
        failpoints.arm("")
        await running.stop()
        await sender.stop()


async def _outlives_its_tasks(database: Database, kafka: KafkaSettings, seconds: float) -> bool:
    """Whether a consumer whose fetching ended on a closed transport gets the events that come after it.

    The relay rests meanwhile: it writes too, and all the closed transports might be its own.
    """
    following = subscription(database, kafka)
    running, sender = consumers(kafka, following), relay(database, kafka)
    before = _remade("task_ended")

    async def hit() -> bool:
        consumer = following._subscriber.consumer
        task = consumer._fetcher._fetch_task if consumer is not None else None
        return _remade("task_ended") > before or (task is not None and task.done())

    await running.start()
    await sender.start()
    try:
        await send(database, [submission(agency="H99.00")])
        await eventually(lambda: _applied(database, 1), "the first event is applied")
        await sender.stop()
        failpoints.arm(CLOSED_FOR_A_WHILE)
        await eventually(hit, "a task of the consumer has ended")
        failpoints.arm("")
        sender = relay(database, kafka)
        await sender.start()
        await send(database, [submission(agency=f"H99.{number:02}") for number in range(1, EVENTS)])
        return await _all_applied(database, seconds)
    finally:
        failpoints.arm("")
        await running.stop()
        await sender.stop()


@pytest.mark.usefixtures("_disarmed")
async def test_writes_on_closed_transports_end_no_task(database: Database, kafka: KafkaSettings) -> None:
    before = _remade("task_ended")
    assert await _withstands_closed_transports(database, kafka)
    assert _remade("task_ended") == before


def _not_translated(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(aiokafka_internals, "_is_closed", lambda error: False)


@leaves_connections
@pytest.mark.usefixtures("_disarmed")
async def test_tasks_that_end_of_them_all_the_same_are_noticed(
    database: Database, kafka: KafkaSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = _remade("task_ended")
    _not_translated(monkeypatch)
    assert await _outlives_its_tasks(database, kafka, 60)
    assert _remade("task_ended") > before


@pytest.mark.whole
@leaves_connections
@pytest.mark.usefixtures("_disarmed")
async def test_with_neither_protection_they_stall_for_good(
    database: Database, kafka: KafkaSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    _not_translated(monkeypatch)
    monkeypatch.setattr(aiokafka_internals, "ended", lambda owner: "")
    assert not await _outlives_its_tasks(database, kafka, 12)
