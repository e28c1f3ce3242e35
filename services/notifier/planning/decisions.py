"""Decides who hears of what people did with a report: decisions go to who asked and the officer, withdrawals up. Pure.

That a report could not be judged goes to who sent it. A step is told once, whatever comes later; only what is not owed
any more, and what is old when it is read, is not told.
"""

from __future__ import annotations

import dataclasses
from datetime import datetime, timedelta

from msgspec.structs import replace

from services.notifier.planning.directory import Directory, Officer
from services.notifier.planning.domain import Cancel, CancelReason, Notice, NoticeKind, Obligation, Plan, letter_facts
from shared.contract.events import LatenessStep, NotJudged, StepTaken, VerdictReached
from shared.contract.events.fields import usable_address
from shared.contract.reporting_window import local_day

#: a step of people, about a report or about its lateness
Step = StepTaken | LatenessStep
#: decisions, and what they decide
DECISIONS: frozenset[str] = frozenset(
    {
        "extension_granted", "extension_refused", "explanation_accepted", "explanation_refused", "appeal_upheld",
        "appeal_dismissed", "lateness_noted", "lateness_questioned",
    }
)  # fmt: skip
#: a step that is older when it is read tells nobody anything new
TOLD_WITHIN = timedelta(days=30)


def calls_for_notice(step: Step) -> bool:
    """Whether anybody hears of it."""
    return step.kind in DECISIONS or step.kind == "withdrawn"


def asker_of(step: Step) -> str | None:
    """The person who asked for the decision; None where the agency's own system did."""
    return None if step.asked_by in (None, step.agency) else step.asked_by


def apply_step(obligation: Obligation, step: Step, directory: Directory, now: datetime) -> Plan:
    """Plan the notices of one step; now: business time.

    Raises NotYetRegistered when the agency or the person who asked is not in the directory yet.
    """
    if not calls_for_notice(step):
        return Plan(obligation)
    if step.kind == "withdrawn":
        reviewer = directory.reviewer(step.agency, step.regime, local_day(step.at))
        told = [_notice(obligation, step, directory, "withdrawal", "", reviewer, None if reviewer else "no_reviewer")]
    else:
        officer = directory.responsible(step.agency, step.regime)
        why = None if officer else directory.why_no_officer(step.agency)
        told = [_notice(obligation, step, directory, "decision", "", officer, why)]
        asker = asker_of(step)
        if asker is not None and (officer is None or asker != officer.officer_id):
            told.append(_to_asker(obligation, step, directory, directory.person(asker)))
    if (stale := _stale(obligation, step.at, now)) is not None:
        told = [replace(notice, cancelled=stale) for notice in told]
    return Plan(obligation, (), tuple(told))


def apply_not_judged(obligation: Obligation, said: NotJudged, directory: Directory, now: datetime) -> Plan:
    """Plan the notice that a version could not be judged; now: business time.

    Raises NotYetRegistered when the agency or the officer is not in the directory yet.
    """
    officer = directory.submitter(said.agency, said.regime, said.officer_id)
    facts = dataclasses.replace(
        letter_facts(obligation, directory.agency(said.agency), officer),
        regime_version=said.regime_version,
        standing=None,
        submission_version=said.version,
        received_at=said.received_at,
        findings=tuple(finding.model_dump(mode="json", exclude={"tier"}) for finding in said.findings),
        named=officer is not None and officer.officer_id == said.officer_id,
    )
    notice = Notice.about(
        obligation,
        kind="not_judged",
        step=f"not_judged/{said.version}",
        officer=officer,
        facts=facts,
        at=said.decided_at,
        submission_version=said.version,
        skipped=None if officer else directory.why_no_officer(said.agency),
    )
    if (stale := _stale(obligation, said.decided_at, now)) is not None:
        notice = replace(notice, cancelled=stale)
    return Plan(obligation, (), (notice,))


def judged_since(verdict: VerdictReached) -> Cancel:
    """Cancels the notice that a version could not be judged, once there is a verdict on it."""
    return Cancel(verdict.obligation, ("not_judged",), "judged", verdict.version)


def _stale(obligation: Obligation, at: datetime, now: datetime) -> CancelReason | None:
    if now - at > TOLD_WITHIN:
        return "too_old"
    return None if obligation.owed else "not_owed"


def _to_asker(obligation: Obligation, step: Step, directory: Directory, asker: Officer) -> Notice:
    """Of its own name in the ledger; who cannot be written to is not replaced."""
    why = None
    if not asker.active:
        why = f"officer_left:{asker.officer_id}"
    elif not usable_address(asker.email):
        why = f"unusable_address_of:{asker.officer_id}"
    return _notice(obligation, step, directory, "decision", "/asker", None if why else asker, why)


def _notice(
    obligation: Obligation,
    step: Step,
    directory: Directory,
    kind: NoticeKind,
    to: str,
    recipient: Officer | None,
    skipped: str | None,
) -> Notice:
    report = step if isinstance(step, StepTaken) else None  # an explanation of lateness is about none
    version = (report.version if report else None) or 0
    facts = dataclasses.replace(
        letter_facts(obligation, directory.agency(step.agency), recipient),
        regime_version=step.regime_version,
        standing=None,  # scoring may not have heard of the step yet
        submission_version=version,
        received_at=report.received_at if report else None,
        decision=step.kind,
        decision_role=step.role,
        decision_reason=step.reason,
        decision_effect=(report.effect if report else None) or "",
        decision_since=report.since if report else None,
        decision_until=step.until,
        asked_at=step.asked_at,
        asked_reason=step.asked_reason,
    )
    return Notice.about(
        obligation,
        kind=kind,
        step=f"{kind}/{step.step_id}{to}",
        officer=recipient,
        facts=facts,
        at=step.at,
        submission_version=version,
        skipped=skipped,
    )
