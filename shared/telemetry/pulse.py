"""Whether a background loop works, judged by its last success: a loop that died or fails for long is not ready.

Ages are seconds of the monotonic clock. A loop says `beat` after each success, also when there was nothing to do.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Protocol

from shared.runtime.clock import monotonic_seconds
from shared.telemetry import metrics
from shared.telemetry.readiness import Check

#: no loop is called late before this, however short its interval: a busy machine is no fault
LEAST_PATIENCE_SECONDS = 30.0
#: intervals without a success after which a loop is late
PATIENCE_INTERVALS = 10


class Pulse:
    """The last success of one loop.

    `patience_seconds` without a success make the instance unready; None: only its death does (it may rest for ever).
    `warns`: what it does can wait, so neither makes unready. `needs_kafka`: nor does it where the service goes on
    without Kafka.
    """

    def __init__(
        self, name: str, *, patience_seconds: float | None, needs_kafka: bool = False, warns: bool = False
    ) -> None:
        self.name = name
        self.needs_kafka = needs_kafka
        self._patience_seconds = patience_seconds
        self._warns = warns
        self._tasks: Sequence[asyncio.Task[None]] = ()
        self._beaten_at = monotonic_seconds()
        self._error = ""
        self.failures = 0  # in a row
        metrics.BACKGROUND_LAST_SUCCESS_AGE_SECONDS.labels(name).set(0)

    @classmethod
    def every(cls, name: str, interval_seconds: float) -> Pulse:
        """Of a loop that turns every `interval_seconds`: late after several."""
        return cls(name, patience_seconds=max(LEAST_PATIENCE_SECONDS, PATIENCE_INTERVALS * interval_seconds))

    def watch(self, *tasks: asyncio.Task[None]) -> None:
        """These tasks run the loop from now on; one that ends before `rest` has died."""
        self._tasks = tasks
        self._beaten_at = monotonic_seconds()

    def rest(self) -> None:
        """The loop is stopped on purpose."""
        self._tasks = ()

    def beat(self) -> None:
        """It has just succeeded."""
        self._beaten_at = monotonic_seconds()
        self._error, self.failures = "", 0

    def failed(self, error: BaseException) -> None:
        """It has just failed and will try again."""
        self._error = repr(error)[:300]
        self.failures += 1

    @property
    def age_seconds(self) -> float:
        """Seconds since the last success, or since the start."""
        return monotonic_seconds() - self._beaten_at

    def check(self, *, kafka_matters: bool = True) -> Check:
        """Its entry in /readyz."""
        fault = self._fault()
        if not fault:
            return Check(ok=True, detail="runs" if self._patience_seconds is None else f"{self.age_seconds:.0f} s ago")
        harmless = self._warns or (self.needs_kafka and not kafka_matters)
        return Check(ok=harmless, detail=f"WARNING {fault}" if harmless else fault)

    def publish(self) -> None:
        """Set the gauge."""
        if self._patience_seconds is not None:
            metrics.BACKGROUND_LAST_SUCCESS_AGE_SECONDS.labels(self.name).set(self.age_seconds)

    def _fault(self) -> str:
        for task in self._tasks:
            if task.done():
                error = None if task.cancelled() else task.exception()
                return f"has ended: {error!r}"[:400] if error else "has ended"
        if self._patience_seconds is not None and self.age_seconds > self._patience_seconds:
            said = f", {self.failures} failures in a row, the last: {self._error}" if self._error else ""
            return f"has not succeeded for {self.age_seconds:.0f} s{said}"
        if self._warns and self.failures:
            return f"{self.failures} failures in a row, the last: {self._error}"
        return ""


class Pulsing(Protocol):
    """A background whose loops have pulses."""

    @property
    def pulses(self) -> Sequence[Pulse]: ...


def pulses_of(background: object) -> Sequence[Pulse]:
    """The pulses of a background; none if it has none."""
    return getattr(background, "pulses", ())
