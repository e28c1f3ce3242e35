"""Intake's heartbeat: it goes on while some instance can store reports, and a gap in it is told once."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import text

from services.intake import main
from services.intake.submissions import handlers
from services.intake.submissions.availability import Availability
from shared.contract.events import MODELS, EventModel, IntakeAvailable, IntakeUnavailable
from shared.postgres.database import Database
from shared.runtime.clock import ManualClock
from shared.service.ticker import Ticker
from tests.integration.intake.rig import NOW, Province, intake, report

EVERY = 15.0


@dataclass
class Beating:
    """Instances on one database and one clock, each with its ticker; nothing beats by itself."""

    database: Database
    clock: ManualClock = field(default_factory=lambda: ManualClock(NOW))

    def instance(self, shed: Callable[[], float] = lambda: 0.0) -> tuple[Availability, Ticker]:
        made = Availability(self.clock, EVERY, shed)
        return made, Ticker(
            "intake.heartbeat", self.database, self.clock, made.beat, interval_seconds=EVERY, alone=False
        )

    async def pass_time(self, seconds: float, *tickers: Ticker) -> None:
        """Each ticker beats at its interval; those that are not given are not there."""
        until = self.clock.now() + timedelta(seconds=seconds)
        while self.clock.now() < until:
            self.clock.advance(seconds=EVERY)
            for ticker in tickers:
                with suppress(Exception):  # as the ticker's own loop does
                    await ticker.once()

    async def told(self) -> list[EventModel]:
        async with self.database.read_transaction() as tx:
            rows = await tx.execute(text("SELECT key, type, body FROM outbox WHERE key = 'intake' ORDER BY id"))
            return [MODELS[row.type].model_validate_json(bytes(row.body)) for row in rows]

    async def gaps(self) -> list[tuple[float, float, str]]:
        """(begin, end) in seconds since NOW, and the cause."""
        return [
            ((event.since - NOW).total_seconds(), (event.until - NOW).total_seconds(), event.cause)
            for event in await self.told()
            if isinstance(event, IntakeUnavailable)
        ]


@pytest.fixture
async def beating(database_of_intake: str) -> AsyncIterator[Beating]:
    database = Database(database_of_intake, pool_size=2)
    yield Beating(database)
    await database.close()


async def test_it_tells_until_when_reports_could_be_stored_and_no_gap(beating: Beating) -> None:
    _, ticker = beating.instance()
    await beating.pass_time(60, ticker)
    told = [event.until for event in await beating.told() if isinstance(event, IntakeAvailable)]
    assert told == [NOW + timedelta(seconds=EVERY * place) for place in (1, 2, 3, 4)]
    assert await beating.gaps() == []


async def test_an_instance_that_was_stopped_tells_the_gap_once_and_before_it_is_available(beating: Beating) -> None:
    _, ticker = beating.instance()
    await beating.pass_time(30, ticker)
    await beating.pass_time(600)
    _, ticker = beating.instance()
    await beating.pass_time(45, ticker)
    assert await beating.gaps() == [(30, 645, "stopped")]
    kinds = [type(event) for event in await beating.told()]
    assert kinds == [IntakeAvailable] * 2 + [IntakeUnavailable] + [IntakeAvailable] * 3


async def test_a_restart_is_no_gap(beating: Beating) -> None:
    _, ticker = beating.instance()
    await beating.pass_time(30, ticker)
    await beating.pass_time(45)
    _, ticker = beating.instance()
    await beating.pass_time(30, ticker)
    assert await beating.gaps() == []


@pytest.mark.parametrize("others", [1, 0])
async def test_while_one_of_several_instances_is_there_nothing_is_missing(beating: Beating, others: int) -> None:
    """The control: without the other instance the same time is a gap."""
    (_, first), (_, second) = beating.instance(), beating.instance()
    await beating.pass_time(30, first, second)
    await beating.pass_time(600, *[second][:others])
    await beating.pass_time(30, first, second)
    assert len(await beating.gaps()) == 1 - others
    hours = [event.until for event in await beating.told() if isinstance(event, IntakeAvailable)]
    assert len(hours) == len(set(hours)), "one event an interval, however many instances there are"


@pytest.mark.parametrize("stored", [10, 11])
async def test_an_instance_that_refuses_more_than_it_answers_is_not_there_for_people(
    beating: Beating, stored: int
) -> None:
    """The control: one more that is answered, and it is."""
    availability, ticker = beating.instance()
    await beating.pass_time(30, ticker)
    for _ in range(20):
        for _ in range(stored):
            availability.answered()
        for _ in range(11):
            availability.refused()
        await beating.pass_time(EVERY, ticker)
    await beating.pass_time(30, ticker)
    assert await beating.gaps() == ([(30, 345, "refusing")] if stored == 10 else [])


async def test_connections_that_the_server_refuses_count_as_refused(beating: Beating) -> None:
    shed = 0.0
    _, ticker = beating.instance(lambda: shed)
    await beating.pass_time(30, ticker)
    for _ in range(20):
        shed += 3
        await beating.pass_time(EVERY, ticker)
    await beating.pass_time(30, ticker)
    assert await beating.gaps() == [(30, 345, "refusing")]


async def test_a_database_that_takes_no_writes_is_a_gap(beating: Beating) -> None:
    _, ticker = beating.instance()
    await beating.pass_time(30, ticker)
    other = Database(beating.database.url, pool_size=1)
    async with other.transaction() as tx:
        await tx.execute(text("ALTER TABLE heartbeat RENAME TO away"))
    await beating.pass_time(300, ticker)
    async with other.transaction() as tx:
        await tx.execute(text("ALTER TABLE away RENAME TO heartbeat"))
    await other.close()
    await beating.pass_time(30, ticker)
    assert await beating.gaps() == [(30, 345, "stalled")]


async def test_answers_to_submissions_say_what_the_instance_can_do(
    province: Province, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Counting(Availability):
        seen: list[str] = []  # noqa: RUF012

        def answered(self) -> None:
            self.seen.append("answered")

        def refused(self) -> None:
            self.seen.append("refused")

    monkeypatch.setattr(main, "Availability", Counting)
    broken = False

    async def accept(tx: Any, group: Any) -> Any:
        if broken:
            raise ConnectionError("the database is away")
        return await handlers.accept(tx, group)

    async with intake(province, accept=accept, patience_seconds=3) as running:
        statuses = [(await running.post(report(1))).status_code, (await running.post("{}")).status_code]
        broken = True
        statuses.append((await running.post(report(2))).status_code)
        nobody = {"Authorization": "Bearer tsk_x_y"}
        statuses.append((await running.post(report(3), **nobody)).status_code)
    assert statuses == [201, 422, 503, 401]
    assert Counting.seen == ["answered", "answered", "refused"]
