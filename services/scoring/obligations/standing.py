"""How an obligation stands follows from its terms and facts alone, so that anyone can derive it again.

Versions count in the order of their receipt, not of their numbers. The report that answers the obligation is the first
accepted one; a NIL report answers only until a report with figures is accepted. Nothing that is received after the
deadline changes what a report in time has earned.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from decimal import Decimal
from typing import Literal
from uuid import UUID

from msgspec import Struct

from services.scoring.calendar import WorkingCalendar
from services.scoring.obligations.facts import NOTHING, Facts, Relief, Terms, Version
from services.scoring.scores.policy import Due, Policy, Scored, assess
from shared.contract.events.compliance import Standing

_NOTHING = Decimal(0)
_JUST_AFTER = timedelta(microseconds=1)  # PostgreSQL's resolution
#: named: by the report itself; designated: the officer on duty when the deadline passed
OfficerBasis = Literal["named", "designated"]


class State(Struct, frozen=True, omit_defaults=True):
    """How an obligation stands.

    deadline: with every relief; late is what is received after it.
    answer: number of the accepted version that answers the obligation; measured: of the one whose completeness counts.
    next_at: when time alone will change something; None: nothing will.
    score: None while nothing is decided.
    """

    deadline: datetime
    standing: Standing = "nothing_sent"
    owed: bool = True
    overdue: bool = False
    on_time: bool | None = None
    answer: int | None = None
    measured: int | None = None
    officer_id: str | None = None
    officer_basis: OfficerBasis | None = None
    score: Decimal | None = None
    next_at: datetime | None = None


class Derivation(Struct, frozen=True):
    """A state, and the lines it deserves, each with the id of the event that caused it (None: time alone)."""

    state: State
    lines: tuple[tuple[Due, UUID | None], ...] = ()


def stand(terms: Terms, facts: Facts, policy: Policy, calendar: WorkingCalendar) -> Derivation:
    """Derive how it stands and what it scores. Raises CalendarGap if the calendar lacks the year of a late receipt."""
    deadline = effective_deadline(terms, facts)
    versions = facts.versions
    accepted = [version for version in versions if version.accepted]
    reports = [version for version in accepted if not version.nil] or accepted
    answer = reports[0] if reports else None
    measured = _measured(reports, deadline)
    on_time = None if answer is None else answer.received_at <= deadline
    undecided_in_time = any(not version.verdicts and version.received_at <= deadline for version in versions)
    overdue = (
        terms.owed
        and answer is None
        and not undecided_in_time
        and facts.passed_at is not None
        and facts.passed_at > deadline
    )
    standing: Standing
    if answer is not None:
        standing = "fulfilled"
    elif not versions:
        standing = "nothing_sent"
    else:
        standing = "returned" if versions[-1].verdicts else "awaiting_verdict"
    lines: tuple[tuple[Due, UUID | None], ...] = ()
    if terms.owed and (answer is not None or overdue):
        lines = _lines(facts, deadline, overdue, answer, measured, policy, calendar)
    officer, basis = _who_answers(facts, answer, overdue)
    state = State(
        deadline=deadline,
        standing=standing,
        owed=terms.owed,
        overdue=overdue,
        on_time=on_time,
        answer=None if answer is None else answer.number,
        measured=None if measured is None else measured.number,
        officer_id=officer,
        officer_basis=basis,
        score=sum((due.points for due, _ in lines), _NOTHING) if lines else None,
        next_at=_next_at(terms, facts, deadline, standing) if not overdue and not undecided_in_time else None,
    )
    return Derivation(state, lines)


def untouched(terms: Terms) -> State:
    """How it stands before anything has come: what `stand` derives of no facts, for which it needs no rules."""
    return State(
        deadline=terms.deadline,
        owed=terms.owed,
        next_at=_next_at(terms, NOTHING, terms.deadline, "nothing_sent"),
    )


def effective_deadline(terms: Terms, facts: Facts) -> datetime:
    """The deadline with every granted relief: within one it moves to its end, which may lie within the next."""
    deadline = terms.deadline
    for relief in facts.reliefs:  # in the order of their start
        if relief.status == "granted" and relief.starts_at <= deadline < relief.ends_at:
            deadline = relief.ends_at
    return deadline


def is_due_soon(terms: Terms, facts: Facts, state: State, at: datetime) -> bool:
    """Whether a reminder is due: the deadline is ahead and nothing was sent, or what was sent came back."""
    return (
        state.owed
        and terms.remind_at <= at <= state.deadline
        and state.standing in ("nothing_sent", "returned")
        and not _reminded(facts, state.deadline)
    )


def has_passed(facts: Facts, state: State, at: datetime) -> bool:
    """Whether the deadline lies behind at this hour and nobody has noted it yet."""
    return (
        state.owed
        and state.answer is None
        and not state.overdue
        and at > state.deadline
        and not _held(facts, state.deadline, at)
    )


def _who_answers(facts: Facts, answer: Version | None, overdue: bool) -> tuple[str, OfficerBasis] | tuple[None, None]:
    """Whom the accepted report names; of what is overdue, who was on duty; until then whom the latest report names.

    A report that was returned, or came late, moves the blame for an overdue obligation to nobody.
    """
    if answer is None and overdue and facts.designated_officer_id is not None:
        return facts.designated_officer_id, "designated"
    named = answer or (facts.versions[-1] if facts.versions else None)
    return (None, None) if named is None else (named.officer_id, "named")


def _measured(reports: list[Version], deadline: datetime) -> Version | None:
    """The accepted version that stood at the deadline; where none did, the first after it."""
    in_time = [version for version in reports if version.received_at <= deadline]
    return in_time[-1] if in_time else (reports[0] if reports else None)


def _lines(
    facts: Facts,
    deadline: datetime,
    overdue: bool,
    answer: Version | None,
    measured: Version | None,
    policy: Policy,
    calendar: WorkingCalendar,
) -> tuple[tuple[Due, UUID | None], ...]:
    verdict = None if measured is None else measured.verdict
    decided = None if answer is None else answer.verdict
    scored = Scored(
        deadline,
        overdue,
        None if answer is None else answer.received_at,
        None if verdict is None else verdict.required_items,
        None if verdict is None else verdict.present_items,
        tuple((relief.starts_at, relief.ends_at) for relief in facts.reliefs if relief.status == "granted"),
    )
    causes = {
        "timeliness": None if decided is None else decided.event_id,
        "completeness": None if verdict is None else verdict.event_id,
    }
    return tuple((due, causes[due.component]) for due in assess(scored, policy, calendar))


def _next_at(terms: Terms, facts: Facts, deadline: datetime, standing: Standing) -> datetime | None:
    """The reminder's moment, then the deadline's, or the end of what holds the overdue mark back.

    Nobody is reminded of a deadline that a proposed relief may move: a reminder that is due no more would be looked at
    in every tick until the hold is over, and keep the sweep from everybody else.
    """
    if not terms.owed or standing == "fulfilled":
        return None
    seen = facts.passed_at
    held = max([deadline, *(hold for relief in facts.reliefs if (hold := _hold(relief, deadline)) is not None)])
    if (
        held == deadline
        and standing != "awaiting_verdict"
        and not _reminded(facts, deadline)
        and terms.remind_at < deadline
        and (seen is None or seen < deadline)
    ):
        return terms.remind_at
    return held + _JUST_AFTER  # at the deadline itself a report is in time


def _reminded(facts: Facts, deadline: datetime) -> bool:
    return facts.reminder is not None and facts.reminder.deadline >= deadline


def _hold(relief: Relief, deadline: datetime) -> datetime | None:
    """Until when a proposed relief keeps an obligation of this deadline from being called overdue."""
    covers = relief.status == "proposed" and relief.starts_at <= deadline <= relief.ends_at
    return relief.hold_until if covers else None


def _held(facts: Facts, deadline: datetime, at: datetime) -> bool:
    return any((hold := _hold(relief, deadline)) is not None and at <= hold for relief in facts.reliefs)
