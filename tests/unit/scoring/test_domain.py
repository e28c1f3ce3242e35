"""The life of an obligation: what any order of events makes of it, and that its lines always sum to its score."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from decimal import Decimal
from typing import Any
from uuid import RFC_4122

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from services.scoring.obligations import domain
from services.scoring.obligations.domain import Decision, Line, Obligation
from shared.contract.events import (
    ComplianceEvent,
    ObligationFulfilled,
    ScoreChanged,
    SubmissionReceived,
    VerdictReached,
)
from tests.unit.scoring.samples import CALENDAR, DEADLINE, POLICY, local, obligation, submission, verdict

LATE = DEADLINE + timedelta(hours=1)
Told = SubmissionReceived | VerdictReached


class Story:
    """Folds events one by one and keeps everything that was written and told."""

    def __init__(self, start: Obligation | None = None) -> None:
        self.now = start or obligation()
        self.written: list[Line] = []
        self.told: list[ComplianceEvent] = []

    def take(self, decision: Decision) -> Story:
        self.now = decision.obligation
        self.written += decision.lines
        self.told += decision.events
        for event in decision.events:  # made without validation: they must be what validation would have made
            assert type(event).model_validate(event.model_dump()) == event
        return self

    def follow(self, *events: Told) -> Story:
        for event in events:
            self.take(domain.follow(self.now, event, None, POLICY, CALENDAR))
        return self

    def overdue(self) -> Story:
        at = DEADLINE + timedelta(minutes=1)
        assert domain.is_overdue(self.now, at)
        return self.take(domain.mark_overdue(self.now, at, POLICY, CALENDAR, "officer-of-agency"))

    @property
    def kinds(self) -> list[str]:
        return [type(event).__name__ for event in self.told]


def state(of: Obligation) -> tuple[Any, ...]:
    """What must not depend on the order of events: everything but the history of lines and the count of tellings."""
    measured, accepted = of.measured, of.first_accepted
    lines = [(line.component, line.clause, line.points, line.cause) for line in of.lines]
    return (
        of.standing, of.on_time, of.score, of.received_version, of.first_received_at, of.last_received_at,
        of.on_time_version, of.decided_version, accepted, measured, of.officer_id, lines,
    )  # fmt: skip


def test_a_report_in_time_that_is_accepted_earns_all() -> None:
    story = Story().follow(submission())
    assert story.now.standing == "awaiting_verdict"
    story.follow(verdict())
    assert (story.now.standing, story.now.on_time, story.now.score) == ("fulfilled", True, Decimal(100))
    assert story.kinds == ["ObligationFulfilled", "ScoreChanged"]
    assert [event.version for event in story.told] == [2, 3]


def test_on_time_is_decided_by_the_receipt_and_not_by_the_hour_of_the_verdict() -> None:
    in_time = verdict(decided_at=DEADLINE + timedelta(days=9))
    assert Story().follow(in_time).now.on_time is True
    late = Story().follow(verdict(received_at=LATE))
    assert (late.now.on_time, late.now.score) == (False, Decimal(90))


def test_a_verdict_may_come_before_the_submission_it_is_about() -> None:
    ahead = Story().follow(verdict())
    assert ahead.now.standing == "fulfilled"
    assert state(ahead.follow(submission()).now) == state(Story().follow(submission(), verdict()).now)


def test_a_returned_report_stands_as_returned_until_a_later_version_is_accepted() -> None:
    story = Story().follow(submission(), verdict(outcome="returned", present=2))
    assert (story.now.standing, story.now.score) == ("returned", Decimal("26.67"))
    assert story.follow(submission(2)).now.standing == "awaiting_verdict"
    assert story.follow(verdict(2)).now.standing == "fulfilled"
    assert story.now.score == Decimal(100)


def test_the_accepted_version_stands_while_a_correction_waits_or_is_returned() -> None:
    story = Story().follow(submission(), verdict(), submission(2))
    assert story.now.standing == "fulfilled"
    story.follow(verdict(2, "returned", present=0))
    assert (story.now.standing, story.now.score) == ("fulfilled", Decimal(100))


def test_a_correction_accepted_late_does_not_make_the_first_report_late() -> None:
    story = Story().follow(submission(), verdict(), submission(2, LATE), verdict(2, received_at=LATE))
    assert (story.now.on_time, story.now.score) == (True, Decimal(100))
    assert story.kinds.count("ObligationFulfilled") == 1


def test_first_and_last_receipts_are_both_kept() -> None:
    story = Story().follow(submission(2, LATE), submission(1))
    assert story.now.first_received_at == submission(1).received_at
    assert story.now.last_received_at == LATE


def test_nothing_sent_is_overdue_once_the_deadline_has_passed_and_not_at_it() -> None:
    assert not domain.is_overdue(obligation(), DEADLINE)
    story = Story().overdue()
    assert story.now.standing == "nothing_sent"
    assert story.kinds == ["ObligationOverdue", "ScoreChanged"]
    changed = story.told[1]
    assert isinstance(changed, ScoreChanged)
    assert changed.officer_id == "officer-of-agency"
    assert [(line.clause, line.points) for line in changed.lines] == [("1.c", Decimal(0))]
    assert not domain.is_overdue(story.now, DEADLINE + timedelta(days=3))


def test_what_came_in_time_and_waits_for_its_verdict_is_not_overdue() -> None:
    story = Story().follow(submission(1, DEADLINE))
    assert not domain.is_overdue(story.now, DEADLINE + timedelta(days=30))


def test_what_came_in_time_and_is_returned_after_the_deadline_becomes_overdue_as_returned() -> None:
    story = Story().follow(submission(), verdict(outcome="returned"))
    assert story.overdue().now.standing == "returned"


def test_a_late_version_that_waits_does_not_hide_that_it_is_overdue() -> None:
    story = Story().follow(submission(1, LATE))
    assert domain.is_overdue(story.now, DEADLINE + timedelta(days=1))
    returned_then_late = Story().follow(submission(), verdict(outcome="returned"), submission(2, LATE))
    assert domain.is_overdue(returned_then_late.now, DEADLINE + timedelta(days=1))


def test_a_report_in_time_whose_event_came_after_the_ticker_takes_the_overdue_back() -> None:
    story = Story().overdue().follow(submission())
    assert story.now.overdue_at is None
    assert story.now.lines == ()
    assert sum(line.points for line in story.written) == story.now.score
    assert story.follow(verdict()).now.score == Decimal(100)


def test_a_late_acceptance_keeps_the_mark_of_overdue_and_counters_its_line() -> None:
    story = Story().overdue().follow(submission(1, LATE), verdict(received_at=LATE))
    assert story.now.overdue_at is not None
    assert (story.now.on_time, story.now.score) == (False, Decimal(90))
    countered = {line.counters for line in story.written if line.counters}
    assert countered == {line.line_id for line in story.written if line.clause == "1.c" and not line.counters}


def test_reminders_go_to_those_who_sent_nothing_or_got_it_back() -> None:
    remind, now = DEADLINE - timedelta(days=3), DEADLINE - timedelta(days=2)
    assert domain.is_due_soon(obligation(), remind, now)
    assert not domain.is_due_soon(obligation(), remind, remind - timedelta(seconds=1))
    assert not domain.is_due_soon(obligation(), remind, DEADLINE + timedelta(seconds=1))
    assert not domain.is_due_soon(Story().follow(submission()).now, remind, now)
    assert not domain.is_due_soon(Story().follow(verdict()).now, remind, now)
    returned = Story().follow(verdict(outcome="returned"))
    assert domain.is_due_soon(returned.now, remind, now)
    returned.take(domain.mark_due_soon(returned.now, now))
    assert returned.told[-1].standing == "returned"
    assert not domain.is_due_soon(returned.now, remind, now)


def test_what_is_not_owed_is_followed_but_neither_scored_nor_told() -> None:
    story = Story(obligation(owed=False)).follow(submission(), verdict())
    assert (story.now.standing, story.now.score, story.told, story.written) == ("fulfilled", Decimal(0), [], [])
    assert not domain.is_overdue(obligation(owed=False), LATE)
    assert not domain.is_due_soon(obligation(owed=False), DEADLINE - timedelta(days=1), DEADLINE)


def test_withdrawing_counters_every_line_in_force() -> None:
    story = Story().follow(verdict(outcome="returned"))
    story.take(domain.withdraw(story.now, LATE, POLICY, CALENDAR))
    assert (story.now.lines, story.now.score, story.now.owed) == ((), Decimal(0), False)
    assert sum(line.points for line in story.written) == 0


def test_a_repeated_event_changes_and_tells_nothing() -> None:
    story = Story().follow(submission(), verdict())
    before, told = story.now, list(story.told)
    story.follow(submission(), verdict())
    assert story.now == before
    assert story.told == told


def test_line_ids_follow_from_the_obligation_and_their_place() -> None:
    one, two = Story().follow(verdict()), Story().follow(verdict())
    assert [line.line_id for line in one.written] == [line.line_id for line in two.written]
    assert len({line.line_id for line in one.written}) == 2
    assert {(line.line_id.version, line.line_id.variant) for line in one.written} == {(8, RFC_4122)}


# --- any order, any repetition -------------------------------------------------------------------------------------


@st.composite
def histories(draw: st.DrawFn) -> list[Told]:
    """Events of one to four versions, some without a verdict yet, with receipts that grow."""
    events: list[Told] = []
    received_at = DEADLINE - timedelta(hours=draw(st.integers(0, 80)))
    for number in range(1, draw(st.integers(1, 4)) + 1):
        received_at += timedelta(hours=draw(st.integers(1, 60)))
        events.append(submission(number, received_at))
        outcome = draw(st.sampled_from(["accepted", "returned", "none"]))
        if outcome != "none":
            events.append(verdict(number, outcome, received_at, present=draw(st.integers(0, 3))))
    return events


@given(history=histories(), data=st.data())
def test_any_order_and_repetition_of_events_ends_in_one_state(history: list[Told], data: st.DataObject) -> None:
    straight = Story().follow(*history)
    mixed = Story().follow(*data.draw(st.permutations(history + history)))
    assert state(mixed.now) == state(straight.now)


def check_lines(story: Story) -> None:
    written, now = story.written, story.now
    countered = {line.counters for line in written if line.counters}
    in_force = [line for line in written if line.counters is None and line.line_id not in countered]
    assert sum(line.points for line in written) == now.score
    assert sorted(line.seq for line in in_force) == sorted(line.seq for line in now.lines)
    assert [line.seq for line in written] == list(range(1, now.line_count + 1))
    assert len(countered) == len([line for line in written if line.counters])  # nothing is countered twice


@given(history=histories(), data=st.data(), ticks=st.sets(st.integers(0, 12)))
def test_all_lines_ever_written_sum_to_the_score_exactly(
    history: list[Told], data: st.DataObject, ticks: set[int]
) -> None:
    story = Story()
    order: Sequence[Told] = data.draw(st.permutations(history))
    for place, event in enumerate(order):
        if place in ticks and domain.is_overdue(story.now, LATE + timedelta(days=9)):
            story.take(domain.mark_overdue(story.now, LATE + timedelta(days=9), POLICY, CALENDAR))
        story.follow(event)
        check_lines(story)


@given(history=histories(), data=st.data())
def test_versions_told_grow_one_by_one_and_agree_with_the_state(history: list[Told], data: st.DataObject) -> None:
    story = Story().follow(*data.draw(st.permutations(history)))
    assert [event.version for event in story.told] == list(range(2, 2 + len(story.told)))
    assert story.now.version == 1 + len(story.told)
    changes = [event for event in story.told if isinstance(event, ScoreChanged)]
    for change in changes:
        assert sum(line.points for line in change.lines) == change.score
    if changes:
        assert changes[-1].score == story.now.score
    if story.now.first_accepted is not None:
        fulfilled = [event for event in story.told if isinstance(event, ObligationFulfilled)][-1]
        assert fulfilled.submission_version == story.now.first_accepted.version
        assert fulfilled.on_time == story.now.on_time


# --- negative controls: without the protection, the property above must fail ------------------------------------------


def test_without_the_version_guard_the_state_goes_back(monkeypatch: pytest.MonkeyPatch) -> None:
    swapped = (submission(2), submission(1))
    assert Story().follow(*swapped).now.received_version == 2
    monkeypatch.setattr(domain, "newer", lambda version, seen: True)
    assert Story().follow(*swapped).now.received_version == 1


def test_without_counter_lines_the_written_lines_do_not_sum_to_the_score() -> None:
    story = Story().follow(verdict(outcome="returned", present=1), verdict(2, received_at=local(2026, 10, 18)))
    check_lines(story)
    story.written = [line for line in story.written if line.counters is None]
    with pytest.raises(AssertionError):
        check_lines(story)


def test_if_the_hour_of_the_verdict_decided_a_report_in_time_would_be_late() -> None:
    event = verdict(decided_at=LATE + timedelta(days=2))
    by_verdict = event.model_copy(update={"received_at": event.decided_at})
    assert Story().follow(event).now.on_time is True
    assert Story().follow(by_verdict).now.on_time is False


def test_state_compares_what_the_property_claims() -> None:
    one = Story().follow(verdict()).now
    assert state(one) != state(replace(one, received_version=0))
