"""An agency whose report is returned late has time to correct it: a relief is proposed before it is called overdue."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import text

from services.scoring.obligations import handlers
from services.scoring.obligations.deadline_sweep import DeadlineSweep, Settled
from services.scoring.reliefs import decisions
from services.scoring.reliefs.late_verdicts import LateVerdicts
from shared.consuming.batch import Batch
from shared.contract.events import EventModel
from tests.integration.scoring.rig import KEY, Rig, agency, local, regime
from tests.unit.scoring.samples import DEADLINE, submission, verdict

LONGEST, GRACE = timedelta(hours=4), timedelta(hours=24)
SENT, JUDGED = DEADLINE - timedelta(hours=6), DEADLINE + timedelta(hours=1)


class Watched:
    """A rig that keeps late verdicts; `gather` is how long they are gathered."""

    def __init__(self, rig: Rig, *, watching: bool = True, gather: timedelta = timedelta()) -> None:
        self.rig = rig
        self.late = LateVerdicts(rig.clock, LONGEST, GRACE, gather=gather) if watching else None
        rig.sweep = DeadlineSweep(rig.rules, rig.clock, Settled(rig.clock, 0), rows_a_tick=3, late=self.late)

    async def follow(self, *models: EventModel) -> None:
        async with self.rig.database.transaction() as tx:
            await handlers.follow(Batch.of(models), tx, self.rig.rules, self.late)  # type: ignore[arg-type]

    async def reliefs(self) -> list[dict[str, Any]]:
        return await self.rig.rows("SELECT * FROM reliefs ORDER BY starts_at")


@pytest.fixture
async def owing(rig: Rig) -> Rig:
    await rig.registry(regime(), *(agency(f"H99.{number}") for number in range(31, 34)))
    await rig.at(local(2026, 10, 16, 9))
    return rig


def returned(version: int = 1, *, key: str = KEY, at: datetime = JUDGED, sent: datetime = SENT) -> EventModel:
    return verdict(version, "returned", sent, key=key, decided_at=at)


@pytest.mark.parametrize("watching", [True, False])
async def test_what_is_returned_late_is_not_overdue_and_its_correction_counts_as_in_time(
    owing: Rig, watching: bool
) -> None:
    """The control: without it the agency is overdue the moment it is told what to correct."""
    watched = Watched(owing, watching=watching)
    await watched.follow(submission(received_at=SENT))
    await owing.at(DEADLINE + timedelta(minutes=1))
    await watched.follow(returned())
    await owing.at(JUDGED + timedelta(minutes=1))
    assert len(await owing.published("overdue", KEY)) == (0 if watching else 1)
    if not watching:
        return
    (relief,) = await watched.reliefs()
    assert (relief["starts_at"], relief["ends_at"]) == (SENT + LONGEST, JUDGED + timedelta(hours=3))
    assert (relief["obligations"], relief["status"]) == ([KEY], "proposed")
    assert relief["relief_id"].startswith("verdict-20261019-")
    corrected = JUDGED + timedelta(hours=2)
    await watched.follow(verdict(2, received_at=corrected, decided_at=corrected))
    async with owing.database.transaction() as tx:
        await decisions.decide(tx, relief["relief_id"], "granted", "Lê Văn C", "kiểm tra chậm", owing.clock.now())
    await owing.mark()
    assert ((await owing.one())["on_time"], (await owing.one())["score"]) == (True, 100)
    await owing.check_scores()


async def test_rejected_it_is_overdue(owing: Rig) -> None:
    watched = Watched(owing)
    await watched.follow(returned())
    await owing.at(JUDGED + timedelta(minutes=1))
    (relief,) = await watched.reliefs()
    async with owing.database.transaction() as tx:
        await decisions.decide(tx, relief["relief_id"], "rejected", "Lê Văn C", "cố tình", owing.clock.now())
    await owing.mark()
    assert len(await owing.published("overdue", KEY)) == 1


async def test_several_are_one_proposal_and_wait_for_it_unmarked(owing: Rig) -> None:
    keys = [f"H99.{number}/KTXH-THANG/2026-M10" for number in range(31, 34)]
    watched = Watched(owing, gather=timedelta(hours=1))
    for place, key in enumerate(keys):
        await watched.follow(returned(key=key, at=JUDGED + place * timedelta(minutes=3)))
    await owing.at(JUDGED + timedelta(minutes=20))
    assert (await watched.reliefs(), await owing.published("overdue")) == ([], [])
    async with owing.database.transaction() as tx:
        await tx.execute(text("UPDATE late_verdicts SET recorded_at = recorded_at - interval '2 hours'"))
    await owing.mark()
    (relief,) = await watched.reliefs()
    assert (relief["obligations"], relief["evidence"][0]["reports"]) == (keys, 3)
    assert (await owing.rows("SELECT * FROM late_verdicts"), await owing.published("overdue")) == ([], [])


@pytest.mark.parametrize(
    "events",
    [
        [returned(at=SENT + LONGEST)],  # in time
        [returned(sent=SENT - timedelta(days=4), at=SENT - timedelta(days=3))],  # enough was left
        [verdict(received_at=SENT, decided_at=JUDGED)],  # accepted
        [returned(), verdict(2, received_at=SENT + timedelta(minutes=1), decided_at=JUDGED)],  # answered in time
        # returned again by a later revision: its agency knew
        [
            verdict(1, "returned", SENT, decided_at=SENT + timedelta(hours=1)),
            verdict(1, "returned", SENT, decided_at=JUDGED, revision=2),
        ],
    ],
)
async def test_what_costs_no_time_to_correct_is_not_proposed(owing: Rig, events: Sequence[EventModel]) -> None:
    watched = Watched(owing)
    await watched.follow(*events)
    await owing.at(JUDGED + timedelta(minutes=1))
    assert await watched.reliefs() == []


async def test_a_report_that_a_later_revision_returns_is_late_from_then(owing: Rig) -> None:
    watched = Watched(owing)
    await watched.follow(verdict(1, "accepted", SENT, decided_at=SENT + timedelta(hours=1)))
    await owing.at(DEADLINE + timedelta(minutes=1))
    await watched.follow(verdict(1, "returned", SENT, decided_at=JUDGED, revision=2))
    await owing.at(JUDGED + timedelta(minutes=1))
    assert [relief["obligations"] for relief in await watched.reliefs()] == [[KEY]]
    assert await owing.published("overdue", KEY) == []


async def test_it_is_kept_once_however_often_it_is_told(owing: Rig) -> None:
    watched = Watched(owing)
    for _ in range(2):
        await watched.follow(returned())
        await owing.at(JUDGED + timedelta(minutes=1))
    assert len(await watched.reliefs()) == 1
