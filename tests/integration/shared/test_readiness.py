"""What a consumer says of itself is what it achieves: events applied, answers of Kafka; and so says its lag."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from aiokafka.conn import AIOKafkaConnection
from sqlalchemy import text

from shared import metrics
from shared.batch import Batch
from shared.clock import monotonic_seconds
from shared.consumer import Subscription
from shared.consumer_health import SILENCE_SECONDS
from shared.consumers import Consumers
from shared.db import Database, Transaction
from shared.service import Service
from shared.settings import KafkaSettings
from tests.integration.shared.backbone import consumers, eventually, record, submission, subscription
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
