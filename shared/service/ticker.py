"""A ticker does what is due by state, so a missed hour is made good at the next tick; one instance ticks at a time."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from sqlalchemy import text

from shared.postgres.database import Database, Transaction
from shared.runtime import failpoints
from shared.runtime.clock import Clock
from shared.telemetry import metrics
from shared.telemetry.background_loop import BackgroundLoop
from shared.telemetry.logging import bound, get_logger
from shared.telemetry.pulse import Pulse

log = get_logger()

Tick = Callable[[Transaction], Awaitable[int]]

#: at a stop, for the tick in hand
STOP_SECONDS = 7

_LOCK = text("SELECT pg_try_advisory_xact_lock(hashtextextended('ticker ' || :name, 0))")


class Ticker(BackgroundLoop):
    """Calls `tick(tx)` every `interval_seconds` of real time in a transaction of its own, and commits it.

    `tick` handles a bounded number of rows and returns how many; while it returns more than 0 it is called again at
    once. `alone`: only the instance that holds the ticker's lock ticks; else `tick` must skip locked rows itself.
    """

    def __init__(
        self,
        name: str,
        database: Database,
        clock: Clock,
        tick: Tick,
        *,
        interval_seconds: float,
        alone: bool = True,
    ) -> None:
        super().__init__(f"ticker {name}", Pulse.every(f"ticker {name}", interval_seconds), stop_seconds=STOP_SECONDS)
        self.name = name
        self._database = database
        self._clock = clock
        self._tick = tick
        self._interval_seconds = interval_seconds
        self._alone = alone
        self.pulses = (self._pulse,)

    def _cancelled(self) -> None:
        log.info("A tick was rolled back.", action="ticker.stop_unfinished", ticker=self.name)

    async def once(self) -> int:
        """One tick in one transaction. Returns rows handled; 0 also when another instance ticks."""
        async with self._database.transaction() as tx:
            if self._alone and not (await tx.execute(_LOCK, {"name": self.name})).scalar_one():
                return 0
            rows = await self._tick(tx)
            failpoints.hit("ticker.before_commit")
            return rows

    async def _run(self) -> None:
        with bound(ticker=self.name):
            while not self._stopping.is_set():
                rows = 0
                try:
                    rows = await self.once()
                except Exception as error:
                    self._pulse.failed(error)
                    metrics.TICKER_RUNS_TOTAL.labels(self.name, "failed").inc()
                    log.warning("A tick failed; the next one catches up.", action="ticker.failed", error=repr(error))
                else:
                    self._pulse.beat()
                    metrics.TICKER_RUNS_TOTAL.labels(self.name, "ok").inc()
                    metrics.TICKER_ROWS_TOTAL.labels(self.name).inc(rows)
                    now = self._clock.now().timestamp()
                    metrics.TICKER_LAST_SUCCESS_TIMESTAMP_SECONDS.labels(self.name).set(now)
                if not rows:
                    await self._pause(self._interval_seconds)
