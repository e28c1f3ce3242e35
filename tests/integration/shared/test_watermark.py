"""The hour up to which a group has applied its topics stands still while the group is behind."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka import TopicPartition

from shared.consuming import inbox
from shared.consuming.watermark import Watermark
from shared.contract.events import SUBMISSIONS
from shared.contract.ids import new_id
from shared.postgres.database import Database
from shared.runtime.clock import ManualClock
from shared.runtime.settings import KafkaSettings
from tests.integration.shared.rig import consumers, eventually, relay, send, submission, subscription


async def nothing_applied() -> bool:
    return False


async def something_applied() -> bool:
    return True


async def test_the_hour_moves_only_when_everything_that_lay_in_the_topics_is_applied(
    database: Database, kafka: KafkaSettings
) -> None:
    clock = ManualClock(datetime(2026, 3, 18, 16, 0, tzinfo=UTC))
    watch = Watermark(
        kafka, "scoring.follow", (SUBMISSIONS,), clock, applied_before=nothing_applied, interval_seconds=0.1
    )
    looked = count_looks(watch)
    sender = relay(database, kafka)
    await watch.start()
    await sender.start()
    following = consumers(kafka, subscription(database, kafka))
    try:

        async def knows() -> bool:
            return watch.hour() is not None

        await eventually(knows, "an empty topic is caught up with")
        before = clock.now()
        await send(database, [submission(f"H99.{n:02}") for n in range(20)])

        async def sent() -> bool:
            from tests.integration.shared.rig import count

            return await count(database, "outbox") == 0

        await eventually(sent, "the events lie in Kafka")
        clock.advance(seconds=3600)
        # what is behind now cannot pass, however often the watch looks: the group has no member
        await looked(20)
        assert watch.hour() == before
        await following.start()

        async def moved() -> bool:
            return watch.hour() == clock.now()

        await eventually(moved, "the hour moves once the group has applied them")
    finally:
        await following.stop()
        await watch.stop()
        await sender.stop()


def offsets(**ends: int) -> dict[TopicPartition, int]:
    return {TopicPartition(topic, 0): end for topic, end in ends.items()}


class Log:
    """What the watch asks of Kafka, with a log that can come back empty."""

    def __init__(self) -> None:
        self.ends = offsets(submissions=9, verdicts=4)

    async def end_offsets(self, places: Any) -> dict[TopicPartition, int]:
        return dict(self.ends)

    async def describe_topics(self, topics: Any) -> list[dict[str, Any]]:
        return [{"topic": place.topic, "partitions": [{"partition": 0}]} for place in self.ends]

    async def list_consumer_group_offsets(self, group: str) -> dict[TopicPartition, Any]:
        return {place: SimpleNamespace(offset=end) for place, end in self.ends.items()}


def count_looks(watch: Watermark) -> Callable[[int], Awaitable[None]]:
    """Wait, by what is returned, until the watch has looked so many times more at what the group has committed."""
    looks, look = 0, watch._committed

    async def counted(admin: Any) -> dict[TopicPartition, int]:
        nonlocal looks
        looks += 1
        return await look(admin)

    async def looked(times: int) -> None:
        enough = looks + times

        async def reached() -> bool:
            return looks >= enough

        await eventually(reached, f"the watch has looked {times} times more")

    watch._committed = counted  # type: ignore[method-assign]
    return looked


async def hours_after_a_loss(lost_log_seconds: float) -> tuple[datetime | None, datetime]:
    """The hour that is known two looks after the log came back empty, and the hour before that."""
    clock = ManualClock(datetime(2026, 3, 18, 16, 0, tzinfo=UTC))
    kafka = KafkaSettings(bootstrap_servers="unused:1")
    watch = Watermark(
        kafka, "scoring.follow", ("submissions", "verdicts"), clock, applied_before=nothing_applied,
        interval_seconds=0.001, lost_log_seconds=lost_log_seconds,
    )  # fmt: skip
    log, before = Log(), clock.now()
    looked = count_looks(watch)
    task = asyncio.create_task(watch._watch(log, log))
    try:

        async def knows() -> bool:
            return watch.hour() == before

        await eventually(knows, "the log is caught up with")
        log.ends = offsets(submissions=0, verdicts=0)
        clock.advance(seconds=3600)
        await looked(20)
        return watch.hour(), before
    finally:
        task.cancel()


async def test_a_log_that_came_back_empty_is_not_taken_for_one_that_was_applied() -> None:
    hour, before = await hours_after_a_loss(lost_log_seconds=60)
    assert hour == before


async def test_without_the_look_at_its_length_an_empty_log_would_be_caught_up_with_at_once() -> None:
    """Negative control."""
    hour, before = await hours_after_a_loss(lost_log_seconds=0)
    assert hour is not None
    assert hour > before


async def hour_of_a_new_process(
    log: Log, applied_before: Callable[[], Awaitable[bool]], lost_log_seconds: float = 60
) -> datetime | None:
    """The hour that a process knows that started a moment ago, after twenty looks."""
    clock = ManualClock(datetime(2026, 3, 18, 16, 0, tzinfo=UTC))
    watch = Watermark(
        KafkaSettings(bootstrap_servers="unused:1"), "scoring.follow", ("submissions", "verdicts"), clock,
        applied_before=applied_before, interval_seconds=0.001, lost_log_seconds=lost_log_seconds,
    )  # fmt: skip
    looked = count_looks(watch)
    task = asyncio.create_task(watch._watch(log, log))
    try:
        await looked(20)
        return watch.hour()
    finally:
        task.cancel()


class Emptied(Log):
    """A cluster that came back empty: it has forgotten its groups too."""

    def __init__(self) -> None:
        self.ends = offsets(submissions=0, verdicts=0)

    async def list_consumer_group_offsets(self, group: str) -> dict[TopicPartition, Any]:
        return {}


class Cut(Log):
    """Topics were made anew, the group's offsets are those of the old ones."""

    def __init__(self) -> None:
        self.ends = offsets(submissions=3, verdicts=0)

    async def list_consumer_group_offsets(self, group: str) -> dict[TopicPartition, Any]:
        return {place: SimpleNamespace(offset=9) for place in self.ends}


@pytest.mark.parametrize(("log", "applied"), [(Emptied, something_applied), (Cut, nothing_applied)])
async def test_a_process_that_starts_beside_an_emptied_log_waits_too(
    log: type[Log], applied: Callable[[], Awaitable[bool]]
) -> None:
    assert await hour_of_a_new_process(log(), applied) is None
    # negative control: without the pause it would be caught up with at once
    assert await hour_of_a_new_process(log(), applied, lost_log_seconds=0) is not None


@pytest.mark.parametrize(("log", "applied"), [(Emptied, nothing_applied), (Log, something_applied)])
async def test_a_new_system_and_a_whole_log_keep_nobody_waiting(
    log: type[Log], applied: Callable[[], Awaitable[bool]]
) -> None:
    assert await hour_of_a_new_process(log(), applied) is not None


class Begun(Log):
    """A new system: its first event is applied, and its offset committed, while a process looks for a loss."""

    def __init__(self) -> None:
        self.ends = offsets(submissions=1, verdicts=0)
        self.applied = False

    async def list_consumer_group_offsets(self, group: str) -> dict[TopicPartition, Any]:
        first, self.applied = not self.applied, True
        return {} if first else await super().list_consumer_group_offsets(group)

    async def applied_before(self) -> bool:
        return self.applied


async def test_what_a_new_system_applies_while_a_process_looks_is_not_taken_for_a_loss() -> None:
    log = Begun()
    assert await hour_of_a_new_process(log, log.applied_before) is not None


async def test_that_the_group_has_applied_something_is_read_from_its_inbox(database: Database) -> None:
    async with database.read_transaction() as tx:
        assert not await inbox.ever_claimed(tx, "scoring.follow")
    async with database.transaction() as tx:
        await inbox.claim(tx, "scoring.follow", [new_id()])
    async with database.read_transaction() as tx:
        assert await inbox.ever_claimed(tx, "scoring.follow")
        assert not await inbox.ever_claimed(tx, "scoring.registry")
