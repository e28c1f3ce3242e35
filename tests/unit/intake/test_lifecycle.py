"""The state tables: what is done is what they say, and no sequence of requests reaches a state that they lack."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any, get_args
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from services.intake.lifecycle import deciding, states, table
from services.intake.lifecycle.deciding import Faulty, Impossible, NotYours, Wanted
from services.intake.lifecycle.states import History, Taken, Version
from services.intake.lifecycle.store import Terms
from services.intake.lifecycle.table import AnyKind, Transition
from services.validator.rules.catalogue import RULES
from shared.contract.events import LatenessKind, StepKind
from shared.contract.events.verdicts import EXPLAINABLE

PAGE = Path(__file__).parents[3] / "docs" / "lifecycle.md"
NOW = datetime(2026, 10, 20, 3, tzinfo=UTC)
DEADLINE = NOW + timedelta(days=1)
THINGS: list[Any] = list(get_args(table.Thing))
EVERYBODY = frozenset(get_args(get_args(table.Actor)[1])) | {"agency"}


def version(number: int = 1, outcome: Any = None, **more: Any) -> Version:
    return Version(UUID(int=number), number, 1, "cb-1", NOW - timedelta(hours=9 - number), False, outcome, **more)


def history(*versions: Version, **more: Any) -> History:
    return History("H99.1/R/2026-M10", list(versions), **more)


def asked(kind: AnyKind, **more: Any) -> Wanted:
    """With all that any step may need."""
    given: dict[str, Any] = {"reason": "Lý do", "until": DEADLINE + timedelta(days=2)}
    if kind == "appeal_upheld":
        given |= {"effect": "accepted"}
    if kind == "lateness_explained":
        given |= {"remedy": "Chốt số liệu sớm hơn"}
    return Wanted(kind, **{**given, **more})


def judge(now: History, wanted: Wanted, actors: Any = EVERYBODY, *, late: bool = True) -> Any:
    return deciding.judge(now, wanted, actors, NOW, DEADLINE, late=late)


def taken(now: History, wanted: Wanted) -> History:
    """The history with the step."""
    number = len(now.steps) + 1
    step = Taken(
        UUID(int=1000 + number), now.obligation, wanted.kind, NOW + timedelta(seconds=number), "p", "r",
        wanted.reason, wanted.since, wanted.until, wanted.effect, wanted.answers, wanted.submission_id, wanted.remedy,
    )  # fmt: skip
    return replace(now, steps=[*now.steps, step])


@pytest.mark.parametrize("thing", THINGS)
def test_the_page_shows_the_tables_that_the_code_follows(thing: Any) -> None:
    assert table.as_markdown(thing) in PAGE.read_text("utf-8"), table.as_markdown(thing)


def test_every_step_that_can_be_published_has_its_row_and_every_state_its_name() -> None:
    assert {row.kind for row in table.TRANSITIONS if row.kind} == set(get_args(StepKind)) | set(get_args(LatenessKind))
    named = {state for row in table.TRANSITIONS for state in (*row.sources, row.target)} - {"="}
    assert named <= table.STATES.keys()
    for row in table.TRANSITIONS:
        assert (row.kind is None) or (row.route and row.scope and row.who), row


def test_findings_that_ask_for_an_explanation_are_those_of_the_validator() -> None:
    assert {code for code, rule in RULES.items() if rule.ask} == EXPLAINABLE


@pytest.mark.parametrize(
    ("versions", "steps", "state"),
    [
        ([version()], [], "received"),
        ([version(outcome="returned")], [], "returned"),
        ([version(outcome="not_judged")], [], "not_judged"),
        ([version(outcome="not_judged")], ["withdrawn"], "withdrawn"),
        ([version(outcome="not_judged"), version(2, "accepted")], [], "not_judged"),
        ([version(outcome="accepted"), version(2, "not_judged")], [], "accepted"),
        ([version(outcome="accepted")], [], "accepted"),
        ([version(outcome="accepted", asks_to_explain=True)], [], "to_explain"),
        ([version(outcome="accepted")], ["rework"], "rework"),
        ([version(outcome="accepted")], ["rework", "approved"], "approved"),
        ([version(outcome="accepted")], ["withdrawn"], "withdrawn"),
        ([version(outcome="accepted"), version(2, "accepted")], [], "superseded"),
        ([version(outcome="accepted"), version(2, "returned")], [], "accepted"),
        ([version(outcome="accepted"), version(2)], [], "accepted"),
    ],
)
def test_the_state_of_a_report_follows_from_its_verdict_its_steps_and_the_newer_versions(
    versions: list[Version], steps: list[StepKind], state: str
) -> None:
    now = history(*versions)
    for kind in steps:
        now = taken(now, asked(kind, submission_id=UUID(int=1)))
    assert states.state_of(now, versions[0]) == state


def test_the_old_version_stands_until_the_new_one_counts() -> None:
    now = history(version(outcome="accepted"), version(2, "accepted"), certification="head")
    now = taken(now, asked("certified", submission_id=UUID(int=1)))
    assert states.state_of(now, now.versions[0]) == "accepted", "nobody has certified the new one"
    now = taken(now, asked("certified", submission_id=UUID(int=2)))
    assert states.state_of(now, now.versions[0]) == "superseded"
    now = taken(now, asked("withdrawn", submission_id=UUID(int=2)))
    assert states.state_of(now, now.versions[0]) == "accepted"


def test_a_version_is_superseded_by_the_one_that_stood_first_and_from_when_it_was_certified() -> None:
    now = history(
        version(outcome="accepted"), version(2, "accepted", decided_at=NOW), version(3, "accepted", decided_at=NOW),
        version(4, "returned", decided_at=NOW - timedelta(hours=1)), certification="head",
    )  # fmt: skip
    assert states.superseded_by(now, now.versions[0]) is None, "nobody has certified any"
    now = taken(now, asked("certified", submission_id=UUID(int=3)))
    now = taken(now, asked("certified", submission_id=UUID(int=2)))
    assert states.superseded_by(now, now.versions[0]) == (now.steps[0].at, now.versions[2])
    now = taken(now, asked("withdrawn", submission_id=UUID(int=3)))
    assert states.superseded_by(now, now.versions[0]) == (now.steps[1].at, now.versions[1])
    assert states.superseded_by(now, now.versions[1]) is None
    unasked = replace(now, certification="none", steps=[])
    assert states.superseded_by(unasked, now.versions[0]) == (NOW, now.versions[1])


def test_what_is_not_possible_says_what_is() -> None:
    now = history(version(outcome="returned"))
    found = judge(now, asked("rework", submission_id=UUID(int=1)))
    assert isinstance(found, Impossible)
    assert (found.state, [row.kind for row in found.possible]) == ("returned", ["withdrawn"])
    certified = judge(history(version(outcome="accepted")), asked("certified", submission_id=UUID(int=1)))
    assert isinstance(certified, Impossible)
    assert "no certification" in certified.why[1]
    assert [row.kind for row in certified.possible] == ["approved", "rework", "withdrawn"]


def test_only_who_the_table_names_may_take_a_step() -> None:
    now = history(version(outcome="accepted"), certification="head")
    assert isinstance(judge(now, asked("certified", submission_id=UUID(int=1)), {"agency"}), NotYours)
    assert isinstance(judge(now, asked("certified", submission_id=UUID(int=1)), {"head"}), Transition)
    assert isinstance(judge(now, asked("rework", submission_id=UUID(int=1)), {"head"}), NotYours)
    assert isinstance(judge(now, asked("withdrawn", submission_id=UUID(int=1)), set()), NotYours)


@pytest.mark.parametrize(
    ("wanted", "pointers"),
    [
        (Wanted("withdrawn", UUID(int=1), reason=" "), ["/reason"]),
        (Wanted("withdrawn", UUID(int=1), reason="x\x00"), ["/reason"]),
        (Wanted("withdrawn", UUID(int=1), reason="MẬT: x"), ["/reason"]),
        (Wanted("lateness_explained"), ["/reason", "/remedy"]),
        (Wanted("lateness_explained", reason="x", remedy="MẬT: \x00", until=NOW), ["/remedy", "/remedy", "/until"]),
        (Wanted("extension_requested"), ["/reason", "/until"]),
        (Wanted("extension_requested", reason="x", until=DEADLINE), ["/until"]),
        (Wanted("rework", UUID(int=1), reason="x", until=NOW), ["/until"]),
        (Wanted("unlocked", reason="x", until=DEADLINE + timedelta(days=90)), ["/until"]),
        (Wanted("appeal_upheld", reason="x"), ["/effect"]),
        (Wanted("appeal_upheld", reason="x", effect="relief", until=DEADLINE), ["/since"]),
        (Wanted("appeal_upheld", reason="x", effect="relief"), ["/until", "/since"]),
        (
            Wanted("appeal_upheld", reason="x", effect="relief", since=NOW - timedelta(days=9000), until=DEADLINE),
            ["/since"],
        ),
    ],
)
def test_every_fault_of_a_step_is_named_at_once(wanted: Wanted, pointers: list[str]) -> None:
    found = judge(history(version(outcome="accepted")), wanted)
    assert isinstance(found, Faulty)
    assert [fault[0] for fault in found.faults] == pointers


def test_each_request_is_decided_once() -> None:
    now = taken(history(), asked("extension_requested"))
    request = now.steps[0].step_id
    assert isinstance(judge(now, asked("extension_requested")), Impossible), "one at a time"
    assert isinstance(judge(now, asked("extension_granted", answers=request)), Transition)
    decided = taken(now, asked("extension_refused", answers=request))
    assert isinstance(judge(decided, asked("extension_granted", answers=request)), Impossible)
    assert isinstance(judge(decided, asked("extension_requested")), Transition), "and it may be asked for again"


def terms(**told: Any) -> Terms:
    """Of a report whose deadline lies an hour behind, and for which nothing was sent."""
    base = {"owed": True, "overdue": False, "standing": "nothing_sent", "on_time": None}
    return Terms(1, NOW - timedelta(hours=1), **{**base, **told})


@pytest.mark.parametrize(
    ("told", "late"),
    [
        ({"overdue": True}, True),
        ({}, True),  # within its grace nobody is called overdue
        ({"standing": "fulfilled", "on_time": False}, True),
        ({"standing": "fulfilled", "on_time": True}, False),
        ({"standing": "returned"}, True),
        ({"standing": "awaiting_verdict"}, False),  # its receipt may have been in time
        ({"owed": False, "overdue": False}, False),
    ],
)
def test_a_report_is_late_by_what_scoring_told_and_by_the_clock(told: Any, late: bool) -> None:
    assert terms(**told).late(NOW) is late
    assert not terms().late(NOW - timedelta(hours=1)), "to the minute of the deadline it is in time"


def test_lateness_is_explained_by_the_head_noted_above_and_more_may_be_asked_for() -> None:
    explain = asked("lateness_explained")
    early = judge(history(), explain, late=False)
    assert isinstance(early, Impossible)
    assert (early.state, early.possible, "not late" in early.why[1]) == ("none", (), True)
    for actor, may in (("head", True), ("deputy", True), ("agency", True), ("reporting_officer", False)):
        assert isinstance(judge(history(), explain, {actor}), Transition if may else NotYours), actor
    now = taken(history(), explain)
    first = now.steps[0].step_id
    twice = judge(now, explain)
    assert isinstance(twice, Impossible)
    assert (twice.state, {row.kind for row in twice.possible}) == ("given", {"lateness_noted", "lateness_questioned"})
    assert isinstance(judge(now, asked("lateness_noted", answers=first), {"head"}), NotYours)
    blank = judge(now, asked("lateness_questioned", answers=first, reason=" "))
    assert isinstance(blank, Faulty), "what is wanted has to be said"
    assert isinstance(judge(now, asked("lateness_noted", answers=first, reason=""), late=False), Transition), (
        "a look at it is possible whatever has become of the report"
    )
    questioned = taken(now, asked("lateness_questioned", answers=first))
    assert states.asked_state(questioned, questioned.steps[0]) == "questioned"
    again = taken(questioned, explain)
    noted = taken(again, asked("lateness_noted", answers=again.steps[-1].step_id))
    assert states.asked_state(noted, noted.steps[2]) == "noted"
    assert isinstance(judge(noted, explain), Transition), "what happened since may be added"


_OF_REPORT: list[StepKind] = ["certified", "approved", "rework", "withdrawn", "explanation_given", "appeal_made"]
_DECISIONS: dict[StepKind, StepKind] = {
    "explanation_accepted": "explanation_given", "explanation_refused": "explanation_given",
    "appeal_upheld": "appeal_made", "appeal_dismissed": "appeal_made",
}  # fmt: skip
_VERDICTS = {
    "verdict accepted": ("accepted", False),
    "verdict to explain": ("accepted", True),
    "verdict returned": ("returned", False),
    "verdict returned, and to explain": ("returned", True),
    "could not be judged": ("not_judged", False),
}


def ways() -> set[tuple[str | None, str, str]]:
    """What the table of a report admits: (kind of step, None: by nobody; from; to)."""
    return {
        (row.kind, source, source if row.target == "=" else row.target)
        for row in table.TRANSITIONS
        if row.thing == "report"
        for source in row.sources
    }


@st.composite
def lives(draw: st.DrawFn) -> list[tuple[int, Any]]:
    """Requests and verdicts in any order, sensible or not: (version, what is asked for or what validation says)."""
    act = st.tuples(st.integers(1, 3), st.sampled_from([*_OF_REPORT, *_DECISIONS, *_VERDICTS]))
    return draw(st.lists(act, max_size=25))


def lived(now: History, number: int, act: Any) -> History:
    """The history after the act, if it is possible."""
    about = now.versions[number - 1]
    if act in _VERDICTS:
        outcome, asks = _VERDICTS[act]
        again = about.outcome == "accepted" == outcome
        if about.outcome not in (None, "not_judged") and not again:
            return now  # only what was accepted is judged again, and nobody is returned by that
        judged = replace(about, outcome=outcome, asks_to_explain=asks, decided_at=NOW)
        return replace(now, versions=[judged if version is about else version for version in now.versions])
    wanted = asked(act, submission_id=about.submission_id)
    if act in _DECISIONS:
        request = states.latest(now, _DECISIONS[act], about.submission_id)
        if request is None:
            return now
        wanted = asked(act, submission_id=about.submission_id, answers=request.step_id)
    return taken(now, wanted) if isinstance(judge(now, wanted), Transition) else now


def all_states(now: History) -> list[str]:
    return [states.state_of(now, version) for version in now.versions]


def gone(life: list[tuple[int, Any]], certification: Any) -> set[tuple[str | None, str, str]]:
    """The ways that the versions go in this life: (kind of step, from, to).

    None: by what validation says, or by what became of another version.
    """
    now = history(*(version(number) for number in (1, 2, 3)), certification=certification)
    found = set()
    for number, act in life:
        before = all_states(now)
        now = lived(now, number, act)
        for other, (was, is_now) in enumerate(zip(before, all_states(now), strict=True), 1):
            by_step = other == number and act not in _VERDICTS and "superseded" not in (was, is_now)
            if was != is_now:
                found.add((act if by_step else None, was, is_now))
    return found


@pytest.mark.parametrize("certification", ["none", "head"])
@given(life=lives())
def test_no_sequence_of_requests_reaches_a_state_or_takes_a_way_that_the_table_lacks(
    certification: Any, life: list[tuple[int, Any]]
) -> None:
    assert gone(life, certification) <= ways()


def test_every_way_of_the_table_is_gone_by_some_report() -> None:
    """Control of the lives above: such acts take every way, so a table that lacks one is found."""
    random = Random(1)
    rare = [(1, "verdict accepted"), (1, "approved"), (2, "verdict accepted"), (2, "withdrawn")]
    found = gone(rare, "none")
    for _ in range(200):
        life = [(random.randint(1, 3), random.choice([*_OF_REPORT, *_DECISIONS, *_VERDICTS])) for _ in range(25)]
        found |= gone(life, "none") | gone(life, "head")
    assert {(kind, was, is_now) for kind, was, is_now in ways() if was != is_now} == found


def test_control_a_row_too_few_is_found() -> None:
    rows = [row for row in table.TRANSITIONS if row.kind != "withdrawn"]
    assert {row.kind for row in rows if row.kind} != set(get_args(StepKind))


@pytest.mark.parametrize("thing", ["extension", "explanation", "lateness", "appeal"])
def test_what_waits_says_how_it_can_be_decided_and_what_is_decided_says_nothing(thing: Any) -> None:
    now = taken(history(version(outcome="returned")), asked(deciding.ASKED_BY[thing]))
    (request,) = now.steps
    possible = {row.kind for row in deciding.possible_decisions(now, request)}
    assert possible == {row.kind for row in table.TRANSITIONS if row.thing == thing and row.kind != request.kind}
    decided = taken(now, asked(min(kind for kind in possible if kind), answers=request.step_id))
    assert [deciding.possible_decisions(decided, step) for step in decided.steps] == [[], []]
