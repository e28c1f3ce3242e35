"""The life of an obligation: what any order of facts makes of it, and that its lines always sum to its score."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import RFC_4122, uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from services.scoring.obligations import domain
from services.scoring.obligations import facts as happened
from services.scoring.obligations.domain import Cause, Decision, Line, Obligation, in_force
from services.scoring.obligations.facts import Facts, Relief, Terms, with_passing, with_relief
from services.scoring.obligations.standing import has_passed, is_due_soon, stand, untouched
from services.scoring.scores.policy.data import ClauseText
from shared.contract.events import ObligationChanged
from tests.unit.scoring.samples import (
    CALENDAR,
    DEADLINE,
    POLICY,
    TERMS,
    local,
    obligation,
    step,
    submission,
    verdict,
)

LATE = DEADLINE + timedelta(hours=1)
JUST_AFTER = DEADLINE + timedelta(microseconds=1)
AT = DEADLINE - timedelta(days=2)
Report = happened.AboutReport


class Story:
    """Settles changes one by one and keeps everything that was written and published."""

    def __init__(self, start: Obligation | None = None) -> None:
        self.now = start or obligation()
        self.written: list[Line] = []
        self.published: list[ObligationChanged] = []

    def change(self, terms: Terms | None = None, facts: Facts | None = None, at: datetime = AT) -> Story:
        cause = Cause(at, uuid4())
        return self.take(
            domain.settle(self.now, terms or self.now.terms, facts or self.now.facts, POLICY, CALENDAR, cause)
        )

    def take(self, decision: Decision) -> Story:
        self.now = decision.obligation
        self.written += decision.lines
        if decision.event is not None:
            event = decision.event  # made without validation: it must be what validation would have made
            assert ObligationChanged.model_validate(event.model_dump()) == event
            self.published.append(event)
        return self

    def follow(self, *events: Report) -> Story:
        for event in events:
            self.change(facts=domain.with_reports(self.now.facts, [(None, event)]))
        return self

    def at_once(self, *events: Report) -> Story:
        return self.change(facts=domain.with_reports(self.now.facts, [(None, event) for event in events]))

    def passes(self, at: datetime = DEADLINE + timedelta(minutes=1), officer: str = "officer-of-agency") -> Story:
        assert has_passed(self.now.facts, self.now.state, at)
        return self.change(facts=with_passing(self.now.facts, at, officer), at=at)

    @property
    def changes(self) -> list[tuple[str, ...]]:
        return [event.changes for event in self.published]


def derived(of: Obligation) -> tuple[Any, ...]:
    """What must not depend on the order of facts: everything but the history of lines and the count of events."""
    lines = sorted((line.component, line.clause, line.points, line.cause) for line in of.lines_in_force)
    return (of.terms, replace(of.facts, versions=tuple(map(_without_ids, of.facts.versions))), of.state, lines)


def _without_ids(version: happened.Version) -> happened.Version:
    return replace(version, verdicts=tuple(replace(verdict, event_id=None) for verdict in version.verdicts))


def test_a_report_in_time_that_is_accepted_earns_all() -> None:
    story = Story().follow(submission())
    assert (story.now.state.standing, story.now.state.score) == ("awaiting_verdict", None)
    story.follow(verdict())
    state = story.now.state
    assert (state.standing, state.on_time, state.score) == ("fulfilled", True, Decimal(100))
    assert story.changes == [("fulfilled", "score")]
    assert story.published[0].version == 2


def test_one_batch_of_facts_is_one_event() -> None:
    story = Story().at_once(submission(), verdict(outcome="returned"), submission(2), verdict(2))
    assert story.changes == [("fulfilled", "score")]
    assert derived(story.now) == derived(
        Story().follow(submission(), verdict(outcome="returned"), submission(2), verdict(2)).now
    )


def test_on_time_is_decided_by_the_receipt_and_not_by_the_hour_of_the_verdict() -> None:
    in_time = verdict(decided_at=DEADLINE + timedelta(days=9))
    assert Story().follow(in_time).now.state.on_time is True
    late = Story().follow(verdict(received_at=LATE)).now.state
    assert (late.on_time, late.score) == (False, Decimal(90))


def test_a_verdict_may_come_before_the_submission_it_is_about() -> None:
    ahead = Story().follow(verdict())
    assert ahead.now.state.standing == "fulfilled"
    assert derived(ahead.follow(submission()).now) == derived(Story().follow(submission(), verdict()).now)


def test_a_returned_report_stands_as_returned_and_earns_nothing_until_a_later_version_is_accepted() -> None:
    story = Story().follow(submission(), verdict(outcome="returned", present=2))
    assert (story.now.state.standing, story.now.state.score) == ("returned", None)
    assert story.changes == [("returned",)]
    assert story.follow(submission(2)).now.state.standing == "awaiting_verdict"
    assert story.follow(verdict(2)).now.state.score == Decimal(100)


def test_the_accepted_version_stands_while_a_correction_waits_or_is_returned() -> None:
    story = Story().follow(submission(), verdict(), submission(2))
    assert story.now.state.standing == "fulfilled"
    story.follow(verdict(2, "returned", present=0))
    assert (story.now.state.standing, story.now.state.score) == ("fulfilled", Decimal(100))


def test_a_correction_in_time_counts_and_one_after_the_deadline_neither_raises_nor_lowers() -> None:
    story = Story().follow(submission(), verdict(present=2))
    assert story.now.state.score == Decimal("86.67")
    story.follow(submission(2, LATE), verdict(2, received_at=LATE, present=3))
    assert story.now.state.score == Decimal("86.67")
    in_time = DEADLINE - timedelta(minutes=1)
    story.follow(submission(3, in_time), verdict(3, received_at=in_time, present=3))
    assert (story.now.state.score, story.now.state.on_time) == (Decimal(100), True)


def test_versions_count_in_the_order_of_their_receipt() -> None:
    early, late = DEADLINE - timedelta(hours=3), DEADLINE - timedelta(hours=1)
    story = Story().follow(verdict(2, received_at=early, present=2), verdict(1, received_at=late, present=3))
    assert (story.now.state.answer, story.now.state.measured) == (2, 1)
    assert story.now.state.officer_id == "officer-2"


def test_a_nil_report_answers_only_until_a_report_with_figures_is_accepted() -> None:
    story = Story().follow(verdict(1, nil=True))
    assert (story.now.state.on_time, story.now.state.score) == (True, Decimal(100))
    story.follow(verdict(2, received_at=LATE))
    assert (story.now.state.on_time, story.now.state.score) == (False, Decimal(90))


def test_a_nil_report_does_not_replace_an_accepted_report() -> None:
    story = Story().follow(verdict(1, present=2), verdict(2, nil=True))
    assert (story.now.state.answer, story.now.state.measured, story.now.state.score) == (1, 1, Decimal("86.67"))


def test_nothing_sent_is_overdue_once_the_deadline_has_passed_and_not_at_it() -> None:
    assert not has_passed(obligation().facts, obligation().state, DEADLINE)
    story = Story().passes()
    assert story.now.state.standing == "nothing_sent"
    assert story.changes == [("overdue", "score")]
    event = story.published[0]
    assert (event.officer_id, event.officer_basis, event.score) == ("officer-of-agency", "designated", Decimal(0))
    assert [(line.clause, line.points, line.in_force) for line in event.lines] == [("1.c", Decimal(0), True)]
    assert not has_passed(story.now.facts, story.now.state, DEADLINE + timedelta(days=3))


def test_what_came_in_time_and_awaits_its_verdict_is_not_overdue_and_becomes_so_when_it_is_returned() -> None:
    story = Story().follow(submission(1, DEADLINE))
    assert story.now.state.next_at is None
    story.change(facts=with_passing(story.now.facts, LATE))
    assert not story.now.state.overdue
    story.follow(verdict(1, "returned", DEADLINE))
    assert (story.now.state.overdue, story.now.state.standing) == (True, "returned")
    assert story.changes == [("overdue", "returned", "score")]


def test_a_late_version_that_waits_does_not_hide_that_it_is_overdue() -> None:
    story = Story().follow(submission(1, LATE))
    assert has_passed(story.now.facts, story.now.state, DEADLINE + timedelta(days=1))
    assert story.now.state.next_at == JUST_AFTER
    returned_then_late = Story().follow(submission(), verdict(outcome="returned"), submission(2, LATE))
    assert has_passed(returned_then_late.now.facts, returned_then_late.now.state, DEADLINE + timedelta(days=1))


def test_a_report_in_time_whose_event_came_after_the_sweep_withdraws_the_overdue_mark_and_says_so() -> None:
    story = Story().passes().follow(submission())
    assert (story.now.state.overdue, story.now.state.score) == (False, None)
    assert story.now.lines_in_force == ()
    assert story.changes[-1] == ("overdue_withdrawn", "score")
    assert sum(line.points for line in story.written) == 0
    assert "báo cáo đã nhận trong hạn" in story.written[-1].cause
    assert story.follow(verdict()).now.state.score == Decimal(100)


def test_a_late_acceptance_reverses_the_overdue_line_and_names_it() -> None:
    story = Story().passes().follow(submission(1, LATE), verdict(received_at=LATE))
    assert (story.now.state.overdue, story.now.state.on_time, story.now.state.score) == (False, False, Decimal(90))
    (reversal,) = [line for line in story.written if line.reverses]
    assert reversal.reverses == story.written[0].line_id
    assert reversal.cause == "Hủy dòng 1: đã có báo cáo đạt"


def test_lateness_is_told_to_the_second() -> None:
    received = DEADLINE + timedelta(seconds=9)
    story = Story().follow(verdict(received_at=received))
    assert [line.cause for line in story.now.lines_in_force if line.clause == "1.b"] == [
        "Muộn 9 giây so với hạn 17:00:00 19/10/2026, tính 1 ngày làm việc theo khoản 1.b"
    ]


def test_reminders_go_to_those_who_sent_nothing_or_got_it_back() -> None:
    remind, now = TERMS.remind_at, TERMS.remind_at + timedelta(days=1)

    def due(of: Obligation, at: datetime) -> bool:
        return is_due_soon(of.terms, of.facts, of.state, at)

    assert obligation().state.next_at == remind
    assert due(obligation(), now)
    assert not due(obligation(), remind - timedelta(seconds=1))
    assert not due(obligation(), DEADLINE + timedelta(seconds=1))
    assert not due(Story().follow(submission()).now, now)
    assert not due(Story().follow(verdict()).now, now)
    returned = Story().follow(verdict(outcome="returned"))
    assert due(returned.now, now)
    returned.change(facts=domain.reminded(returned.now, now))
    assert (returned.published[-1].changes, returned.published[-1].standing) == (("due_soon",), "returned")
    assert returned.published[-1].reminded_at == now
    assert not due(returned.now, now)
    assert returned.now.state.next_at == JUST_AFTER


def test_what_is_not_owed_is_followed_but_neither_scored_nor_published() -> None:
    story = Story(obligation(owed=False)).follow(submission(), verdict())
    state = story.now.state
    assert (state.standing, state.score, story.published, story.written) == ("fulfilled", None, [], [])
    assert state.next_at is None


def test_a_debt_that_falls_is_told_and_reverses_every_line_in_force() -> None:
    story = Story().passes()
    story.change(replace(TERMS, owed=False))
    assert (story.now.lines_in_force, story.now.state.score, story.now.state.owed) == ((), None, False)
    assert story.changes[-1] == ("not_owed", "overdue_withdrawn", "score")
    assert sum(line.points for line in story.written) == 0
    story.change(TERMS)
    assert story.changes[-1] == ("owed_again", "overdue", "score")


def test_a_repeated_event_changes_and_publishes_nothing() -> None:
    story = Story().follow(submission(), verdict())
    before, published = story.now, list(story.published)
    story.follow(submission(), verdict())
    assert story.now == before
    assert story.published == published


def test_every_line_names_the_event_behind_it() -> None:
    named, published_as = uuid4(), uuid4()
    facts = domain.with_reports(obligation().facts, [(named, verdict())])
    cause = Cause(AT, published_as, uuid4())
    decision = domain.settle(obligation(), TERMS, facts, POLICY, CALENDAR, cause)
    assert {line.event_id for line in decision.lines} == {named}
    passed = domain.settle(
        obligation(), TERMS, with_passing(obligation().facts, LATE), POLICY, CALENDAR, Cause(AT, published_as)
    )
    assert [line.event_id for line in passed.lines] == [published_as] == [passed.event_id]


def test_what_repeats_or_is_older_is_no_events_cause() -> None:
    first, repeated, corrected, older = (uuid4() for _ in range(4))
    facts, cause = domain.told(obligation().facts, [(first, verdict(outcome="returned")), (repeated, submission())])
    assert cause == first, "the verdict carries the receipt: the submission says nothing new"
    facts, cause = domain.told(facts, [(corrected, submission(2, LATE)), (older, verdict(outcome="returned"))])
    assert cause == corrected
    assert domain.told(facts, [(older, verdict(outcome="returned"))]) == (facts, None)


def test_each_line_says_what_its_clause_says_by_its_own_policy() -> None:
    story = Story().follow(verdict(received_at=LATE))
    published = story.published[-1].lines
    assert [line.clause for line in published] == ["1.a", "1.b", "2.a"]
    for line in published:
        clause = POLICY.texts[line.clause]
        assert (line.clause_text, line.clause_text_en, line.legal_basis) == (
            clause.text_vi, clause.text_en, clause.legal_basis,
        )  # fmt: skip
    # under another policy the same clause may say something else: the lines that fell keep the words of their own
    other_words = {clause: ClauseText(text_vi="khác", text_en="other", legal_basis="khác") for clause in POLICY.texts}
    another = POLICY.model_copy(update={"version": "2027.1", "texts": other_words})
    terms = replace(story.now.terms, policy_version=another.version)
    for earlier, said in (({POLICY.version: POLICY}, POLICY.texts["1.a"].text_vi), ({}, None)):
        decision = domain.settle(
            story.now, terms, story.now.facts, another, CALENDAR, Cause(AT, uuid4()), earlier=earlier
        )
        assert decision.event is not None
        assert {line.policy_version: line.clause_text for line in decision.event.lines if line.clause == "1.a"} == {
            POLICY.version: said,
            "2027.1": "khác",
        }


def test_a_deadline_whose_days_nobody_has_announced_says_so_and_its_announcement_is_published() -> None:
    story = Story(obligation(provisional=True))
    story.change(replace(story.now.terms, provisional=False, calendar_version=CALENDAR.version))
    assert story.published[-1].provisional is False
    assert story.changes[-1] == ("terms_changed",)
    assert domain.published(obligation(provisional=True), (), AT).provisional is True


def test_line_ids_follow_from_the_obligation_and_their_place() -> None:
    one, two = Story().follow(verdict()), Story().follow(verdict())
    assert [line.line_id for line in one.written] == [line.line_id for line in two.written]
    assert len({line.line_id for line in one.written}) == 2
    assert {(line.line_id.version, line.line_id.variant) for line in one.written} == {(8, RFC_4122)}


# --- deadlines that move ------------------------------------------------------------------------------------------


def test_a_later_deadline_judges_everything_anew() -> None:
    late = Story().follow(verdict(received_at=LATE))
    assert late.now.state.on_time is False
    late.change(replace(TERMS, deadline=DEADLINE + timedelta(days=1)))
    assert (late.now.state.on_time, late.now.state.score) == (True, Decimal(100))
    assert late.changes[-1] == ("terms_changed", "fulfilled", "score")
    overdue = Story().passes()
    overdue.change(replace(TERMS, deadline=DEADLINE + timedelta(days=1)))
    assert (overdue.now.state.overdue, overdue.now.state.score) == (False, None)
    assert overdue.now.state.next_at == TERMS.remind_at  # nobody was reminded of the new deadline
    assert has_passed(overdue.now.facts, overdue.now.state, DEADLINE + timedelta(days=2))


def test_a_reminder_goes_out_again_for_a_deadline_that_has_moved() -> None:
    story = Story()
    story.change(facts=domain.reminded(story.now, TERMS.remind_at))
    assert story.now.state.next_at == JUST_AFTER
    later = DEADLINE + timedelta(days=2)
    story.change(replace(TERMS, deadline=later))
    assert is_due_soon(story.now.terms, story.now.facts, story.now.state, later - timedelta(hours=1))


# --- relief -------------------------------------------------------------------------------------------------------


def relief(start: datetime, end: datetime, status: Any = "granted", **more: Any) -> Relief:
    return Relief("GH-1", start, end, status, **more)


def test_a_deadline_within_a_relief_moves_to_its_end() -> None:
    ends_at = DEADLINE + timedelta(days=1)
    story = Story().passes()
    story.change(facts=with_relief(story.now.facts, relief(DEADLINE - timedelta(hours=2), ends_at)))
    assert (story.now.state.deadline, story.now.state.overdue) == (ends_at, False)
    assert story.changes[-1] == ("relief", "overdue_withdrawn", "score")
    assert story.published[-1].reliefs == ("GH-1",)
    assert story.published[-1].planned_deadline == DEADLINE
    story.follow(verdict(received_at=ends_at))
    assert story.now.state.on_time is True


def test_a_relief_behind_the_deadline_takes_its_days_out_of_the_lateness_and_no_more() -> None:
    received = local(2026, 10, 23, 9)  # Friday: four working days late
    story = Story().follow(verdict(received_at=received))
    assert story.now.state.score == Decimal(60)
    story.change(facts=with_relief(story.now.facts, relief(local(2026, 10, 21, 8), local(2026, 10, 22, 20))))
    assert (story.now.state.on_time, story.now.state.score) == (False, Decimal(80))


def test_a_relief_that_is_only_proposed_holds_the_mark_back_until_its_grace_is_over() -> None:
    hold = DEADLINE + timedelta(days=1)
    proposed = relief(DEADLINE - timedelta(hours=2), DEADLINE + timedelta(hours=2), "proposed", hold_until=hold)
    story = Story().change(facts=with_relief(obligation().facts, proposed))
    assert story.now.state.deadline == DEADLINE
    story.change(facts=domain.reminded(story.now, AT))
    assert story.now.state.next_at == hold + timedelta(microseconds=1)
    assert not has_passed(story.now.facts, story.now.state, hold)
    assert has_passed(story.now.facts, story.now.state, hold + timedelta(seconds=1))
    rejected = replace(proposed, status="rejected", version=2)
    story.change(facts=with_relief(story.now.facts, rejected))
    assert has_passed(story.now.facts, story.now.state, DEADLINE + timedelta(seconds=1))


def test_a_reminder_that_is_due_no_more_is_not_what_the_sweep_looks_for_while_a_relief_is_proposed() -> None:
    """It would find the same rows in every tick: neither reminded nor called overdue, before everybody else."""
    hold = DEADLINE + timedelta(days=1)
    proposed = relief(DEADLINE - timedelta(hours=2), DEADLINE + timedelta(hours=2), "proposed", hold_until=hold)
    never_reminded = obligation(with_relief(obligation().facts, proposed))
    assert never_reminded.state.next_at == hold + timedelta(microseconds=1)
    rejected = obligation(with_relief(never_reminded.facts, replace(proposed, status="rejected", version=2)))
    assert rejected.state.next_at == TERMS.remind_at, "still ahead, or called overdue at once"


def test_an_older_version_of_a_relief_changes_nothing() -> None:
    facts = with_relief(obligation().facts, replace(relief(AT, LATE), version=2))
    assert with_relief(facts, relief(AT, LATE, "rejected")) is facts


# --- any order, any repetition, any split -------------------------------------------------------------------------


@st.composite
def histories(draw: st.DrawFn) -> list[Report]:
    """Events of one to four versions, some without a verdict yet, with receipts that grow; some NIL; and steps."""
    events: list[Report] = []
    received_at = DEADLINE - timedelta(hours=draw(st.integers(0, 80)))
    for number in range(1, draw(st.integers(1, 4)) + 1):
        received_at += timedelta(hours=draw(st.integers(1, 60)))
        nil = draw(st.booleans())
        events.append(submission(number, received_at, nil=nil))
        outcome = draw(st.sampled_from(["accepted", "returned", "none"]))
        if outcome != "none":
            events.append(verdict(number, outcome, received_at, present=draw(st.integers(0, 3)), nil=nil))
        for kind in draw(st.lists(st.sampled_from(["certified", "approved", "rework", "withdrawn"]), max_size=3)):
            at = received_at + timedelta(hours=draw(st.integers(0, 90)))
            term = timedelta(hours=draw(st.integers(1, 90))) if draw(st.booleans()) else None
            until = at + term if kind == "rework" and term else None
            events.append(step(kind, at, number, received_at, nil=nil, until=until))
    return events


@given(history=histories(), data=st.data())
def test_any_order_repetition_and_split_of_events_ends_in_one_state(history: list[Report], data: st.DataObject) -> None:
    straight = Story().follow(*history)
    mixed = data.draw(st.permutations(history + history))
    cut = data.draw(st.integers(0, len(mixed)))
    split = Story().at_once(*mixed[:cut]).at_once(*mixed[cut:])
    assert derived(split.now) == derived(straight.now)


def check_lines(story: Story) -> None:
    written, now = story.written, story.now
    standing = in_force(written)
    assert sum((line.points for line in written), Decimal(0)) == (now.state.score or 0)
    assert standing == now.lines_in_force
    assert tuple(written) == now.lines
    assert [line.seq for line in written] == list(range(1, len(now.lines) + 1))
    reversed_ids = [line.reverses for line in written if line.reverses]
    assert len(set(reversed_ids)) == len(reversed_ids)  # nothing is reversed twice


@given(history=histories(), data=st.data(), passes_at=st.sets(st.integers(0, 12)), moves=st.integers(-3, 3))
def test_all_lines_ever_written_sum_to_the_score_exactly(
    history: list[Report], data: st.DataObject, passes_at: set[int], moves: int
) -> None:
    story = Story()
    order: Sequence[Report] = data.draw(st.permutations(history))
    for place, event in enumerate(order):
        if place in passes_at and has_passed(story.now.facts, story.now.state, LATE + timedelta(days=9)):
            story.passes(LATE + timedelta(days=9))
        if place == 2:
            story.change(replace(story.now.terms, deadline=DEADLINE + timedelta(days=moves)))
        story.follow(event)
        check_lines(story)


@given(history=histories(), moves=st.lists(st.integers(-5, 5), max_size=4))
def test_moving_a_deadline_there_and_back_changes_nothing(history: list[Report], moves: list[int]) -> None:
    story = Story().follow(*history)
    if has_passed(story.now.facts, story.now.state, LATE + timedelta(days=9)):
        story.passes(LATE + timedelta(days=9))
    before = derived(story.now)
    for days in moves:
        story.change(replace(TERMS, deadline=DEADLINE + timedelta(days=days)))
        check_lines(story)
    story.change(replace(TERMS))
    assert derived(story.now) == before


@given(history=histories())
def test_versions_published_grow_one_by_one_and_agree_with_the_state(history: list[Report]) -> None:
    story = Story().follow(*history)
    assert [event.version for event in story.published] == list(range(2, 2 + len(story.published)))
    assert story.now.version == 1 + len(story.published)
    for event in story.published:
        assert sum((line.points for line in event.lines if line.in_force), Decimal(0)) == (event.score or 0)
    if story.published:
        last = story.published[-1]
        assert (last.score, last.overdue, last.answer_version, last.on_time) == (
            story.now.state.score, story.now.state.overdue, story.now.state.answer, story.now.state.on_time,
        )  # fmt: skip


@given(
    late=st.lists(
        st.tuples(st.integers(1, 400), st.sampled_from(["accepted", "returned", "none"]), st.booleans(),
                  st.integers(0, 3)),
        max_size=5,
    ),
    present=st.integers(0, 3),
)  # fmt: skip
def test_no_sequence_of_late_posts_nil_reports_junk_or_officers_raises_a_score(
    late: list[tuple[int, str, bool, int]], present: int
) -> None:
    story = Story().follow(submission(), verdict(present=present))
    before = story.now.state.score
    assert before is not None
    for number, (hours, outcome, nil, items) in enumerate(late, 2):
        received_at = DEADLINE + timedelta(hours=hours)
        story.follow(submission(number, received_at, nil=nil))
        if outcome != "none":
            story.follow(verdict(number, outcome, received_at, present=items, nil=nil))
        assert story.now.state.score == before


@given(history=histories())
def test_what_stands_can_be_derived_again_by_anyone(history: list[Report]) -> None:
    now = Story().follow(*history).now
    again = stand(now.terms, now.facts, POLICY, CALENDAR)
    assert again.state == now.state
    assert sorted((due.component, due.points, due.cause) for due, _ in again.lines) == sorted(
        (line.component, line.points, line.cause) for line in now.lines_in_force
    )


# --- negative controls: without the protection, the property above must fail ----------------------------------------


def test_control_without_the_order_of_receipt_the_state_depends_on_the_order_of_events(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    one, two = verdict(1, received_at=DEADLINE), verdict(2, received_at=DEADLINE - timedelta(days=3))
    assert derived(Story().follow(one, two).now) == derived(Story().follow(two, one).now)
    monkeypatch.setattr(happened, "_by_receipt", lambda version: 0)
    assert derived(Story().follow(one, two).now) != derived(Story().follow(two, one).now)


def test_control_without_reversals_the_written_lines_do_not_sum_to_the_score() -> None:
    story = Story().passes().follow(verdict(received_at=local(2026, 10, 20)))
    story.change(replace(TERMS, deadline=local(2026, 10, 21)))
    check_lines(story)
    story.written = [line for line in story.written if line.reverses is None]
    with pytest.raises(AssertionError):
        check_lines(story)


def test_control_if_the_hour_of_the_verdict_decided_a_report_in_time_would_be_late() -> None:
    event = verdict(decided_at=LATE + timedelta(days=2))
    by_verdict = event.model_copy(update={"received_at": event.decided_at})
    assert Story().follow(event).now.state.on_time is True
    assert Story().follow(by_verdict).now.state.on_time is False


def test_control_the_comparison_sees_a_difference() -> None:
    one = Story().follow(verdict()).now
    assert derived(one) != derived(replace(one, state=replace(one.state, answer=7)))


@pytest.mark.parametrize("terms", [TERMS, replace(TERMS, owed=False), replace(TERMS, remind_at=DEADLINE)])
def test_what_stands_before_anything_has_come_is_what_no_facts_derive(terms: Terms) -> None:
    assert untouched(terms) == stand(terms, happened.NOTHING, POLICY, CALENDAR).state
