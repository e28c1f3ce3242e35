"""Decides which notices an event calls for and which it cancels. Pure; events are applied in order per key.

Older versions are ignored, and no notice states what is no longer so: what an older event says, or a returned verdict
after a newer verdict or acceptance, plans nothing.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from hashlib import blake2b
from typing import Any, Literal

from msgspec import Struct
from msgspec.structs import replace

from services.notifier.ladders.domain import EMAIL
from services.notifier.planning.directory import Agency, Directory, Officer, Rung
from shared.contract.events import (
    NotificationKind,
    ObligationChanged,
    Standing,
    StepNoticeKind,
    VerdictReached,
)
from shared.contract.reporting_window import local_day

#: findings that a letter lists; it gives the number of the others
MAX_LISTED_FINDINGS = 40

CancelReason = Literal[
    "fulfilled", "superseded_by_overdue", "superseded_by_newer_version", "accepted", "not_owed", "overdue_withdrawn",
    "deadline_moved", "not_to_certify", "too_old", "judged",
]  # fmt: skip
#: named: a report names the person; digest: what the person answers for, in one letter; regime: a new version of a
#: regime. None is published, since it is between the system and that person
NoticeKind = Literal[NotificationKind, StepNoticeKind, "named", "digest", "regime"]
#: about what people did with a report, and that it could not be judged (decisions.py)
ABOUT_STEPS: tuple[NoticeKind, ...] = ("decision", "withdrawal", "not_judged")
#: about one version of the report: what was said of a newer one does not cancel them
_OF_VERSION: tuple[NoticeKind, ...] = ("returned", "not_judged")
#: above every submission's version
ANY_VERSION = 2**31 - 1


class Obligation(Struct, frozen=True):
    """What notifier keeps of an obligation (nghĩa vụ báo cáo): enough to recognise an outdated event."""

    key: str
    agency: str
    regime: str
    regime_version: int
    period: str
    deadline: datetime | None = None  # None before the first compliance event
    standing: Standing | None = None
    version: int = 0  # of the newest compliance event applied
    verdict_version: int = 0  # newest submission version with a notice of its return
    accepted_version: int = 0  # submission version that answers the obligation
    owed: bool = True
    overdue: bool = False  # notices of it are planned and not taken back
    overdue_count: int = 0  # how often it became overdue
    reminded_at: datetime | None = None  # scoring's latest reminder
    reminded_for: datetime | None = None  # the deadline of the latest reminder planned here
    reminder_count: int = 0
    named_officer: str | None = None  # by the report that answers it
    certify_version: int = 0  # accepted but for its certification
    score: Decimal | None = None
    scored_at: datetime | None = None  # when it last became another
    policy_version: str = ""  # by which it is scored


class Naming(Struct, frozen=True):
    """The report that answers an obligation names this person, who is to hear of it."""

    obligation: str
    officer_id: str
    version: int
    received_at: datetime
    at: datetime  # business time


@dataclass(frozen=True, slots=True)
class LetterFacts:
    """What a letter states, fixed when the notice is planned: every attempt sends the same message."""

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
    ladder_rung: str = ""  # escalation: the rung of the ladder; empty where the head is told as it becomes overdue
    told_earlier: tuple[str, ...] = ()  # escalation: whom a notice was made out to before, by title, name and day
    next_role: str = ""  # escalation: whom the next rung tells, and when; empty at the top
    next_at: datetime | None = None
    #: escalation: who has handed it on to the recipient, with title, and why
    handed_on_by: str | None = None
    handed_on_why: str | None = None
    resolution: str = ""  # resolved: answered, not_owed, not_overdue
    # overdue: the head whose notice is planned with this one, by title and agency; empty where there is none
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
    named: bool = False  # returned: the report names the recipient
    instead_of: str = ""  # to whom the mail did not get that the recipient has in the place of
    rework: bool = False  # returned: by a reviewer, with his reason and term
    rework_reason: str = ""
    rework_until: datetime | None = None
    certify_by: datetime | None = None  # certification: until when it counts by its receipt
    # decision, withdrawal: the step, who took it and why; what was asked for, when and why
    decision: str = ""
    decision_role: str = ""
    decision_reason: str = ""
    decision_effect: str = ""
    decision_since: datetime | None = None
    decision_until: datetime | None = None
    asked_at: datetime | None = None
    asked_reason: str = ""
    # named: the reports that name the recipient (regime, regime_en, period, request, request_en, version, received_at)
    reports: tuple[dict[str, str], ...] = ()
    reports_left_out: int = 0
    #: of a letter that tells of several matters, its own first (mailing.sweep makes them)
    matters: tuple[dict[str, Any], ...] = ()
    #: of a digest: its tables and their totals (digests.sweep makes them)
    digest: dict[str, Any] | None = None
    regime_change: dict[str, Any] | None = None  # regime: regimes.domain.changes


class Notice(Struct, frozen=True):
    """One notice to one person; `officer` is None where there is nobody to notify, and `skipped` says why."""

    obligation: str
    agency: str
    regime: str
    period: str
    kind: NoticeKind
    step: str  # what makes it unique: due_soon, due_soon/2, overdue, overdue/rung-1, overdue/2/rung-1, returned/2 …
    officer: Officer | None
    facts: LetterFacts
    at: datetime  # business time
    submission_version: int = 0
    cancelled: CancelReason | None = None
    skipped: str | None = None
    urgent: bool = False
    channels: tuple[str, ...] = (EMAIL,)  # in the order in which they are tried

    @classmethod
    def about(
        cls,
        obligation: Obligation,
        kind: NoticeKind,
        step: str,
        officer: Officer | None,
        facts: LetterFacts,
        at: datetime,
        *,
        submission_version: int = 0,
        skipped: str | None = None,
    ) -> Notice:
        """A notice of an obligation. `at`: business time."""
        return cls(
            obligation.key, obligation.agency, obligation.regime, obligation.period, kind, step, officer, facts, at,
            submission_version=submission_version, skipped=skipped,
        )  # fmt: skip


class Cancel(Struct, frozen=True):
    """Which unsent notices of an obligation are no longer true."""

    obligation: str
    kinds: tuple[NoticeKind, ...]
    reason: CancelReason
    up_to_submission_version: int = 0  # returned, not_judged: only notices about this version or an older one

    def covers(self, notice: Notice) -> bool:
        """Whether it cancels this notice."""
        if notice.obligation != self.obligation or notice.kind not in self.kinds:
            return False
        return notice.kind not in _OF_VERSION or notice.submission_version <= self.up_to_submission_version


class Plan(Struct, frozen=True):
    """The outcome of one event: the obligation after it, notices to cancel, notices to send."""

    obligation: Obligation
    cancels: tuple[Cancel, ...] = ()
    notices: tuple[Notice, ...] = ()
    naming: Naming | None = None


def needs_directory(event: ObligationChanged | VerdictReached) -> bool:
    """Whether the event may call for a notice, so that the agency and its people must be registered."""
    if isinstance(event, VerdictReached):
        return event.outcome == "returned"
    return (
        event.owed
        and event.answer_version is None
        and (
            is_request(event.period)
            or event.overdue
            or event.reminded_at is not None
            or event.rework_version is not None
            or event.certify_version is not None
        )
    )


def is_request(period: str) -> bool:
    """Whether the period is an ad hoc or information request: the ids of these begin with a letter."""
    return not period[:1].isdigit()


def becomes_overdue(obligation: Obligation, event: ObligationChanged) -> bool:
    """Whether this event makes it overdue, so that its escalation begins."""
    return (
        event.overdue
        and not obligation.overdue
        and event.owed
        and event.answer_version is None
        and event.version > obligation.version
    )


def apply_obligation_event(
    obligation: Obligation, event: ObligationChanged, directory: Directory, *, heads_at_once: bool = True
) -> Plan:
    """Apply one compliance event: what it says against what was said before, whatever lies between the two.

    heads_at_once: whether by its ladder the head is told as soon as it is overdue; else the escalation does it later.
    Raises NotYetRegistered when the agency to notify is not in the directory yet.
    """
    if event.version <= obligation.version:
        return Plan(obligation)
    unanswered = event.owed and event.answer_version is None
    withdrawn = unanswered and obligation.overdue and not event.overdue and _taken_back(obligation, event)
    now = replace(
        obligation,
        regime_version=event.regime_version,
        deadline=event.deadline,
        standing=event.standing,
        version=event.version,
        accepted_version=event.answer_version or 0,
        owed=event.owed,
        overdue=event.overdue or (unanswered and obligation.overdue and not withdrawn),
        reminded_at=event.reminded_at,
        certify_version=event.certify_version or 0,
        score=event.score,
        scored_at=obligation.scored_at if event.score == obligation.score else event.at,
        policy_version=event.policy_version,
    )
    planned = _planned_kinds(obligation)
    if not event.owed:
        return Plan(now, (Cancel(now.key, (*planned, *ABOUT_STEPS), "not_owed", ANY_VERSION),))
    if event.answer_version is not None:
        naming = _naming(obligation, event)
        if naming is not None:
            now = replace(now, named_officer=naming.officer_id)
        if event.answer_version == obligation.accepted_version:
            return Plan(now, naming=naming)
        return Plan(now, _cancels(now.key, planned, "fulfilled", event.answer_version), naming=naming)
    cancels: list[Cancel] = []
    if "reminder" in planned and obligation.deadline is not None and event.deadline > obligation.deadline:
        cancels.append(Cancel(now.key, ("reminder",), "deadline_moved"))
    if obligation.certify_version and now.certify_version != obligation.certify_version:
        cancels.append(Cancel(now.key, ("certification",), "not_to_certify"))
    sent_back = _sent_back(now, event, directory)
    if sent_back:
        now = replace(now, verdict_version=max(now.verdict_version, sent_back[0].submission_version))
    told = (*sent_back, *_to_certify(obligation, now, event, directory))
    if withdrawn:
        cancels.append(Cancel(now.key, ("overdue", "escalation"), "overdue_withdrawn"))
    if now.overdue and not obligation.overdue:
        now = replace(now, overdue_count=now.overdue_count + 1)
        step = _step("overdue", now.overdue_count)
        to_officer = _to_officer(now, event, "overdue", step, directory)
        rungs = directory.climb(now.agency, local_day(event.at)) if heads_at_once else ()
        to_officer = replace(to_officer, facts=_with_head(to_officer.facts, rungs, directory))
        if before_deadline := tuple(kind for kind in planned if kind in ("reminder", "request")):
            cancels.append(Cancel(now.key, before_deadline, "superseded_by_overdue"))
        to_heads = _to_heads(now, event, step, to_officer.officer, rungs, directory)
        return Plan(now, tuple(cancels), (*told, to_officer, *to_heads))
    if not now.overdue and _calls_for_reminder(obligation, event):
        now = replace(now, reminded_for=event.deadline, reminder_count=now.reminder_count + 1)
        step = _step("due_soon", now.reminder_count)
        return Plan(now, tuple(cancels), (*told, _to_officer(now, event, "reminder", step, directory)))
    if _calls_for_request(obligation, now):
        return Plan(now, tuple(cancels), (*told, _to_officer(now, event, "request", "request", directory)))
    return Plan(now, tuple(cancels), told)


def _planned_kinds(obligation: Obligation) -> tuple[NoticeKind, ...]:
    """Kinds of which notices may have been planned. Most reports come in time and leave nothing to cancel."""
    kinds: list[NoticeKind] = []
    if is_request(obligation.period) and obligation.version:
        kinds.append("request")
    if obligation.reminder_count:
        kinds.append("reminder")
    if obligation.overdue_count:
        kinds += ["overdue", "escalation"]
    if obligation.verdict_version:
        kinds.append("returned")
    if obligation.certify_version:
        kinds.append("certification")
    return tuple(kinds)


def _cancels(key: str, kinds: tuple[NoticeKind, ...], reason: CancelReason, up_to: int) -> tuple[Cancel, ...]:
    return (Cancel(key, kinds, reason, up_to),) if kinds else ()


def _sent_back(obligation: Obligation, event: ObligationChanged, directory: Directory) -> tuple[Notice, ...]:
    """The notice that a reviewer has sent a version back. Its step names what he said, so that it is told once.

    That a version newer than any known return stands as sent back is news, whatever the event tells beside it: on the
    compacted topic it may have replaced the event that told of it.
    """
    if event.rework_version is None:
        return ()
    if event.rework_version <= obligation.verdict_version and "returned" not in event.changes:
        return ()
    reason = event.rework_reason or ""
    said = blake2b(f"{reason}|{event.rework_until}".encode(), digest_size=6).hexdigest()
    notice = _to_officer(obligation, event, "returned", f"rework/{event.rework_version}/{said}", directory)
    is_latest = event.received_version == event.rework_version
    facts = dataclasses.replace(
        notice.facts,
        submission_version=event.rework_version,
        received_at=event.last_received_at if is_latest else None,
        rework=True,
        rework_reason=reason,
        rework_until=event.rework_until,
    )
    return (replace(notice, facts=facts, submission_version=event.rework_version),)


def _to_certify(
    before: Obligation, now: Obligation, event: ObligationChanged, directory: Directory
) -> tuple[Notice, ...]:
    """The notice that a report waits for the head's signature: whenever a version begins to wait.

    One may wait again, as when a newer one is withdrawn, or a reviewer takes back that it was sent back. The notice of
    its first time may have been cancelled, and the head was told of another since: so it is told anew. Only of the
    latest version received is it sure that it waits for the first time. What it was before is read of obligation events
    alone, which reconcile has in their order.
    """
    version = now.certify_version
    if not version or (version == before.certify_version and before.owed):
        return ()
    answered = before.accepted_version or before.standing == "returned"
    is_latest = event.received_version == now.certify_version
    first = before.owed and not answered and before.certify_version < version and is_latest
    head = directory.head(now.agency)
    facts = dataclasses.replace(
        letter_facts(now, directory.agency(now.agency), head),
        standing=None,
        submission_version=now.certify_version,
        received_at=event.last_received_at if is_latest else None,
        certify_by=event.locks_at or event.deadline,
    )
    notice = Notice.about(
        now,
        kind="certification",
        step=f"certify/{version}" if first else f"certify/{version}/{event.version}",
        officer=head,
        facts=facts,
        at=event.at,
        submission_version=now.certify_version,
        skipped=None if head else directory.why_no_head(now.agency),
    )
    return (notice,)


def _naming(obligation: Obligation, event: ObligationChanged) -> Naming | None:
    """Whom the answer names, where that is new. A rebuilt scoring, or another line of the score, tells nobody again."""
    if event.officer_basis != "named" or event.officer_id is None or event.officer_id == obligation.named_officer:
        return None
    if obligation.named_officer == "" and event.answer_version == obligation.accepted_version:
        return None  # answered before this was kept
    if event.answer_version is None or event.answer_received_at is None:
        return None
    return Naming(obligation.key, event.officer_id, event.answer_version, event.answer_received_at, event.at)


def _taken_back(obligation: Obligation, event: ObligationChanged) -> bool:
    """Whether scoring found that the obligation is not overdue after all, rather than has not found it overdue yet.

    When scoring's database is rebuilt, it opens its obligations again and marks those overdue last. Notices already
    sent stay sent; otherwise everybody would be mailed again.
    """
    if "overdue_withdrawn" in event.changes:
        return True
    return "opened" not in event.changes and (
        event.deadline != obligation.deadline or event.standing == "awaiting_verdict"
    )


def _calls_for_reminder(obligation: Obligation, event: ObligationChanged) -> bool:
    """Each deadline is reminded of once, also where scoring's database was built again and it reminds anew."""
    if event.reminded_at is None or event.reminded_at == obligation.reminded_at:
        return False
    return obligation.reminded_for is None or event.deadline > obligation.reminded_for


def _calls_for_request(before: Obligation, now: Obligation) -> bool:
    """Whether this is the first that is heard of a request, while it can be answered in time.

    Where its first event reminds already, the reminder says the same. A scoring that is built again says nothing new.
    """
    return is_request(now.period) and not before.version and now.standing == "nothing_sent" and not now.overdue


def _step(name: str, count: int) -> str:
    """`due_soon`, and after a deadline that moved `due_soon/2`: each is one notice."""
    return name if count == 1 else f"{name}/{count}"


def apply_returned_verdict(obligation: Obligation, verdict: VerdictReached, directory: Directory) -> Plan:
    """Apply one returned verdict. Raises NotYetRegistered when agency or officer is not in the directory yet.

    A return plans nothing if a newer version was returned already, or accepted, or if the report is not owed any more.
    """
    if not obligation.owed or verdict.version <= max(obligation.verdict_version, obligation.accepted_version):
        return Plan(obligation)
    agency = directory.agency(verdict.agency)
    officer = directory.submitter(verdict.agency, verdict.regime, verdict.officer_id)
    now = replace(obligation, verdict_version=verdict.version)
    asking = [finding for finding in verdict.findings if finding.waived is None]
    listed = sorted(asking, key=lambda finding: finding.severity != "error")[:MAX_LISTED_FINDINGS]
    facts = dataclasses.replace(
        letter_facts(now, agency, officer),
        regime_version=verdict.regime_version,
        standing=None,  # scoring's latest event may be older than this verdict
        submission_version=verdict.version,
        received_at=verdict.received_at,
        accepted_version=obligation.accepted_version,
        errors=verdict.errors,
        warnings=verdict.warnings,
        findings=tuple(finding.model_dump(mode="json", exclude={"tier"}) for finding in listed),
        findings_left_out=max(0, verdict.errors + verdict.warnings - len(listed)),
        named=officer is not None and officer.officer_id == verdict.officer_id,
    )
    notice = Notice.about(
        now,
        kind="returned",
        step=f"returned/{verdict.version}",
        officer=officer,
        facts=facts,
        at=verdict.decided_at,
        submission_version=verdict.version,
        skipped=None if officer else directory.why_no_officer(now.agency),
    )
    older = Cancel(now.key, ("returned",), "superseded_by_newer_version", verdict.version - 1)
    return Plan(now, (older,), (notice,))


def apply_cancels(notices: Iterable[Notice], cancels: Sequence[Cancel]) -> list[Notice]:
    """Mark notices that a later event of the same batch cancels: the ledger keeps them, unsent."""
    return [
        replace(notice, cancelled=found.reason)
        if notice.cancelled is None and (found := next((cancel for cancel in cancels if cancel.covers(notice)), None))
        else notice
        for notice in notices
    ]


def _to_officer(
    obligation: Obligation,
    event: ObligationChanged,
    kind: NoticeKind,
    step: str,
    directory: Directory,
) -> Notice:
    agency = directory.agency(obligation.agency)
    officer = directory.responsible(obligation.agency, obligation.regime)
    return Notice.about(
        obligation,
        kind=kind,
        step=step,
        officer=officer,
        facts=letter_facts(obligation, agency, officer),
        at=event.at,
        skipped=None if officer else directory.why_no_officer(obligation.agency),
    )


def _with_head(facts: LetterFacts, rungs: tuple[Rung, ...], directory: Directory) -> LetterFacts:
    """Name the head who receives the escalation, perhaps far above the agency; nobody where no rung has a head."""
    for rung in rungs:
        if rung.head is not None:
            agency = directory.agency(rung.agency)
            return dataclasses.replace(
                facts, head_title=rung.head.title, head_agency=agency.name, head_agency_en=agency.name_en or agency.name
            )
    return facts


def _to_heads(
    obligation: Obligation,
    event: ObligationChanged,
    step: str,
    responsible: Officer | None,
    rungs: tuple[Rung, ...],
    directory: Directory,
) -> tuple[Notice, ...]:
    """A notice to the first head upwards; rungs without a head enter the ledger as skipped."""
    agency = directory.agency(obligation.agency)
    unstaffed = [directory.agency(rung.agency) for rung in rungs if rung.head is None]
    return tuple(
        Notice.about(
            obligation,
            kind="escalation",
            step=f"{step}/rung-{rung.number}",
            officer=rung.head,
            facts=dataclasses.replace(
                letter_facts(obligation, agency, rung.head),
                officer_name=responsible.name if responsible else "",
                rung=rung.number,
                passed_over=tuple(agency.name for agency in unstaffed),
                passed_over_en=tuple(agency.name_en or agency.name for agency in unstaffed),
            ),
            at=event.at,
            skipped=None if rung.head else f"{rung.reason}:{rung.agency}",
        )
        for rung in rungs
    )


def letter_facts(obligation: Obligation, agency: Agency, officer: Officer | None) -> LetterFacts:
    """What every letter about an obligation states."""
    return LetterFacts(
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
