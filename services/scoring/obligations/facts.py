"""What an obligation consists of: its terms, and the facts that have come about it. Pure.

Facts are joined, never overwritten: any order of arrival and any repetition ends in the same facts.
"""

from __future__ import annotations

from datetime import date, datetime
from typing import Literal
from uuid import UUID

from msgspec import Struct
from msgspec.structs import replace

from shared.contract.events import NotJudged, StepTaken, SubmissionReceived, VerdictReached
from shared.contract.events.registry import Certification
from shared.contract.events.verdicts import VerdictOutcome

#: what is about a version of a report
AboutReport = SubmissionReceived | VerdictReached | NotJudged | StepTaken
#: proposed (đề xuất) holds an overdue mark back, granted (chấp thuận) moves the deadline, rejected (bác) does neither
ReliefStatus = Literal["proposed", "granted", "rejected"]
#: accepted: an appeal against the verdict was upheld
StepOfVersion = Literal["certified", "approved", "rework", "withdrawn", "accepted"]


class Terms(Struct, frozen=True, omit_defaults=True):
    """What is owed by when, and which versions of regime, calendar and policy say so. Moments carry their offset."""

    regime_version: int
    opens_at: datetime
    remind_at: datetime
    deadline: datetime
    calendar_version: str
    policy_version: str
    cutoff_from: date | None = None
    cutoff_to: date | None = None
    provisional: bool = False  # the deadline follows from days that nobody has announced yet
    owed: bool = True  # false: nobody asked this agency for the report, or it is not owed any more
    origins: tuple[str, ...] = ()  # agencies that closed while they owed it; empty: asked of this one
    heir: str | None = None  # who owes it since this agency closed
    certification: Certification = "none"
    locks_at: datetime | None = None  # of `deadline`; None: late is never locked
    withdrawn_at: datetime | None = None  # when whoever asked for it took the request back
    grace_until: datetime | None = None  # of `deadline`; nobody is called overdue before; None: there is no grace
    override: int = 0  # the place, from 1, of the regime's deadline override; 0: its own deadline

    def due_at(self, deadline: datetime) -> Terms:
        """The same with another deadline; lock and grace move with it, by as much."""
        return replace(
            self, deadline=deadline, locks_at=self.locked_after(deadline), grace_until=self.grace_after(deadline)
        )

    def locked_after(self, deadline: datetime) -> datetime | None:
        """When it is locked if its deadline is this one."""
        return None if self.locks_at is None else self.locks_at + (deadline - self.deadline)

    def grace_after(self, deadline: datetime) -> datetime | None:
        """Until when there is grace if its deadline is this one."""
        return None if self.grace_until is None else self.grace_until + (deadline - self.deadline)


class Verdict(Struct, frozen=True, omit_defaults=True):
    """One revision of the verdict on a version."""

    revision: int
    outcome: VerdictOutcome
    decided_at: datetime
    required_items: int
    present_items: int
    event_id: UUID | None = None
    findings: tuple[str, ...] = ()  # their codes


class Step(Struct, frozen=True, omit_defaults=True):
    """What a person did with one version of the report."""

    step_id: UUID
    kind: StepOfVersion
    at: datetime
    reason: str = ""
    until: datetime | None = None  # rework: a corrected version received by then counts by the receipt of this one


class Version(Struct, frozen=True, omit_defaults=True):
    """One version of the report, as it was received. `steps` are in the order of time.

    `verdicts`: the first revision, then the later ones in the order of their moments. A validator whose database was
    built again counts revisions from 1 again, but its moments go on. `unable_at`: when validation first said that it
    could not judge the version.
    """

    number: int
    submission_id: UUID
    received_at: datetime
    officer_id: str
    nil: bool = False
    verdicts: tuple[Verdict, ...] = ()
    steps: tuple[Step, ...] = ()
    unable_at: datetime | None = None

    @property
    def verdict(self) -> Verdict | None:
        """The verdict in force."""
        return self.verdicts[-1] if self.verdicts else None

    @property
    def waits_for_us(self) -> bool:
        """Whether it stands, and has no verdict because the system could not judge it."""
        return self.unable_at is not None and not self.verdicts and self.withdrawn_at is None

    @property
    def passed(self) -> bool:
        """Whether it passed validation, or an appeal against its verdict was upheld; whatever became of it since."""
        return bool(self.verdicts) and (self.verdicts[-1].outcome == "accepted" or self._first("accepted") is not None)

    @property
    def accepted(self) -> bool:
        """Whether it is accepted as things stand: neither withdrawn nor sent back by a reviewer."""
        return self.passed and self.withdrawn_at is None and self.rework is None

    @property
    def withdrawn_at(self) -> datetime | None:
        return self._first("withdrawn")

    @property
    def certified_at(self) -> datetime | None:
        """The first certification."""
        return self._first("certified")

    @property
    def rework(self) -> Step | None:
        """By which step a reviewer sent it back, unless that was taken back since."""
        for step in reversed(self.steps):
            if step.kind in ("approved", "rework"):
                return step if step.kind == "rework" else None
        return None

    def _first(self, kind: StepOfVersion) -> datetime | None:
        for step in self.steps:  # most versions have none: a loop costs them a third of what a generator does
            if step.kind == kind:
                return step.at
        return None


class Relief(Struct, frozen=True, omit_defaults=True):
    """A span in which the system, or the law's own exception, kept people from reporting.

    A deadline within it moves to its end; its days count in no lateness. While it is only proposed, nothing moves, but
    nobody is called overdue before `hold_until`.
    """

    relief_id: str
    starts_at: datetime
    ends_at: datetime
    status: ReliefStatus = "granted"
    hold_until: datetime | None = None
    version: int = 1


class Reminder(Struct, frozen=True):
    """A reminder of one deadline (sắp đến hạn)."""

    at: datetime
    deadline: datetime


class Facts(Struct, frozen=True, omit_defaults=True):
    """Everything that has happened about an obligation.

    `versions` are in the order of receipt, `reliefs` in that of their start. `passed_at`: the latest hour at which the
    deadline was seen to lie behind, with everything received until then applied; `designated_officer_id`: who answered
    """

    versions: tuple[Version, ...] = ()
    reliefs: tuple[Relief, ...] = ()
    reminder: Reminder | None = None
    passed_at: datetime | None = None
    designated_officer_id: str | None = None

    @property
    def latest(self) -> Version | None:
        """The version received last of those that are not withdrawn."""
        return next((version for version in reversed(self.versions) if version.withdrawn_at is None), None)


NOTHING = Facts()


def with_report(facts: Facts, event: AboutReport, event_id: UUID | None = None) -> Facts:
    """The facts with what an event says of one version; the same object where it says nothing new.

    Every kind of event carries the receipt, so that any may come first.
    """
    number = event.version
    if isinstance(event, StepTaken) and _step(event) is None:
        return facts
    known = next((version for version in facts.versions if version.number == number), None)
    version = known or _received(event)
    if isinstance(event, VerdictReached):
        version = _judged(version, event, event_id)
    elif isinstance(event, NotJudged):
        version = _not_judged(version, event)
    elif isinstance(event, StepTaken):
        version = _with_step(version, _step(event))
    if version is known:
        return facts
    others = tuple(other for other in facts.versions if other.number != number)
    return replace(facts, versions=tuple(sorted((*others, version), key=_by_receipt)))


def with_relief(facts: Facts, relief: Relief) -> Facts:
    """The facts with a relief, or with its newer version; the same object where it is not newer."""
    known = next((other for other in facts.reliefs if other.relief_id == relief.relief_id), None)
    if known is not None and known.version >= relief.version:
        return facts
    others = tuple(other for other in facts.reliefs if other.relief_id != relief.relief_id)
    ordered = sorted((*others, relief), key=lambda other: (other.starts_at, other.relief_id))
    return replace(facts, reliefs=tuple(ordered))


def with_reminder(facts: Facts, reminder: Reminder) -> Facts:
    return replace(facts, reminder=reminder)


def with_passing(facts: Facts, passed_at: datetime, designated_officer_id: str | None = None) -> Facts:
    """The facts with the hour at which the deadline lay behind; the latest of such hours counts."""
    if facts.passed_at is not None and passed_at <= facts.passed_at:
        return facts
    return replace(
        facts, passed_at=passed_at, designated_officer_id=designated_officer_id or facts.designated_officer_id
    )


def _received(event: AboutReport) -> Version:
    if event.version is None or event.submission_id is None or event.received_at is None or event.officer_id is None:
        raise ValueError("a step about a version must say which submission that is, who sent it and when it came")
    return Version(event.version, event.submission_id, event.received_at, event.officer_id, event.nil)


def _step(event: StepTaken) -> Step | None:
    """What the step says of its version; None where it is about none, or changes nothing of how the version counts."""
    if event.version is None:
        return None
    match event.kind:
        case "rework":
            return Step(event.step_id, event.kind, event.at, event.reason, event.until)
        case "certified" | "approved" | "withdrawn":
            return Step(event.step_id, event.kind, event.at)
        case "appeal_upheld" if event.effect == "accepted":
            return Step(event.step_id, "accepted", event.at)
    return None


def _with_step(version: Version, step: Step | None) -> Version:
    if step is None or any(other.step_id == step.step_id for other in version.steps):
        return version
    ordered = sorted((*version.steps, step), key=lambda other: (other.at, other.step_id.int))
    return replace(version, steps=tuple(ordered))


def _judged(version: Version, event: VerdictReached, event_id: UUID | None) -> Version:
    """The version with this verdict. Another first revision only repeats the first verdict: the earliest stays."""
    known = next(
        (
            verdict
            for verdict in version.verdicts
            if verdict.revision == event.revision and (event.revision == 1 or verdict.decided_at == event.decided_at)
        ),
        None,
    )
    if known is not None and known.decided_at <= event.decided_at:
        return version
    others = [verdict for verdict in version.verdicts if verdict is not known]
    verdict = Verdict(
        event.revision,
        event.outcome,
        event.decided_at,
        event.required_items,
        event.present_items,
        event_id,
        tuple(sorted({finding.code for finding in event.findings})),
    )
    return replace(version, verdicts=tuple(sorted((*others, verdict), key=_by_moment)))


def _by_moment(verdict: Verdict) -> tuple[bool, datetime, int]:
    return verdict.revision > 1, verdict.decided_at, verdict.revision


def _not_judged(version: Version, event: NotJudged) -> Version:
    if version.unable_at is not None and version.unable_at <= event.decided_at:
        return version
    return replace(version, unable_at=event.decided_at)


def _by_receipt(version: Version) -> tuple[datetime, int]:
    return version.received_at, version.number
