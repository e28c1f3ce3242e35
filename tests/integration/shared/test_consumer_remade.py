"""A Kafka client that cannot go on by itself is made anew, and nothing is lost or repeated by that."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from aiokafka.errors import KafkaError

from shared import consumer as consumer_module
from shared import consumers as runtime
from shared.consumer import Subscription
from shared.db import Database
from shared.settings import KafkaSettings
from tests.integration.shared.backbone import consumers, count, eventually, relay, send, submission, subscription

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


async def _applied(database: Database, number: int) -> bool:
    return await count(database, "applied") == number


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


async def test_without_the_look_at_its_fetching_a_client_would_poll_in_vain_for_ever(
    database: Database, kafka: KafkaSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(consumer_module, "_check_fetching", lambda consumer: None)
    assert not await _goes_on(database, kafka, _end_fetching, 14)


async def test_without_the_remaking_the_consumer_stays_dead(
    database: Database, kafka: KafkaSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runtime, "FAILED_POLLS", 10**9)
    assert not await _goes_on(database, kafka, _break, 14)
