"""How an obligation stands follows from its terms and facts alone, so that anyone can derive it again.

Versions count in the order of their receipt, not of their numbers. The report that answers the obligation is the first
accepted one; a NIL report answers only until a report with figures is accepted. Nothing that is received after the
deadline changes what a report in time has earned. Where the regime asks for it, what nobody has certified is no report.
What a withdrawn request asked for is owed by those alone who had answered it in time. What the system could not judge
counts against nobody: while it waits nobody is called overdue, and what answers counts by its receipt if that is the
earlier one.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from fractions import Fraction
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
    term: until when nobody is called overdue although the deadline lies behind: the regime's grace, a reviewer's term,
    or what a report in time has left to be certified; None: nothing gives more time.
    uncertified: number of the latest version that is accepted but for its certification, while nothing answers.
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
    term: datetime | None = None
    uncertified: int | None = None


class Derivation(Struct, frozen=True):
    """A state, and the lines it deserves, each with the id of the event that caused it (None: time alone)."""

    state: State
    lines: tuple[tuple[Due, UUID | None], ...] = ()


def stand(terms: Terms, facts: Facts, policy: Policy, calendar: WorkingCalendar) -> Derivation:
    """Derive how it stands and what it scores. Raises CalendarGap if the calendar lacks the year of a late receipt."""
    deadline = effective_deadline(terms, facts)
    counts = _Counts(terms, facts, deadline)
    answer = counts.answer
    measured = None if answer is None else counts.measured(answer)
    answered_at = None if answer is None else counts.answered_at(answer)
    on_time = None if answered_at is None else answered_at <= deadline
    own_term = None if answer is not None else counts.term()
    term = own_term if answer is not None else _later(own_term, terms.grace_after(deadline), deadline)
    owed = terms.owed and (terms.withdrawn_at is None or counts.came_by(min(deadline, terms.withdrawn_at)))
    overdue = (
        owed
        and answer is None
        and not counts.undecided
        and facts.passed_at is not None
        and facts.passed_at > (term or deadline)
    )
    standing = counts.standing
    lines: tuple[tuple[Due, UUID | None], ...] = ()
    if owed and (answer is not None or overdue):
        grace = terms.grace_after(deadline)
        lines = _lines(facts, deadline, grace, overdue, answered_at, answer, measured, policy, calendar)
    officer, basis = _who_answers(facts, answer, counts.latest, overdue)
    state = State(
        deadline=deadline,
        standing=standing,
        owed=owed,
        overdue=overdue,
        on_time=on_time,
        answer=None if answer is None else answer.number,
        measured=None if measured is None else measured.number,
        officer_id=officer,
        officer_basis=basis,
        score=sum((due.points for due, _ in lines), _NOTHING) if lines else None,
        next_at=None
        if overdue or counts.undecided
        else _next_at(
            terms, facts, deadline, own_term or deadline, standing, term, certify=counts.uncertified is not None
        ),
        term=term,
        uncertified=None if counts.uncertified is None else counts.uncertified.number,
    )
    return Derivation(state, lines)


class _Counts:
    """Which versions count, and by which hour each does."""

    def __init__(self, terms: Terms, facts: Facts, deadline: datetime) -> None:
        self._terms, self._deadline = terms, deadline
        self._certify_by = terms.locked_after(deadline) or deadline
        self._grace_until = terms.grace_after(deadline) or deadline
        self._all = facts.versions
        self._sent_back = [version for version in facts.versions if any(step.until for step in version.steps)]
        #: of each version its receipt, or that of the one that it corrects; filled in the order of receipt
        self._received_at = {version.number: version.received_at for version in facts.versions}
        if self._sent_back:
            for version in facts.versions:
                corrected = (self._received_at[earlier.number] for earlier, _ in self._corrected(version))
                self._received_at[version.number] = min([version.received_at, *corrected])
        self._live = [version for version in facts.versions if version.withdrawn_at is None]
        self.latest = facts.latest
        accepted = [version for version in self._live if version.accepted and self._is_certified(version)]
        self._reports = _of_weight(accepted)
        self.answer = min(self._reports, key=self.counted_at, default=None)  # of equals the first received
        #: what the system could not judge
        self._unable = [version for version in self._live if version.waits_for_us]
        #: whether what came by the deadline, or within the grace, awaits its verdict; or what could not be judged
        self.undecided = bool(self._unable) or any(
            not version.verdicts and self.received_at(version) <= self._grace_until for version in self._live
        )
        self.uncertified = None if self.answer is not None else self._latest_uncertified()

    @property
    def standing(self) -> Standing:
        if self.answer is not None:
            return "fulfilled"
        if self.latest is None:
            return "nothing_sent"
        waits = self._unable or not self.latest.verdicts or self.latest.accepted
        return "awaiting_verdict" if waits else "returned"

    def received_at(self, version: Version) -> datetime:
        """Its receipt; of one that corrects what a reviewer sent back, within his term, the receipt of that one."""
        return self._received_at[version.number]

    def counted_at(self, version: Version) -> datetime:
        """The hour that decides on time or late. What is certified only after the lock counts from then."""
        counted = self.received_at(version)
        certified_at = version.certified_at
        if self._terms.certification == "none" or certified_at is None:
            return counted
        by = max([self._certify_by, *(until for _, until in self._corrected(version))])
        return counted if certified_at <= by else max(counted, certified_at)

    def answered_at(self, answer: Version) -> datetime:
        """The hour by which the obligation is answered: the answer's, or that of an earlier one that may be it yet."""
        waiting = [version for version in self._unable if answer.nil or not version.nil]
        return min([self.counted_at(answer), *map(self.received_at, waiting)])

    def came_by(self, moment: datetime) -> bool:
        """Whether it is answered by then, or what was received by then may still answer it."""
        if self.answer is not None and self.answered_at(self.answer) <= moment:
            return True
        return any(not version.verdicts and self.received_at(version) <= moment for version in self._live)

    def measured(self, answer: Version) -> Version:
        """The version that stood at the deadline; where none did, the first after it.

        What counted and is withdrawn after the deadline still bounds what comes in its place: nobody gains by it.
        """
        stood = self._stood(self._reports)
        withdrawn = [
            version
            for version in self._all
            if version.withdrawn_at is not None
            and version.withdrawn_at > self._deadline
            and version.passed
            and version.rework is None
            and self._is_certified(version)
            and version.received_at < answer.received_at
        ]
        if not withdrawn:
            return stood
        before = self._stood(_of_weight(sorted([*self._reports, *withdrawn], key=_by_receipt)))
        return min(stood, before, key=_share)

    def term(self) -> datetime | None:
        """Until when what has come in time may still be corrected or certified; None where that is no later."""
        terms = [
            step.until
            for version in self._live
            if (step := version.rework) is not None and step.until and self.received_at(version) <= self._deadline
        ]
        if self.uncertified is not None and self.received_at(self.uncertified) <= self._deadline:
            terms.append(max([self._certify_by, *(until for _, until in self._corrected(self.uncertified))]))
        latest = max(terms, default=self._deadline)
        return latest if latest > self._deadline else None

    def _stood(self, reports: Sequence[Version]) -> Version:
        in_time = [version for version in reports if self.counted_at(version) <= self._deadline]
        return in_time[-1] if in_time else min(reports, key=self.counted_at)

    def _corrected(self, version: Version) -> list[tuple[Version, datetime]]:
        """The earlier versions that a reviewer sent back and within whose term this one was received, and the term."""
        return [
            (earlier, step.until)
            for earlier in self._sent_back
            if earlier.withdrawn_at is None and earlier.received_at < version.received_at
            for step in earlier.steps
            if step.until is not None and step.at <= version.received_at <= step.until
        ]

    def _is_certified(self, version: Version) -> bool:
        return self._terms.certification == "none" or version.certified_at is not None

    def _latest_uncertified(self) -> Version | None:
        waiting = [version for version in self._live if version.accepted and not self._is_certified(version)]
        return waiting[-1] if waiting else None


def _of_weight(accepted: list[Version]) -> list[Version]:
    """Those with figures, where there are any: a NIL report replaces none."""
    return [version for version in accepted if not version.nil] or accepted


def _by_receipt(version: Version) -> tuple[datetime, int]:
    return version.received_at, version.number


def _share(version: Version) -> Fraction:
    """How complete it is."""
    verdict = version.verdict
    if verdict is None or verdict.required_items <= 0:
        return Fraction(1)
    return Fraction(verdict.present_items, verdict.required_items)


def untouched(terms: Terms) -> State:
    """How it stands before anything has come: what `stand` derives of no facts, for which it needs no rules."""
    return State(
        deadline=terms.deadline,
        owed=terms.owed and terms.withdrawn_at is None,
        next_at=_next_at(terms, NOTHING, terms.deadline, terms.deadline, "nothing_sent", terms.grace_until),
        term=terms.grace_until,
    )


def _later(own: datetime | None, grace: datetime | None, deadline: datetime) -> datetime | None:
    """The later of the terms that hold the overdue mark back; None where neither is later than the deadline."""
    latest = max(own or deadline, grace or deadline)
    return latest if latest > deadline else None


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
        and (state.standing in ("nothing_sent", "returned") or state.uncertified is not None)
        and not _reminded(facts, state.deadline)
    )


def has_passed(facts: Facts, state: State, at: datetime) -> bool:
    """Whether the deadline, or the term after it, lies behind at this hour and nobody has noted it yet."""
    return (
        state.owed
        and state.answer is None
        and not state.overdue
        and at > state.deadline
        and (state.term is None or at > state.term or facts.passed_at is None or facts.passed_at <= state.deadline)
        and not _held(facts, state.deadline, at)
    )


def _who_answers(
    facts: Facts, answer: Version | None, latest: Version | None, overdue: bool
) -> tuple[str, OfficerBasis] | tuple[None, None]:
    """Whom the accepted report names; of what is overdue, who was on duty; until then whom the latest report names.

    A report that was returned, or came late, moves the blame for an overdue obligation to nobody.
    """
    if answer is None and overdue and facts.designated_officer_id is not None:
        return facts.designated_officer_id, "designated"
    named = answer or latest
    return (None, None) if named is None else (named.officer_id, "named")


def _lines(
    facts: Facts,
    deadline: datetime,
    grace_until: datetime | None,
    overdue: bool,
    answered_at: datetime | None,
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
        answered_at,
        None if verdict is None else verdict.required_items,
        None if verdict is None else verdict.present_items,
        tuple((relief.starts_at, relief.ends_at) for relief in facts.reliefs if relief.status == "granted"),
        grace_until,
    )
    causes = {
        "timeliness": None if decided is None else decided.event_id,
        "completeness": None if verdict is None else verdict.event_id,
    }
    return tuple((due, causes[due.component]) for due in assess(scored, policy, calendar))


def _next_at(
    terms: Terms,
    facts: Facts,
    deadline: datetime,
    due: datetime,
    standing: Standing,
    term: datetime | None,
    *,
    certify: bool = False,
) -> datetime | None:
    """The reminder's moment, then the deadline's, or the end of what holds the overdue mark back.

    due: the deadline, or the term behind it that what has come was given. term: the end of that and of the grace.
    certify: all that is lacking is the certification.

    Nobody is reminded of a deadline that a proposed relief may move: a reminder that is due no more would be looked at
    in every tick until the hold is over, and keep the sweep from everybody else.
    """
    if not terms.owed or terms.withdrawn_at is not None or standing == "fulfilled":
        return None
    seen = facts.passed_at
    held = max([deadline, *(hold for relief in facts.reliefs if (hold := _hold(relief, deadline)) is not None)])
    if (
        held == deadline
        and (due == deadline or certify)
        and (standing != "awaiting_verdict" or certify)
        and not _reminded(facts, deadline)
        and terms.remind_at < deadline
        and (seen is None or seen < deadline)
    ):
        return terms.remind_at
    if certify and (seen is None or seen <= deadline):
        return held + _JUST_AFTER  # so that a reminder that was missed is not looked for until the term is over
    return max(term or deadline, held) + _JUST_AFTER  # at the deadline itself a report is in time


def _reminded(facts: Facts, deadline: datetime) -> bool:
    return facts.reminder is not None and facts.reminder.deadline >= deadline


def _hold(relief: Relief, deadline: datetime) -> datetime | None:
    """Until when a proposed relief keeps an obligation of this deadline from being called overdue."""
    covers = relief.status == "proposed" and relief.starts_at <= deadline <= relief.ends_at
    return relief.hold_until if covers else None


def _held(facts: Facts, deadline: datetime, at: datetime) -> bool:
    return any((hold := _hold(relief, deadline)) is not None and at <= hold for relief in facts.reliefs)
