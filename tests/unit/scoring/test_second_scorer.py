"""Two scorers that share no code agree on random years; where a rule is spoiled in either, they do not."""

from __future__ import annotations

import ast
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import date, datetime
from decimal import ROUND_DOWN, Decimal
from pathlib import Path
from random import Random
from typing import Any

import pytest

from services.scoring.obligations import deadlines, facts, generator, standing
from services.scoring.obligations.domain import Obligation, in_force
from services.scoring.obligations.facts import Facts, Relief, Terms, Version
from shared.contract import addressing
from shared.contract.hierarchy import Tree
from tests.second_scorer import days, scorer
from tests.second_scorer.scorer import Judged, Report, World, judge
from tests.unit.scoring import random_years
from tests.unit.scoring.random_years import Product, Year, random_year

CHUNKS, IN_A_CHUNK = 10, 100


def of_product(obligation: Obligation) -> Judged:
    terms, state = obligation.terms, obligation.state
    by_number = {version.number: version for version in obligation.facts.versions}
    measured = by_number[state.measured].verdict if state.measured is not None else None
    return Judged(
        state.owed, terms.deadline, state.deadline, terms.calendar_version, terms.policy_version, terms.regime_version,
        state.standing, state.overdue, state.answer, state.on_time,
        (measured.present_items, measured.required_items) if measured is not None else None,
        (state.officer_id, state.officer_basis) if state.officer_id and state.officer_basis else None,
        tuple((line.component, line.clause, line.points) for line in in_force(obligation.lines)), state.score,
    )  # fmt: skip


def differences(year: Year, seen: Counter[str] | None = None) -> Iterator[str]:
    for at, obligations in Product(year.world, year.keys).run(year.moments):
        for key, obligation in obligations.items():
            told, derived = of_product(obligation), judge(year.world, key, at)
            if derived is None or _plain(told) != _plain(derived):
                yield f"year {year.seed}, {key} at {at}:\n  product {told}\n  second  {derived}"
            elif seen is not None:
                seen.update(_corners(key, derived, year.world, at))


def _plain(judged: Judged) -> dict[str, Any]:
    """What counts is which lines are in force, not in which order they came to be deserved."""
    return judged.__dict__ | {"lines": sorted(judged.lines)}


def _corners(key: str, judged: Judged, world: World, at: datetime) -> Iterator[str]:
    yield judged.standing
    for step in world.steps:
        if step["obligation"] == key and step["at"] <= at:
            yield step["kind"]
    if any(record["version"] > 1 and record["known_at"] <= at for record in world.agencies):
        yield "another group" if judged.owed else "another group, not owed"
    if judged.overdue:
        yield "overdue"
    if judged.on_time is False:
        yield "late"
    if any(clause == "1.d" for _, clause, _ in judged.lines):
        yield "late within the grace"
    if any(
        verdict["obligation"] == key and verdict["outcome"] == "not_judged" and verdict["decided_at"] <= at
        for verdict in world.verdicts
    ):
        yield "not judged"
    if not judged.owed:
        yield "not owed"
    if judged.deadline != judged.planned:
        yield "relief"
    if judged.calendar != "C1":
        yield "calendar moved"
    if judged.policy != "P1":
        yield "policy moved"
    if judged.regime_version != 1:
        yield "regime replaced"
    if judged.officer is not None:
        yield judged.officer[1]
    if any(points < 0 for _, _, points in judged.lines):
        yield "points off"


CORNERS = {
    "nothing_sent", "awaiting_verdict", "returned", "fulfilled", "overdue", "late", "not owed", "relief",
    "calendar moved", "policy moved", "regime replaced", "named", "designated", "points off", "certified", "approved",
    "rework", "withdrawn", "appeal_upheld", "another group", "another group, not owed", "late within the grace",
    "not judged",
}  # fmt: skip


@pytest.mark.parametrize("chunk", range(CHUNKS))
def test_both_say_the_same_of_a_thousand_random_years(chunk: int) -> None:
    seen: Counter[str] = Counter()
    for seed in range(chunk * IN_A_CHUNK, (chunk + 1) * IN_A_CHUNK):
        found = list(differences(random_year(seed), seen))
        assert not found, found[0]
    assert {corner for corner in CORNERS if seen[corner] < 5} == set(), "these years hold too little of something"


def _latest(_: object, reports: Sequence[Version]) -> Version:
    return reports[-1]


def _one_day_more(*arguments: Any) -> int:
    return int(_WORKING_DAYS_LATE(*arguments)) + 1


def _never_moved(terms: Terms, _: Facts) -> datetime:
    return terms.deadline


def _never_held(*_: object) -> bool:
    return False


def _no_hold(_: Relief, __: datetime) -> None:
    return None


def _always_the_latest(
    facts: Facts, _: Version | None, __: Version | None, ___: bool
) -> tuple[str, str] | tuple[None, None]:
    return (facts.versions[-1].officer_id, "named") if facts.versions else (None, None)


def _policy_as_it_was(obligation: Obligation, planned: Terms, until: datetime, _: str) -> Terms:
    return generator.follow_plan(obligation, planned, until)


def _always_follows(_: Obligation, planned: Terms, __: datetime, ___: str) -> Terms:
    return planned


def _only_the_deadline(planned: Terms, terms: Terms) -> bool:
    return planned.deadline < terms.deadline


def _nothing_corrected(*_: object) -> list[Any]:
    return []


def _stood_alone(counts: standing._Counts, _: Version) -> Version:
    return counts._stood(counts._reports)


def _always_certified(*_: object) -> bool:
    return True


def _no_term(_: standing._Counts) -> None:
    return None


def _never_locked(_: Terms, __: datetime) -> None:
    return None


def _no_grace(_: Terms, __: datetime) -> None:
    return None


def _moves_alone(hour: datetime | None, _: datetime, __: datetime) -> datetime | None:
    return hour


def _own_receipt(counts: standing._Counts, version: Version) -> datetime:
    return counts.received_at(version)


def _answers_by(counts: standing._Counts, _: datetime) -> bool:
    return counts.answer is not None


def _own_hour(counts: standing._Counts, answer: Version) -> datetime:
    return counts.counted_at(answer)


def _by_number(verdict: facts.Verdict) -> int:
    return verdict.revision


def _never_taken_back(*_: object) -> None:
    return None


def _rounded_down(completeness: dict[str, Any], present: int, required: int) -> Decimal:
    share = Decimal(completeness["full"]) * present / (required or 1)
    return share.quantize(Decimal(1).scaleb(-completeness["fraction_digits"]), ROUND_DOWN)


def _without_spans(self: days.Calendar, after: datetime, until: datetime, _: object) -> int:
    return _BEGUN(self, after, until, [])


def _nobody_above(*_: object) -> tuple[()]:
    return ()


def _the_regimes_own(*_: object) -> int:
    return 0


def _kind_first(agency: Any, overrides: Any, above: Any) -> int:
    by_kind = [place for place, override in enumerate(overrides, 1) if agency.kind in override.kinds]
    return by_kind[0] if by_kind else int(_OVERRIDE_OF(agency, overrides, above))


_OVERRIDE_OF = addressing.override_of


def _unheard(*_: object) -> None:
    return None


def _at_once(*_: object) -> bool:
    return True


def _unnoticed(_: World, terms: scorer.Owed, __: datetime) -> scorer.Owed:
    return terms


ASSESS = sys.modules["services.scoring.scores.policy.assess"]  # its package gives the name to the function
_WORKING_DAYS_LATE, _BEGUN = ASSESS.working_days_late, days.Calendar.begun
_NEVER = property(lambda _: False)
SPOILED: dict[str, tuple[object, str, Any]] = {
    "product: completeness of the latest version": (standing._Counts, "_stood", _latest),
    "product: a day more of lateness": (ASSESS, "working_days_late", _one_day_more),
    "product: reliefs move nothing": (standing, "effective_deadline", _never_moved),
    "product: a proposed relief holds nothing back": (standing, "_hold", _no_hold),
    "product: the latest report names who answers": (standing, "_who_answers", _always_the_latest),
    "product: a deadline that stays keeps its policy": (random_years, "follow_plan", _policy_as_it_was),
    "product: any plan is followed": (random_years, "follow_plan", _always_follows),
    "product: what is worse but for the deadline is followed": (generator, "_is_worse", _only_the_deadline),
    "second: what is worse is followed": (scorer, "_worse", _never_held),
    "product: a term keeps no receipt": (standing._Counts, "_corrected", _nothing_corrected),
    "product: what is withdrawn bounds nothing": (standing._Counts, "measured", _stood_alone),
    "product: nobody need certify": (standing._Counts, "_is_certified", _always_certified),
    "product: certified after the lock counts by its receipt": (standing._Counts, "counted_at", _own_receipt),
    "product: a term gives no time": (standing._Counts, "term", _no_term),
    "product: a lock gives no time to certify": (Terms, "locked_after", _never_locked),
    "product: there is no grace": (Terms, "grace_after", _no_grace),
    "second: lock and grace stay where a deadline moves": (scorer, "_with_it", _moves_alone),
    "product: late answers to a withdrawn request count": (standing._Counts, "came_by", _answers_by),
    "product: what could not be judged holds nothing back": (Version, "waits_for_us", _NEVER),
    "second: what could not be judged holds nothing back": (Report, "waits", _NEVER),
    "product: an earlier report that could not be judged is forgotten": (standing._Counts, "answered_at", _own_hour),
    "product: the highest number counts, whoever counted": (facts, "_by_moment", _by_number),
    "second: no request is withdrawn": (scorer, "_taken_back", _never_taken_back),
    "product: nobody stands above anybody": (Tree, "above", _nobody_above),
    "second: nobody stands above anybody": (scorer, "_above", _nobody_above),
    "product: every deadline is the regime's own": (deadlines, "override_of", _the_regimes_own),
    "product: a kind goes before a parent": (addressing, "override_of", _kind_first),
    "second: every deadline is the regime's own": (scorer, "_override", _unheard),
    "second: who comes to another group has no notice": (scorer, "_with_notice", _unnoticed),
    "second: who comes to another group owes what was due": (scorer, "_heard_of_another_group", _unheard),
    "second: who leaves loses what it had sent": (scorer, "_falls", _at_once),
    "second: a term keeps no receipt": (scorer.Reports, "terms_of", _nothing_corrected),
    "second: what is withdrawn bounds nothing": (scorer.Reports, "bounding", _nothing_corrected),
    "second: nobody need certify": (scorer.Reports, "signed", _always_certified),
    "second: completeness rounded down": (scorer, "_share", _rounded_down),
    "second: reliefs excuse no day": (days.Calendar, "begun", _without_spans),
    "second: a proposed relief holds nothing back": (scorer, "_held", _never_held),
}


#: a year that shows what few do, tried before the others
SHOWN_IN = {
    "product: a term gives no time": 167,
    "product: a lock gives no time to certify": 87,
    "product: late answers to a withdrawn request count": 47,
    "second: who comes to another group has no notice": 401,
    "second: who leaves loses what it had sent": 124,
    "second: reliefs excuse no day": 107,
}


@pytest.mark.parametrize("rule", SPOILED)
def test_a_rule_spoiled_in_either_is_found(rule: str, monkeypatch: pytest.MonkeyPatch) -> None:
    owner, name, spoiled = SPOILED[rule]
    monkeypatch.setattr(owner, name, spoiled)
    years = (SHOWN_IN.get(rule, 0), *range(CHUNKS * IN_A_CHUNK))
    assert any(True for seed in years for _ in differences(random_year(seed)))


CLOSED, HEIR, LAST = "H99.1", "H99.2", "H99.3"
KNOWN = datetime.fromisoformat("2026-10-02T08:00:00+07:00")


def merging(**changes: Any) -> World:
    """A commune that closes on 10/10/2026 while it owes M10, and a department that owes nothing itself."""
    dice = Random(1)
    begin = datetime.fromisoformat("2026-01-05T08:00:00+07:00")
    regime = random_years._regime(1, "monthly", date(2020, 1, 1), begin, dice)
    rule = {"rule": "day_of_month", "day": 18, "month_offset": 0, "hour": 17, "minute": 0, "on_holiday": "keep"}
    life = {"opened_on": date(2020, 1, 1), "closed_on": None, "known_at": begin, "version": 1}
    closing = {"closed_on": "2026-10-10", "successors": [HEIR], "open_obligations": "transfer", "version": 2}
    commune = {"code": CLOSED, "kind": "commune"} | life
    return World(
        calendars=[random_years._calendar(1, set(), 2026, begin, dice)],
        policies=[random_years._policy(1, date(2019, 3, 12), begin, dice) | {"notice_working_days": 3}],
        agencies=[commune, commune | closing | {"known_at": KNOWN} | changes,
                  {"code": HEIR, "kind": "department"} | life],
        regimes=[regime | {"cutoff": {"day": 14}, "deadline": rule}],
    )  # fmt: skip


def owing(world: World, period: str = "2026-M10", at: str = "2026-10-12T08:00:00+07:00") -> dict[str, str]:
    """Who owes the period, and by when."""
    found = {code: judge(world, f"{code}/R/{period}", datetime.fromisoformat(at)) for code in (CLOSED, HEIR, LAST)}
    return {code: f"{judged.deadline:%d/%m %H:%M}" for code, judged in found.items() if judged and judged.owed}


def test_the_second_scorer_knows_successors() -> None:
    assert owing(merging()) == {HEIR: "18/10 17:00"}
    assert owing(merging(), at="2026-10-01T08:00:00+07:00") == {CLOSED: "18/10 17:00"}
    assert owing(merging(), "2026-M11") == {}, "it opens only after the closing"
    assert owing(merging(open_obligations="withdraw")) == {}
    assert owing(merging(known_at=datetime.fromisoformat("2026-10-16T08:00:00+07:00")),
                 at="2026-10-17T08:00:00+07:00") == {HEIR: "21/10 08:00"}, "three working days of notice"  # fmt: skip
    through = merging()
    heir = through.agencies[-1]
    closing = {"closed_on": "2026-10-15", "successors": [LAST], "open_obligations": "transfer", "version": 2}
    through.agencies.extend([heir | closing | {"known_at": KNOWN}, heir | {"code": LAST}])
    assert owing(through, at="2026-10-16T08:00:00+07:00") == {LAST: "18/10 17:00"}, "the heir closes too"
    after = merging()
    after.submissions.append({"submission_id": "s", "obligation": f"{CLOSED}/R/2026-M10", "version": 1,
                              "officer_id": "o", "received_at": "2026-10-11T08:00:00+07:00"})  # fmt: skip
    assert owing(after) == {HEIR: "18/10 17:00"}, "it came after the last day"
    sent = merging()
    sent.submissions.append({"submission_id": "s", "obligation": f"{CLOSED}/R/2026-M10", "version": 1,
                             "officer_id": "o", "received_at": "2026-10-09T08:00:00+07:00"})  # fmt: skip
    assert owing(sent) == {CLOSED: "18/10 17:00"}, "it awaits its verdict"
    sent.verdicts.append({"submission_id": "s", "outcome": "returned", "decided_at": "2026-10-09T09:00:00+07:00"})
    assert owing(sent) == {HEIR: "18/10 17:00"}


def test_the_second_scorer_shares_no_code_with_the_product() -> None:
    files = sorted(Path(scorer.__file__).parent.glob("*.py"))
    imported = {
        name.split(".")[0]
        for file in files
        for node in ast.walk(ast.parse(file.read_text("utf-8")))
        for name in _modules(node)
    }
    assert files
    assert imported <= sys.stdlib_module_names | {"tests"}


def _modules(node: ast.AST) -> list[str]:
    if isinstance(node, ast.ImportFrom):
        assert node.module is not None
        assert node.module.split(".")[:2] == ["tests", "second_scorer"] or not node.module.startswith("tests")
        return [node.module]
    return [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
