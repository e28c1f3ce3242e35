"""What an event about an obligation means for its notifications. Pure: folded in order per key.

Older versions are ignored and nobody is told of what is no longer so: an overdue event behind a fulfilment, or a
returned verdict behind a newer verdict or acceptance, sends nothing.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Literal

from msgspec import Struct
from msgspec.structs import replace

from services.notifier.planning.directory import Agency, Directory, Officer, Rung
from shared.contract.events import (
    NotificationKind,
    ObligationDueSoon,
    ObligationEvent,
    ObligationFulfilled,
    ObligationOverdue,
    Standing,
    VerdictReached,
)
from shared.runtime.clock import LOCAL_ZONE

#: findings a mail lists; the rest are counted and read in the system
MAX_LISTED_FINDINGS = 40

CancelReason = Literal["fulfilled", "superseded_by_overdue", "superseded_by_newer_version", "accepted"]


class Obligation(Struct, frozen=True):
    """What notifier remembers of an obligation (nghĩa vụ báo cáo): enough to know which facts are late."""

    key: str
    agency: str
    regime: str
    regime_version: int
    period: str
    deadline: datetime | None = None  # not known before scoring has told of the obligation
    standing: Standing | None = None
    version: int = 0  # of the newest compliance event seen
    verdict_version: int = 0  # newest submission version whose return was told
    accepted_version: int = 0  # submission version of the fulfilment


@dataclass(frozen=True, slots=True)
class Facts:
    """What a mail says, frozen when the notification is made: every attempt sends the same message."""

    recipient_name: str
    recipient_title: str
    agency: str
    agency_name: str
    agency_name_en: str
    regime: str
    regime_version: int
    period: str
    deadline: datetime | None
    standing: Standing | None
    officer_name: str = ""  # escalation: who answers for the regime
    rung: int = 0
    passed_over: tuple[str, ...] = ()  # names of agencies without a head below this rung
    passed_over_en: tuple[str, ...] = ()
    # overdue: the head who is sent a notice too, by title and agency; empty: nobody is
    head_title: str = ""
    head_agency: str = ""
    head_agency_en: str = ""
    submission_version: int = 0
    received_at: datetime | None = None
    accepted_version: int = 0
    errors: int = 0
    warnings: int = 0
    findings: tuple[dict[str, str | None], ...] = ()
    findings_left_out: int = 0


class Notification(Struct, frozen=True):
    """One notification to one person, or to nobody (`officer` None: skipped, with the reason)."""

    obligation: str
    agency: str
    regime: str
    period: str
    kind: NotificationKind
    step: str  # what makes it one notification: due_soon, overdue, overdue/rung-1, returned/2
    officer: Officer | None
    facts: Facts
    at: datetime  # business time
    submission_version: int = 0
    cancelled: CancelReason | None = None
    skipped: str | None = None


class Cancel(Struct, frozen=True):
    """Notifications of the obligation that have not gone out and no longer tell the truth."""

    obligation: str
    kinds: tuple[NotificationKind, ...]
    reason: CancelReason
    up_to_submission_version: int = 0  # for returned: only those about this version or an older one

    def covers(self, notification: Notification) -> bool:
        """Whether it stops a notification of the same batch."""
        if notification.obligation != self.obligation or notification.kind not in self.kinds:
            return False
        return notification.kind != "returned" or notification.submission_version <= self.up_to_submission_version


class Step(Struct, frozen=True):
    """The obligation after an event, what to stop, whom to tell."""

    obligation: Obligation
    cancels: tuple[Cancel, ...] = ()
    notifications: tuple[Notification, ...] = ()


def needs_directory(event: ObligationEvent | VerdictReached) -> bool:
    """Whether the event tells somebody, so that the agency and its people must be known."""
    match event:
        case ObligationDueSoon() | ObligationOverdue():
            return True
        case VerdictReached():
            return event.outcome == "returned"
        case _:
            return False


def follow(obligation: Obligation, event: ObligationEvent, directory: Directory) -> Step:
    """Fold one compliance event. Raises NotYetKnown when somebody must be told whom nobody has named yet."""
    if event.version <= obligation.version:
        return Step(obligation)
    now = replace(
        obligation,
        regime_version=event.regime_version,
        deadline=event.deadline,
        standing=event.standing,
        version=event.version,
    )
    match event:
        case ObligationDueSoon():
            return Step(now, (), (_to_officer(now, event, "reminder", "due_soon", directory),))
        case ObligationOverdue():
            to_officer = _to_officer(now, event, "overdue", "overdue", directory)
            rungs = directory.climb(now.agency, _local_day(event.at))
            to_officer = replace(to_officer, facts=_with_head(to_officer.facts, rungs, directory))
            stop = Cancel(now.key, ("reminder",), "superseded_by_overdue")
            return Step(now, (stop,), (to_officer, *_to_heads(now, event, to_officer.officer, rungs, directory)))
        case ObligationFulfilled():
            now = replace(now, accepted_version=max(now.accepted_version, event.submission_version))
            kinds: tuple[NotificationKind, ...] = ("reminder", "overdue", "escalation", "returned")
            return Step(now, (Cancel(now.key, kinds, "fulfilled", event.submission_version),))
        case _:
            return Step(now)


def judge(obligation: Obligation, verdict: VerdictReached, directory: Directory) -> Step:
    """Fold one returned verdict. Raises NotYetKnown as `follow` does.

    A return older than the newest one told, or than the acceptance that fulfilled the obligation, tells nobody.
    """
    if verdict.version <= max(obligation.verdict_version, obligation.accepted_version):
        return Step(obligation)
    agency = directory.agency(verdict.agency)
    officer = directory.submitter(verdict.agency, verdict.regime, verdict.officer_id)
    now = replace(obligation, verdict_version=verdict.version)
    listed = sorted(verdict.findings, key=lambda each: each.severity != "error")[:MAX_LISTED_FINDINGS]
    facts = dataclasses.replace(
        _facts(now, agency, officer),
        regime_version=verdict.regime_version,
        standing=None,  # what scoring said last may be older than this verdict
        submission_version=verdict.version,
        received_at=verdict.received_at,
        accepted_version=obligation.accepted_version,
        errors=verdict.errors,
        warnings=verdict.warnings,
        findings=tuple(each.model_dump(mode="json", exclude={"tier"}) for each in listed),
        findings_left_out=max(0, verdict.errors + verdict.warnings - len(listed)),
    )
    told = Notification(
        obligation=now.key,
        agency=now.agency,
        regime=now.regime,
        period=now.period,
        kind="returned",
        step=f"returned/{verdict.version}",
        officer=officer,
        facts=facts,
        at=verdict.decided_at,
        submission_version=verdict.version,
        skipped=None if officer else directory.why_no_officer(now.agency),
    )
    stop = Cancel(now.key, ("returned",), "superseded_by_newer_version", verdict.version - 1)
    return Step(now, (stop,), (told,))


def apply_cancels(notifications: Iterable[Notification], cancels: Sequence[Cancel]) -> list[Notification]:
    """Mark notifications of this batch that a later event of the same batch stops: the ledger keeps them, unsent."""
    return [
        replace(each, cancelled=stop.reason)
        if each.cancelled is None and (stop := next((c for c in cancels if c.covers(each)), None))
        else each
        for each in notifications
    ]


def _to_officer(
    obligation: Obligation,
    event: ObligationEvent,
    kind: NotificationKind,
    step: str,
    directory: Directory,
) -> Notification:
    agency = directory.agency(obligation.agency)
    officer = directory.responsible(obligation.agency, obligation.regime)
    return Notification(
        obligation=obligation.key,
        agency=obligation.agency,
        regime=obligation.regime,
        period=obligation.period,
        kind=kind,
        step=step,
        officer=officer,
        facts=_facts(obligation, agency, officer),
        at=event.at,
        skipped=None if officer else directory.why_no_officer(obligation.agency),
    )


def _with_head(facts: Facts, rungs: tuple[Rung, ...], directory: Directory) -> Facts:
    """Name the head who really is told, which may be one far above the agency; nobody where no rung is staffed."""
    for rung in rungs:
        if rung.head is not None:
            agency = directory.agency(rung.agency)
            return dataclasses.replace(
                facts, head_title=rung.head.title, head_agency=agency.name, head_agency_en=agency.name_en or agency.name
            )
    return facts


def _to_heads(
    obligation: Obligation,
    event: ObligationEvent,
    responsible: Officer | None,
    rungs: tuple[Rung, ...],
    directory: Directory,
) -> tuple[Notification, ...]:
    """The first rung of the escalation; unstaffed rungs stay in the ledger as skipped and the climb goes on."""
    agency = directory.agency(obligation.agency)
    unstaffed = [directory.agency(rung.agency) for rung in rungs if rung.head is None]
    return tuple(
        Notification(
            obligation=obligation.key,
            agency=obligation.agency,
            regime=obligation.regime,
            period=obligation.period,
            kind="escalation",
            step=f"overdue/rung-{rung.number}",
            officer=rung.head,
            facts=dataclasses.replace(
                _facts(obligation, agency, rung.head),
                officer_name=responsible.name if responsible else "",
                rung=rung.number,
                passed_over=tuple(each.name for each in unstaffed),
                passed_over_en=tuple(each.name_en or each.name for each in unstaffed),
            ),
            at=event.at,
            skipped=None if rung.head else f"{rung.reason}:{rung.agency}",
        )
        for rung in rungs
    )


def _facts(obligation: Obligation, agency: Agency, officer: Officer | None) -> Facts:
    return Facts(
        recipient_name=officer.name if officer else "",
        recipient_title=officer.title if officer else "",
        agency=agency.code,
        agency_name=agency.name,
        agency_name_en=agency.name_en,
        regime=obligation.regime,
        regime_version=obligation.regime_version,
        period=obligation.period,
        deadline=obligation.deadline,
        standing=obligation.standing,
    )


def _local_day(moment: datetime) -> date:
    return moment.astimezone(LOCAL_ZONE).date()
