"""Grace puts off the overdue mark and moves no deadline: late stays late, and the policy says what it costs."""

from __future__ import annotations

from datetime import datetime, timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace
from pydantic import ValidationError

from services.scoring.obligations.domain import published, with_reports
from services.scoring.obligations.facts import NOTHING, Facts, Relief, Terms, with_passing, with_relief
from services.scoring.obligations.generator import follow_plan
from services.scoring.obligations.standing import State, has_passed, is_due_soon, stand, untouched
from services.scoring.scores.policy import Policy, Scored, assess
from tests.unit.scoring.samples import CALENDAR, DEADLINE, POLICY, TERMS, local, obligation, submission, verdict

#: two working days after Monday's deadline, at its hour
GRACE = local(2026, 10, 21, 17)
GRACED = replace(TERMS, grace_until=GRACE)
HOUR, JUST_AFTER = timedelta(hours=1), timedelta(microseconds=1)
_FORGIVING = POLICY.model_dump(mode="json") | {
    "version": "2027.1",
    "timeliness": POLICY.timeliness.model_dump(mode="json") | {"off_within_grace": "5"},
    "clauses": POLICY.clauses.model_dump(mode="json") | {"grace": "1.d"},
    "texts": {clause: text.model_dump() for clause, text in POLICY.texts.items()}
    | {"1.d": {"text_vi": "Trừ 5 điểm.", "text_en": "5 points are taken off.", "legal_basis": "Mẫu"}},
}
FORGIVING = Policy.model_validate(_FORGIVING)


def state(facts: Facts, terms: Terms = GRACED, policy: Policy = POLICY) -> State:
    return stand(terms, facts, policy, CALENDAR).state


def passed(at: datetime, *events: object) -> Facts:
    return with_passing(with_reports(NOTHING, [(None, event) for event in events]), at, "duty")  # type: ignore[misc]


def test_nobody_is_called_overdue_before_the_grace_is_over() -> None:
    noted = passed(DEADLINE + HOUR)
    within = state(noted)
    assert (within.overdue, within.score, within.deadline, within.next_at) == (
        False, None, DEADLINE, GRACE + JUST_AFTER,
    )  # fmt: skip
    assert not has_passed(noted, within, GRACE)
    assert has_passed(noted, within, GRACE + JUST_AFTER)
    assert state(passed(GRACE + JUST_AFTER)).overdue
    assert state(noted, TERMS).overdue, "without grace"


def test_the_reminder_is_of_the_deadline() -> None:
    fresh = untouched(GRACED)
    assert fresh == state(NOTHING)
    assert fresh.next_at == TERMS.remind_at
    assert is_due_soon(GRACED, NOTHING, fresh, TERMS.remind_at)
    assert not is_due_soon(GRACED, NOTHING, fresh, DEADLINE + HOUR)


def test_a_report_within_the_grace_is_late_by_the_deadline() -> None:
    events = (verdict(received_at=GRACE),)
    for terms in (GRACED, TERMS):
        found = state(passed(DEADLINE + HOUR, *events), terms)
        assert (found.standing, found.on_time, found.score) == ("fulfilled", False, Decimal(80))


def test_what_came_within_the_grace_and_awaits_its_verdict_keeps_the_mark_back() -> None:
    late = GRACE + JUST_AFTER
    assert not state(passed(GRACE + HOUR, submission(received_at=GRACE))).overdue
    assert state(passed(GRACE + HOUR, submission(received_at=late))).overdue
    assert state(passed(GRACE + HOUR, submission(received_at=GRACE)), TERMS).overdue, "without grace"


def test_grace_and_lock_move_with_the_deadline() -> None:
    moved = replace(GRACED, locks_at=GRACE + HOUR).due_at(DEADLINE + HOUR)
    assert (moved.grace_until, moved.locks_at) == (GRACE + HOUR, GRACE + 2 * HOUR)
    relief = Relief("GH-1", DEADLINE - HOUR, DEADLINE + HOUR)
    found = state(with_relief(passed(GRACE + HOUR), relief))
    assert (found.deadline, found.term, found.overdue) == (DEADLINE + HOUR, GRACE + HOUR, False)
    assert published(obligation(grace_until=GRACE), (), DEADLINE).grace_until == GRACE


def test_a_grace_that_a_new_version_gives_is_published_and_a_deadline_that_stays_keeps_its_own() -> None:
    before = obligation(grace_until=GRACE)
    later = follow_plan(before, replace(before.terms, grace_until=GRACE + HOUR), DEADLINE)
    assert later.grace_until == GRACE + HOUR
    sooner = replace(before.terms, deadline=DEADLINE - 48 * HOUR, grace_until=None)
    kept = follow_plan(before, sooner, DEADLINE)
    assert (kept.deadline, kept.grace_until) == (DEADLINE, GRACE)


def scored(received: datetime, grace: datetime | None = GRACE) -> Scored:
    return Scored(DEADLINE, False, received, grace_until=grace)


@pytest.mark.parametrize(
    ("received", "clause", "points"),
    [
        (DEADLINE, None, 60),
        (DEADLINE + JUST_AFTER, "1.d", 55),
        (GRACE, "1.d", 55),
        (GRACE + JUST_AFTER, "1.b", 40),
    ],
)
def test_the_policy_says_what_a_report_within_the_grace_costs(
    received: datetime, clause: str | None, points: int
) -> None:
    lines = assess(scored(received), FORGIVING, CALENDAR)
    assert sum(line.points for line in lines) == points
    assert [line.clause for line in lines[1:]] == ([clause] if clause else [])
    if clause == "1.d":
        assert "trong thời gian ân hạn đến 17:00:00 21/10/2026" in lines[1].cause


def test_without_such_a_clause_or_without_grace_working_days_count() -> None:
    assert [line.clause for line in assess(scored(GRACE), POLICY, CALENDAR)] == ["1.a", "1.b"]
    assert [line.clause for line in assess(scored(GRACE, None), FORGIVING, CALENDAR)] == ["1.a", "1.b"]


@pytest.mark.parametrize("part", ["timeliness", "clauses"])
def test_points_and_clause_of_the_grace_go_together(part: str) -> None:
    halved = _FORGIVING | {part: getattr(POLICY, part).model_dump(mode="json")}
    if part == "clauses":
        halved |= {"texts": {clause: text.model_dump() for clause, text in POLICY.texts.items()}}
    with pytest.raises(ValidationError, match="give both, or neither"):
        Policy.model_validate(halved)


@given(off=st.integers(0, 60), first=st.integers(-50, 400), second=st.integers(-50, 400), grace=st.integers(0, 300))
def test_nobody_gains_by_waiting_nor_loses_by_grace(off: int, first: int, second: int, grace: int) -> None:
    timeliness = FORGIVING.timeliness.model_copy(update={"off_within_grace": Decimal(off)})
    policy = FORGIVING.model_copy(update={"timeliness": timeliness})
    until = DEADLINE + grace * HOUR

    def earned(hours: int, given: datetime | None) -> Decimal:
        return sum(
            (line.points for line in assess(scored(DEADLINE + hours * HOUR, given), policy, CALENDAR)), Decimal()
        )

    early, late = sorted((first, second))
    assert earned(late, until) <= earned(early, until)
    assert earned(late, until) >= earned(late, None)


def test_the_score_line_of_a_late_report_within_the_grace_is_explained() -> None:
    derived = stand(GRACED, passed(DEADLINE + HOUR, verdict(received_at=GRACE)), FORGIVING, CALENDAR)
    assert derived.state.on_time is False
    assert derived.state.score == Decimal(95)
    (due,) = [due for due, _ in derived.lines if due.points < 0]
    assert due.clause == "1.d"
    assert due.cause_en == (
        "2 d after the deadline, 17:00:00 19/10/2026, within the grace until 17:00:00 21/10/2026: counts by clause 1.d"
    )
