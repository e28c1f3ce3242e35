"""What people do with a report: how certification, review, withdrawal and appeal change what it counts for."""

from __future__ import annotations

from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from services.scoring.obligations import standing
from services.scoring.obligations.domain import with_reports
from services.scoring.obligations.facts import NOTHING, Facts, with_passing
from services.scoring.obligations.standing import State, has_passed, is_due_soon, stand
from shared.contract.events import StepTaken, SubmissionReceived, VerdictReached
from tests.unit.scoring.samples import CALENDAR, DEADLINE, POLICY, TERMS, local, obligation, step, submission, verdict
from tests.unit.scoring.test_domain import Story, derived

HOUR, DAY = timedelta(hours=1), timedelta(days=1)
EARLY, LATE = DEADLINE - DAY, DEADLINE + HOUR
LOCK = local(2026, 10, 26, 17)
#: certified by the head; locked five working days after the deadline
SIGNED = replace(TERMS, certification="head", locks_at=LOCK)
Report = SubmissionReceived | VerdictReached | StepTaken


def state(*events: Report, terms: Any = TERMS, passed_at: datetime | None = None) -> State:
    facts = with_reports(NOTHING, [(None, event) for event in events])
    if passed_at is not None:
        facts = with_passing(facts, passed_at, "duty")
    return stand(terms, facts, POLICY, CALENDAR).state


# --- certification ------------------------------------------------------------------------------------------------


def test_where_certification_is_asked_what_nobody_has_certified_is_no_report() -> None:
    before = state(verdict(received_at=EARLY), terms=SIGNED)
    assert (before.standing, before.answer, before.score, before.uncertified) == ("awaiting_verdict", None, None, 1)
    after = state(verdict(received_at=EARLY), step("certified", LATE, received_at=EARLY), terms=SIGNED)
    assert (after.standing, after.on_time, after.score, after.uncertified) == ("fulfilled", True, Decimal(100), None)
    assert state(verdict(received_at=EARLY)).score == Decimal(100), "where nobody asks for it, it counts as it is"


def test_that_a_certification_is_wanted_or_not_any_more_is_told_at_once() -> None:
    story = Story(obligation(certification="head", locks_at=LOCK)).follow(
        submission(received_at=EARLY), verdict(received_at=EARLY)
    )
    assert [(event.changes, event.certify_version) for event in story.published] == [((), 1)]
    story.follow(submission(2, EARLY + HOUR), step("withdrawn", EARLY + HOUR, received_at=EARLY))
    assert [event.certify_version for event in story.published] == [1, None]
    signed = Story(obligation(certification="head", locks_at=LOCK)).follow(
        verdict(received_at=EARLY), step("certified", EARLY + HOUR, received_at=EARLY)
    )
    assert [event.certify_version for event in signed.published] == [1, None]
    free = Story().follow(verdict(received_at=EARLY))
    assert [event.certify_version for event in free.published] == [None], "where nobody asks for it"


@pytest.mark.parametrize(("certified_at", "on_time"), [(LOCK, True), (LOCK + HOUR, False)])
def test_what_is_received_in_time_counts_by_its_receipt_if_it_is_certified_by_the_lock(
    certified_at: datetime, on_time: bool
) -> None:
    found = state(verdict(received_at=EARLY), step("certified", certified_at, received_at=EARLY), terms=SIGNED)
    assert found.on_time is on_time


@pytest.mark.parametrize(("certified_at", "on_time"), [(DEADLINE, True), (LATE, False)])
def test_without_a_lock_it_must_be_certified_by_the_deadline(certified_at: datetime, on_time: bool) -> None:
    terms = replace(SIGNED, locks_at=None)
    found = state(verdict(received_at=EARLY), step("certified", certified_at, received_at=EARLY), terms=terms)
    assert found.on_time is on_time


def test_what_waits_for_its_certification_is_reminded_of_and_overdue_only_after_the_lock() -> None:
    waiting = with_reports(NOTHING, [(None, verdict(received_at=EARLY))])
    now = obligation(waiting, certification="head", locks_at=LOCK)
    assert now.state.next_at == TERMS.remind_at
    assert is_due_soon(now.terms, waiting, now.state, TERMS.remind_at)
    certified = with_reports(waiting, [(None, step("certified", EARLY, received_at=EARLY))])
    answered = stand(now.terms, certified, POLICY, CALENDAR).state
    assert not is_due_soon(now.terms, certified, answered, TERMS.remind_at), "what is certified needs no reminder"
    assert has_passed(waiting, now.state, DEADLINE + HOUR), "that the deadline passed is noted once"
    noted = with_passing(waiting, DEADLINE + HOUR)
    held = stand(now.terms, noted, POLICY, CALENDAR).state
    assert (held.overdue, held.next_at) == (False, LOCK + timedelta(microseconds=1))
    assert not has_passed(noted, held, LOCK)
    assert has_passed(noted, held, LOCK + HOUR)
    assert state(verdict(received_at=EARLY), terms=SIGNED, passed_at=LOCK + HOUR).overdue
    assert state(verdict(received_at=LATE), terms=SIGNED, passed_at=LATE + HOUR).overdue, "what came late buys no time"


# --- review -------------------------------------------------------------------------------------------------------


def test_what_a_reviewer_sends_back_is_returned_with_his_reason_and_its_lines_fall() -> None:
    story = Story().follow(verdict(received_at=EARLY))
    story.follow(step("rework", LATE, received_at=EARLY, reason="Thiếu nguyên nhân", until=LATE + DAY))
    assert (story.now.state.standing, story.now.state.score) == ("returned", None)
    event = story.published[-1]
    assert event.changes == ("returned", "reopened", "score")
    assert (event.rework_version, event.rework_reason, event.rework_until) == (1, "Thiếu nguyên nhân", LATE + DAY)
    assert "người duyệt trả lại" in story.written[-1].cause
    story.follow(step("approved", LATE + HOUR, received_at=EARLY))
    assert (story.now.state.standing, story.now.state.score) == ("fulfilled", Decimal(100)), "he may take it back"


@pytest.mark.parametrize(("received_at", "on_time"), [(LATE + DAY, True), (LATE + DAY + HOUR, False)])
def test_a_corrected_version_counts_by_the_receipt_of_the_first_within_the_reviewers_term(
    received_at: datetime, on_time: bool
) -> None:
    sent_back = verdict(received_at=EARLY, present=1), step("rework", LATE, received_at=EARLY, until=LATE + DAY)
    found = state(*sent_back, verdict(2, received_at=received_at))
    assert (found.answer, found.on_time, found.measured) == (2, on_time, 2)


def test_without_a_term_the_receipt_of_the_corrected_version_decides() -> None:
    sent_back = verdict(received_at=EARLY), step("rework", LATE, received_at=EARLY)
    assert state(*sent_back, verdict(2, received_at=LATE + HOUR)).on_time is False
    late = verdict(received_at=LATE), step("rework", LATE + HOUR, received_at=LATE, until=LATE + DAY)
    corrected = verdict(2, received_at=LATE + 2 * HOUR)
    assert state(*late, corrected).on_time is False, "a term makes nothing earlier than it was"


def test_within_the_reviewers_term_nobody_is_called_overdue() -> None:
    sent_back = verdict(received_at=EARLY), step("rework", LATE, received_at=EARLY, until=LATE + DAY)
    assert state(*sent_back).next_at == LATE + DAY + timedelta(microseconds=1)
    assert not state(*sent_back, passed_at=LATE + DAY).overdue
    assert state(*sent_back, passed_at=LATE + DAY + HOUR).overdue
    assert not state(*sent_back, submission(2, LATE + HOUR), passed_at=LATE + DAY + HOUR).overdue, "it came within it"


# --- withdrawal ---------------------------------------------------------------------------------------------------


def test_what_is_withdrawn_counts_as_never_sent_and_an_earlier_version_answers_again() -> None:
    gone = step("withdrawn", LATE, 2, LATE)
    assert state(step("withdrawn", DEADLINE, received_at=EARLY), verdict(received_at=EARLY)).standing == "nothing_sent"
    kept = state(verdict(received_at=EARLY, nil=True), verdict(2, received_at=LATE), gone)
    assert (kept.answer, kept.on_time, kept.score) == (1, True, Decimal(100))
    story = Story().follow(verdict(received_at=EARLY), step("withdrawn", LATE, received_at=EARLY))
    assert story.changes[-1] == ("reopened", "score")
    assert "cơ quan rút báo cáo" in story.written[-1].cause
    assert has_passed(story.now.facts, story.now.state, LATE)
    assert story.passes(LATE).now.state.overdue


def test_that_a_returned_report_is_withdrawn_is_told() -> None:
    story = Story().follow(verdict(1, "returned", EARLY), step("withdrawn", LATE, received_at=EARLY))
    assert story.changes == [("returned",), ("reopened",)]
    assert story.published[-1].standing == "nothing_sent"


def test_nobody_gains_by_withdrawing_after_the_deadline_what_stood_at_it() -> None:
    junk, whole = verdict(received_at=EARLY, present=1), verdict(2, received_at=LATE)
    before = state(junk, whole)
    after = state(junk, whole, step("withdrawn", LATE + HOUR, received_at=EARLY))
    assert before.score is not None
    assert after.score is not None
    assert (after.answer, after.measured) == (2, 1)
    assert after.score < before.score
    never = state(junk, whole, step("withdrawn", DEADLINE, received_at=EARLY))
    assert (never.measured, never.score) == (2, Decimal(90)), "withdrawn in time it is as if it had never come"


def test_what_nobody_certified_bounds_nothing_when_it_is_withdrawn() -> None:
    junk, whole = verdict(received_at=EARLY, present=1), verdict(2, received_at=LATE)
    signed, gone = step("certified", LATE, 2, LATE), step("withdrawn", LATE + HOUR, received_at=EARLY)
    assert state(junk, whole, signed, gone, terms=SIGNED) == state(junk, whole, signed, terms=SIGNED)
    counted = step("certified", LATE, 1, EARLY)
    assert state(junk, whole, signed, counted, gone, terms=SIGNED).measured == 1, "what somebody answered for does"


def test_what_is_withdrawn_after_the_deadline_bounds_only_what_came_after_it() -> None:
    whole, junk = verdict(received_at=EARLY), verdict(2, received_at=EARLY + HOUR, present=1)
    assert state(whole, junk).measured == 2
    back = state(whole, junk, step("withdrawn", LATE, 2, EARLY + HOUR))
    assert (back.answer, back.measured, back.score) == (1, 1, Decimal(100)), "an earlier version answers again"


def test_what_a_reviewer_had_sent_back_before_it_was_withdrawn_bounds_nothing() -> None:
    junk, sent_back = verdict(received_at=EARLY, present=1), step("rework", LATE, received_at=EARLY)
    gone, whole = step("withdrawn", LATE + HOUR, received_at=EARLY), verdict(2, received_at=LATE + 2 * HOUR)
    assert state(junk, sent_back, gone, whole).measured == 2
    assert state(junk, gone, whole).measured == 1, "the control: it stood until it was withdrawn"


def test_a_version_that_is_withdrawn_gives_no_later_one_its_receipt() -> None:
    sent_back = verdict(received_at=EARLY), step("rework", LATE, received_at=EARLY, until=LATE + DAY)
    corrected = verdict(2, received_at=LATE + 2 * HOUR)
    assert state(*sent_back, corrected).on_time is True
    withdrawn = step("withdrawn", LATE + HOUR, received_at=EARLY)
    assert state(*sent_back, withdrawn, corrected).on_time is False


def test_a_step_may_come_before_the_report_that_it_is_about() -> None:
    ahead = Story().follow(step("withdrawn", LATE, received_at=EARLY), submission(1, EARLY), verdict(received_at=EARLY))
    after = Story().follow(submission(1, EARLY), verdict(received_at=EARLY), step("withdrawn", LATE, received_at=EARLY))
    assert derived(ahead.now) == derived(after.now)


def test_an_appeal_upheld_against_a_verdict_makes_the_report_count_by_its_receipt() -> None:
    returned = verdict(1, "returned", EARLY, present=2)
    upheld = step("appeal_upheld", LATE, received_at=EARLY, effect="accepted")
    assert state(returned, upheld).score == Decimal("86.67")
    dismissed = step("appeal_dismissed", LATE, received_at=EARLY)
    assert state(returned, dismissed).standing == "returned"


@pytest.mark.parametrize("kind", ["extension_requested", "explanation_given", "appeal_made", "unlocked"])
def test_what_only_asks_or_tells_changes_no_fact(kind: str) -> None:
    facts = with_reports(NOTHING, [(None, verdict())])
    assert with_reports(facts, [(None, step(kind, LATE))]) is facts


# --- no sequence raises a score unfairly --------------------------------------------------------------------------


@st.composite
def careers(draw: st.DrawFn) -> list[tuple[datetime, list[Report]]]:
    """What an agency may do about one obligation, in the order of its hours: send, be judged, certify, withdraw."""
    acts: list[tuple[datetime, list[Report]]] = []
    received_at = EARLY
    for number in range(1, draw(st.integers(1, 4)) + 1):
        received_at += timedelta(hours=draw(st.integers(1, 30)))
        nil = draw(st.booleans())
        outcome = draw(st.sampled_from(["accepted", "accepted", "returned"]))
        items = draw(st.integers(0, 3))
        reached = verdict(number, outcome, received_at, present=items, nil=nil)
        acts.append((received_at, [submission(number, received_at, nil=nil), reached]))
        for kind in draw(st.sets(st.sampled_from(["certified", "withdrawn"]))):
            at = received_at + timedelta(hours=draw(st.integers(1, 200)))
            acts.append((at, [step(kind, at, number, received_at, nil=nil)]))
    return sorted(acts, key=lambda act: act[0])


def _gains_after_the_deadline(career: list[tuple[datetime, list[Report]]], terms: Any) -> list[str]:
    """Withdrawals after the deadline that give more than the agency has had.

    An earlier version that answers again earns what it would have earned alone: where reports are certified, one that
    came after it may have counted before it.
    """
    facts: Facts = NOTHING
    alone: dict[datetime, Facts] = {}  # by receipt, what is known of each version
    best, gained = Decimal(0), []
    for at, events in career:
        facts = with_reports(facts, [(None, event) for event in events])
        score = _score(terms, facts)
        received_at = events[0].received_at
        assert received_at is not None
        if isinstance(events[0], StepTaken) and events[0].kind == "withdrawn":
            earlier = max((_score(terms, own) for before, own in alone.items() if before < received_at), default=best)
            if at > DEADLINE and score > max(best, earlier):
                gained.append(f"{at}: {best} -> {score}")
        else:
            alone[received_at] = with_reports(alone.get(received_at, NOTHING), [(None, event) for event in events])
        best = max(best, score)
    return gained


def _score(terms: Any, facts: Facts) -> Decimal:
    return stand(terms, facts, POLICY, CALENDAR).state.score or Decimal(0)


@pytest.mark.parametrize("terms", [TERMS, SIGNED], ids=["free", "signed"])
@given(career=careers())
def test_no_withdrawal_after_the_deadline_earns_more_than_the_agency_has_had(
    terms: Any, career: list[tuple[datetime, list[Report]]]
) -> None:
    assert _gains_after_the_deadline(career, terms) == []


@given(career=careers())
def test_certification_makes_no_report_of_what_is_none(
    career: list[tuple[datetime, list[Report]]],
) -> None:
    every = [event for _, events in career for event in events]
    free, signed = state(*every), state(*every, terms=SIGNED)
    assert signed.answer is None or free.answer is not None


def test_a_version_that_is_certified_after_a_worse_one_earns_its_own_share_once_that_is_withdrawn() -> None:
    """It answered for itself in time; it had only never stood alone."""
    whole, junk = verdict(received_at=EARLY, present=2), verdict(2, received_at=EARLY + HOUR, present=0)
    signed = step("certified", EARLY + 2 * HOUR, 2, EARLY + HOUR), step("certified", EARLY + 3 * HOUR, 1, EARLY)
    assert state(whole, junk, *signed, terms=SIGNED).measured == 2
    back = state(whole, junk, *signed, step("withdrawn", LATE, 2, EARLY + HOUR), terms=SIGNED)
    assert back == state(whole, signed[1], terms=SIGNED)


def test_control_without_the_bound_a_withdrawal_would_pay(monkeypatch: pytest.MonkeyPatch) -> None:
    junk = (EARLY, [submission(1, EARLY), verdict(received_at=EARLY, present=0)])
    whole = (LATE, [submission(2, LATE), verdict(2, received_at=LATE)])
    gone = (LATE + HOUR, [step("withdrawn", LATE + HOUR, received_at=EARLY)])
    career: list[tuple[datetime, list[Report]]] = [junk, whole, gone]  # type: ignore[list-item]
    assert _gains_after_the_deadline(career, TERMS) == []
    monkeypatch.setattr(standing._Counts, "measured", lambda self, _: self._stood(self._reports))
    assert _gains_after_the_deadline(career, TERMS) != []
