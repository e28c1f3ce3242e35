"""Deadlines, openings and reminders of regimes and requests (NĐ 09/2019/NĐ-CP Điều 8, 12, 13)."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.scoring.calendar import CalendarGap, WorkingCalendar
from services.scoring.obligations.deadlines import (
    Agency,
    NoDeadline,
    Plan,
    Regime,
    Request,
    Unplanned,
    owes,
    plan_period,
    plan_request,
    plans_between,
)
from services.scoring.obligations.generator import terms_of
from shared.contract.events.registry import Cutoff, Deadline
from shared.contract.hierarchy import Tree
from shared.contract.period import parse
from tests.unit.scoring.samples import CALENDAR, local

NO_TREE = Tree({})


def regime(**changes: Any) -> Regime:
    given = Regime(
        code="KTXH-THANG",
        regime_version=1,
        frequency="monthly",
        effective_from=date(2020, 1, 1),
        effective_to=None,
        submitter_kinds=("commune",),
        submitters=("H99.01",),
        cutoff=Cutoff(),
        deadline=Deadline(rule="day_of_month", day=18),
        remind_working_days=2,
    )
    return replace(given, **changes)


def plan(period: str, **changes: Any) -> Plan:
    return plan_period(regime(**changes), parse(period), CALENDAR)


def test_a_deadline_on_a_sunday_moves_to_monday_if_the_regime_says_so() -> None:
    assert plan("2026-M10").deadline == local(2026, 10, 19, 17)  # 18/10/2026 is a Sunday
    kept = Deadline(rule="day_of_month", day=18, on_holiday="keep")
    assert plan("2026-M10", deadline=kept).deadline == local(2026, 10, 18, 17)


def test_a_deadline_in_a_year_that_nobody_announced_is_provisional_and_one_that_a_request_names_is_not() -> None:
    announced = [year for year in range(2024, CALENDAR.last_year + 1) if not CALENDAR.provisional(year)][-1]
    assert announced < CALENDAR.last_year
    assert not plan(f"{announced}-M11").provisional
    assert plan(f"{announced + 1}-M01").provisional
    assert terms_of(plan(f"{announced + 1}-M01"), "2019.1").provisional
    named = Request("DX-1", "DX", local(announced + 1, 1, 5, 8), local(announced + 1, 1, 9, 17), ())
    assert not plan_request(regime(frequency="adhoc"), named, CALENDAR).provisional


def test_a_deadline_inside_lunar_new_year_moves_behind_it() -> None:
    assert plan("2026-M02").deadline == local(2026, 2, 23, 17)


def test_the_day_is_counted_in_the_last_month_of_the_period_and_clamped_to_its_end() -> None:
    assert plan("2026-Q3", frequency="quarterly").deadline == local(2026, 9, 18, 17)
    end = Deadline(rule="day_of_month", day=31, on_holiday="keep", hour=11, minute=30)
    assert plan("2026-M02", deadline=end).deadline == local(2026, 2, 28, 11, 30)
    next_year = Deadline(rule="day_of_month", day=15, month_offset=1)
    assert plan("2026", frequency="yearly", deadline=next_year).deadline == local(2027, 1, 15, 17)


def test_weekly_deadlines_are_counted_in_the_week_of_the_period() -> None:
    friday = Deadline(rule="weekday", weekday=5, hour=16, minute=30)
    week = {"frequency": "weekly", "cutoff": Cutoff(weekday=4), "deadline": friday}
    assert plan("2026-W07", **week).deadline == local(2026, 2, 13, 16, 30)
    assert plan("2026-W53", **week).deadline == local(2027, 1, 4, 16, 30)  # Friday is New Year's Day
    assert plan("2026-W07", **week).opens_at == local(2026, 2, 6)
    later = Deadline(rule="weekday", weekday=2, week_offset=1)
    assert plan("2026-W07", frequency="weekly", deadline=later).deadline == local(2026, 2, 23, 17)  # 17/2 is Tết


def test_working_days_after_the_cutoff_skip_holidays() -> None:
    third = Deadline(rule="working_days_after_cutoff", working_days=3)
    assert plan("2026-M10", deadline=third).deadline == local(2026, 10, 19, 17)
    assert plan("2026-M02", deadline=third).deadline == local(2026, 2, 25, 17)  # 14/2 is the Saturday before Tết


def test_it_opens_with_its_cutoff_and_reminds_when_the_working_day_begins() -> None:
    monthly = plan("2026-M10")
    assert (monthly.cutoff_from, monthly.cutoff_to) == (date(2026, 9, 15), date(2026, 10, 14))
    assert monthly.opens_at == local(2026, 9, 15)
    assert monthly.remind_at == local(2026, 10, 15, 8)
    assert plan("2026-M10", remind_working_days=0).remind_at == local(2026, 10, 19, 8)
    assert monthly.calendar_version == CALENDAR.version


def test_the_calendar_version_decides_the_deadline() -> None:
    before_the_swap = WorkingCalendar("old", 2025, 2027, days_off=[date(2026, 1, 1)], made_up=[])
    second = Deadline(rule="day_of_month", day=2)
    on_2_january = regime(deadline=second)
    assert plan_period(on_2_january, parse("2026-M01"), before_the_swap).deadline == local(2026, 1, 2, 17)
    assert plan_period(on_2_january, parse("2026-M01"), CALENDAR).deadline == local(2026, 1, 5, 17)


def test_a_request_names_its_own_deadline_and_is_not_reminded_of_before_it_was_issued() -> None:
    issued, deadline = local(2026, 3, 2, 8, 30), local(2026, 3, 3, 11)
    request = Request("DX-2026-002", "THIENTAI-DX", issued, deadline, ())
    made = plan_request(regime(code="THIENTAI-DX", frequency="adhoc", remind_working_days=3), request, CALENDAR)
    assert (made.period, made.opens_at, made.deadline, made.remind_at) == ("DX-2026-002", issued, deadline, issued)
    assert made.cutoff_from is None
    assert made.exists_from == date(2026, 3, 2)


def test_a_periodic_regime_that_waits_for_requests_has_no_deadline() -> None:
    with pytest.raises(NoDeadline, match="2026-M10"):
        plan("2026-M10", deadline=Deadline(rule="on_request"))
    assert list(
        plans_between([regime(deadline=Deadline(rule="on_request"))], local(2026, 1, 1), local(2026, 3, 1), CALENDAR)
    ) == []  # fmt: skip


def test_a_year_the_calendar_lacks_is_not_guessed() -> None:
    with pytest.raises(CalendarGap):
        plan("2036-M01")
    found = list(plans_between([regime()], local(2035, 10, 1), local(2036, 6, 1), CALENDAR))
    assert [plan.period for plan in found if isinstance(plan, Plan)] == ["2035-M10", "2035-M11", "2035-M12"]
    left = [outcome for outcome in found if isinstance(outcome, Unplanned)]
    assert left
    assert {outcome.why.partition(":")[0] for outcome in left} == {"CalendarGap"}


def test_plans_are_those_owed_from_now_that_open_within_the_horizon() -> None:
    now = local(2026, 10, 20)
    found = [plan.period for plan in plans_between([regime()], now, now + timedelta(days=45), CALENDAR)]
    assert found == ["2026-M11", "2026-M12"]
    # the month whose cut-off has passed is still there while its deadline is ahead
    earlier = local(2026, 10, 19, 16)
    assert next(plans_between([regime()], earlier, earlier, CALENDAR)).period == "2026-M10"


def test_a_late_deadline_is_found_long_after_its_cutoff() -> None:
    slow = regime(deadline=Deadline(rule="day_of_month", day=28, month_offset=4))
    now = local(2026, 10, 1)
    assert next(plans_between([slow], now, now, CALENDAR)).period == "2026-M06"


def test_each_period_is_planned_by_the_version_that_governs_it() -> None:
    one = regime()
    two = regime(regime_version=2, effective_from=date(2026, 11, 1), deadline=Deadline(rule="day_of_month", day=20))
    found = {plan.period: plan for plan in plans_between([one, two], local(2026, 10, 1), local(2026, 12, 1), CALENDAR)}
    assert {period: plan.regime_version for period, plan in found.items()} == {
        "2026-M10": 1,
        "2026-M11": 2,
        "2026-M12": 2,
    }
    second = found["2026-M11"]
    assert isinstance(second, Plan)
    assert second.deadline == local(2026, 11, 20, 17)


@given(st.dates(date(2020, 1, 1), date(2034, 1, 1)), st.integers(0, 60), st.integers(1, 60))
def test_a_window_missed_and_made_good_in_pieces_gives_the_same_plans(start: date, first: int, second: int) -> None:
    since = local(start.year, start.month, start.day)
    middle, until = since + timedelta(days=first), since + timedelta(days=first + second)
    weekly = [regime(frequency="weekly", deadline=Deadline(rule="weekday", weekday=5))]
    at_once = {plan.period for plan in plans_between(weekly, since, until, CALENDAR)}
    in_pieces = {plan.period for plan in plans_between(weekly, since, middle, CALENDAR)} | {
        plan.period for plan in plans_between(weekly, middle, until, CALENDAR)
    }
    assert at_once == in_pieces


COMMUNE = Agency("H99.31", "commune", date(2025, 7, 1), None)
DISTRICT = Agency("H99.20", "district", date(2000, 1, 1), date(2025, 6, 30))


def test_submitters_are_those_of_the_kinds_and_those_named() -> None:
    assert owes(COMMUNE, regime(), plan("2026-M10"), NO_TREE)
    assert owes(replace(COMMUNE, code="H99.01", kind="department"), regime(), plan("2026-M10"), NO_TREE)
    assert not owes(replace(COMMUNE, code="H99.02", kind="department"), regime(), plan("2026-M10"), NO_TREE)


def test_a_closed_district_owes_nothing_after_its_closing() -> None:
    of_districts = regime(submitter_kinds=("district",))
    assert owes(DISTRICT, of_districts, plan("2025-M06"), NO_TREE)
    assert not owes(DISTRICT, of_districts, plan("2025-M07"), NO_TREE)
    assert not owes(DISTRICT, of_districts, plan("2026-M10"), NO_TREE)
    # figures closed while it existed, but the report would be owed by nobody: 15/7 is after its last day
    later = regime(submitter_kinds=("district",), deadline=Deadline(rule="day_of_month", day=15, month_offset=1))
    assert not owes(DISTRICT, later, plan_period(later, parse("2025-M06"), CALENDAR), NO_TREE)


def test_an_agency_owes_from_the_first_cutoff_that_ends_in_its_life() -> None:
    assert not owes(COMMUNE, regime(), plan("2025-M06"), NO_TREE)
    assert owes(COMMUNE, regime(), plan("2025-M07"), NO_TREE)


def test_a_request_to_named_agencies_is_owed_by_them_only() -> None:
    adhoc = regime(frequency="adhoc", submitter_kinds=("commune",))
    everyone = Request("DX-1", "R", local(2026, 3, 2), local(2026, 3, 5), ())
    named = replace(everyone, agencies=("H99.02",))
    made = plan_request(adhoc, everyone, CALENDAR)
    assert owes(COMMUNE, adhoc, made, NO_TREE, everyone)
    assert not owes(COMMUNE, adhoc, made, NO_TREE, named)
    assert owes(replace(COMMUNE, code="H99.02", kind="department"), adhoc, made, NO_TREE, named)
