"""An obligation's state is the join of what was told of it: any order of submissions and verdicts, any repetition, the
same end. Its score lines are append-only; those in force sum to its score exactly. Pure: no clock, no I/O.

The version that stands is the latest accepted one: a later version that waits or is returned takes nothing away.
"""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from hashlib import blake2b
from typing import assert_never
from uuid import UUID

from msgspec import Struct
from msgspec.structs import replace

from services.scoring.calendar import WorkingCalendar
from services.scoring.scores.policy import Due, Facts, Policy, assess
from services.scoring.scores.policy.assess import Component
from shared.contract.events import (
    ComplianceEvent,
    ObligationDueSoon,
    ObligationFulfilled,
    ObligationOverdue,
    ScoreChanged,
    ScoreLine,
    Standing,
    SubmissionReceived,
    VerdictReached,
)

#: bits of a UUIDv8 (RFC 9562): version 8, variant 0b10
_UUID_MASK = ~((0xF << 76) | (0x3 << 62)) & ((1 << 128) - 1)
_UUID_8 = (0x8 << 76) | (0x2 << 62)
_NOTHING = Decimal(0)


class Line(Struct, frozen=True):
    """One signed contribution. `counters` names the line it cancels; neither is in force then."""

    line_id: UUID
    seq: int
    component: Component
    clause: str
    points: Decimal
    cause: str
    cause_en: str
    policy_version: str
    event_id: UUID | None
    created_at: datetime
    counters: UUID | None = None


class Accepted(Struct, frozen=True):
    """The first accepted version; its receipt decides on time or late."""

    version: int
    submission_id: UUID
    received_at: datetime


class Measured(Struct, frozen=True):
    """The version whose completeness counts: the latest accepted, else the latest decided."""

    accepted: bool
    version: int
    required_items: int
    present_items: int


class Obligation(Struct, frozen=True):
    """One agency owes one regime for one period by one deadline (nghĩa vụ báo cáo).

    Submission versions count from 1; 0 means none. `version` counts the events told about the obligation.
    `lines` are those in force, `line_count` all ever written.
    """

    key: str
    agency: str
    regime: str
    regime_version: int
    period: str
    deadline: datetime
    calendar_version: str
    policy_version: str
    version: int
    owed: bool = True
    received_version: int = 0
    first_received_at: datetime | None = None
    last_received_at: datetime | None = None
    on_time_version: int = 0  # greatest version received by the deadline
    decided_version: int = 0  # greatest version with a verdict
    first_accepted: Accepted | None = None
    measured: Measured | None = None
    officer_id: str | None = None
    due_soon_at: datetime | None = None
    overdue_at: datetime | None = None
    lines: tuple[Line, ...] = ()
    line_count: int = 0

    @property
    def score(self) -> Decimal:
        return sum((line.points for line in self.lines), _NOTHING)

    @property
    def standing(self) -> Standing:
        if self.first_accepted is not None:
            return "fulfilled"
        if self.received_version == 0:
            return "nothing_sent"
        return "returned" if self.decided_version >= self.received_version else "awaiting_verdict"

    @property
    def on_time(self) -> bool | None:
        """Whether the first accepted version was received by the deadline; None while none is accepted."""
        return None if self.first_accepted is None else self.first_accepted.received_at <= self.deadline

    @property
    def may_still_be_on_time(self) -> bool:
        """Accepted on time, or something received in time still waits for its verdict: then it is not overdue."""
        return self.on_time is True or self.on_time_version > self.decided_version


class Decision(Struct, frozen=True):
    """What follows from one event: the new state, the lines to append, the events to tell, in order."""

    obligation: Obligation
    lines: tuple[Line, ...] = ()
    events: tuple[ComplianceEvent, ...] = ()


def follow(
    obligation: Obligation,
    event: SubmissionReceived | VerdictReached,
    event_id: UUID | None,
    policy: Policy,
    calendar: WorkingCalendar,
) -> Decision:
    """Fold one submission or verdict. Raises CalendarGap if the calendar lacks the year of a late receipt."""
    after = _received(obligation, event)
    match event:
        case SubmissionReceived():
            at = event.received_at
        case VerdictReached():
            after, at = _decided(after, event), event.decided_at
        case _:
            assert_never(event)
    if after is obligation:
        return Decision(obligation)
    if after.overdue_at is not None and after.may_still_be_on_time:
        after = replace(after, overdue_at=None)  # it was in time after all: its event came after the ticker
    decides = (
        after.first_accepted is not obligation.first_accepted
        or after.measured is not obligation.measured
        or after.overdue_at is not obligation.overdue_at
    )
    if not after.owed or not decides:  # the score follows from these three and the deadline alone
        return Decision(after)
    events: list[ComplianceEvent] = []
    accepted, version = after.first_accepted, after.version
    if accepted is not None and accepted is not obligation.first_accepted:
        version += 1
        events.append(
            ObligationFulfilled.trusted(
                **_common(after, at, version),
                submission_id=accepted.submission_id,
                submission_version=accepted.version,
                received_at=accepted.received_at,
                on_time=accepted.received_at <= after.deadline,
            )
        )
    return _settled(after, version, tuple(events), event_id, at, policy, calendar)


def is_overdue(obligation: Obligation, at: datetime) -> bool:
    """Whether the deadline has passed with nothing acceptable received in time, and this has not been told yet."""
    return (
        obligation.owed
        and obligation.overdue_at is None
        and obligation.first_accepted is None
        and at > obligation.deadline
        and not obligation.may_still_be_on_time
    )


def is_due_soon(obligation: Obligation, remind_at: datetime, at: datetime) -> bool:
    """Whether the reminder is due: the deadline is still ahead and nothing sent, or what was sent came back."""
    return (
        obligation.owed
        and obligation.due_soon_at is None
        and remind_at <= at <= obligation.deadline
        and obligation.standing in ("nothing_sent", "returned")
    )


def mark_due_soon(obligation: Obligation, at: datetime) -> Decision:
    """Tell that the deadline is near (sắp đến hạn)."""
    after = replace(obligation, due_soon_at=at, version=obligation.version + 1)
    return Decision(after, (), (ObligationDueSoon.trusted(**_common(after, at, after.version)),))


def mark_overdue(
    obligation: Obligation, at: datetime, policy: Policy, calendar: WorkingCalendar, officer_id: str | None = None
) -> Decision:
    """Tell that the deadline has passed (quá hạn). `officer_id` answers for it if nobody has sent anything."""
    after = replace(
        obligation, overdue_at=at, officer_id=obligation.officer_id or officer_id, version=obligation.version + 1
    )
    told = ObligationOverdue.trusted(**_common(after, at, after.version))
    return _settled(after, after.version, (told,), None, at, policy, calendar)


def withdraw(obligation: Obligation, at: datetime, policy: Policy, calendar: WorkingCalendar) -> Decision:
    """It is not owed any more (the agency closes before the deadline, or the regime ended): its lines are countered."""
    after = replace(obligation, owed=False, overdue_at=None)
    return _settled(after, after.version, (), None, at, policy, calendar)


def _received(obligation: Obligation, event: SubmissionReceived | VerdictReached) -> Obligation:
    """Join the receipt that both kinds of event carry. Returns the same object if it tells nothing new."""
    version, received_at = event.version, event.received_at
    first = obligation.first_received_at
    first = received_at if first is None or received_at < first else first
    on_time = version if received_at <= obligation.deadline else 0
    if newer(version, obligation.received_version):
        return replace(
            obligation,
            received_version=version,
            first_received_at=first,
            last_received_at=received_at,
            on_time_version=max(on_time, obligation.on_time_version),
            officer_id=event.officer_id,
        )
    if first is obligation.first_received_at and on_time <= obligation.on_time_version:
        return obligation
    return replace(obligation, first_received_at=first, on_time_version=max(on_time, obligation.on_time_version))


def _decided(obligation: Obligation, verdict: VerdictReached) -> Obligation:
    accepted = verdict.outcome == "accepted"
    first, measured = obligation.first_accepted, obligation.measured
    if accepted and (first is None or verdict.version < first.version):
        first = Accepted(verdict.version, verdict.submission_id, verdict.received_at)
    if measured is None or (accepted, verdict.version) > (measured.accepted, measured.version):
        measured = Measured(accepted, verdict.version, verdict.required_items, verdict.present_items)
    decided = verdict.version if newer(verdict.version, obligation.decided_version) else obligation.decided_version
    if first is obligation.first_accepted and measured is obligation.measured and decided == obligation.decided_version:
        return obligation
    return replace(obligation, first_accepted=first, measured=measured, decided_version=decided)


def newer(version: int, seen: int) -> bool:
    """The version guard: an older version never overwrites a newer one."""
    return version > seen


def _settled(
    obligation: Obligation,
    version: int,
    events: tuple[ComplianceEvent, ...],
    event_id: UUID | None,
    at: datetime,
    policy: Policy,
    calendar: WorkingCalendar,
) -> Decision:
    """Append what turns the lines in force into those deserved: counter-lines for what fell, lines for what came.

    `version` is that of the last of `events`, which go before what is told of the score.
    """
    due = assess(_facts(obligation), policy, calendar) if obligation.owed else ()
    if len(due) == len(obligation.lines) and all(map(_same, obligation.lines, due)):
        return Decision(replace(obligation, version=version), (), events)
    stays = [line for line in obligation.lines if any(_same(line, wanted) for wanted in due)]
    fallen = [line for line in obligation.lines if line not in stays]
    appended: list[Line] = []
    seq = obligation.line_count
    for line in fallen:
        seq += 1
        appended.append(
            replace(
                line,
                line_id=line_id(obligation.key, seq),
                seq=seq,
                points=_NOTHING - line.points,
                event_id=event_id,
                created_at=at,
                counters=line.line_id,
            )
        )
    in_force: list[Line] = []
    for wanted in due:
        kept = next((line for line in stays if _same(line, wanted)), None)
        if kept is None:
            seq += 1
            kept = Line(
                line_id(obligation.key, seq), seq, wanted.component, wanted.clause, wanted.points, wanted.cause,
                wanted.cause_en, policy.version, event_id, at,
            )  # fmt: skip
            appended.append(kept)
        in_force.append(kept)
    after = replace(obligation, lines=tuple(in_force), line_count=seq, version=version + 1)
    changed = ScoreChanged.trusted(
        **_common(after, at, after.version),
        officer_id=after.officer_id,
        policy_version=policy.version,
        score=after.score,
        lines=tuple(_told(line) for line in in_force),
        overdue=after.overdue_at is not None and after.first_accepted is None,
    )
    return Decision(after, tuple(appended), (*events, changed))


def line_id(key: str, seq: int) -> UUID:
    """The id of the seq-th line of an obligation, named by both: a repeated decision writes the same line."""
    digest = blake2b(f"{key}#{seq}".encode(), digest_size=16, person=b"score line").digest()
    return UUID(int=int.from_bytes(digest, "big") & _UUID_MASK | _UUID_8)


def _facts(obligation: Obligation) -> Facts:
    accepted, measured = obligation.first_accepted, obligation.measured
    return Facts(
        deadline=obligation.deadline,
        first_accepted_at=None if accepted is None else accepted.received_at,
        overdue=obligation.overdue_at is not None,
        required_items=None if measured is None else measured.required_items,
        present_items=None if measured is None else measured.present_items,
    )


def _same(line: Line, due: Due) -> bool:
    return (
        line.component == due.component
        and line.clause == due.clause
        and line.points == due.points
        and line.cause == due.cause
    )


def _told(line: Line) -> ScoreLine:
    return ScoreLine.trusted(
        line_id=line.line_id,
        component=line.component,
        points=line.points,
        cause=line.cause,
        cause_en=line.cause_en,
        clause=line.clause,
        event_id=line.event_id,
    )


def _common(obligation: Obligation, at: datetime, version: int) -> dict[str, object]:
    return {
        "obligation": obligation.key,
        "agency": obligation.agency,
        "regime": obligation.regime,
        "regime_version": obligation.regime_version,
        "period": obligation.period,
        "deadline": obligation.deadline,
        "standing": obligation.standing,
        "at": at,
        "version": version,
    }
