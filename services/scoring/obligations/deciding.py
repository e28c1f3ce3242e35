"""From changed terms or facts to what is stored and published: the one way of handlers and sweeps; no commit."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from datetime import datetime
from uuid import UUID

from msgspec import Struct

from services.scoring import metrics
from services.scoring.calendar import CalendarGap
from services.scoring.obligations import domain, store
from services.scoring.obligations.domain import Cause, Decision, Obligation
from services.scoring.obligations.facts import Facts, Terms
from services.scoring.reference_data import Rules
from shared.contract.events import COMPLIANCE, ObligationChanged
from shared.contract.ids import new_id
from shared.outbox import Outgoing, publish
from shared.postgres.database import Transaction


class Proposed(Struct, frozen=True):
    """An obligation as it was loaded, and the terms and facts it has now."""

    before: Obligation
    terms: Terms
    facts: Facts
    at: datetime  # business time of the change
    event_id: UUID | None = None  # of the event behind the change; None: time, or a decision of this service


class Decided(Struct, frozen=True):
    """What was decided, and what could not be since no calendar covers its year (key -> why)."""

    decisions: tuple[Decision, ...]
    gaps: dict[str, CalendarGap]


async def decide(
    tx: Transaction, rules: Rules, proposed: Iterable[Proposed], *, opening: Collection[str] = ()
) -> Decided:
    """Settle each on its own policy and calendar; where the calendar is too short, on the current one."""
    given = list(proposed)
    # a clause may say something else by now: the text of an earlier policy's line stands in that policy
    written_by = {line.policy_version for proposal in given for line in proposal.before.lines}
    await rules.fetch(
        tx,
        {proposal.terms.calendar_version for proposal in given},
        written_by | {proposal.terms.policy_version for proposal in given},
    )
    earlier = rules.loaded_policies(written_by)
    decisions: list[Decision] = []
    gaps: dict[str, CalendarGap] = {}
    for proposal in given:
        policy = rules.policy(proposal.terms)
        cause = Cause(proposal.at, new_id(), proposal.event_id)
        arguments = (proposal.before, proposal.terms, proposal.facts, policy)
        made = proposal.before.key in opening
        try:
            decision = domain.settle(*arguments, rules.calendar(proposal.terms), cause, opening=made, earlier=earlier)
        except CalendarGap:  # received after the years of the calendar that gave the deadline
            newest = await rules.current_calendar(tx)
            try:
                decision = domain.settle(*arguments, newest, cause, opening=made, earlier=earlier)
            except CalendarGap as gap:
                gaps[proposal.before.key] = gap
                continue
        if decision.obligation is not proposal.before:
            decisions.append(decision)
    return Decided(tuple(decisions), gaps)


async def save(tx: Transaction, decisions: Sequence[Decision], before: dict[str, Obligation]) -> None:
    """Save obligations, append lines and publish, in this order. `before`: as they were loaded, by key."""
    lines = [(decision.obligation.key, line) for decision in decisions for line in decision.lines]
    changed = [decision.obligation for decision in decisions]
    new_terms = [obligation for obligation in changed if obligation.terms is not before[obligation.key].terms]
    await store.save(tx, changed, lines, new_terms=new_terms)
    metrics.SCORE_LINES_TOTAL.inc(len(lines))
    for decision in decisions:
        if decision.event is not None:
            _count(decision.event, before[decision.obligation.key])
    await publish(
        tx, [outgoing(decision.event, decision.event_id) for decision in decisions if decision.event is not None]
    )


async def settle_all(tx: Transaction, rules: Rules, proposed: Sequence[Proposed]) -> int:
    """Decide and save; returns how many changed. Raises CalendarGap where no calendar is long enough."""
    decided = await decide(tx, rules, proposed)
    for gap in decided.gaps.values():
        raise gap
    await save(tx, decided.decisions, {proposal.before.key: proposal.before for proposal in proposed})
    return len(decided.decisions)


def outgoing(event: ObligationChanged, event_id: UUID | None = None) -> Outgoing:
    return Outgoing(COMPLIANCE, event.obligation, event.TYPE, event.encode(), event_id)


def _count(event: ObligationChanged, before: Obligation) -> None:
    for change in event.changes:
        metrics.CHANGES_TOTAL.labels(change).inc()
    if "fulfilled" in event.changes and before.state.answer is None:
        metrics.FULFILLED_TOTAL.labels("yes" if event.on_time else "no").inc()
