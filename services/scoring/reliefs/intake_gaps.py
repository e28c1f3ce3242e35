"""Proposes a relief where intake could store nothing near a deadline, before anybody is marked overdue.

Intake publishes up to when it could store reports, and each gap before anything later. So its latest moment limits the
deadlines that may be judged: while intake is silent, nobody is reminded or called overdue.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from sqlalchemy import text

from services.scoring import metrics
from services.scoring.reliefs import decisions
from services.scoring.reliefs.decisions import Proposal
from services.scoring.reliefs.lost_time import compensation, deadlines_within, kept, shown
from shared.contract.events import IntakeAvailable, IntakeUnavailable
from shared.postgres.database import ReadTransaction, Transaction
from shared.runtime.clock import Clock
from shared.telemetry.readiness import Check

#: gaps no further apart count as one: a service that comes and goes delays people too
TOGETHER = timedelta(hours=1)
#: silence after which readiness warns
SILENT = timedelta(minutes=2)

_CAUSES = {
    "stopped": ("dịch vụ không chạy", "no process ran"),
    "stalled": ("dịch vụ không ghi được", "it could write nothing"),
    "refusing": ("dịch vụ quá tải, từ chối nhận", "it was overloaded and refused"),
}

_AVAILABLE = text("""
    INSERT INTO intake_availability (available_until) VALUES (:until)
    ON CONFLICT (one_row) DO UPDATE SET available_until = excluded.available_until
     WHERE intake_availability.available_until < excluded.available_until
""")
_GAP = text("""
    INSERT INTO intake_gaps (starts_at, ends_at, cause) VALUES (:since, :until, :cause) ON CONFLICT DO NOTHING
""")
_READ = text("SELECT available_until FROM intake_availability")
_UNEXAMINED = text("""
    SELECT starts_at, ends_at, cause FROM intake_gaps
     WHERE NOT examined ORDER BY starts_at LIMIT 1 FOR UPDATE
""")
_JUST_BEFORE = text("""
    SELECT starts_at, ends_at, cause FROM intake_gaps
     WHERE examined AND relief_id IS NULL AND ends_at >= :earliest AND starts_at < :starts_at ORDER BY starts_at DESC
""")
_EXAMINED = text("""
    UPDATE intake_gaps SET examined = true, relief_id = :relief_id
     WHERE starts_at >= :starts_at AND ends_at <= :ends_at AND relief_id IS NULL
""")


async def keep(tx: Transaction, told: Sequence[IntakeAvailable | IntakeUnavailable]) -> None:
    """Store intake's own events about its availability, in any order and however often they come."""
    for event in told:
        if isinstance(event, IntakeUnavailable) and event.since < event.until:
            await tx.execute(_GAP, {"since": event.since, "until": event.until, "cause": event.cause})
    hours = [event.until for event in told if isinstance(event, IntakeAvailable)]
    if hours:
        await tx.execute(_AVAILABLE, {"until": max(hours)})


class IntakeGaps:
    """shortest: how long intake must have been unavailable, within an hour, for a relief to be proposed."""

    def __init__(self, business: Clock, shortest: timedelta, grace: timedelta) -> None:
        self._business = business
        self._shortest = shortest
        self._grace = grace

    async def vouched_until(self, tx: ReadTransaction) -> datetime | None:
        """Return up to when intake could store reports, and set the gauge; None while it has published nothing."""
        until: datetime | None = (await tx.execute(_READ)).scalar_one_or_none()
        if until is not None:
            metrics.INTAKE_SILENT_SECONDS.set(max(0.0, (self._business.now() - until).total_seconds()))
        return until

    async def propose(self, tx: Transaction) -> bool:
        """Examine one gap; return True if there was one. A proposal is applied before anything else is swept."""
        gap = (await tx.execute(_UNEXAMINED)).first()
        if gap is None:
            return False
        gaps = [gap]
        for before in await tx.execute(
            _JUST_BEFORE, {"earliest": gap.starts_at - TOGETHER, "starts_at": gap.starts_at}
        ):
            if before.ends_at >= gaps[-1].starts_at - TOGETHER:
                gaps.append(before)
        lost = sum((found.ends_at - found.starts_at for found in gaps), timedelta())
        starts_at, relief_id = gaps[-1].starts_at, None
        if lost >= self._shortest:
            relief_id = await self._propose(tx, starts_at, gap.ends_at, lost, gap.cause)
        await tx.execute(
            _EXAMINED,
            {
                "relief_id": relief_id,
                "starts_at": starts_at if relief_id else gap.starts_at,
                "ends_at": gap.ends_at,
            },
        )
        return True

    async def check(self, tx: ReadTransaction) -> Check:
        """Warn in readiness while intake is silent, since marks wait for it."""
        until = await self.vouched_until(tx)
        if until is None:
            return Check(ok=True, detail="intake has told nothing yet")
        if self._business.now() - until > SILENT:
            return Check(
                ok=True, detail=f"WARNING intake is silent since {until:%F %H:%M:%S}Z; nothing later is marked"
            )
        return Check(ok=True, detail=f"vouched for until {until:%F %H:%M:%S}Z")

    async def _propose(
        self, tx: Transaction, starts_at: datetime, ends_at: datetime, lost: timedelta, cause: str
    ) -> str | None:
        until = ends_at + compensation(lost)
        touched = await deadlines_within(tx, starts_at, until)
        if not touched:
            return None
        span, (vi, en) = (shown(starts_at), shown(ends_at)), _CAUSES.get(cause, (cause, cause))
        minutes = round(lost.total_seconds() / 60)
        proposal = Proposal(
            starts_at,
            until,
            f"Không nhận được báo cáo {minutes} phút trong khoảng {span[0]} đến {span[1]} ({vi}) / "
            f"no reports could be sent for {minutes} minutes between {span[0]} and {span[1]} ({en})",
            "scoring",
            evidence=(
                {
                    "deadlines": touched,
                    "cause": cause,
                    "since": kept(starts_at),
                    "until": kept(ends_at),
                    "unavailable_seconds": round(lost.total_seconds()),
                },
            ),
            cause="intake",
        )
        await decisions.propose(tx, proposal, self._business.now(), self._grace)
        return proposal.relief_id
