"""How a report and a request stand by their verdicts and steps, case by case as docs/lifecycle.md says."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest

from services.intake.lifecycle import states
from services.intake.lifecycle.states import History, Taken, Version
from tests.unit.intake.test_lifecycle import NOW, history, version

OF = UUID(int=1)  # the submission of `version(1)`


def step(number: int, kind: Any, *, of: UUID | None = OF, hours: int = 0, **more: Any) -> Taken:
    return Taken(
        UUID(int=2000 + number),
        "H99.1/R/2026-M10",
        kind,
        NOW + timedelta(hours=hours),
        "p",
        "r",
        submission_id=of,
        **more,
    )


def state(sent: Version, *steps: Taken, **more: Any) -> str:
    return states.state_of(history(sent, steps=list(steps), **more), sent)


@pytest.mark.parametrize(
    ("kind", "effect", "expected"),
    [
        ("appeal_upheld", "accepted", "accepted"),
        ("appeal_upheld", "relief", "returned"),  # the appeal was against the score
        ("appeal_upheld", None, "returned"),
        ("appeal_dismissed", "accepted", "returned"),
        ("appeal_made", "accepted", "returned"),
    ],
)
def test_a_returned_report_is_accepted_by_an_appeal_that_says_so_and_by_nothing_else(
    kind: Any, effect: Any, expected: str
) -> None:
    assert state(version(1, "returned"), step(1, kind, effect=effect)) == expected
    assert state(version(1, "accepted"), step(1, kind, effect=effect)) == "accepted"
    assert state(version(1), step(1, kind, effect=effect)) == "received", "nothing is accepted before its verdict"


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        ("extension_granted", "granted"),
        ("explanation_accepted", "granted"),
        ("appeal_upheld", "granted"),
        ("extension_refused", "refused"),
        ("explanation_refused", "refused"),
        ("appeal_dismissed", "refused"),
    ],
)
def test_what_was_asked_is_granted_or_refused_by_the_step_that_answers_it(answer: Any, expected: str) -> None:
    asking = step(1, "extension_requested")
    assert states.asked_state(history(), None) == "none"
    assert states.asked_state(history(steps=[asking]), asking) == "asked"
    of_another = step(2, answer, answers=UUID(int=7))
    assert states.asked_state(history(steps=[asking, of_another]), asking) == "asked"
    answering = step(3, answer, answers=asking.step_id)
    assert states.asked_state(history(steps=[asking, of_another, answering]), asking) == expected


def test_the_latest_step_of_a_kind_is_of_this_version_alone() -> None:
    steps = [
        step(1, "explanation_given"),
        step(2, "explanation_given"),
        step(3, "explanation_given", of=UUID(int=2)),
        step(4, "appeal_made"),
    ]
    assert states.latest(history(steps=steps), "explanation_given", OF) == steps[1]
    assert states.latest(history(steps=steps), "explanation_given", UUID(int=2)) == steps[2]
    assert states.latest(history(steps=steps), "explanation_given", None) is None


def test_what_was_sent_back_to_be_reworked_counts_no_more_until_it_is_approved() -> None:
    sent = version(1, "accepted")

    def both(*steps: Taken) -> tuple[bool, str]:
        now = history(sent, steps=list(steps))
        return states.counts(now, sent), states.state_of(now, sent)

    assert both() == (True, "accepted")
    assert both(step(1, "rework")) == (False, "rework")
    assert both(step(1, "rework"), step(2, "approved")) == (True, "approved")
    assert both(step(1, "withdrawn")) == (False, "withdrawn")


def test_it_counts_from_when_it_had_all_that_it_needs() -> None:
    decided, hour = NOW - timedelta(hours=3), timedelta(hours=1)
    returned = version(1, "returned", decided_at=decided)
    upheld = [
        step(1, "appeal_upheld", effect="accepted", hours=5),
        step(2, "appeal_upheld", effect="accepted", hours=9),
    ]
    certified = [step(3, "certified", hours=2), step(4, "certified", hours=7)]

    def since(*steps: Taken, of: Version = returned, **more: Any) -> Any:
        return states.stood_from(History("H99.1/R/2026-M10", [of], list(steps), **more), of)

    assert since() == decided
    assert since(*upheld) == NOW + 5 * hour, "the first decision, not a repetition of it"
    assert since(*certified) == decided, "nobody asked for it to be certified"
    assert since(*certified, certification="head") == NOW + 2 * hour
    assert since(*upheld, of=version(1, "accepted", decided_at=decided)) == decided
    assert since(of=version(1)) == version(1).received_at
