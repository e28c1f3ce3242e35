"""The hour up to which a group has applied its topics stands still while the group is behind."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from shared.caught_up import CaughtUp
from shared.clock import ManualClock
from shared.db import Database
from shared.events import SUBMISSIONS
from shared.settings import KafkaSettings
from tests.integration.shared.backbone import consumers, eventually, relay, send, submission, subscription


async def test_the_hour_moves_only_when_everything_that_lay_in_the_topics_is_applied(
    database: Database, kafka: KafkaSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = ManualClock(datetime(2026, 3, 18, 16, 0, tzinfo=UTC))
    watch = CaughtUp(kafka, "scoring.follow", (SUBMISSIONS,), clock, interval_seconds=0.1)
    looks, look = 0, watch._committed

    async def counted(admin: Any) -> Any:
        nonlocal looks
        looks += 1
        return await look(admin)

    monkeypatch.setattr(watch, "_committed", counted)
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
            from tests.integration.shared.backbone import count

            return await count(database, "outbox") == 0

        await eventually(sent, "the events lie in Kafka")
        clock.advance(seconds=3600)
        # what is behind now cannot pass, however often the watch looks: the group has no member
        enough = looks + 20

        async def looked_enough() -> bool:
            assert watch.hour() == before
            return looks >= enough

        await eventually(looked_enough, "the watch has looked twenty times more")
        await following.start()

        async def moved() -> bool:
            return watch.hour() == clock.now()

        await eventually(moved, "the hour moves once the group has applied them")
    finally:
        await following.stop()
        await watch.stop()
        await sender.stop()
