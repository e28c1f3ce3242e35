"""Intake knows for which spans people could send nothing: its heartbeat stands still while no instance can store.

A beat is a write into the database, made only by an instance that has answered at least as many submissions as it has
refused by its own doing. A gap is told once, when it is over, before the hour up to which all was well: who follows
must know it before it calls anybody overdue. What lies in front of this process (proxy, network) it cannot see.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta

from sqlalchemy import text

from services.intake import metrics
from shared.contract.events import EventModel, IntakeAvailable, IntakeUnavailable, UnavailableCause
from shared.outbox import publish
from shared.postgres.database import Transaction
from shared.runtime.clock import LOCAL_ZONE, Clock
from shared.telemetry.logging import get_logger

log = get_logger()

#: beats that may be missing before it is a gap
MISSED_BEATS = 4

_LOCK = text("SELECT available_until FROM heartbeat FOR UPDATE")
_BEAT = text("""
    INSERT INTO heartbeat (available_until) VALUES (:now)
    ON CONFLICT (one_row) DO UPDATE SET available_until = excluded.available_until
     WHERE heartbeat.available_until < excluded.available_until
""")


class Availability:
    """What one instance has answered and refused, and its beats.

    shed: how many connections the server has refused so far because it was full.
    """

    def __init__(self, clock: Clock, interval_seconds: float, shed: Callable[[], float] = lambda: 0.0) -> None:
        self._clock = clock
        self._interval = timedelta(seconds=interval_seconds)
        self._shed = shed
        self._shed_before = shed()
        self._answered = self._refused = 0
        self._started_at = clock.now()
        self._looked_at = self._started_at
        self._cause: UnavailableCause | None = None  # why this instance has not beaten since it last did

    def answered(self) -> None:
        """A submission was stored, or refused for a reason that the sender can mend."""
        self._answered += 1

    def refused(self) -> None:
        """A submission was refused because of us: full, overloaded, in trouble."""
        self._refused += 1

    async def beat(self, tx: Transaction) -> int:
        """Prolong the shared hour if this instance can store, and publish it; 0, as a ticker is not to come at once."""
        now = self._clock.now()
        if now - self._looked_at > self._interval * MISSED_BEATS:
            self._cause = "stalled"
        self._looked_at = now
        if self._refuses():
            self._cause = self._cause or "refusing"
            return 0
        last: datetime | None = (await tx.execute(_LOCK)).scalar_one_or_none()
        if last is not None and now - last < self._interval / 2:
            self._cause = None  # another instance has just beaten
            return 0
        told: list[EventModel] = []
        if last is not None and now - last > self._interval * MISSED_BEATS:
            told.append(self._gap(last, now))
        await tx.execute(_BEAT, {"now": now})
        await publish(tx, [*told, IntakeAvailable(until=now.astimezone(LOCAL_ZONE))])
        self._cause = None
        return 0

    def _refuses(self) -> bool:
        shed = self._shed()
        refused, answered = self._refused + shed - self._shed_before, self._answered
        self._shed_before, self._refused, self._answered = shed, 0, 0
        return refused > answered

    def _gap(self, since: datetime, until: datetime) -> IntakeUnavailable:
        cause: UnavailableCause = "stopped" if self._started_at > since else (self._cause or "stalled")
        metrics.UNAVAILABLE_SECONDS_TOTAL.labels(cause).inc((until - since).total_seconds())
        log.warning(
            "Nobody could send reports for a while.",
            action="intake.was_unavailable",
            since=since.isoformat(),
            until=until.isoformat(),
            cause=cause,
        )
        return IntakeUnavailable(since=since.astimezone(LOCAL_ZONE), until=until.astimezone(LOCAL_ZONE), cause=cause)
