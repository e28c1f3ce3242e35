"""What a relief covers, what a step of a reviewer gives, and which verdicts came so late that people are given time."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from services.scoring.obligations.facts import NOTHING, Facts, Relief, with_report
from services.scoring.reliefs.by_steps import relief_id, span
from services.scoring.reliefs.late_verdicts import Late, late_of
from services.scoring.reliefs.lost_time import compensation, kept, shown
from services.scoring.reliefs.store import ScopedRelief
from tests.unit.scoring.samples import DEADLINE, KEY, local, obligation, step, verdict

SECOND, HOUR, DAY = timedelta(seconds=1), timedelta(hours=1), timedelta(days=1)
LONGEST = timedelta(hours=4)
RELIEF = Relief("GH-1", DEADLINE - DAY, DEADLINE + DAY, "granted", None, 1)


# --- whom it covers -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("scope", "covered"),
    [
        ({}, True),
        ({"agencies": ("H99.31",)}, True),
        ({"agencies": ("H99.3",)}, False),
        ({"regimes": ("KTXH-THANG",)}, True),
        ({"regimes": ("KTXH",)}, False),
        ({"obligations": (KEY,)}, True),
        ({"obligations": (f"{KEY}0",)}, False),
        ({"agencies": ("H99.32", "H99.31"), "regimes": ("KTXH-THANG",), "obligations": (KEY,)}, True),
        ({"agencies": ("H99.32",), "regimes": ("KTXH-THANG",)}, False),
        ({"agencies": ("H99.31",), "regimes": ("Y",)}, False),
        ({"agencies": ("H99.31",), "obligations": ("H99.31/KTXH-THANG/2026-M11",)}, False),
    ],
)
def test_all_that_its_scope_names_must_match_and_an_empty_scope_covers_all(
    scope: dict[str, Any], covered: bool
) -> None:
    assert ScopedRelief(RELIEF, **scope).covers(KEY) is covered


# --- given by a reviewer's step -----------------------------------------------------------------------------------

ASKED, UNTIL = DEADLINE - DAY, DEADLINE + 2 * DAY
EXTENSION = step("extension_granted", DEADLINE, asked_at=ASKED, until=UNTIL, effect=None)
APPEAL = step("appeal_upheld", DEADLINE, since=ASKED, until=UNTIL, effect="relief")


def test_an_extension_gives_the_time_from_when_it_was_asked_for_and_an_appeal_what_it_says() -> None:
    assert span(EXTENSION) == span(APPEAL) == (ASKED, UNTIL)
    assert relief_id(EXTENSION) == f"extension-{EXTENSION.step_id}"
    assert relief_id(APPEAL) == f"appeal-{APPEAL.step_id}"


@pytest.mark.parametrize("nothing", ["certified", "appeal_accepted", "empty", "without end", "without beginning"])
def test_other_steps_and_spans_without_length_give_no_time(nothing: str) -> None:
    without = {
        "certified": step("certified", DEADLINE),
        "appeal_accepted": step("appeal_upheld", DEADLINE, since=ASKED, until=UNTIL, effect="accepted"),
        "empty": step("extension_granted", DEADLINE, asked_at=UNTIL, until=UNTIL),
        "without end": step("extension_granted", DEADLINE, asked_at=ASKED),
        "without beginning": step("appeal_upheld", DEADLINE, until=UNTIL, effect="relief"),
    }[nothing]
    assert span(without) is None


# --- lost time ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("lost", "given"),
    [(SECOND, HOUR), (HOUR, HOUR), (HOUR + SECOND, HOUR + SECOND), (DAY, DAY), (DAY + SECOND, DAY)],
)
def test_lost_time_is_given_back_at_least_an_hour_and_at_most_a_day(lost: timedelta, given: timedelta) -> None:
    assert compensation(lost) == given


def test_moments_are_told_in_local_time() -> None:
    at = datetime(2026, 10, 19, 17, 0, 9, tzinfo=UTC)
    assert shown(at) == "00:00:09 20/10/2026"
    assert kept(at) == "2026-10-20T00:00:09+07:00"


# --- verdicts that came late --------------------------------------------------------------------------------------


def returned(received_at: datetime, after: timedelta, facts: Facts = NOTHING, *, version: int = 1) -> Facts:
    told = verdict(version, "returned", received_at, decided_at=received_at + after)
    return with_report(facts, told, told.verdict_id)


def test_what_is_returned_late_near_the_deadline_gives_back_the_time_it_took_too_long() -> None:
    received = DEADLINE - LONGEST
    (late,) = late_of(obligation(returned(received, LONGEST + 2 * HOUR)), LONGEST)
    assert late == Late(KEY, 1, DEADLINE, DEADLINE + 2 * HOUR)
    assert late.relieved_until == DEADLINE + 4 * HOUR


def test_what_is_returned_in_its_time_gives_nothing() -> None:
    received = DEADLINE - LONGEST
    assert late_of(obligation(returned(received, LONGEST)), LONGEST) == []
    assert late_of(obligation(returned(received, LONGEST + SECOND)), LONGEST) != []
    accepted = verdict(1, "accepted", DEADLINE + SECOND, decided_at=DEADLINE + DAY)
    assert late_of(obligation(with_report(NOTHING, accepted, accepted.verdict_id)), LONGEST) == []


def test_what_is_returned_long_before_the_deadline_leaves_time_enough() -> None:
    """An hour too long takes an hour: a deadline later than the hour after it has lost nothing."""
    for left, gives in ((HOUR, True), (HOUR + SECOND, False)):
        received = DEADLINE - left - HOUR - LONGEST
        assert bool(late_of(obligation(returned(received, LONGEST + HOUR)), LONGEST)) is gives


def test_what_is_answered_in_time_or_not_owed_has_lost_nothing() -> None:
    facts = returned(DEADLINE - LONGEST, 2 * LONGEST)
    assert late_of(obligation(facts), LONGEST)
    answered = verdict(2, received_at=DEADLINE - SECOND, decided_at=DEADLINE)
    assert late_of(obligation(with_report(facts, answered, answered.verdict_id)), LONGEST) == []
    assert late_of(obligation(facts, owed=False), LONGEST) == []


def test_each_version_counts_by_itself_and_a_second_return_tells_nothing_new() -> None:
    received = DEADLINE - 2 * HOUR
    facts = returned(received, HOUR)
    again = verdict(1, "returned", received, decided_at=received + DAY, verdict_id=UUID(int=7), revision=2)
    facts = with_report(facts, again, again.verdict_id)
    assert late_of(obligation(facts), LONGEST) == []
    facts = returned(DEADLINE - HOUR, DAY, facts, version=2)
    assert [late.version for late in late_of(obligation(facts), LONGEST)] == [2]


def test_the_day_of_what_is_told_is_that_of_vietnam() -> None:
    assert shown(local(2026, 10, 20)) == "00:00:00 20/10/2026"
