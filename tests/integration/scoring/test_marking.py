"""Reminders and overdue marks by state: once each, in time, none for what came in time, all missed hours made good."""

from __future__ import annotations

import asyncio
from contextlib import nullcontext
from datetime import timedelta
from decimal import Decimal

import pytest
from opentelemetry.trace import format_trace_id
from sqlalchemy import text

from services.scoring.obligations import deadline_sweep
from services.scoring.obligations.deadline_sweep import DeadlineSweep, Settled
from shared.runtime.clock import ManualClock
from shared.telemetry import tracing
from tests.integration.scoring.rig import KEY, Rig, agency, key_of, local, officer, regime
from tests.unit.scoring.samples import DEADLINE, not_judged, submission, verdict

REMIND = local(2026, 10, 15, 8)
AFTER = DEADLINE + timedelta(minutes=1)


async def ready(rig: Rig, agencies: int = 1) -> list[str]:
    codes = [f"H99.{31 + number}" for number in range(agencies)]
    await rig.registry(regime(), *(agency(code) for code in codes))
    await rig.generate()
    return [key_of(code, "2026-M10") for code in codes]


async def test_it_reminds_once_and_then_marks_overdue_once(rig: Rig) -> None:
    await ready(rig)
    await rig.at(REMIND - timedelta(seconds=1))
    assert await rig.changes() == [("opened",)]
    await rig.at(REMIND)
    await rig.at(DEADLINE)
    assert await rig.changes() == [("opened",), ("due_soon",)]
    await rig.at(AFTER)
    await rig.at(AFTER + timedelta(days=3))
    told = await rig.published(key=KEY)
    assert [event.changes for event in told] == [("opened",), ("due_soon",), ("overdue", "score")]
    assert [event.version for event in told] == [1, 2, 3]
    assert {event.standing for event in told} == {"nothing_sent"}


async def traces(rig: Rig) -> dict[str, set[str | None]]:
    """Obligation -> trace ids of what was published about its deadline."""
    found: dict[str, set[str | None]] = {}
    async with rig.database.read_transaction() as snapshot:
        rows = await snapshot.execute(text("SELECT key, traceparent FROM outbox WHERE topic = 'compliance'"))
        for key, traceparent in rows:
            context = tracing.parse(traceparent)
            found.setdefault(key, set()).add(format_trace_id(context.trace_id) if context else None)
    return found


@pytest.mark.parametrize("own", [True, False])
async def test_what_a_sweep_finds_begins_a_trace_for_each_obligation(
    rig: Rig, monkeypatch: pytest.MonkeyPatch, own: bool
) -> None:
    """The control: without, what a sweep publishes stands in no trace."""
    keys = await ready(rig, 2)
    async with rig.database.transaction() as tx:
        await tx.execute(text("DELETE FROM outbox"))
    if not own:
        monkeypatch.setattr(deadline_sweep, "_own_traces", lambda obligations: nullcontext())
    await rig.at(AFTER)
    found = await traces(rig)
    assert found.keys() == set(keys)
    if own:
        assert all(len(ids) == 1 and None not in ids for ids in found.values()), "one sweep, one trace"
        assert len(set.union(*found.values())) == 2, "each obligation has its own"
    else:
        assert found == {key: {None} for key in keys}


async def test_a_batch_larger_than_a_tick_is_marked_whole(rig: Rig) -> None:
    keys = await ready(rig, 10)  # a tick takes three
    await rig.at(REMIND)
    await rig.at(AFTER)
    assert sorted(event.obligation for event in await rig.published("due_soon")) == sorted(keys)
    assert sorted(event.obligation for event in await rig.published("overdue")) == sorted(keys)
    await rig.check_scores()


async def test_nobody_is_reminded_before_it_is_known_what_has_been_applied(rig: Rig) -> None:
    await ready(rig)
    rig.clock.set(REMIND)
    for caught_up, reminded in ((None, 0), (REMIND, 1)):
        rig.sweep = DeadlineSweep(rig.rules, rig.clock, Settled(rig.clock, 0, caught_up=lambda hour=caught_up: hour))  # type: ignore[misc]
        assert await rig.mark() == reminded


async def test_two_markers_at_once_mark_each_obligation_once(rig: Rig) -> None:
    keys = await ready(rig, 12)
    rig.clock.set(AFTER)
    await asyncio.gather(rig.mark(), rig.mark())
    await rig.mark()
    assert sorted(event.obligation for event in await rig.published("overdue")) == sorted(keys)


async def test_what_was_returned_is_reminded_of_and_overdue_as_returned(rig: Rig) -> None:
    await ready(rig)
    await rig.follow(verdict(outcome="returned", received_at=local(2026, 10, 14)))
    await rig.at(REMIND)
    await rig.at(AFTER)
    assert [event.standing for event in await rig.published("due_soon")] == ["returned"]
    assert [event.standing for event in await rig.published("overdue")] == ["returned"]
    await rig.check_scores()


async def test_what_waits_for_its_verdict_is_neither_reminded_of_nor_overdue_until_it_is_returned(rig: Rig) -> None:
    await ready(rig)
    await rig.follow(submission(received_at=DEADLINE))
    await rig.at(REMIND)
    await rig.at(AFTER + timedelta(days=4))
    assert await rig.changes() == [("opened",)]
    await rig.follow(verdict(outcome="returned", received_at=DEADLINE))
    await rig.at(AFTER + timedelta(days=5))
    assert [event.standing for event in await rig.published("overdue")] == ["returned"]


async def test_an_accepted_report_is_left_in_peace(rig: Rig) -> None:
    await ready(rig)
    await rig.follow(verdict(received_at=local(2026, 10, 14)))
    await rig.at(AFTER)
    assert await rig.changes() == [("opened",), ("fulfilled", "score")]


async def test_a_late_report_that_waits_does_not_stop_the_overdue_mark(rig: Rig) -> None:
    await ready(rig)
    await rig.follow(submission(received_at=AFTER))
    await rig.at(AFTER)
    assert [event.standing for event in await rig.published("overdue")] == ["awaiting_verdict"]


async def test_overdue_scores_a_line_in_the_name_of_the_reporting_officer(rig: Rig) -> None:
    await rig.registry(
        officer("b-all"), officer("z-named", regimes=("KTXH-THANG",)), officer("a-other", regimes=("OTHER",)),
        officer("a-head", role="head"), officer("a-gone", active=False),
    )  # fmt: skip
    await ready(rig)
    await rig.at(AFTER)
    changed = (await rig.published("score"))[0]
    assert changed.officer_id == "z-named"
    assert [(line.component, line.points) for line in changed.lines] == [("timeliness", Decimal(0))]
    assert (await rig.rows("SELECT clause, points FROM score_lines")) == [{"clause": "1.c", "points": Decimal(0)}]


async def test_a_report_in_time_that_arrives_here_after_the_mark_takes_it_back(rig: Rig) -> None:
    await ready(rig)
    await rig.at(AFTER)
    await rig.follow(submission(received_at=DEADLINE))
    row = await rig.one()
    assert (row["overdue"], row["standing"], row["score"]) == (False, "awaiting_verdict", None)
    assert (await rig.changes())[-1] == ("overdue_withdrawn", "score")
    await rig.follow(verdict(received_at=DEADLINE))
    row = await rig.one()
    assert (row["on_time"], row["score"]) == (True, Decimal(100))
    await rig.check_scores()


async def test_a_late_report_that_could_not_be_judged_is_overdue_no_more_until_it_is(rig: Rig) -> None:
    await ready(rig)
    await rig.at(AFTER)
    await rig.follow(not_judged(received_at=AFTER))
    row = await rig.one()
    assert (row["overdue"], row["standing"], row["score"]) == (False, "awaiting_verdict", None)
    assert (await rig.changes())[-1] == ("overdue_withdrawn", "score")
    await rig.at(AFTER + timedelta(days=9))
    assert (await rig.changes())[-1] == ("overdue_withdrawn", "score"), "no sweep calls it overdue while it waits"
    await rig.follow(verdict(outcome="returned", received_at=AFTER, revision=2))
    assert (await rig.changes())[-1] == ("overdue", "returned", "score")
    await rig.follow(verdict(2, received_at=AFTER))
    assert ((await rig.one())["on_time"], (await rig.one())["score"]) == (False, Decimal(90))
    await rig.check_scores()


async def test_the_settled_hour_gives_reports_time_to_arrive(rig: Rig) -> None:
    await ready(rig)
    real = [100.0]
    marker = DeadlineSweep(rig.rules, rig.clock, Settled(rig.clock, 5, lambda: real[0]))

    async def mark() -> int:
        async with rig.database.transaction() as tx:
            return await marker.tick(tx)

    rig.clock.set(REMIND)
    await rig.mark()
    rig.clock.set(DEADLINE)
    assert await mark() == 0
    rig.clock.set(AFTER)
    real[0] += 4
    assert await mark() == 0
    real[0] += 2  # the settled hour is that of the first look, the deadline itself
    assert await mark() == 0
    await rig.follow(submission(received_at=DEADLINE))
    real[0] += 5
    assert await mark() == 0
    assert await rig.published("overdue") == []


async def test_without_settling_the_same_report_would_have_been_called_overdue(rig: Rig) -> None:
    await ready(rig)
    rig.clock.set(AFTER)
    assert await rig.mark() == 1
    await rig.follow(submission(received_at=DEADLINE))
    assert len(await rig.published("overdue")) == 1


def test_the_settled_hour_runs_behind_by_real_seconds_however_fast_business_time_is() -> None:
    clock, real = ManualClock(local(2026, 10, 1)), [0.0]
    settled = Settled(clock, 2, lambda: real[0])
    seen = []
    for _ in range(6):
        seen.append(settled.now())
        clock.advance(days=1)
        real[0] += 1
    assert seen == [None, None, *(local(2026, 10, day) for day in (1, 2, 3, 4))]


async def test_marks_by_equality_of_days_would_miss_what_the_tick_by_state_finds(rig: Rig) -> None:
    await ready(rig)
    rig.clock.set(DEADLINE + timedelta(days=40))  # forty days without a tick
    same_day = await rig.rows(
        "SELECT 1 FROM obligations WHERE CAST(deadline AS date) = CAST(:now AS date)", now=rig.clock.now()
    )
    assert same_day == []
    assert await rig.mark() >= 1


async def test_the_sweep_uses_its_partial_index(rig: Rig) -> None:
    from services.scoring.obligations import store

    await ready(rig)
    async with rig.database.transaction() as tx:
        await tx.execute(text("SET LOCAL enable_seqscan = off"))
        plan = await tx.execute(text(f"EXPLAIN {store._DUE}"), {"now": rig.clock.now(), "limit": 10})
        assert "obligations_next" in "\n".join(plan.scalars())


@pytest.mark.parametrize("outcome", ["accepted", "returned"])
async def test_lines_sum_to_the_score_whatever_came_before(rig: Rig, outcome: str) -> None:
    await ready(rig)
    await rig.follow(verdict(outcome="returned", present=2, received_at=local(2026, 10, 14)))
    await rig.at(AFTER)
    late = AFTER + timedelta(days=2)
    await rig.follow(verdict(2, outcome, late, present=3 if outcome == "accepted" else 1))
    # what is returned earns nothing, however complete it was
    assert (await rig.one())["score"] == (Decimal(80) if outcome == "accepted" else Decimal(0))
    await rig.check_scores()
