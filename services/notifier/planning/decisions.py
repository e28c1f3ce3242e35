"""Decides who hears of what people did with a report: decisions go to who asked and the officer, withdrawals up. Pure.

A step is told once, whatever comes later; only what is not owed any more, and what is old when it is read, is not told.
"""

from __future__ import annotations

import dataclasses
from datetime import datetime, timedelta

from msgspec.structs import replace

from services.notifier.planning.directory import Directory, Officer
from services.notifier.planning.domain import CancelReason, Notice, NoticeKind, Obligation, Plan, letter_facts
from shared.contract.events import StepKind, StepTaken
from shared.contract.events.fields import usable_address
from shared.contract.reporting_window import local_day

#: decisions, and what they decide
DECISIONS: frozenset[StepKind] = frozenset(
    {
        "extension_granted", "extension_refused", "explanation_accepted", "explanation_refused", "appeal_upheld",
        "appeal_dismissed",
    }
)  # fmt: skip
#: a step that is older when it is read tells nobody anything new
TOLD_WITHIN = timedelta(days=30)


def calls_for_notice(step: StepTaken) -> bool:
    """Whether anybody hears of it."""
    return step.kind in DECISIONS or step.kind == "withdrawn"


def asker_of(step: StepTaken) -> str | None:
    """The person who asked for the decision; None where the agency's own system did."""
    return None if step.asked_by in (None, step.agency) else step.asked_by


def apply_step(obligation: Obligation, step: StepTaken, directory: Directory, now: datetime) -> Plan:
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
    if (stale := _stale(obligation, step, now)) is not None:
        told = [replace(notice, cancelled=stale) for notice in told]
    return Plan(obligation, (), tuple(told))


def _stale(obligation: Obligation, step: StepTaken, now: datetime) -> CancelReason | None:
    if now - step.at > TOLD_WITHIN:
        return "too_old"
    return None if obligation.owed else "not_owed"


def _to_asker(obligation: Obligation, step: StepTaken, directory: Directory, asker: Officer) -> Notice:
    """Of its own name in the ledger; who cannot be written to is not replaced."""
    why = None
    if not asker.active:
        why = f"officer_left:{asker.officer_id}"
    elif not usable_address(asker.email):
        why = f"unusable_address_of:{asker.officer_id}"
    return _notice(obligation, step, directory, "decision", "/asker", None if why else asker, why)


def _notice(
    obligation: Obligation,
    step: StepTaken,
    directory: Directory,
    kind: NoticeKind,
    to: str,
    recipient: Officer | None,
    skipped: str | None,
) -> Notice:
    facts = dataclasses.replace(
        letter_facts(obligation, directory.agency(step.agency), recipient),
        regime_version=step.regime_version,
        standing=None,  # scoring may not have heard of the step yet
        submission_version=step.version or 0,
        received_at=step.received_at,
        decision=step.kind,
        decision_role=step.role,
        decision_reason=step.reason,
        decision_effect=step.effect or "",
        decision_since=step.since,
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
        submission_version=step.version or 0,
        skipped=skipped,
    )
