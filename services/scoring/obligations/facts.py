"""What an obligation consists of: its terms, and the facts that have come about it. Pure.

Facts are joined, never overwritten: any order of arrival and any repetition ends in the same facts.
"""

from __future__ import annotations

from datetime import date, datetime
from typing import Literal
from uuid import UUID

from msgspec import Struct
from msgspec.structs import replace

from shared.contract.events import SubmissionReceived, VerdictReached
from shared.contract.events.verdicts import VerdictOutcome

#: proposed (đề xuất) holds an overdue mark back, granted (chấp thuận) moves the deadline, rejected (bác) does neither
ReliefStatus = Literal["proposed", "granted", "rejected"]


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


class Verdict(Struct, frozen=True, omit_defaults=True):
    """One revision of the verdict on a version."""

    revision: int
    outcome: VerdictOutcome
    decided_at: datetime
    required_items: int
    present_items: int
    event_id: UUID | None = None
    findings: tuple[str, ...] = ()  # their codes


class Version(Struct, frozen=True, omit_defaults=True):
    """One version of the report, as it was received. `verdicts` are in the order of their revisions."""

    number: int
    submission_id: UUID
    received_at: datetime
    officer_id: str
    nil: bool = False
    verdicts: tuple[Verdict, ...] = ()

    @property
    def verdict(self) -> Verdict | None:
        """The verdict in force: that of the highest revision."""
        return self.verdicts[-1] if self.verdicts else None

    @property
    def accepted(self) -> bool:
        return bool(self.verdicts) and self.verdicts[-1].outcome == "accepted"


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


NOTHING = Facts()


def with_report(facts: Facts, event: SubmissionReceived | VerdictReached, event_id: UUID | None = None) -> Facts:
    """The facts with what an event says of one version; the same object where it says nothing new.

    Both kinds of event carry the receipt, so that either may come first.
    """
    number = event.version
    known = next((version for version in facts.versions if version.number == number), None)
    version = known or Version(number, event.submission_id, event.received_at, event.officer_id, event.nil)
    if isinstance(event, VerdictReached):
        version = _judged(version, event, event_id)
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


def _judged(version: Version, event: VerdictReached, event_id: UUID | None) -> Version:
    if any(verdict.revision == event.revision for verdict in version.verdicts):
        return version
    verdict = Verdict(
        event.revision,
        event.outcome,
        event.decided_at,
        event.required_items,
        event.present_items,
        event_id,
        tuple(sorted({finding.code for finding in event.findings})),
    )
    ordered = sorted((*version.verdicts, verdict), key=lambda other: other.revision)
    return replace(version, verdicts=tuple(ordered))


def _by_receipt(version: Version) -> tuple[datetime, int]:
    return version.received_at, version.number
