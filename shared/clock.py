"""Two clocks, both injected: business time decides what is late, system time decides leases and retries.

Business time can be scaled (a demo plays a quarter in ninety seconds); system time never is. Nothing else in the
project reads the wall clock.
"""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from typing import Protocol
from zoneinfo import ZoneInfo

#: The zone of every deadline and working day.
LOCAL_ZONE = ZoneInfo("Asia/Ho_Chi_Minh")


class Clock(Protocol):
    """Tells the present moment, always with its offset."""

    def now(self) -> datetime: ...


class SystemClock:
    """The machine's clock, UTC. For leases, retries, timeouts."""

    def now(self) -> datetime:
        return datetime.now(UTC)


class ScaledClock:
    """Business time that started at `start` when the system's epoch time was `started_epoch_seconds`.

    It runs `rate` times as fast until `until`, then as fast as the system's: what was played can come to rest.
    """

    def __init__(
        self, start: datetime, started_epoch_seconds: float, rate: float, until: datetime | None = None
    ) -> None:
        if start.tzinfo is None:
            raise ValueError("BUSINESS_CLOCK: the start needs an offset, such as 2026-01-01T00:00:00+07:00")
        if rate <= 0:
            raise ValueError("BUSINESS_CLOCK: the rate must be positive")
        self._start = start
        self._started_epoch_seconds = started_epoch_seconds
        if until is not None and (until.tzinfo is None or until < start):
            raise ValueError("BUSINESS_CLOCK: the end needs an offset and must not be before the start")
        self.rate = rate
        self._until = until

    def now(self) -> datetime:
        elapsed_seconds = max(0.0, time.time() - self._started_epoch_seconds)
        if self._until is not None:
            scaled_seconds = (self._until - self._start).total_seconds() / self.rate
            if elapsed_seconds > scaled_seconds:
                return self._until + timedelta(seconds=elapsed_seconds - scaled_seconds)
        return self._start + timedelta(seconds=elapsed_seconds * self.rate)


class ManualClock:
    """A clock that stands still until it is moved; for tests."""

    def __init__(self, start: datetime) -> None:
        self._now = start

    def now(self) -> datetime:
        return self._now

    def advance(self, *, seconds: float = 0, days: float = 0) -> None:
        self._now += timedelta(seconds=seconds, days=days)

    def set(self, moment: datetime) -> None:
        self._now = moment


def business_clock(specification: str) -> Clock:
    """The clock of BUSINESS_CLOCK: empty for real time, else `<ISO start>@<epoch seconds>x<rate>[..<ISO end>]`.

    Every process of one run gets the same text, so that all agree on the hour.
    """
    if not specification:
        return SystemClock()
    try:
        start_text, _, rest = specification.partition("@")
        pace_text, _, until_text = rest.partition("..")
        epoch_text, _, rate_text = pace_text.partition("x")
        start, epoch_seconds, rate = datetime.fromisoformat(start_text), float(epoch_text), float(rate_text)
        until = datetime.fromisoformat(until_text) if until_text else None
    except ValueError as error:
        raise ValueError(
            f"BUSINESS_CLOCK={specification!r}: expected <ISO start>@<epoch seconds>x<rate>[..<ISO end>], "
            "such as 2025-12-15T00:00:00+07:00@1767225600x86400"
        ) from error
    return ScaledClock(start, epoch_seconds, rate, until)


def scaled_specification(start: datetime, rate: float, until: datetime | None = None) -> str:
    """The BUSINESS_CLOCK text of a clock that starts at `start` now and runs `rate` times as fast until `until`."""
    end = f"..{until.isoformat()}" if until is not None else ""
    return f"{start.isoformat()}@{time.time():.3f}x{rate!r}{end}"


def monotonic_seconds() -> float:
    """Seconds of a clock that never goes back; for durations only."""
    return time.monotonic()
