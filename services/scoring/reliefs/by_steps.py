"""A reviewer's decision that gives time (an extension granted, an appeal upheld) is a relief of that one obligation.

It is stored as every relief is, proposed by who asked and granted by who decided, so that there is one rule for time
that counts against nobody. An extension counts from the hour at which it was asked for: what is asked for after the
deadline forgives days and cannot make a report on time. Nothing commits.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from services.scoring.reliefs import decisions
from services.scoring.reliefs.decisions import Proposal
from shared.contract.events import StepTaken
from shared.postgres.database import Transaction


def relief_id(step: StepTaken) -> str:
    """The relief that a decision gives: named by it, so that it is given once."""
    return f"{'extension' if step.kind == 'extension_granted' else 'appeal'}-{step.step_id}"


def span(step: StepTaken) -> tuple[datetime, datetime] | None:
    """The time that a step gives; None where it gives none."""
    starts_at = None
    if step.kind == "extension_granted":
        starts_at = step.asked_at
    elif step.kind == "appeal_upheld" and step.effect == "relief":
        starts_at = step.since
    if starts_at is None or step.until is None or starts_at >= step.until:
        return None
    return starts_at, step.until


async def keep(tx: Transaction, steps: Iterable[StepTaken]) -> None:
    """Store the reliefs that these steps give; the sweep brings them to their obligations."""
    for step in steps:
        given = span(step)
        if given is not None:
            await _give(tx, step, *given)


async def _give(tx: Transaction, step: StepTaken, starts_at: datetime, ends_at: datetime) -> None:
    asked = Proposal(
        starts_at, ends_at, step.asked_reason or step.reason, step.asked_by or step.by, obligations=(step.obligation,)
    )
    decider = decisions.Decider(step.by, step.at, step.reason)
    await decisions.give(tx, relief_id(step), asked, step.asked_at or step.at, decider)
