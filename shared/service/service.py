"""A service is an HTTP app, a database and backgrounds that start in order and stop at once, the database last.

All of a stop shares one deadline, and whatever one of them does at its stop, the others are stopped too.
Readiness reports work, not processes: database, outbox, and each consumer's own account.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Protocol

from fastapi import FastAPI
from sqlalchemy import text

from shared.consuming.consumers import Consumers
from shared.postgres.database import Database, ReadTransaction
from shared.runtime.clock import Clock, monotonic_seconds
from shared.service import series
from shared.telemetry import metrics
from shared.telemetry.logging import get_logger
from shared.telemetry.pulse import Pulse, pulses_of
from shared.telemetry.readiness import Check, Readiness

log = get_logger()

#: of a stop, beside the grace of what runs in the background: for the requests in hand, and for closing what is left
REQUESTS_GRACE_SECONDS, CLOSING_SECONDS = 5.0, 1.0
#: events older than this in the outbox mean that Kafka does not take them; intake goes on accepting all the same
OLD_OUTBOX_SECONDS = 60

_OUTBOX = text("""
    SELECT count(*) AS backlog,
           coalesce(extract(epoch FROM clock_timestamp() - min(created_at)), 0) AS oldest_seconds
      FROM (SELECT created_at FROM outbox ORDER BY id LIMIT 100001) AS unsent
""")
_SET_ASIDE = text("""
    SELECT count(*) AS rows, coalesce(extract(epoch FROM clock_timestamp() - min(set_aside_at)), 0) AS oldest_seconds
      FROM outbox_set_aside WHERE closed_at IS NULL
""")
_DEFERRED = text("""
    SELECT consumer, count(*) AS events, extract(epoch FROM clock_timestamp() - min(deferred_at)) AS oldest_seconds
      FROM deferred_events GROUP BY consumer
""")
_LETTERS = text("""
    SELECT consumer, count(*) AS events, extract(epoch FROM clock_timestamp() - min(rejected_at)) AS oldest_seconds
      FROM dead_letter WHERE replayed_at IS NULL AND discarded_at IS NULL GROUP BY consumer
""")


class Background(Protocol):
    """A loop beside the HTTP server and the consumers. All stop at once: none may need another one to stop."""

    async def start(self) -> None: ...

    async def stop(self) -> None: ...


@dataclass(slots=True)
class Service:
    """What `main.build` returns. `app` is set by `main.build` once its lifespan can be bound to this object."""

    name: str
    database: Database
    host: str
    port: int
    backgrounds: Sequence[Background] = ()
    consumers: Consumers | None = None
    #: whether it is unready while Kafka takes nothing and says nothing (not where accepting goes on without)
    outbox_matters: bool = True
    grace_seconds: float = 8
    #: more checks by name, each made by one query
    looks: Mapping[str, Callable[[ReadTransaction], Awaitable[Check]]] = field(default_factory=dict)
    #: of business time, where it matters when a request arrived
    clock: Clock | None = None
    #: more pools to the same database, closed with it
    further: Sequence[Database] = ()
    app: FastAPI = field(init=False)
    _gauges: asyncio.Task[None] | None = None
    _asked_at: float | None = None
    _gauges_pulse: Pulse = field(default_factory=lambda: Pulse("gauges", patience_seconds=60, warns=True))

    def asked_to_stop(self) -> None:
        """The stop's time runs from here; requests in hand are finished first."""
        self._asked_at = self._asked_at or monotonic_seconds()

    @asynccontextmanager
    async def lifespan(self, app: FastAPI) -> AsyncIterator[None]:
        started: list[Background] = []
        series.touch(self)
        try:
            for background in (*self.backgrounds, *([self.consumers] if self.consumers else [])):
                await background.start()
                started.append(background)
            self._gauges = asyncio.create_task(self._publish_gauges(), name=f"{self.name} gauges")
            self._gauges_pulse.watch(self._gauges)
            log.info("The service has started.", action="service.started", service=self.name)
            yield
        finally:
            self._gauges_pulse.rest()
            if self._gauges is not None:
                self._gauges.cancel()
                # it may be reading: its connection goes back before the database is closed
                await asyncio.wait({self._gauges}, timeout=CLOSING_SECONDS)
            now = monotonic_seconds()
            asked_at = now if self._asked_at is None else self._asked_at
            # requests that ended early leave their time to the backgrounds
            await self._stop_all(started, asked_at + REQUESTS_GRACE_SECONDS + self.grace_seconds - now)
            pools = (self.database, *self.further)
            await self._within(CLOSING_SECONDS, {f"database {place}": pool.close() for place, pool in enumerate(pools)})
            log.info("The service has stopped.", action="service.stopped", service=self.name)

    async def _stop_all(self, started: Sequence[Background], seconds: float) -> None:
        names = (f"{type(background).__name__} {place}" for place, background in enumerate(started))
        await self._within(seconds, {name: background.stop() for name, background in zip(names, started, strict=True)})

    async def _within(self, seconds: float, ends: Mapping[str, Coroutine[Any, Any, None]]) -> None:
        """Wait for all, no longer than this; what fails or does not end is logged and hinders nobody."""
        tasks = {asyncio.create_task(end, name=name) for name, end in ends.items()}
        if not tasks:
            return
        done, left = await asyncio.wait(tasks, timeout=max(0.0, seconds))
        for task in left:
            task.cancel()
            log.warning("A component did not stop in time.", action="service.stop_unfinished", what=task.get_name())
        for task in done:
            error = task.exception() if not task.cancelled() else None
            if error is not None:
                log.error(
                    "A component failed while stopping.",
                    action="service.stop_failed",
                    what=task.get_name(),
                    error=repr(error)[:2000],
                )

    async def readiness(self) -> Readiness:
        """Whether this instance does its work now; each check says what it saw."""
        checks = {"database": await self._database_check()}
        if checks["database"].ok:
            checks["outbox"] = await self._outbox_check()
            for name, look in self.looks.items():
                checks[name] = await self._look(name, look)
        for subscription in self.consumers.subscriptions if self.consumers else ():
            subscription.lag()  # so that readiness shows the present
            checks[f"consumer {subscription.name}"] = Check(
                *subscription.health.state(kafka_matters=self.outbox_matters)
            )
        for pulse in self.pulses():
            checks[pulse.name] = pulse.check(kafka_matters=self.outbox_matters)
        for background in self.backgrounds:
            checks |= getattr(background, "checks", dict)()
        return Readiness(ready=all(check.ok for check in checks.values()), checks=checks)

    def pulses(self) -> list[Pulse]:
        """The loops of all that runs in the background."""
        running = (*self.backgrounds, *([self.consumers] if self.consumers else []))
        return [*(pulse for background in running for pulse in pulses_of(background)), self._gauges_pulse]

    async def _database_check(self) -> Check:
        try:
            async with asyncio.timeout(2), self.database.read_transaction() as snapshot:
                await snapshot.execute(text("SELECT 1"))
        except Exception as error:
            return Check(ok=False, detail=f"the database does not answer: {type(error).__name__}")
        return Check(ok=True, detail="answers")

    async def _outbox_check(self) -> Check:
        try:
            async with asyncio.timeout(2), self.database.read_transaction() as snapshot:
                row = (await snapshot.execute(_OUTBOX)).one()
        except Exception as error:
            return Check(ok=False, detail=f"the outbox cannot be read: {type(error).__name__}")
        old = float(row.oldest_seconds) > OLD_OUTBOX_SECONDS
        detail = f"{row.backlog} events, the oldest {float(row.oldest_seconds):.1f} s"
        return Check(ok=not (old and self.outbox_matters), detail=detail)

    async def _look(self, name: str, look: Callable[[ReadTransaction], Awaitable[Check]]) -> Check:
        try:
            async with asyncio.timeout(2), self.database.read_transaction() as snapshot:
                return await look(snapshot)
        except Exception as error:
            return Check(ok=False, detail=f"{name} cannot be read: {type(error).__name__}")

    async def _publish_gauges(self) -> None:
        while True:
            try:
                async with self.database.read_transaction() as snapshot:
                    row = (await snapshot.execute(_OUTBOX)).one()
                    aside = (await snapshot.execute(_SET_ASIDE)).one()
                    deferred = {r.consumer: r for r in await snapshot.execute(_DEFERRED)}
                    letters = {r.consumer: r for r in await snapshot.execute(_LETTERS)}
                metrics.OUTBOX_BACKLOG_ROWS.set(row.backlog)
                metrics.OUTBOX_OLDEST_AGE_SECONDS.set(float(row.oldest_seconds))
                metrics.OUTBOX_SET_ASIDE_ROWS.set(aside.rows)
                metrics.OUTBOX_SET_ASIDE_OLDEST_AGE_SECONDS.set(float(aside.oldest_seconds))
                for subscription in self.consumers.subscriptions if self.consumers else ():
                    for found, events, age in (
                        (deferred, metrics.DEFERRED_EVENTS, metrics.DEFERRED_OLDEST_AGE_SECONDS),
                        (letters, metrics.OPEN_DEAD_LETTERS, metrics.OPEN_DEAD_LETTERS_OLDEST_AGE_SECONDS),
                    ):
                        row_of = found.get(subscription.name)
                        events.labels(subscription.name).set(row_of.events if row_of else 0)
                        age.labels(subscription.name).set(float(row_of.oldest_seconds) if row_of else 0)
                self._gauges_pulse.beat()
            except Exception as error:
                self._gauges_pulse.failed(error)
                log.info("Gauges could not be read.", action="service.gauges_failed", error=repr(error))
            for pulse in self.pulses():
                pulse.publish()
            metrics.DATABASE_POOL_IN_USE.set(sum(pool.pool_in_use() for pool in (self.database, *self.further)))
            if self.consumers is not None:
                try:
                    self.consumers.publish_lag()
                except Exception as error:  # what the client shows of itself may change with it; the loop goes on
                    log.info("Cannot read the lag.", action="service.lag_failed", error=repr(error))
            await asyncio.sleep(2)
