"""Scoring notices that it stood still across deadlines, and proposes a relief before it reminds or marks anybody."""

from __future__ import annotations

from contextlib import suppress
from datetime import datetime, timedelta

import pytest

from services.scoring.obligations.deadline_sweep import DeadlineSweep, Settled
from services.scoring.reliefs import decisions
from services.scoring.reliefs.standstill import Standstill
from shared.runtime.clock import ManualClock
from tests.integration.scoring.rig import KEY, Rig, agency, local, regime
from tests.unit.scoring.samples import DEADLINE, verdict

LONGEST, GRACE = timedelta(minutes=60), timedelta(hours=24)
BEFORE, BACK = DEADLINE - timedelta(minutes=30), DEADLINE + timedelta(hours=2)


class Watched:
    """A rig whose sweep watches its own standstill; both clocks go on together unless told otherwise."""

    def __init__(self, rig: Rig) -> None:
        self.rig, self.system = rig, ManualClock(rig.clock.now())
        self.start()

    def start(self, *, watching: bool = True) -> None:
        """As a process that starts anew."""
        rig = self.rig
        standstill = Standstill(rig.clock, self.system, LONGEST, GRACE) if watching else None
        rig.sweep = DeadlineSweep(rig.rules, rig.clock, Settled(rig.clock, 0), rows_a_tick=3, standstill=standstill)

    async def at(self, moment: datetime, system: datetime | None = None) -> None:
        self.system.set(system or moment)
        await self.rig.at(moment)

    async def ids(self) -> list[str]:
        return [row["relief_id"] for row in await self.rig.rows("SELECT relief_id FROM reliefs ORDER BY 1")]


@pytest.fixture
async def watched(rig: Rig) -> Watched:
    await rig.registry(regime(), *(agency(f"H99.{number}") for number in range(31, 38)))
    made = Watched(rig)
    await made.at(local(2026, 10, 19, 15, 45))
    await made.at(BEFORE)
    assert await made.ids() == []
    return made


@pytest.mark.parametrize("watching", [True, False])
async def test_after_a_standstill_across_a_deadline_nobody_is_marked_before_it_is_decided(
    watched: Watched, watching: bool
) -> None:
    """The control: a sweep that does not watch itself calls everybody overdue at once."""
    rig = watched.rig
    watched.start(watching=watching)
    await watched.at(BACK)
    if not watching:
        assert len(await rig.published("overdue")) == 7
        return
    assert await rig.published("overdue") == []
    (relief,) = await rig.rows("SELECT * FROM reliefs")
    assert (relief["starts_at"], relief["ends_at"], relief["status"]) == (BEFORE, BACK, "proposed")
    assert (relief["hold_until"], relief["proposed_by"]) == (BACK + GRACE, "scoring")
    assert relief["relief_id"].startswith("standstill-20261019-")
    await rig.follow(verdict(received_at=BACK - timedelta(minutes=1)))
    assert (await rig.one())["on_time"] is False, "only proposed: nothing has moved"
    async with rig.database.transaction() as tx:
        await decisions.decide(tx, relief["relief_id"], "granted", "Lê Văn C", "máy chủ hỏng", rig.clock.now())
    await rig.mark()
    assert ((await rig.one(KEY))["on_time"], (await rig.one(KEY))["deadline"]) == (True, BACK)
    await watched.at(BACK + timedelta(minutes=1))
    assert len(await rig.published("overdue")) == 6
    await rig.check_scores()


async def test_it_is_proposed_once_and_marks_follow_when_its_grace_is_over(watched: Watched) -> None:
    await watched.at(BACK)
    for minutes in range(50, 24 * 60, 50):
        watched.start()  # and stops again and again
        await watched.at(BACK + timedelta(minutes=minutes))
    assert (len(await watched.ids()), await watched.rig.published("overdue")) == (1, [])
    await watched.at(BACK + GRACE + timedelta(seconds=1))
    assert len(await watched.rig.published("overdue")) == 7
    assert len(await watched.ids()) == 1


async def test_a_proposal_that_is_rolled_back_is_made_again(watched: Watched) -> None:
    rig = watched.rig
    rig.clock.set(BACK)
    watched.system.set(BACK)
    with suppress(ConnectionError):
        async with rig.database.transaction() as tx:
            assert await rig.sweep.tick(tx) == 1
            raise ConnectionError
    assert await watched.ids() == []
    await rig.mark()
    assert (len(await watched.ids()), await rig.published("overdue")) == (1, [])


@pytest.mark.parametrize(
    ("back", "system"),
    [
        (BEFORE + LONGEST, BEFORE + LONGEST),  # not longer than it may be
        (BACK, BEFORE + timedelta(seconds=20)),  # business time that jumps: a demo
        (BEFORE + timedelta(minutes=40), BACK),  # business time that stood still meanwhile
    ],
)
async def test_what_is_no_standstill_proposes_nothing(watched: Watched, back: datetime, system: datetime) -> None:
    await watched.at(back, system)
    assert await watched.ids() == []
    assert len(await watched.rig.published("overdue")) == (7 if back > DEADLINE else 0)


async def test_a_gap_without_a_deadline_proposes_nothing(watched: Watched) -> None:
    for number in range(31, 38):
        await watched.rig.follow(
            verdict(key=f"H99.{number}/KTXH-THANG/2026-M10", received_at=BEFORE - timedelta(hours=1))
        )
    await watched.at(BACK)
    assert await watched.ids() == [], "what is answered has no deadline ahead"
