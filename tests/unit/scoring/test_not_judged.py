"""What the system could not judge counts against nobody: it holds overdue back, and counts by its receipt."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from random import Random
from typing import NamedTuple, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.scoring.obligations import from_events
from services.scoring.obligations.domain import with_reports
from services.scoring.obligations.facts import NOTHING, AboutReport, Facts, with_passing
from services.scoring.obligations.recompute import facts_until
from services.scoring.obligations.standing import has_passed, stand
from tests.unit.scoring.samples import CALENDAR, DEADLINE, POLICY, TERMS, not_judged, step, submission, verdict
from tests.unit.scoring.test_domain import LATE, Story, derived

HOUR = timedelta(hours=1)
EARLY, LATER = DEADLINE - HOUR, LATE + timedelta(days=3)


def test_a_late_report_that_cannot_be_judged_is_overdue_no_more_and_its_line_says_why() -> None:
    story = Story().passes().follow(submission(1, LATE))
    assert story.now.state.overdue, "a verdict is a matter of seconds"
    story.follow(not_judged(1, LATE))
    state = story.now.state
    assert (state.overdue, state.standing, state.score, state.next_at) == (False, "awaiting_verdict", None, None)
    assert story.changes[-1] == ("overdue_withdrawn", "score")
    assert story.written[-1].cause == "Hủy dòng 1: báo cáo đã nhận, hệ thống chưa kiểm tra được"
    assert sum(line.points for line in story.written) == 0


def test_judged_at_last_it_counts_by_its_receipt_or_is_overdue_again() -> None:
    waits: list[AboutReport] = [submission(1, LATE), not_judged(1, LATE)]
    accepted = Story().passes().follow(*waits, verdict(1, received_at=LATE, revision=2)).now.state
    assert (accepted.on_time, accepted.score) == (False, Decimal(90)), "late by an hour, whenever it was judged"
    returned = Story().passes().follow(*waits, verdict(1, "returned", LATE, revision=2))
    assert (returned.now.state.overdue, returned.now.state.standing) == (True, "returned")
    assert returned.changes[-1] == ("overdue", "returned", "score")
    unnoticed = Story().follow(*waits, verdict(1, "returned", LATE, revision=2)).now
    assert unnoticed.state.next_at is not None, "a sweep finds it"
    assert has_passed(unnoticed.facts, unnoticed.state, LATER)


def test_withdrawn_it_holds_nothing_back_any_more() -> None:
    story = Story().passes().follow(submission(1, LATE), not_judged(1, LATE), step("withdrawn", LATER, 1, LATE))
    assert (story.now.state.overdue, story.now.state.standing) == (True, "nothing_sent")


def test_a_returned_version_after_it_makes_nobody_overdue() -> None:
    story = Story().passes().follow(not_judged(1, LATE), submission(2, LATER), verdict(2, "returned", LATER))
    assert (story.now.state.overdue, story.now.state.standing) == (False, "awaiting_verdict")
    story.follow(verdict(1, "returned", LATE, revision=2))
    assert (story.now.state.overdue, story.now.state.standing) == (True, "returned")


def test_where_another_version_answers_the_receipt_of_the_earlier_one_counts_until_it_is_judged() -> None:
    story = Story().follow(submission(1, EARLY), not_judged(1, EARLY), verdict(2, received_at=LATE))
    assert (story.now.state.answer, story.now.state.on_time, story.now.state.score) == (2, True, Decimal(100))
    story.follow(verdict(1, "returned", EARLY, revision=2))
    assert (story.now.state.answer, story.now.state.on_time, story.now.state.score) == (2, False, Decimal(90))
    assert story.written[-1].clause == "1.b"
    reversal = [line for line in story.written if line.reverses]
    assert [line.cause for line in reversal] == ["Hủy dòng 1: kết quả kiểm tra báo cáo thay đổi"]
    nil = Story().follow(not_judged(1, EARLY, nil=True), verdict(2, received_at=LATE)).now.state
    assert nil.on_time is False, "a NIL report answers only until a report with figures does"


def test_how_it_stood_before_it_was_said_is_found_again() -> None:
    facts = with_passing(with_reports(NOTHING, [(None, not_judged(1, LATE))]), LATER)
    said_at = not_judged().decided_at
    assert not stand(TERMS, facts_until(facts, said_at), POLICY, CALENDAR).state.overdue
    assert stand(TERMS, facts_until(facts, said_at - HOUR), POLICY, CALENDAR).state.overdue


def test_what_is_folded_again_from_the_topics_is_all_that_is_about_reports() -> None:
    assert set(from_events._MODELS.values()) == set(get_args(AboutReport))


class Sent(NamedTuple):
    """A version: how long after the deadline it came, and what became of it."""

    hours_late: int
    nil: bool
    became: str

    def events(self, number: int, unable: str) -> list[AboutReport]:
        """`unable`: what became of those that could not be judged."""
        received_at = DEADLINE + self.hours_late * HOUR
        told: list[AboutReport] = [submission(number, received_at, nil=self.nil)]
        became = unable if self.became == "unable" else self.became
        if became == "unable":
            told.append(not_judged(number, received_at, nil=self.nil))
        elif became in ("accepted", "returned", "withdrawn"):
            outcome = "returned" if became == "returned" else "accepted"
            told.append(verdict(number, outcome, received_at, nil=self.nil))
        if became == "withdrawn":
            told.append(step("withdrawn", received_at + HOUR, number, received_at, nil=self.nil))
        return told


SENT = st.builds(
    Sent,
    st.integers(-40, 100),
    st.booleans(),
    st.sampled_from(("unable", "unable", "accepted", "returned", "withdrawn", "awaits")),
)


@given(st.lists(SENT, min_size=1, max_size=4), st.booleans(), st.randoms(use_true_random=False))
def test_nobody_stands_worse_by_it_than_with_the_same_report_accepted(
    sent: list[Sent], noticed: bool, dice: Random
) -> None:
    def facts(unable: str) -> Facts:
        events = [event for number, one in enumerate(sent, 1) for event in one.events(number, unable)]
        dice.shuffle(events)
        known = with_reports(NOTHING, [(None, event) for event in events])
        return with_passing(known, LATER) if noticed else known

    waits, accepted = (stand(TERMS, facts(unable), POLICY, CALENDAR).state for unable in ("unable", "accepted"))
    assert waits.overdue <= accepted.overdue
    assert waits.on_time is not False or accepted.on_time is False
    assert waits.score is None or (accepted.score is not None and waits.score >= accepted.score)
    assert waits.next_at is None or accepted.next_at is not None, "nor does a sweep come to call it overdue"


# --- revisions of a validator whose database was built again --------------------------------------------------------


AGAIN = verdict().decided_at + timedelta(days=30)


def test_a_first_verdict_that_is_reached_once_more_changes_nothing() -> None:
    story = Story().follow(verdict(present=2), verdict(2, received_at=LATE))
    before = story.now
    story.follow(verdict(1, "returned", decided_at=AGAIN))
    assert story.now == before, "what is published once stands: of old reports less is known than was then"


def test_a_later_revision_counts_though_its_number_was_there_before() -> None:
    published = [verdict(present=2), verdict(present=2, revision=2), verdict(present=2, revision=3)]
    rebuilt = [verdict(present=2, decided_at=AGAIN), verdict(present=3, revision=2, decided_at=AGAIN + HOUR)]
    story = Story().follow(*published, *rebuilt)
    assert story.now.state.score == Decimal(100)
    backwards = Story().follow(*rebuilt, *published)
    assert derived(backwards.now) == derived(story.now), "any order of arrival ends in the same"
    assert story.follow(*rebuilt, *published).now == story.now


@pytest.mark.parametrize("unable_first", [True, False])
def test_what_could_not_be_judged_takes_the_verdict_of_either_number(unable_first: bool) -> None:
    judged = verdict(1, received_at=LATE, decided_at=AGAIN)
    events: list[AboutReport] = [not_judged(1, LATE), judged] if unable_first else [judged, not_judged(1, LATE)]
    state = Story().passes().follow(submission(1, LATE), *events).now.state
    assert (state.standing, state.on_time) == ("fulfilled", False)
