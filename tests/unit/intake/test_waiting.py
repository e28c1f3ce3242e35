"""What waits for whom: derived from what happened, and never something that could not be done."""

from __future__ import annotations

from datetime import timedelta
from typing import Any, get_args
from uuid import UUID

import pytest
from hypothesis import given

from services.intake.lifecycle import states, waiting
from services.intake.lifecycle.deciding import ASKED_BY
from services.intake.lifecycle.states import History
from services.intake.lifecycle.table import Transition
from services.intake.lifecycle.waiting import DONE_BY, ReviewKind
from shared.access import ACTORS
from tests.unit.intake.test_lifecycle import NOW, asked, history, judge, lived, lives, taken, version

FIRST = UUID(int=1)


def kinds(now: History) -> list[tuple[str, int]]:
    """What waits, and about which version or step."""
    return [(review.kind, review.about.int) for review in waiting.open_reviews(now)]


def test_an_accepted_report_waits_for_a_review_only_where_the_regime_asks_for_one() -> None:
    sent = version(outcome="accepted", decided_at=NOW)
    assert kinds(history(sent)) == []
    now = history(sent, review="required")
    (found,) = waiting.open_reviews(now)
    assert (found.kind, found.about, found.since) == ("review", FIRST, NOW)
    for kind in ("approved", "rework", "withdrawn"):
        assert kinds(taken(now, asked(kind, submission_id=FIRST))) == []
    for outcome in (None, "returned"):
        assert kinds(history(version(outcome=outcome), review="required")) == []
    unexplained = history(version(outcome="accepted", asks_to_explain=True), review="required")
    assert kinds(unexplained) == [], "the agency has to explain first"


def test_the_newest_version_waits_for_its_signature_and_then_for_its_review() -> None:
    two = version(outcome="accepted"), version(2, "accepted")
    now = history(*two, certification="head", review="required")
    assert kinds(now) == [("certification", 2)]
    signed = taken(now, asked("certified", submission_id=UUID(int=2)))
    assert kinds(signed) == [("review", 2)], "the older one is superseded"
    withdrawn = taken(now, asked("withdrawn", submission_id=UUID(int=2)))
    assert kinds(withdrawn) == [("certification", 1)]


@pytest.mark.parametrize("thing", ["extension", "explanation", "lateness", "appeal"])
def test_what_is_asked_for_waits_until_it_is_answered(thing: Any) -> None:
    sent = version(outcome="returned" if thing == "appeal" else "accepted", asks_to_explain=thing == "explanation")
    about = None if thing in ("extension", "lateness") else FIRST
    now = taken(history(sent), asked(ASKED_BY[thing], submission_id=about))
    assert kinds(now) == [(thing, 1001)]
    answer = asked(DONE_BY[thing], answers=now.steps[0].step_id, submission_id=about)
    assert kinds(taken(now, answer)) == []


@pytest.mark.parametrize("certification", ["none", "head"])
@given(life=lives())
def test_what_waits_can_be_done_by_who_is_shown_it(certification: Any, life: list[tuple[int, Any]]) -> None:
    now = history(version(), version(2), version(3), certification=certification, review="required")
    for number, act in life:
        now = lived(now, number, act)
    for review in waiting.open_reviews(now):
        of_version = review.kind in ("certification", "review")
        about: dict[str, Any] = {"submission_id": review.about} if of_version else {"answers": review.about}
        if not of_version:
            step = now.step(review.about)
            assert step is not None
            about["submission_id"] = step.submission_id
        if review.kind == "appeal":  # which can give time, whatever has become of the report
            about |= {"effect": "relief", "since": NOW - timedelta(days=1)}
        who = {role for role in ACTORS if review.kind in waiting.kinds_of(role)}
        for actor in who:
            assert isinstance(judge(now, asked(DONE_BY[review.kind], **about), {actor}), Transition), (review, actor)


def test_each_kind_is_done_by_a_step_that_the_table_has() -> None:
    assert set(DONE_BY) == set(get_args(ReviewKind))
    assert waiting.kinds_of("head") == ["certification"]
    assert waiting.kinds_of("reviewer") == ["review", "extension", "explanation", "lateness"]
    assert waiting.kinds_of("chair") == ["review", "extension", "explanation", "lateness", "appeal"]
    assert waiting.kinds_of("agency") == waiting.kinds_of("reporting_officer") == []


def test_a_report_waits_since_it_had_all_that_it_needs() -> None:
    sent = version(outcome="accepted", decided_at=NOW - timedelta(hours=1))
    now = taken(history(sent, certification="head", review="required"), asked("certified", submission_id=FIRST))
    (found,) = waiting.open_reviews(now)
    assert found.since == states.stood_from(now, sent) == now.steps[0].at
