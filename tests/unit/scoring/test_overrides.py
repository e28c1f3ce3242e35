"""Deadlines of some of the submitters: planned beside the regime's own, each owed by those for whom it holds."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, datetime, timedelta
from typing import Any

import pytest

from services.scoring.calendar import WorkingCalendar
from services.scoring.obligations.deadlines import (
    Agencies,
    Agency,
    Plan,
    Regime,
    Request,
    Unplanned,
    owes,
    plan_period,
    plan_request,
    plans_between,
)
from services.scoring.obligations.domain import published
from services.scoring.obligations.generator import Opening, _by_period, _members, terms_of
from services.scoring.obligations.standing import untouched
from shared.contract.events.registry import Cutoff, Deadline
from shared.contract.hierarchy import Parents, ParentSince, Tree
from shared.contract.period import parse
from tests.unit.scoring.samples import CALENDAR, local, obligation

OVERRIDES: tuple[dict[str, Any], ...] = (
    {"agencies": ("H99.31",), "extra_working_days": 3, "reason": "Xã đảo"},
    {"parents": ("H99.02",), "deadline": {"rule": "day_of_month", "day": 25, "hour": 9}, "reason": "Tổng hợp"},
)
#: the 18th of October 2026 is a Sunday
OWN, ISLANDS, BELOW = local(2026, 10, 19, 17), local(2026, 10, 22, 17), local(2026, 10, 26, 9)
MOVED_ON = date(2026, 10, 14)  # the last day of October's cut-off
TREE = Tree({
    "H99.02": Parents("H99"), "H99.31": Parents("H99.02"), "H99.32": Parents("H99.02"), "H99.33": Parents("H99"),
    "H99.34": Parents("H99", (ParentSince(MOVED_ON, "H99.02"),)),
    "H99.35": Parents("H99", (ParentSince(MOVED_ON + timedelta(days=1), "H99.02"),)),
})  # fmt: skip


def regime(*overrides: dict[str, Any], **changes: Any) -> Regime:
    deadline = Deadline.model_validate({"rule": "day_of_month", "day": 18, "overrides": overrides})
    given = Regime(
        code="KTXH-THANG", regime_version=3, frequency="monthly", effective_from=date(2020, 1, 1), effective_to=None,
        submitter_kinds=("commune",), submitters=(), cutoff=Cutoff(), deadline=deadline, remind_working_days=2,
    )  # fmt: skip
    return replace(given, **changes)


REGIME = regime(*OVERRIDES)
OCTOBER = parse("2026-M10")
PLANS = [plan_period(REGIME, OCTOBER, CALENDAR, override) for override in range(3)]


def commune(code: str, **more: Any) -> Agency:
    return Agency(**{"code": code, "kind": "commune", "opened_on": date(2020, 1, 1), "closed_on": None, **more})


def test_each_deadline_of_a_regime_has_its_plan_which_knows_its_place() -> None:
    assert [plan.deadline for plan in PLANS] == [OWN, ISLANDS, BELOW]
    assert [plan.override for plan in PLANS] == [0, 1, 2]
    assert [plan.subject for plan in PLANS] == [
        "KTXH-THANG/3/2026-M10", "KTXH-THANG/3/2026-M10/1", "KTXH-THANG/3/2026-M10/2",
    ]  # fmt: skip
    assert [plan.remind_at for plan in PLANS] == [
        local(2026, 10, 15, 8), local(2026, 10, 20, 8), local(2026, 10, 22, 8),
    ]  # fmt: skip
    assert [terms_of(plan, "2019.1").override for plan in PLANS] == [0, 1, 2]
    assert all(plan.grouping == REGIME for plan in PLANS), "who owes it takes more than kinds and codes"


def test_extra_days_follow_a_working_day_rule_as_well() -> None:
    counted = Deadline.model_validate({"rule": "working_days_after_cutoff", "working_days": 5, "overrides": OVERRIDES})
    found = [plan_period(replace(REGIME, deadline=counted), OCTOBER, CALENDAR, override).due_on for override in (0, 1)]
    assert found == [date(2026, 10, 21), date(2026, 10, 26)]


@pytest.mark.parametrize(
    ("code", "override"),
    [("H99.31", 1), ("H99.32", 2), ("H99.33", 0), ("H99.34", 2), ("H99.35", 0)],
)
def test_an_agency_owes_by_one_deadline_that_which_is_its_own_on_the_cut_offs_last_day(
    code: str, override: int
) -> None:
    assert [owes(commune(code), REGIME, plan, TREE) for plan in PLANS] == [place == override for place in range(3)]


def test_a_request_has_its_own_deadline_whatever_the_regime_says() -> None:
    request = Request("DX-1", "KTXH-THANG", local(2026, 10, 1, 8), local(2026, 10, 9, 17), ())
    plan = plan_request(REGIME, request, CALENDAR)
    assert (plan.override, plan.deadline) == (0, request.deadline)
    assert owes(commune("H99.31"), REGIME, plan, TREE, request)


def test_what_was_due_when_an_agency_came_to_its_group_it_does_not_owe() -> None:
    assert not owes(commune("H99.33", regrouped_at=OWN), REGIME, PLANS[0], TREE)
    assert owes(commune("H99.33", regrouped_at=OWN - timedelta(microseconds=1)), REGIME, PLANS[0], TREE)


def test_all_deadlines_of_a_period_are_planned_and_each_fails_alone() -> None:
    found = list(plans_between([REGIME], OWN, OWN, CALENDAR))
    assert [plan.subject for plan in found if plan.period == "2026-M10"] == [plan.subject for plan in PLANS]
    only_later = list(plans_between([REGIME], BELOW, OWN, CALENDAR))
    assert [plan.subject for plan in only_later if plan.period == "2026-M10"] == ["KTXH-THANG/3/2026-M10/2"]
    short = WorkingCalendar("short", 2026, 2026, days_off=[], made_up=[])
    late = regime({"kinds": ("commune",), "extra_working_days": 20, "reason": "Xa"}, code="X")
    december = [plan for plan in plans_between([late], local(2026, 12, 10), local(2026, 12, 20), short)
                if plan.period == "2026-M12"]  # fmt: skip
    assert [type(plan) for plan in december] == [Plan, Unplanned]
    assert december[1].subject == "X/3/2026-M12/1"


@pytest.mark.parametrize(
    ("deadline", "since"),
    [
        ({"rule": "weekday", "weekday": 5, "week_offset": 20}, local(2026, 7, 3, 17)),
        ({"rule": "day_of_month", "day": 31, "month_offset": 8}, local(2026, 10, 31, 17)),
    ],
)
def test_a_deadline_of_some_is_found_however_much_later_it_is(deadline: dict[str, Any], since: datetime) -> None:
    override = {"kinds": ("commune",), "deadline": {**deadline, "on_holiday": "keep"}, "reason": "Xa"}
    weekly = deadline["rule"] == "weekday"
    one = regime(override, **({"frequency": "weekly", "cutoff": Cutoff(weekday=7)} if weekly else {}))
    if weekly:
        one = replace(one, deadline=Deadline.model_validate({"rule": "weekday", "overrides": [override]}))
    found = {(plan.period, plan.deadline) for plan in plans_between([one], since, since, CALENDAR)
             if isinstance(plan, Plan) and plan.override}  # fmt: skip
    assert ("2026-W07" if weekly else "2026-M02", since) in found


def test_lock_and_grace_are_so_many_working_days_after_each_deadline_at_its_hour() -> None:
    strict = replace(REGIME, lock_after_working_days=5, grace_working_days=2, certification="head")
    own, islands, below = (plan_period(strict, OCTOBER, CALENDAR, override) for override in range(3))
    assert (own.locks_at, own.grace_until) == (local(2026, 10, 26, 17), local(2026, 10, 21, 17))
    assert (islands.locks_at, islands.grace_until) == (local(2026, 10, 29, 17), local(2026, 10, 26, 17))
    assert (below.locks_at, below.grace_until) == (local(2026, 11, 2, 9), local(2026, 10, 28, 9))
    assert own.certification == terms_of(own, "2019.1").certification == "head"
    request = Request("DX-1", "KTXH-THANG", local(2026, 10, 1, 8), local(2026, 10, 19, 11, 30), (), local(2026, 10, 5))
    plan = plan_request(strict, request, CALENDAR)
    assert (plan.locks_at, plan.grace_until) == (local(2026, 10, 26, 11, 30), local(2026, 10, 21, 11, 30))
    assert (plan.certification, plan.withdrawn_at) == ("head", request.withdrawn_at)
    terms = terms_of(plan, "2019.1")
    assert (terms.locks_at, terms.grace_until, terms.withdrawn_at) == (
        plan.locks_at, plan.grace_until, plan.withdrawn_at,
    )  # fmt: skip


def test_a_lock_beyond_the_calendar_is_no_guess() -> None:
    short = WorkingCalendar("short", 2026, 2026, days_off=[], made_up=[])
    strict = replace(REGIME, lock_after_working_days=20, grace_working_days=1)
    plan = plan_period(strict, parse("2026-M12"), short)
    assert (plan.locks_at, plan.grace_until) == (None, local(2026, 12, 21, 17))


@pytest.mark.parametrize(
    ("changes", "agencies", "grouped"),
    [
        ({"submitter_parents": ("H99",)}, (), True),
        ({"submitter_parents": ("H99",)}, ("H99.31",), False),
        ({}, (), False),
    ],
)
def test_who_answers_a_request_to_a_group_takes_the_groups_own_rule(
    changes: dict[str, Any], agencies: tuple[str, ...], grouped: bool
) -> None:
    request = Request("DX-1", "KTXH-THANG", local(2026, 10, 1, 8), local(2026, 10, 9, 17), agencies)
    asking = regime(**changes)
    assert plan_request(asking, request, CALENDAR).grouping == (asking if grouped else None)
    assert plan_period(asking, OCTOBER, CALENDAR).grouping == (asking if "submitter_parents" in changes else None)


def openings(*plans: Plan) -> list[Opening]:
    return [Opening(plan, terms_of(plan, "2019.1"), untouched(terms_of(plan, "2019.1"))) for plan in plans]


def test_openings_of_a_period_stand_together_in_the_order_of_its_deadlines() -> None:
    november = [plan_period(REGIME, parse("2026-M11"), CALENDAR, override) for override in (1, 0)]
    given = openings(PLANS[2], *november, PLANS[0])
    found = _by_period(given)
    assert list(found) == [("KTXH-THANG", "2026-M10"), ("KTXH-THANG", "2026-M11")]
    assert [[opening.plan.override for opening in some] for some in found.values()] == [[0, 2], [0, 1]]


@pytest.mark.parametrize(("override", "told"), [(0, None), (2, 2)])
def test_which_deadline_of_the_regime_it_is_is_published(override: int, told: int | None) -> None:
    assert published(obligation(override=override), ("opened",), OWN).deadline_override == told


def test_of_each_deadline_the_agencies_are_listed_for_whom_it_holds_and_whether_they_are_asked() -> None:
    plain = plan_period(regime(), OCTOBER, CALENDAR)
    everybody = (
        commune("H99.31"), commune("H99.32", opened_on=date(2026, 10, 15)), commune("H99.33"),
        Agency("H99.02", "district", date(2020, 1, 1), date(2026, 1, 1)),
    )  # fmt: skip
    people = Agencies({agency.code: agency for agency in everybody}, TREE)
    listed = sorted(_members(openings(plain, *PLANS), people, None))
    assert listed == [
        (2, "H99.02", False),  # no commune, but what it handed on keeps this deadline
        (2, "H99.33", True),
        (3, "H99.31", True),
        (4, "H99.32", False),  # opened after the cut-off
    ]
    assert list(_members(openings(PLANS[0]), people, ["H99.33", "H99.404"])) == [
        (1, "H99.02", False), (1, "H99.33", True),
    ]  # fmt: skip
    assert list(_members([], people, ["H99.33"])) == []
