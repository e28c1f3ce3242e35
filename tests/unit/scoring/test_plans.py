"""A plan field by field, and the rules of planning at their edges (NĐ 09/2019/NĐ-CP Điều 8, 12, 13)."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from services.scoring.calendar import CalendarGap, WorkingCalendar
from services.scoring.obligations.deadlines import (
    MAX_WAIT_DAYS,
    Plan,
    Regime,
    Request,
    Unplannable,
    Unplanned,
    plan_of_request,
    plan_period,
    plan_request,
    plans_between,
)
from services.scoring.obligations.facts import Terms
from services.scoring.obligations.generator import Missing, Opening, terms_of
from services.scoring.obligations.standing import untouched
from shared.contract.events.registry import Cutoff, Deadline
from shared.contract.period import parse
from tests.unit.scoring.samples import CALENDAR, local

TICK = timedelta(microseconds=1)


def regime(**changes: Any) -> Regime:
    given: dict[str, Any] = {
        "code": "KTXH-THANG", "regime_version": 3, "frequency": "monthly", "effective_from": date(2020, 1, 1),
        "effective_to": None, "submitter_kinds": ("commune",), "submitters": (), "cutoff": Cutoff(),
        "deadline": Deadline(rule="day_of_month", day=18), "remind_working_days": 2,
    }  # fmt: skip
    return Regime(**given | changes)


def plan(period: str, calendar: WorkingCalendar = CALENDAR, **changes: Any) -> Plan:
    return plan_period(regime(**changes), parse(period), calendar)


MONTHLY = Plan(
    regime="KTXH-THANG", regime_version=3, period="2026-M10", cutoff_from=date(2026, 9, 15),
    cutoff_to=date(2026, 10, 14), opens_at=local(2026, 9, 15), deadline=local(2026, 10, 19, 17),
    remind_at=local(2026, 10, 15, 8), calendar_version=CALENDAR.version,
)  # fmt: skip


def test_a_plan_and_the_terms_that_follow_from_it() -> None:
    assert plan("2026-M10") == MONTHLY
    assert MONTHLY.subject == "KTXH-THANG/3/2026-M10"
    assert (MONTHLY.exists_from, MONTHLY.due_on) == (date(2026, 10, 14), date(2026, 10, 19))
    assert terms_of(MONTHLY, "2019.1") == Terms(
        regime_version=3, opens_at=MONTHLY.opens_at, remind_at=MONTHLY.remind_at, deadline=MONTHLY.deadline,
        calendar_version=CALENDAR.version, policy_version="2019.1", cutoff_from=date(2026, 9, 15),
        cutoff_to=date(2026, 10, 14),
    )  # fmt: skip


def test_days_are_those_of_vietnam_whatever_zone_a_moment_is_written_in() -> None:
    issued = datetime(2026, 3, 1, 17, 0, tzinfo=UTC)  # 2 March in Vietnam
    due = datetime(2026, 3, 3, 16, 59, tzinfo=UTC)
    made = plan_request(regime(frequency="adhoc"), Request("DX-1", "R", issued, due, ()), CALENDAR)
    assert (made.exists_from, made.due_on) == (date(2026, 3, 2), date(2026, 3, 3))
    assert (made.cutoff_from, made.cutoff_to, made.provisional) == (None, None, False)
    assert (made.regime, made.regime_version, made.calendar_version) == ("KTXH-THANG", 3, CALENDAR.version)


def test_a_report_that_nobody_asked_for_has_the_same_terms_but_is_not_owed() -> None:
    terms = terms_of(MONTHLY, "2019.1")
    opening = Opening(MONTHLY, terms, untouched(terms))
    asked, unasked = (Missing("H99.31", opening, owed, local(2026, 10, 1)) for owed in (True, False))
    assert asked.key == unasked.key == "H99.31/KTXH-THANG/2026-M10"
    assert (asked.terms.owed, unasked.terms.owed) == (True, False)
    assert unasked.terms.deadline == terms.deadline


def test_a_deadline_may_be_the_moment_at_which_it_opens_and_not_before() -> None:
    issued = local(2026, 3, 2, 8)
    assert plan_request(regime(), Request("DX-1", "R", issued, issued, ()), CALENDAR).deadline == issued
    with pytest.raises(Unplannable, match="before it opens"):
        plan_request(regime(), Request("DX-1", "R", issued, issued - TICK, ()), CALENDAR)


def test_a_report_is_owed_within_three_years_of_its_cutoff_to_the_day() -> None:
    # the cut-off is a Thursday; 157 weeks later less a day are 1098 days
    wednesday, thursday = (Deadline(rule="weekday", weekday=day, week_offset=157, on_holiday="keep") for day in (3, 4))
    weekly: dict[str, Any] = {"frequency": "weekly", "cutoff": Cutoff(weekday=4)}
    made = plan("2026-W07", deadline=wednesday, **weekly)
    assert made.cutoff_to is not None
    assert (made.due_on - made.cutoff_to).days == MAX_WAIT_DAYS == 1098
    with pytest.raises(Unplannable, match="more than 1098 days"):
        plan("2026-W07", deadline=thursday, **weekly)


def test_more_working_days_than_three_years_have_days_are_refused_before_they_are_counted() -> None:
    with pytest.raises(Unplannable, match="1099 working days after the cut-off are more than three years"):
        plan("2026-M10", deadline=Deadline(rule="working_days_after_cutoff", working_days=1099))
    with pytest.raises(Unplannable, match="more than 1098 days after"):
        plan("2026-M10", deadline=Deadline(rule="working_days_after_cutoff", working_days=1098))


def test_a_rule_that_leads_to_no_day_is_its_own_fault_and_says_so() -> None:
    for months in (12 * 9000, -12 * 3000):
        with pytest.raises(Unplannable, match="no day of the calendar"):
            plan("2026-M10", deadline=Deadline(rule="day_of_month", day=1, month_offset=months))


def test_a_deadline_before_the_calendar_is_refused_only_where_a_working_day_is_looked_for() -> None:
    from_2026 = WorkingCalendar("short", 2026, 2027, days_off=[], made_up=[])
    last_december = Deadline(rule="day_of_month", day=31, month_offset=-1)
    with pytest.raises(Unplannable, match="before the calendar's first year, 2026"):
        plan("2026-M01", from_2026, deadline=last_december, remind_working_days=0)
    with pytest.raises(CalendarGap):  # the cut-off itself lies before the calendar: another version may cover it
        plan("2025-M12", from_2026, deadline=Deadline(rule="day_of_month", day=31), remind_working_days=0)


def test_the_month_of_a_deadline_is_counted_over_the_turn_of_the_year() -> None:
    for offset, expected in (
        (0, date(2026, 12, 31)),
        (1, date(2027, 1, 31)),
        (2, date(2027, 2, 28)),
        (13, date(2028, 1, 31)),
    ):
        kept = Deadline(rule="day_of_month", day=31, month_offset=offset, on_holiday="keep")
        assert plan("2026-M12", deadline=kept).due_on == expected


def test_a_weekday_of_a_monthly_period_is_counted_in_the_week_of_the_cutoffs_last_day() -> None:
    friday = Deadline(rule="weekday", weekday=5)
    assert plan("2026-M10", deadline=friday).due_on == date(2026, 10, 16)  # 14/10 is a Wednesday


@pytest.mark.parametrize(
    ("deadline", "remind_working_days", "remind_at"),
    [
        (Deadline(rule="day_of_month", day=20, hour=7), 0, local(2026, 10, 20, 7)),  # never after the deadline
        (Deadline(rule="day_of_month", day=20), 0, local(2026, 10, 20, 8)),
        (Deadline(rule="day_of_month", day=20), 1, local(2026, 10, 19, 8)),
        (Deadline(rule="day_of_month", day=20), 60, local(2026, 9, 15)),  # never before it opens
    ],
)
def test_a_reminder_goes_out_between_opening_and_deadline(
    deadline: Deadline, remind_working_days: int, remind_at: datetime
) -> None:
    assert plan("2026-M10", deadline=deadline, remind_working_days=remind_working_days).remind_at == remind_at


def test_a_reminder_so_early_that_the_calendar_has_no_day_for_it_goes_out_with_the_opening() -> None:
    from_2026 = WorkingCalendar("short", 2026, 2027, days_off=[], made_up=[])
    assert plan("2026-M02", from_2026, remind_working_days=60).remind_at == local(2026, 1, 15)


def subjects(found: Any) -> list[str]:
    return [plan.subject for plan in found]


def test_what_is_owed_at_the_first_moment_or_opens_at_the_last_is_planned() -> None:
    versions = [regime()]
    deadline, opens_at = MONTHLY.deadline, local(2026, 10, 15)  # of M10, of M11
    assert subjects(plans_between(versions, deadline, deadline, CALENDAR)) == [
        "KTXH-THANG/3/2026-M10",
        "KTXH-THANG/3/2026-M11",
    ]
    assert subjects(plans_between(versions, deadline + TICK, deadline + TICK, CALENDAR)) == ["KTXH-THANG/3/2026-M11"]
    assert subjects(plans_between(versions, opens_at - TICK, opens_at - TICK, CALENDAR)) == ["KTXH-THANG/3/2026-M10"]
    assert subjects(plans_between(versions, opens_at, opens_at, CALENDAR)) == [
        "KTXH-THANG/3/2026-M10",
        "KTXH-THANG/3/2026-M11",
    ]


def test_one_regime_of_several_that_waits_for_requests_hides_no_other() -> None:
    adhoc = regime(regime_version=2, frequency="adhoc", deadline=Deadline(rule="on_request"))
    waiting = regime(regime_version=4, deadline=Deadline(rule="on_request"), effective_from=date(2030, 1, 1))
    now = local(2026, 10, 1)
    assert subjects(plans_between([adhoc, waiting, regime()], now, now, CALENDAR)) == ["KTXH-THANG/3/2026-M10"]


def test_a_period_that_cannot_be_planned_is_told_with_its_reason_and_its_neighbours_come() -> None:
    short = WorkingCalendar("short", 2026, 2026, days_off=[], made_up=[])
    found = list(plans_between([regime()], local(2026, 12, 1), local(2026, 12, 31), short))
    assert [plan.period for plan in found if isinstance(plan, Plan)] == ["2026-M12"]
    assert [outcome for outcome in found if isinstance(outcome, Unplanned)] == [
        Unplanned("KTXH-THANG", 3, "2027-M01", "CalendarGap: calendar short does not cover 2027")
    ]
    # one that nobody could owe now is not told
    assert list(plans_between([regime()], local(2026, 12, 1), local(2026, 12, 14), short)) == found[:1]


ADHOC = regime(code="DX", frequency="adhoc", deadline=Deadline(rule="on_request"), remind_working_days=0)
ISSUED, DUE = local(2026, 3, 2, 8), local(2026, 3, 5, 17)
REQUEST = Request("DX-2026-001", "DX", ISSUED, DUE, ())


@pytest.mark.parametrize(
    ("since", "until", "planned"),
    [(DUE, ISSUED, True), (DUE + TICK, ISSUED, False), (DUE, ISSUED - TICK, False)],
)
def test_a_request_is_planned_while_it_is_owed_and_once_it_is_issued(
    since: datetime, until: datetime, planned: bool
) -> None:
    made = plan_of_request([ADHOC], REQUEST, since, until, CALENDAR)
    assert made == (plan_request(ADHOC, REQUEST, CALENDAR) if planned else None)


def test_a_request_that_cannot_be_planned_is_told_with_its_reason() -> None:
    def made(request: Request, *versions: Regime) -> Any:
        return plan_of_request(versions, request, local(2020, 1, 1), local(2050, 1, 1), CALENDAR)

    late = Request("DX-2026-001", "DX", local(2040, 1, 2), local(2040, 1, 5), ())
    assert made(late, ADHOC) == Unplanned(
        "DX", 3, "DX-2026-001", f"CalendarGap: calendar {CALENDAR.version} does not cover 2040"
    )
    misnamed = Request("dx 1", "DX", ISSUED, DUE, ())
    unreadable = made(misnamed, ADHOC)
    assert (unreadable.subject, unreadable.why.partition(":")[0]) == ("DX/0/dx 1", "PeriodError")
    assert made(REQUEST, regime(code="DX", frequency="adhoc", effective_from=date(2027, 1, 1))) is None


@pytest.mark.parametrize(
    ("deadline", "since"),
    [
        (Deadline(rule="day_of_month", day=31), local(2026, 11, 2)),  # 31/10 is a Saturday
        (Deadline(rule="day_of_month", day=31, month_offset=2), local(2026, 12, 31)),
        (Deadline(rule="working_days_after_cutoff", working_days=40), local(2026, 12, 10)),  # 24/11 is a holiday
    ],
)
def test_a_deadline_is_found_on_its_last_day_however_long_after_the_cutoff(deadline: Deadline, since: datetime) -> None:
    found = plans_between([regime(deadline=deadline)], since, since, CALENDAR)
    assert (since.date(), "2026-M10") in {(plan.due_on, plan.period) for plan in found if isinstance(plan, Plan)}
