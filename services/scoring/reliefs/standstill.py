"""Notices that scoring stood still across deadlines, and proposes a relief before anybody is marked overdue.

The database keeps the business time up to which scoring has swept, and the system time of that sweep. A gap counts
only if both clocks advanced by more than `longest`: led or scaled business time jumps by days that cost nobody
anything.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from sqlalchemy import text

from services.scoring.reliefs import decisions
from services.scoring.reliefs.decisions import Proposal
from services.scoring.reliefs.lost_time import deadlines_within, shown
from shared.postgres.database import Transaction
from shared.runtime.clock import Clock

#: system seconds between two writes; also the precision of a gap
WRITE_SECONDS = 15.0

_READ = text("SELECT swept_to, system_at FROM sweep_heartbeat")
_WRITE = text("""
    INSERT INTO sweep_heartbeat (swept_to, system_at) VALUES (:swept_to, :system_at)
    ON CONFLICT (one_row) DO UPDATE SET swept_to = excluded.swept_to, system_at = excluded.system_at
     WHERE sweep_heartbeat.swept_to < excluded.swept_to
""")


class Standstill:
    """`longest`: how long the sweep may stand still without a proposal."""

    def __init__(self, business: Clock, system: Clock, longest: timedelta, grace: timedelta) -> None:
        self._business = business
        self._system = system
        self._longest = longest
        self._grace = grace
        self._written: tuple[datetime, datetime] | None = None  # what this process wrote last

    async def note(self, tx: Transaction, swept_to: datetime) -> bool:
        """Record the moment swept now. Return True if a relief was proposed: it is applied before anything else."""
        system_at = self._system.now()
        written = self._written
        if written is not None and timedelta() <= system_at - written[1] < timedelta(seconds=WRITE_SECONDS):
            return False
        last = (await tx.execute(_READ)).first()
        self._written = None  # the next tick reads it again if this transaction is rolled back
        await tx.execute(_WRITE, {"swept_to": swept_to, "system_at": system_at})
        if last is None or min(swept_to - last.swept_to, system_at - last.system_at) <= self._longest:
            self._written = (swept_to, system_at)
            return False
        return await self._propose(tx, last.swept_to, swept_to)

    async def _propose(self, tx: Transaction, starts_at: datetime, ends_at: datetime) -> bool:
        crossed = await deadlines_within(tx, starts_at, ends_at)
        if not crossed:
            return False
        span = shown(starts_at), shown(ends_at)
        proposal = Proposal(
            starts_at,
            ends_at,
            f"Hệ thống chấm điểm ngừng từ {span[0]} đến {span[1]} / scoring stood still from {span[0]} to {span[1]}",
            "scoring",
            evidence=({"deadlines": crossed},),
            cause="standstill",
        )
        return await decisions.propose(tx, proposal, self._business.now(), self._grace)
