"""How an obligation stands at the very moments at which a rule changes sides: what comes at the deadline is in time."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest
from msgspec.structs import replace

from services.scoring.obligations.domain import with_reports
from services.scoring.obligations.facts import NOTHING, Facts, Relief, Terms, with_passing, with_relief
from services.scoring.obligations.standing import State, effective_deadline, has_passed, is_due_soon, stand, untouched
from shared.contract.events import SubmissionReceived, VerdictReached
from tests.unit.scoring.samples import CALENDAR, DEADLINE, POLICY, TERMS, step, submission, verdict

TICK = timedelta(microseconds=1)
HOUR = timedelta(hours=1)


def state(facts: Facts = NOTHING, **terms: Any) -> State:
    return stand(replace(TERMS, **terms), facts, POLICY, CALENDAR).state


def after(*events: SubmissionReceived | VerdictReached) -> Facts:
    return with_reports(NOTHING, [(None, event) for event in events])


@pytest.mark.parametrize(("received_at", "on_time"), [(DEADLINE, True), (DEADLINE + TICK, False)])
def test_what_is_received_at_the_deadline_itself_is_in_time(received_at: datetime, on_time: bool) -> None:
    assert state(after(verdict(received_at=received_at))).on_time is on_time


@pytest.mark.parametrize(("received_at", "measured"), [(DEADLINE, 2), (DEADLINE + TICK, 1)])
def test_a_correction_received_at_the_deadline_itself_is_what_is_measured(received_at: datetime, measured: int) -> None:
    assert state(after(verdict(1), verdict(2, received_at=received_at))).measured == measured


@pytest.mark.parametrize(("seen_at", "overdue"), [(DEADLINE, False), (DEADLINE + TICK, True)])
def test_nothing_is_overdue_at_the_deadline_itself(seen_at: datetime, overdue: bool) -> None:
    seen = state(with_passing(NOTHING, seen_at))
    assert (seen.overdue, seen.next_at) == (overdue, None if overdue else DEADLINE + TICK)


@pytest.mark.parametrize(
    ("at", "due"),
    [
        (TERMS.remind_at - TICK, False),
        (TERMS.remind_at, True),
        (DEADLINE, True),
        (DEADLINE + TICK, False),
    ],
)
def test_a_reminder_is_due_from_its_moment_up_to_the_deadline(at: datetime, due: bool) -> None:
    assert is_due_soon(TERMS, NOTHING, untouched(TERMS), at) is due


@pytest.mark.parametrize(
    ("terms", "next_at"),
    [
        (TERMS, TERMS.remind_at),
        (replace(TERMS, remind_at=DEADLINE - TICK), DEADLINE - TICK),
        # a reminder at the deadline would come too late to help
        (replace(TERMS, remind_at=DEADLINE), DEADLINE + TICK),
        (replace(TERMS, owed=False), None),
    ],
)
def test_the_next_moment_is_the_reminders_and_then_the_first_one_after_the_deadline(
    terms: Terms, next_at: datetime | None
) -> None:
    assert untouched(terms).next_at == stand(terms, NOTHING, POLICY, CALENDAR).state.next_at == next_at


def test_time_changes_nothing_any_more_about_what_is_answered_and_not_yet_what_awaits_its_verdict() -> None:
    assert state(after(verdict())).next_at is None
    assert state(after(submission())).next_at is None, "in time: only the verdict decides"
    assert state(after(submission(received_at=DEADLINE + TICK))).next_at == DEADLINE + TICK
    assert state(after(verdict(outcome="returned"))).next_at == TERMS.remind_at


def spanning(starts_at: datetime, ends_at: datetime, **more: Any) -> Facts:
    return with_relief(NOTHING, Relief("GH-1", starts_at, ends_at, **more))


@pytest.mark.parametrize(
    ("starts_at", "ends_at", "moved"),
    [
        (DEADLINE, DEADLINE + HOUR, True),
        (DEADLINE + TICK, DEADLINE + HOUR, False),
        (DEADLINE - HOUR, DEADLINE + TICK, True),
        (DEADLINE - HOUR, DEADLINE, False),
    ],
)
def test_a_granted_relief_moves_the_deadline_from_its_first_moment_on(
    starts_at: datetime, ends_at: datetime, moved: bool
) -> None:
    assert effective_deadline(TERMS, spanning(starts_at, ends_at)) == (ends_at if moved else DEADLINE)
    for status in ("proposed", "rejected"):
        assert effective_deadline(TERMS, spanning(starts_at, ends_at, status=status)) == DEADLINE


def test_a_deadline_moved_into_the_next_relief_moves_on_to_its_end() -> None:
    one = Relief("GH-1", DEADLINE - HOUR, DEADLINE + HOUR)
    two = Relief("GH-2", DEADLINE + HOUR, DEADLINE + 5 * HOUR)
    assert effective_deadline(TERMS, with_relief(with_relief(NOTHING, two), one)) == DEADLINE + 5 * HOUR


@pytest.mark.parametrize(
    ("starts_at", "ends_at", "held"),
    [
        (DEADLINE, DEADLINE + HOUR, True),
        (DEADLINE + TICK, DEADLINE + HOUR, False),
        (DEADLINE - HOUR, DEADLINE, True),
        (DEADLINE - HOUR, DEADLINE - TICK, False),
    ],
)
def test_a_proposed_relief_that_touches_the_deadline_holds_the_overdue_mark_back(
    starts_at: datetime, ends_at: datetime, held: bool
) -> None:
    hold = DEADLINE + 9 * HOUR
    facts = spanning(starts_at, ends_at, status="proposed", hold_until=hold)
    assert state(facts).next_at == (hold + TICK if held else TERMS.remind_at)
    assert has_passed(facts, untouched(TERMS), hold) is not held
    assert has_passed(facts, untouched(TERMS), hold + TICK)


def test_who_answers_is_named_by_the_report_and_of_what_is_overdue_is_who_was_on_duty() -> None:
    def who(facts: Facts) -> tuple[str | None, str | None]:
        return state(facts).officer_id, state(facts).officer_basis

    back_then_late = after(verdict(outcome="returned"), submission(2, DEADLINE + HOUR))
    assert who(back_then_late) == ("officer-2", "named")
    assert who(with_passing(back_then_late, DEADLINE + HOUR, "duty")) == ("duty", "designated")
    assert who(with_passing(back_then_late, DEADLINE + HOUR)) == ("officer-2", "named"), "nobody was on duty"
    assert who(after(verdict(1), verdict(2, "returned"))) == ("officer-1", "named")
    assert who(with_passing(after(verdict(1)), DEADLINE + HOUR, "duty")) == ("officer-1", "named")
    assert who(with_passing(NOTHING, DEADLINE + HOUR, "duty")) == ("duty", "designated")
    assert who(NOTHING) == (None, None)


@pytest.mark.parametrize(
    ("facts", "withdrawn_at", "owed"),
    [
        (NOTHING, DEADLINE - HOUR, False),
        (after(verdict(received_at=DEADLINE - 2 * HOUR)), DEADLINE - HOUR, True),
        (after(verdict(received_at=DEADLINE - HOUR)), DEADLINE - HOUR, True),
        (after(verdict(received_at=DEADLINE - HOUR + TICK)), DEADLINE - HOUR, False),
        (after(submission(received_at=DEADLINE - 2 * HOUR)), DEADLINE - HOUR, True),  # its verdict may still come
        (after(submission(received_at=DEADLINE - HOUR + TICK)), DEADLINE - HOUR, False),
        (after(verdict(outcome="returned", received_at=DEADLINE - 2 * HOUR)), DEADLINE - HOUR, False),
        # after the deadline only those stay who had answered by it
        (after(verdict(received_at=DEADLINE)), DEADLINE + HOUR, True),
        (after(verdict(received_at=DEADLINE + TICK)), DEADLINE + HOUR, False),
    ],
)
def test_what_a_withdrawn_request_asked_for_is_owed_by_those_alone_who_had_answered_in_time(
    facts: Facts, withdrawn_at: datetime, owed: bool
) -> None:
    found = state(facts, withdrawn_at=withdrawn_at)
    assert (found.owed, found.score is None) == (owed, found.answer is None or not owed)
    assert found.next_at is None, "time makes nobody late any more"
    assert state(facts).owed, "control: without the withdrawal"
    if facts is NOTHING:
        assert not untouched(replace(TERMS, withdrawn_at=withdrawn_at)).owed


def test_where_nobody_asks_for_a_certification_it_changes_nothing() -> None:
    late = step("certified", DEADLINE + HOUR)
    assert state(with_reports(after(verdict()), [(None, late)])).on_time is True


@pytest.mark.parametrize(
    ("locks_at", "term"),
    [(None, None), (DEADLINE, None), (DEADLINE + HOUR, DEADLINE + HOUR)],
)
def test_what_waits_for_its_certification_has_time_only_where_the_lock_is_later(
    locks_at: datetime | None, term: datetime | None
) -> None:
    assert state(after(verdict()), certification="head", locks_at=locks_at).term == term


def test_what_corrects_a_report_that_was_sent_back_may_be_certified_within_the_reviewers_term() -> None:
    until = DEADLINE + 9 * HOUR
    sent_back = with_reports(after(verdict()), [(None, step("rework", DEADLINE - HOUR, until=until))])
    corrected = with_reports(sent_back, [(None, verdict(2, received_at=DEADLINE + HOUR))])
    found = state(corrected, certification="head", locks_at=DEADLINE + 2 * HOUR)
    assert (found.uncertified, found.term) == (2, until)


@pytest.mark.parametrize(("later", "on_time"), [(timedelta(), True), (TICK, False)])
def test_a_correction_certified_within_the_reviewers_term_counts_by_the_first_receipt(
    later: timedelta, on_time: bool
) -> None:
    until, received_at = DEADLINE + 9 * HOUR, DEADLINE + HOUR
    sent_back = with_reports(after(verdict()), [(None, step("rework", DEADLINE - HOUR, until=until))])
    certified = step("certified", until + later, 2, received_at)
    facts = with_reports(sent_back, [(None, verdict(2, received_at=received_at)), (None, certified)])
    assert state(facts, certification="head", locks_at=DEADLINE + 2 * HOUR).on_time is on_time


@pytest.mark.parametrize(("received_at", "term"), [(DEADLINE, DEADLINE + HOUR), (DEADLINE + TICK, None)])
def test_only_what_came_in_time_has_time_to_be_certified(received_at: datetime, term: datetime | None) -> None:
    waiting = after(verdict(received_at=received_at))
    assert state(waiting, certification="head", locks_at=DEADLINE + HOUR).term == term


def test_lock_and_grace_of_terms_move_with_their_deadline() -> None:
    terms = replace(TERMS, locks_at=DEADLINE + 9 * HOUR, grace_until=DEADLINE + 5 * HOUR)
    moved = terms.due_at(DEADLINE + HOUR)
    assert (moved.deadline, moved.locks_at, moved.grace_until) == (
        DEADLINE + HOUR, DEADLINE + 10 * HOUR, DEADLINE + 6 * HOUR,
    )  # fmt: skip
    assert moved.due_at(DEADLINE) == terms
    assert TERMS.due_at(DEADLINE + HOUR) == replace(TERMS, deadline=DEADLINE + HOUR)


def test_of_two_versions_the_less_complete_is_measured_by_its_share_and_not_by_its_count() -> None:
    first, gone = verdict(1, required=4, present=4), step("withdrawn", DEADLINE + HOUR)
    second = verdict(2, received_at=DEADLINE + 2 * HOUR, required=10, present=5)
    facts = with_reports(NOTHING, [(None, first), (None, gone), (None, second)])
    assert state(facts).measured == 2, "5 of 10 are less than 4 of 4"
