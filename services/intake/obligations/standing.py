"""Where an obligation stands, folded from scoring's events: a newer version wins, what it does not say is kept."""

from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal

from msgspec import Struct
from msgspec.structs import replace

from shared.contract.events import (
    ComplianceEvent,
    ObligationFulfilled,
    ObligationOpened,
    ObligationOverdue,
    ScoreChanged,
    ScoreLine,
)


class Standing(Struct, frozen=True):
    """What intake shows an agency of one obligation; None: nothing was said of it."""

    obligation: str
    version: int
    agency: str
    regime: str
    regime_version: int
    period: str
    deadline: datetime
    standing: str
    changed_at: datetime
    cutoff_from: date | None = None
    cutoff_to: date | None = None
    overdue: bool | None = None
    on_time: bool | None = None
    score: Decimal | None = None
    policy_version: str | None = None
    lines: tuple[ScoreLine, ...] | None = None  # those in force


def fold(before: Standing | None, event: ComplianceEvent) -> Standing:
    """The standing after an event; an older event than what is known changes nothing."""
    if before is not None and event.version <= before.version:
        return before
    standing = Standing(
        obligation=event.obligation,
        version=event.version,
        agency=event.agency,
        regime=event.regime,
        regime_version=event.regime_version,
        period=event.period,
        deadline=event.deadline,
        standing=event.standing,
        changed_at=event.at,
        cutoff_from=before.cutoff_from if before else None,
        cutoff_to=before.cutoff_to if before else None,
        overdue=before.overdue if before else None,
        on_time=before.on_time if before else None,
        score=before.score if before else None,
        policy_version=before.policy_version if before else None,
        lines=before.lines if before else None,
    )
    match event:
        case ObligationOpened():
            return replace(standing, cutoff_from=event.cutoff_from, cutoff_to=event.cutoff_to)
        case ObligationOverdue():
            return replace(standing, overdue=True)
        case ObligationFulfilled():
            return replace(standing, overdue=False, on_time=event.on_time)
        case ScoreChanged():
            overdue = standing.overdue if event.overdue is None else event.overdue
            return replace(
                standing, overdue=overdue, score=event.score, policy_version=event.policy_version, lines=event.lines
            )
        case _:
            return standing
