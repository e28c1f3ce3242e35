"""Derives obligations again from their terms and facts, and names every difference from what is stored. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from services.scoring.calendar import WorkingCalendar
from services.scoring.obligations.domain import Line, Obligation, in_force
from services.scoring.obligations.facts import Facts, Relief, Version, with_relief
from services.scoring.obligations.standing import Derivation, stand
from services.scoring.scores.policy import Due, Policy


class Difference(Struct, frozen=True):
    """One value that is stored otherwise than it follows from terms and facts."""

    key: str
    what: str
    stored: str
    derived: str


def differences(
    obligation: Obligation, columns: dict[str, Any], ledger: Sequence[Line], policy: Policy, calendar: WorkingCalendar
) -> Iterator[Difference]:
    """Every difference of one obligation. Raises CalendarGap.

    columns: the row's columns that repeat the state. ledger: its rows of score_lines, in their order.
    """
    derived = stand(obligation.terms, obligation.facts, policy, calendar)
    if derived.state != obligation.state:
        for name in derived.state.__struct_fields__:
            yield from _unlike(obligation.key, name, getattr(obligation.state, name), getattr(derived.state, name))
    latest = obligation.facts.latest
    for name, stored in columns.items():
        if name == "received_at":
            said = None if latest is None else latest.received_at
        else:
            said = getattr(derived.state, name)
        if stored != said:
            yield from _unlike(obligation.key, f"column {name}", stored, said)
    if tuple(ledger) != obligation.lines:
        yield from _unlike(obligation.key, "lines in the ledger", tuple(ledger), obligation.lines)
    stored_lines = [_said(line) for line in in_force(obligation.lines)] if obligation.lines else []
    deserved = [_said(due) for due, _ in derived.lines]
    if stored_lines != deserved:  # in another order they are the same lines
        have, want = Counter(stored_lines), Counter(deserved)
        yield from _unlike(
            obligation.key, "lines in force", sorted((have - want).elements()), sorted((want - have).elements())
        )


def _said(line: Line | Due) -> tuple[str, str, Decimal, str, str]:
    return line.component, line.clause, line.points, line.cause, line.cause_en


def of_reports(stored: Facts, told: Facts, *, cut: bool) -> str | None:
    """What is wrong with the stored facts of reports by what the events told; None where nothing is.

    cut: the topics begin later than the obligation may have, so that they may tell less than is stored.
    """
    if stored.versions == told.versions:
        return None
    if cut and all(any(_says_less(version, whole) for whole in stored.versions) for version in told.versions):
        return None
    return "by the events: " + (_shown(told.versions) if told.versions else "nothing was received")


def _says_less(version: Version, whole: Version) -> bool:
    same = replace(version, verdicts=(), steps=(), unable_at=None) == replace(
        whole, verdicts=(), steps=(), unable_at=None
    )
    same = same and version.unable_at in (None, whole.unable_at)
    return same and set(version.verdicts) <= set(whole.verdicts) and set(version.steps) <= set(whole.steps)


def as_of(
    obligation: Obligation,
    moment: datetime,
    policy: Policy,
    calendar: WorkingCalendar,
    reliefs: Sequence[Relief] | None = None,
) -> Derivation:
    """How it stood by what had come until `moment`, under the terms of today. Raises CalendarGap.

    reliefs: those that covered it as they were decided by then; None: as they are now.
    """
    facts = facts_until(obligation.facts, moment)
    if reliefs is not None:
        facts = replace(facts, reliefs=())
        for relief in reliefs:
            facts = with_relief(facts, relief)
    return stand(obligation.terms, facts, policy, calendar)


def facts_until(facts: Facts, moment: datetime) -> Facts:
    """The facts that had come by then: receipts, verdicts, the reminder, the passing of the deadline."""
    versions = tuple(
        replace(
            version,
            verdicts=tuple(verdict for verdict in version.verdicts if verdict.decided_at <= moment),
            steps=tuple(step for step in version.steps if step.at <= moment),
            unable_at=None if version.unable_at is None or version.unable_at > moment else version.unable_at,
        )
        for version in facts.versions
        if version.received_at <= moment
    )
    passed_at = None if facts.passed_at is None else min(facts.passed_at, moment)
    reminder = facts.reminder if facts.reminder is not None and facts.reminder.at <= moment else None
    return replace(facts, versions=versions, passed_at=passed_at, reminder=reminder)


def _unlike(key: str, what: str, stored: object, derived: object) -> Iterator[Difference]:
    if stored != derived:
        yield Difference(key, what, _shown(stored), _shown(derived))


def _shown(value: object) -> str:
    return msgspec.json.encode(value).decode() if value is not None else "–"
