"""Intake stops across a deadline and comes back: through PostgreSQL and Kafka nobody is called overdue meanwhile."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta

import pytest

from services.intake import main as intake
from services.intake.settings import IntakeSettings
from services.scoring import main as scoring
from services.scoring.settings import ScoringSettings
from shared.postgres.database import Database
from shared.runtime.clock import monotonic_seconds
from shared.runtime.settings import CommonSettings, KafkaSettings
from shared.service.service import Service
from tests.integration.scoring.rig import Rig, agency, local, regime
from tests.unit.scoring.samples import DEADLINE

pytestmark = pytest.mark.timeout(300)
DEADLINE_SECONDS = 120


async def until(condition: Callable[[], Awaitable[bool]], what: str) -> None:
    deadline = monotonic_seconds() + DEADLINE_SECONDS
    while not await condition():
        assert monotonic_seconds() < deadline, f"not within {DEADLINE_SECONDS} s: {what}"
        await asyncio.sleep(0.05)


@pytest.fixture
def urls(migrated_database: Callable[[str], str]) -> tuple[str, str]:
    """Of intake and scoring. Not async: migrations run an event loop of their own."""
    return migrated_database("intake"), migrated_database("scoring")


@pytest.mark.parametrize("watching", [True, False])
async def test_while_nothing_can_be_sent_nobody_is_called_overdue_and_a_relief_is_proposed(
    urls: tuple[str, str], kafka_bootstrap: str, topics: str, watching: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The control: a scoring that does not heed what intake tells of itself calls all of them overdue."""
    if not watching:
        monkeypatch.setattr(scoring, "is_played", lambda clock: True)
    kafka, common = KafkaSettings(bootstrap_servers=kafka_bootstrap, topic_prefix=topics), CommonSettings()
    of_intake, of_scoring = urls
    rig = await Rig.ready(Database(of_scoring, pool_size=3))
    await rig.registry(regime(), *(agency(f"H99.{number}") for number in range(31, 34)))
    clock = rig.clock
    clock.set(local(2026, 10, 19, 16))
    await rig.generate()

    def process_of_intake() -> Service:
        settings = IntakeSettings(database_url=of_intake, database_pool_size=4, heartbeat_seconds=0.2)
        return intake.build(settings, common=common, kafka=kafka, clock=clock)

    async def vouched() -> bool:
        rows = await rig.rows("SELECT available_until FROM intake_availability")
        return bool(rows) and bool(rows[0]["available_until"] >= clock.now())

    async def overdue() -> bool:
        rows = await rig.rows("SELECT count(*) AS n FROM obligations WHERE overdue AND period = '2026-M10'")
        return bool(rows[0]["n"] == 3)

    async def applied() -> bool:
        return bool(await rig.rows("SELECT 1 FROM reliefs WHERE proposed_by = 'scoring' AND applied_version = version"))

    settings = ScoringSettings(
        database_url=of_scoring, settle_seconds=0.1, mark_interval_seconds=0.1, generate_interval_seconds=0.1
    )
    scored = scoring.build(settings=settings, common=common, kafka=kafka, clock=clock)
    try:
        async with scored.lifespan(scored.app):
            first = process_of_intake()
            async with first.lifespan(first.app):
                await until(vouched, "intake tells that it is there")
            clock.set(DEADLINE + timedelta(minutes=150))  # intake is away meanwhile
            if not watching:
                await until(overdue, "all are overdue")
                return
            second = process_of_intake()
            async with second.lifespan(second.app):
                await until(applied, "a relief is proposed and given to those it covers")
                await until(vouched, "intake tells that it is there again")
                (relief,) = await rig.rows("SELECT * FROM reliefs")
                assert relief["relief_id"].startswith("intake-20261019-")
                assert relief["ends_at"] == DEADLINE + timedelta(minutes=150) + timedelta(minutes=210)
                held = await rig.rows("SELECT next_at FROM obligations WHERE period = '2026-M10'")
                assert {row["next_at"] > relief["ends_at"] for row in held} == {True}
                assert await rig.rows("SELECT 1 FROM obligations WHERE overdue") == []
    finally:
        await rig.database.close()
