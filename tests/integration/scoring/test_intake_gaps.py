"""Where people could send nothing near a deadline, nobody is marked or reminded before a person has decided."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest

from services.scoring.obligations.deadline_sweep import DeadlineSweep, Settled
from services.scoring.reliefs import decisions
from services.scoring.reliefs.intake_gaps import IntakeGaps
from shared.contract.events import IntakeAvailable, IntakeUnavailable
from shared.postgres.database import Transaction
from tests.integration.scoring.rig import KEY, Rig, agency, local, regime
from tests.unit.scoring.samples import DEADLINE, verdict

SHORTEST, GRACE = timedelta(minutes=10), timedelta(hours=24)
MINUTE = timedelta(minutes=1)


def available(until: datetime) -> IntakeAvailable:
    return IntakeAvailable(until=until)


def unavailable(since: datetime, until: datetime, cause: Any = "stopped") -> IntakeUnavailable:
    return IntakeUnavailable(since=since, until=until, cause=cause)


def watch(rig: Rig, *, watching: bool = True) -> IntakeGaps:
    intake = IntakeGaps(rig.clock, SHORTEST, GRACE)
    rig.sweep = DeadlineSweep(
        rig.rules, rig.clock, Settled(rig.clock, 0), rows_a_tick=3, intake=intake if watching else None
    )
    return intake


@pytest.fixture
async def owing(rig: Rig) -> Rig:
    """Seven agencies that owe a report by DEADLINE; an hour before it intake is well."""
    await rig.registry(regime(), *(agency(f"H99.{number}") for number in range(31, 38)))
    watch(rig)
    await rig.follow(available(DEADLINE - timedelta(hours=1)))
    await rig.at(DEADLINE - timedelta(hours=1))
    return rig


async def reliefs(rig: Rig) -> list[dict[str, Any]]:
    return await rig.rows("SELECT * FROM reliefs ORDER BY starts_at")


@pytest.mark.parametrize("watching", [True, False])
async def test_while_intake_is_silent_across_a_deadline_nobody_is_marked(owing: Rig, watching: bool) -> None:
    """The control: a sweep that does not ask for intake's heartbeat calls everybody overdue."""
    intake = watch(owing, watching=watching)
    await owing.at(DEADLINE + timedelta(hours=3))
    assert len(await owing.published("overdue")) == (0 if watching else 7)
    if watching:
        async with owing.database.read_transaction() as tx:
            assert "WARNING intake is silent" in (await intake.check(tx)).detail
        await owing.follow(available(DEADLINE + timedelta(hours=3)))
        await owing.mark()
        assert len(await owing.published("overdue")) == 7, "it was there all the time: its heartbeat only came late"


async def test_a_gap_that_is_told_while_the_sweep_looks_for_gaps_marks_nobody(owing: Rig) -> None:
    """What vouches for an hour is read before the gaps: read after them, the gap between the two would not be seen."""
    until = DEADLINE + timedelta(hours=2)

    class ToldBetween(IntakeGaps):
        told = False

        async def propose(self, tx: Transaction) -> bool:
            found = await super().propose(tx)
            if not self.told:
                self.told = True
                await owing.follow(unavailable(DEADLINE - timedelta(minutes=30), until), available(until))
            return found

    intake = ToldBetween(owing.clock, SHORTEST, GRACE)
    owing.sweep = DeadlineSweep(owing.rules, owing.clock, Settled(owing.clock, 0), rows_a_tick=3, intake=intake)
    await owing.at(until)
    await owing.mark()
    assert intake.told
    assert (len(await reliefs(owing)), await owing.published("overdue")) == (1, [])


async def test_a_gap_across_a_deadline_is_proposed_with_what_was_lost_given_back(owing: Rig) -> None:
    since, until = DEADLINE - timedelta(minutes=30), DEADLINE + timedelta(hours=2)
    await owing.follow(unavailable(since, until), available(until))
    await owing.at(until)
    (relief,) = await reliefs(owing)
    assert (relief["starts_at"], relief["ends_at"]) == (since, until + timedelta(hours=2, minutes=30))
    assert (relief["status"], relief["proposed_by"]) == ("proposed", "scoring")
    assert relief["relief_id"].startswith("intake-20261019-")
    assert relief["evidence"] == [
        {
            "deadlines": 7, "cause": "stopped", "since": since.isoformat(), "until": until.isoformat(),
            "unavailable_seconds": 9000,
        }
    ]  # fmt: skip
    assert "150 phút" in relief["reason"]
    await owing.follow(verdict(received_at=until + MINUTE, decided_at=until + 2 * MINUTE))
    await owing.follow(available(until + timedelta(hours=20)))
    await owing.at(until + timedelta(hours=20))
    assert await owing.published("overdue") == []
    assert (await owing.one())["on_time"] is False, "only proposed: nothing has moved"
    async with owing.database.transaction() as tx:
        await decisions.decide(tx, relief["relief_id"], "granted", "Lê Văn C", "máy chủ hỏng", owing.clock.now())
    await owing.mark()
    assert ((await owing.one(KEY))["on_time"], (await owing.one(KEY))["deadline"]) == (True, relief["ends_at"])
    assert len(await owing.published("overdue")) == 6
    await owing.check_scores()


async def test_it_is_proposed_also_where_all_have_sent_late_before_it_is_looked_at(owing: Rig) -> None:
    since, until = DEADLINE - timedelta(minutes=30), DEADLINE + timedelta(hours=2)
    for number in range(31, 38):
        await owing.follow(
            verdict(key=f"H99.{number}/KTXH-THANG/2026-M10", received_at=until + MINUTE, decided_at=until + MINUTE)
        )
    await owing.follow(unavailable(since, until), available(until + MINUTE))
    await owing.at(until + MINUTE)
    assert [relief["evidence"][0]["deadlines"] for relief in await reliefs(owing)] == [7]


@pytest.mark.parametrize(
    ("ends_before", "lasted", "proposed"),
    [
        (timedelta(minutes=20), timedelta(minutes=30), 1),  # less was left than was lost
        (timedelta(minutes=59), timedelta(minutes=10), 1),  # an hour at least is given back
        (timedelta(hours=2), timedelta(minutes=30), 0),  # enough was left
        (timedelta(minutes=20), timedelta(minutes=9), 0),  # shorter than stated
    ],
)
async def test_the_hours_before_a_deadline_count(
    owing: Rig, ends_before: timedelta, lasted: timedelta, proposed: int
) -> None:
    until = DEADLINE - ends_before
    await owing.follow(unavailable(until - lasted, until), available(DEADLINE + MINUTE))
    await owing.at(DEADLINE + MINUTE)
    assert len(await reliefs(owing)) == proposed
    assert len(await owing.published("overdue")) == (0 if proposed else 7)


async def test_short_gaps_one_after_another_count_together_and_once(owing: Rig) -> None:
    begun = DEADLINE - timedelta(minutes=60)
    for place in range(5):
        since = begun + place * timedelta(minutes=10)
        await owing.follow(unavailable(since, since + 4 * MINUTE), available(since + 10 * MINUTE))
        await owing.at(since + 10 * MINUTE)
    (relief,) = await reliefs(owing)  # the third makes it ten minutes; the two behind it are eight
    assert (relief["starts_at"], relief["evidence"][0]["unavailable_seconds"]) == (begun, 720)
    await owing.follow(available(DEADLINE + MINUTE))
    await owing.at(DEADLINE + MINUTE)
    assert await owing.published("overdue") == []


async def test_gaps_far_from_each_other_do_not_count_together(owing: Rig) -> None:
    for since in (DEADLINE - timedelta(hours=3), DEADLINE - timedelta(minutes=10)):
        await owing.follow(unavailable(since, since + 6 * MINUTE))
    await owing.follow(available(DEADLINE + MINUTE))
    await owing.at(DEADLINE + MINUTE)
    assert await reliefs(owing) == []


async def test_a_gap_told_twice_or_in_any_order_is_proposed_once(owing: Rig) -> None:
    gap = unavailable(DEADLINE - timedelta(hours=1), DEADLINE + timedelta(hours=1))
    await owing.follow(gap, available(DEADLINE + timedelta(hours=1)))
    await owing.at(DEADLINE + timedelta(hours=1))
    await owing.follow(available(DEADLINE), gap)
    await owing.at(DEADLINE + timedelta(hours=2))
    assert len(await reliefs(owing)) == 1
    (row,) = await owing.rows("SELECT available_until FROM intake_availability")
    assert row["available_until"] == DEADLINE + timedelta(hours=1)


async def test_nobody_is_reminded_while_intake_is_silent(rig: Rig) -> None:
    await rig.registry(regime(), agency())
    watch(rig)
    await rig.follow(available(local(2026, 10, 15, 7)))
    await rig.at(local(2026, 10, 15, 9))
    assert await rig.published("due_soon") == []
    await rig.follow(available(local(2026, 10, 15, 9)))
    await rig.mark()
    assert len(await rig.published("due_soon")) == 1
