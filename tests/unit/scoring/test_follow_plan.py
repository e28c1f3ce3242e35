"""A deadline that moves: a later one always counts, an earlier one only where nobody can have relied on the old."""

from __future__ import annotations

from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from services.scoring.obligations.domain import Obligation, with_reports
from services.scoring.obligations.facts import NOTHING, Facts, Reminder, Terms, with_passing
from services.scoring.obligations.generator import follow_plan
from services.scoring.obligations.standing import stand
from tests.unit.scoring.samples import CALENDAR, DEADLINE, POLICY, TERMS, obligation, submission, verdict

DAY, HOUR = timedelta(days=1), timedelta(hours=1)
EARLIER = DEADLINE - timedelta(days=4)
LONG_AGO = DEADLINE - timedelta(days=30)
RELIED = {
    "a report has come": with_reports(NOTHING, [(None, submission())]),
    "somebody was reminded": Facts(reminder=Reminder(EARLIER, DEADLINE)),
    "the deadline has passed": with_passing(NOTHING, DEADLINE + timedelta(hours=1)),
}


def planned(deadline: datetime) -> Terms:
    return replace(TERMS, deadline=deadline, remind_at=min(TERMS.remind_at, deadline), calendar_version="newer",
                   policy_version="newer", regime_version=2)  # fmt: skip


def test_an_earlier_deadline_counts_where_nobody_has_relied_on_the_old_one() -> None:
    assert follow_plan(obligation(), planned(EARLIER), LONG_AGO) == planned(EARLIER)


@pytest.mark.parametrize("why", RELIED)
def test_an_earlier_deadline_never_counts_where_somebody_has_relied_on_the_old_one(why: str) -> None:
    after = follow_plan(obligation(RELIED[why]), planned(EARLIER), LONG_AGO)
    assert (after.deadline, after.remind_at) == (TERMS.deadline, TERMS.remind_at)
    assert (after.calendar_version, after.policy_version) == (TERMS.calendar_version, TERMS.policy_version)
    assert after.regime_version == 2


def test_an_earlier_deadline_is_told_of_early_enough() -> None:
    assert follow_plan(obligation(), planned(EARLIER), EARLIER).deadline == EARLIER
    assert follow_plan(obligation(), planned(EARLIER), EARLIER + timedelta(seconds=1)).deadline == DEADLINE


@pytest.mark.parametrize("facts", [NOTHING, *RELIED.values()], ids=["nothing", *RELIED])
def test_a_later_deadline_always_counts(facts: Facts) -> None:
    later = planned(DEADLINE + timedelta(days=1))
    assert follow_plan(obligation(facts), later, DEADLINE + timedelta(days=99)) == later


#: what the obligation has, what a plan of the same deadline would make of it
WORSE: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "a certification is asked for": ({}, {"certification": "head"}),
    "the lock is earlier": ({"locks_at": DEADLINE + 5 * DAY}, {"locks_at": DEADLINE + DAY}),
    "there is a lock": ({}, {"locks_at": DEADLINE + 5 * DAY}),
    "the grace is shorter": ({"grace_until": DEADLINE + 5 * DAY}, {"grace_until": DEADLINE + DAY}),
    "there is no grace": ({"grace_until": DEADLINE + 5 * DAY}, {"grace_until": None}),
    "a later deadline has less behind it": (
        {"grace_until": DEADLINE + 5 * DAY, "locks_at": DEADLINE + 5 * DAY},
        {"deadline": DEADLINE + DAY, "grace_until": None, "locks_at": DEADLINE + DAY},
    ),
}


@pytest.mark.parametrize("change", WORSE)
def test_nothing_else_is_made_worse_where_somebody_has_relied_on_it(change: str) -> None:
    given, made = WORSE[change]
    planned_so = replace(TERMS, regime_version=2, **(given | made))
    for facts in RELIED.values():
        before = obligation(facts, **given)
        after = follow_plan(before, planned_so, LONG_AGO)
        assert after == replace(before.terms, regime_version=2, deadline=planned_so.deadline)
    nobody = obligation(**given)
    assert follow_plan(nobody, planned_so, LONG_AGO) == planned_so, "in good time"
    assert follow_plan(nobody, planned_so, planned_so.deadline + HOUR).certification == "none", "too late to be told"


@pytest.mark.parametrize("change", WORSE)
@pytest.mark.parametrize("why", RELIED)
def test_what_is_made_better_always_counts(change: str, why: str) -> None:
    given, made = WORSE[change]
    worse = {name: value for name, value in (given | made).items() if name != "deadline"}
    better = replace(TERMS, regime_version=2, **given)
    assert follow_plan(obligation(RELIED[why], **worse), better, LONG_AGO) == better


def test_an_accepted_report_stays_one_where_a_replacement_asks_for_the_heads_signature() -> None:
    sent = with_reports(NOTHING, [(None, verdict())])
    before = obligation(with_passing(sent, DEADLINE + HOUR))
    after = follow_plan(before, replace(TERMS, regime_version=2, certification="head"), LONG_AGO)
    derived = stand(after, before.facts, POLICY, CALENDAR).state
    assert (derived.standing, derived.overdue, derived.score) == ("fulfilled", False, Decimal(100))


def test_what_is_owed_again_takes_the_plan_as_it_is() -> None:
    fallen = obligation(owed=False)
    assert follow_plan(fallen, planned(EARLIER), DEADLINE) == planned(EARLIER)


def test_the_same_plan_is_no_change() -> None:
    before = obligation()
    assert follow_plan(before, replace(TERMS), LONG_AGO) is before.terms


@given(moves=st.lists(st.integers(-10, 10), max_size=6), notice=st.integers(-20, 20))
def test_no_plan_ever_takes_time_from_who_has_relied_on_a_deadline(moves: list[int], notice: int) -> None:
    kept: Obligation = obligation(RELIED["somebody was reminded"])
    for days in moves:
        terms = follow_plan(kept, planned(DEADLINE + timedelta(days=days)), DEADLINE + timedelta(days=notice))
        assert terms.deadline >= kept.terms.deadline
        kept = replace(kept, terms=terms)
