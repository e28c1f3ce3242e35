"""Business time of the demo waits for people, so the seed alone decides who is in time, however slow the machine is."""

from __future__ import annotations

import asyncio
import random
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from deploy.demo.pace import TOLERANCE, Pace
from deploy.demo.people import Duty, Plan, prospect
from deploy.local.process import poll_until
from shared.runtime.clock import LOCAL_ZONE, ClockLeader, business_clock

START = datetime(2026, 1, 1, tzinfo=LOCAL_ZONE)
END = START + timedelta(days=10)
#: ten days in a tenth of a second: each act below takes longer than the time between two of them
RATE = timedelta(days=100).total_seconds()


def _pace(folder: Path) -> Pace:
    return Pace(folder / "clock", START, END, RATE)


async def _acts(pace: Pace, seed: int, slowness_seconds: float) -> list[tuple[timedelta, bool]]:
    """Twenty clerks act once each and take their time; how late each act ended, and whether it came at all."""
    rng = random.Random(seed)
    moments = sorted(START + timedelta(days=rng.uniform(0, 11)) for _ in range(20))
    held = [pace.hold(moment) for moment in moments]
    ended: list[tuple[timedelta, bool]] = []

    async def act(place: int) -> None:
        came = await pace.reach(held[place])
        if came:
            await asyncio.to_thread(poll_until, lambda: False, slowness_seconds)
        ended.append((pace.clock.now() - moments[place], came))
        pace.release(held[place])

    tasks = [asyncio.create_task(act(place)) for place in range(20)]
    pace.begin()
    await asyncio.wait_for(asyncio.gather(*tasks), 30)
    return ended


@pytest.mark.parametrize("slowness_seconds", [0.0, 0.05])
async def test_no_act_ends_later_than_the_tolerance_however_slow_it_is(tmp_path: Path, slowness_seconds: float) -> None:
    ended = await _acts(_pace(tmp_path), 1, slowness_seconds)
    assert {came for _, came in ended} == {True, False}  # what lies past the end never comes
    assert all(late <= TOLERANCE for late, came in ended if came)


async def test_without_holds_slow_acts_end_days_late(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("deploy.demo.pace.TOLERANCE", timedelta(days=100))  # the clock waits for nobody
    ended = await _acts(_pace(tmp_path), 1, 0.05)
    assert max(late for late, came in ended if came) > timedelta(days=2)


async def test_the_clock_stands_before_it_begins_and_runs_on_after_it_has_finished(tmp_path: Path) -> None:
    pace = _pace(tmp_path)
    follower = business_clock(pace.specification)
    assert pace.clock.now() == follower.now() == START
    pace.begin()
    assert await asyncio.to_thread(poll_until, lambda: pace.over, 20)
    assert follower.now() == END
    pace.finish()
    assert await asyncio.to_thread(poll_until, lambda: follower.now() > END, 20)
    assert END < follower.now() < END + timedelta(minutes=1)


async def test_an_act_may_move_on_to_a_later_moment_without_letting_the_clock_slip(tmp_path: Path) -> None:
    pace = _pace(tmp_path)
    held = pace.hold(START + timedelta(days=1))
    pace.begin()
    assert await pace.reach(held)
    held = pace.move(held, START + timedelta(days=2))
    await asyncio.to_thread(poll_until, lambda: False, 0.1)  # ten days of business time, did nobody hold it
    assert START + timedelta(days=1) <= pace.clock.now() <= START + timedelta(days=2) + TOLERANCE
    pace.release(held)


def test_led_time_never_goes_back(tmp_path: Path) -> None:
    leader = ClockLeader(tmp_path / "clock", START)
    seen = [leader.clock.now()]
    for rate in (1e6, 0.0, 1e3, 1.0):
        leader.lead(rate=rate, until=START)  # a limit that has passed already
        seen.append(leader.clock.now())
        leader.lead(rate=rate, until=None)
        seen.append(leader.clock.now())
    assert seen == sorted(seen)
    assert seen[-1].tzinfo is UTC


def test_a_clock_that_nobody_leads_is_refused_with_its_path(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="nobody leads this clock"):
        business_clock(f"led:{tmp_path / 'none'}")
    (tmp_path / "short").write_bytes(b"x")
    with pytest.raises(ValueError, match="nobody leads this clock"):
        business_clock(f"led:{tmp_path / 'short'}")


def test_what_a_plan_leads_to() -> None:
    deadline = datetime(2026, 1, 18, 17, tzinfo=LOCAL_ZONE)
    duty = Duty("o", "X", "2026-M01", deadline, None)
    before, after = deadline - timedelta(days=1), deadline + timedelta(hours=1)
    for chosen, expected in (
        (Plan(before), "in_time"),
        (Plan(before, mistakes=1), "open"),
        (Plan(before, mistakes=1, corrects=False), "not_in_time"),
        (Plan(deadline - TOLERANCE / 2), "open"),
        (Plan(after), "not_in_time"),
        (Plan(None), "not_in_time"),
    ):
        assert prospect(chosen, duty, margin=TOLERANCE) == expected


async def test_an_act_that_hangs_keeps_the_clock_for_a_stated_time_alone_and_is_named(tmp_path: Path) -> None:
    pace = Pace(tmp_path / "clock", START, END, RATE, patience_seconds=0.05)
    pace.hold(START + timedelta(days=1), "hangs")
    later = pace.hold(START + timedelta(days=8), "acts")
    pace.begin()
    given_up = [held.what for held in pace.give_up()]
    assert not await asyncio.to_thread(poll_until, lambda: pace.clock.now() >= later.moment, 0.2)  # the control

    def looked() -> bool:
        given_up.extend(held.what for held in pace.give_up())
        return pace.clock.now() >= later.moment

    assert await asyncio.to_thread(poll_until, looked, 20)
    assert given_up == ["hangs"]
    pace.release(later)
    assert await asyncio.to_thread(poll_until, lambda: pace.over, 20)
    assert pace.give_up() == []
