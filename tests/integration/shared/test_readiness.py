"""What a consumer says of itself is what it achieves: events applied, answers of Kafka; and so says its lag."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable, Sequence
from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka import TopicPartition
from aiokafka.conn import AIOKafkaConnection
from sqlalchemy import text

from shared.consuming.batch import Batch, Record
from shared.consuming.consumers import Consumers
from shared.consuming.health import SILENCE_SECONDS
from shared.consuming.subscription import Subscription
from shared.postgres.database import Database, Transaction
from shared.runtime.clock import SystemClock, monotonic_seconds
from shared.runtime.settings import KafkaSettings
from shared.service.service import Service
from shared.service.ticker import Ticker
from shared.telemetry import metrics, pulse
from tests.integration.shared.rig import consumers, eventually, record, submission, subscription
from tests.integration.shared.test_consumer import good, has_applied, produce


def service(database: Database, running: Consumers | None = None, **options: Any) -> Service:
    return Service("scoring", database, "127.0.0.1", 0, consumers=running, **options)


def joined(following: Subscription) -> Callable[[], Awaitable[bool]]:
    async def condition() -> bool:
        return bool(following.health.assigned)

    return condition


async def test_an_old_outbox_is_not_ready_except_where_accepting_goes_on(database: Database) -> None:
    insert = "INSERT INTO outbox (event_id, topic, key, type, created_at) VALUES (gen_random_uuid(), 't', 'k', 'x', "
    async with database.transaction() as tx:
        await tx.execute(text(insert + "now() - interval '50 seconds')"))
    assert (await service(database).readiness()).ready
    async with database.transaction() as tx:
        await tx.execute(text(insert + "now() - interval '61 seconds')"))
    # ordered by id, told by age
    state = await service(database).readiness()
    assert not state.ready
    assert state.checks["outbox"].detail.startswith("2 events, the oldest 61.")
    assert (await service(database, outbox_matters=False).readiness()).ready


async def test_a_batch_in_hand_is_not_yet_applied(database: Database, kafka: KafkaSettings) -> None:
    entered, go_on = asyncio.Event(), asyncio.Event()

    async def waits(batch: Batch[Any], tx: Transaction) -> None:
        entered.set()
        await go_on.wait()
        await record(batch, tx)

    await produce(kafka, *(good(submission(f"H99.{n:02}")) for n in range(10)))
    following = subscription(database, kafka, waits)
    running = consumers(kafka, following)
    await running.start()
    try:
        await asyncio.wait_for(entered.wait(), 30)
        consumer = following._subscriber.consumer
        in_hand = {place for place in consumer.assignment() if await consumer.position(place)}

        assert sum(following.lag().values()) == 10
        fetched = {place: consumer.highwater(place) - await consumer.position(place) for place in in_hand}
        assert sum(fetched.values()) < 10, "negative control: by what was fetched, some count as applied"
        go_on.set()
        await eventually(has_applied(database, 10), "all applied")

        async def nothing_left() -> bool:
            return following.lag() != {} and sum(following.lag().values()) == 0

        await eventually(nothing_left, "then there is no lag")
    finally:
        go_on.set()
        await running.stop()


async def test_a_batch_whose_poll_nobody_watched_is_in_hand_too(
    database: Database, kafka: KafkaSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """FastStream polls from its start on, and the watch begins a moment later."""
    following = subscription(database, kafka, record)
    seen: list[dict[TopicPartition, int]] = []

    async def process(records: Sequence[Record]) -> None:
        seen.append(dict(following._in_hand))

    monkeypatch.setattr(following, "process", process)
    places = ((0, 7), (1, 3), (0, 8))
    await following._deliver(
        tuple(
            SimpleNamespace(
                topic="submissions", partition=partition, offset=offset, key=b"", value=b"", headers=(), timestamp=0
            )
            for partition, offset in places
        )
    )
    assert seen == [{TopicPartition("submissions", 0): 7, TopicPartition("submissions", 1): 3}]
    assert following._in_hand == {}


def told(consumer: str) -> set[int]:
    """Partitions in the lag metric."""
    samples = [sample for metric in metrics.CONSUMER_LAG_EVENTS.collect() for sample in metric.samples]
    return {int(sample.labels["partition"]) for sample in samples if sample.labels["group"] == consumer}


async def test_partitions_that_went_to_another_member_leave_the_lag_metric(
    database: Database, kafka: KafkaSettings
) -> None:
    metrics.CONSUMER_LAG_EVENTS.clear()  # what tests before this one have left in the process
    first, second = subscription(database, kafka), subscription(database, kafka)
    staying, joining = consumers(kafka, first), consumers(kafka, second)

    async def published() -> bool:
        staying.publish_lag()
        return bool(first.health.assigned) and told(first.name) == {place.partition for place in first.health.assigned}

    await staying.start()
    try:
        await eventually(published, "all partitions are told")
        whole = told(first.name)
        await joining.start()
        await eventually(joined(second), "the second member has partitions")
        await eventually(joined(first), "and so has the first")
        await eventually(published, "those that it still has")
        assert told(first.name) < whole
    finally:
        await joining.stop()
        await staying.stop()
        first.health.revoked()
        staying.publish_lag()
    assert told(first.name) == set()


async def test_a_kafka_that_falls_silent_is_noticed_and_no_lag_of_0_claimed(
    database: Database, kafka: KafkaSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    metrics.CONSUMER_LAG_EVENTS.clear()
    following = subscription(database, kafka)
    running = consumers(kafka, following)

    def lags() -> list[float]:
        running.publish_lag()
        return [sample.value for metric in metrics.CONSUMER_LAG_EVENTS.collect() for sample in metric.samples]

    async def ready() -> bool:
        return (await service(database, running).readiness()).ready

    async def lag_is_known() -> bool:
        return bool(lags()) and set(lags()) == {0.0}

    await running.start()
    try:
        await eventually(joined(following), "joined")
        await eventually(lag_is_known, "nothing to apply")
        assert await ready()
        # as a frozen Kafka: connections stay, new ones are accepted, nothing is answered
        monkeypatch.setattr(AIOKafkaConnection, "_handle_frame", lambda connection, frame: None)
        begun = monotonic_seconds()

        async def noticed() -> bool:
            return not await ready()

        await eventually(noticed, "the silence is noticed", seconds=20)
        assert monotonic_seconds() - begun > SILENCE_SECONDS - 1
        check = (await service(database, running).readiness()).checks["consumer scoring.follow"]
        assert check.detail.startswith("Kafka is silent; ")
        assert "an unknown number of events" in check.detail
        assert all(math.isnan(lag) for lag in lags())
        assert metrics.CONSUMER_KAFKA_SILENCE_SECONDS.labels(following.name)._value.get() > SILENCE_SECONDS
        assert (await service(database, running, outbox_matters=False).readiness()).ready
        assert following.health.last_turn > begun, "negative control: its polls go on, empty"
        monkeypatch.undo()
        await eventually(ready, "ready again", seconds=30)
        await eventually(lag_is_known, "and its lag is known again")
    finally:
        monkeypatch.undo()
        await running.stop()


async def test_a_ticker_that_fails_for_long_is_not_ready_and_says_why(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pulse, "LEAST_PATIENCE_SECONDS", 0.3)
    broken = True

    async def tick(tx: Transaction) -> int:
        if broken:
            raise ValueError("one bad row")
        return 0

    def ticker(name: str, **options: Any) -> Ticker:
        return Ticker(name, database, SystemClock(), tick, interval_seconds=0.02, **options)

    failing = ticker("t.failing")
    served = service(database, backgrounds=[failing])
    async with served.lifespan(None):  # type: ignore[arg-type]

        async def unready() -> bool:
            return not (await served.readiness()).ready

        await eventually(unready, "a ticker without success")
        told = (await served.readiness()).checks["ticker t.failing"]
        assert "has not succeeded for" in told.detail
        assert "one bad row" in told.detail
        # negative control: readiness that knows nothing of tickers stays green
        assert (await service(database).readiness()).ready
        broken = False

        async def ready() -> bool:
            return (await served.readiness()).ready

        await eventually(ready, "ready again after a success")


async def test_a_ticker_that_another_instance_leads_is_ready(
    database: Database, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pulse, "LEAST_PATIENCE_SECONDS", 0.3)
    ticked = 0

    async def tick(tx: Transaction) -> int:
        nonlocal ticked
        ticked += 1
        return 0

    following = Ticker("t.led", database, SystemClock(), tick, interval_seconds=0.02)
    served = service(database, backgrounds=[following])
    other = Database(database_url, pool_size=1)
    async with other.transaction() as leader:
        await leader.execute(text("SELECT pg_advisory_xact_lock(hashtextextended('ticker ' || 't.led', 0))"))
        async with served.lifespan(None):  # type: ignore[arg-type]
            began = monotonic_seconds()
            while monotonic_seconds() < began + 1:
                assert (await served.readiness()).ready
                await asyncio.sleep(0.05)
    await other.close()
    assert ticked == 0


async def test_a_loop_that_died_is_not_ready(database: Database) -> None:
    ticked = asyncio.Event()

    async def tick(tx: Transaction) -> int:
        ticked.set()
        return 0

    dead = Ticker("t.dead", database, SystemClock(), tick, interval_seconds=60)
    served = service(database, backgrounds=[dead])
    async with served.lifespan(None):  # type: ignore[arg-type]
        await asyncio.wait_for(ticked.wait(), 30)

        async def between_ticks() -> bool:
            return database.pool_in_use() == 0

        await eventually(between_ticks, "the tick's commit")
        assert dead._task is not None
        dead._task.cancel()

        async def told() -> bool:
            return (await served.readiness()).checks["ticker t.dead"].detail.startswith("has ended")

        await eventually(told, "the death of a loop")
        assert not (await served.readiness()).ready
