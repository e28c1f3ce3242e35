"""Two clocks, both injected: business time decides what is late, system time decides leases and retries.

Business time can be scaled (a demo plays a quarter in ninety seconds); system time never is. Nothing else in the
project reads the wall clock.
"""

from __future__ import annotations

import mmap
import os
import struct
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
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


#: a segment of led time: its number, business and system epoch seconds, rate, limit, its number again
_SEGMENT = struct.Struct("<QddddQ")
_LED = "led:"


class LedClock:
    """Business time that another process leads through a file: it runs at the leader's rate and stops at its limit.

    now = min(business + (system - then) * rate, limit). The leader writes a segment from its end and we read it from
    its start, so its two numbers differ when it changed meanwhile; then it is read again. A file that is missing or
    too short raises ValueError at construction.
    """

    def __init__(self, path: Path) -> None:
        try:
            with path.open("rb") as file:
                self._segment = mmap.mmap(file.fileno(), _SEGMENT.size, access=mmap.ACCESS_READ)
        except (OSError, ValueError) as error:
            raise ValueError(f"BUSINESS_CLOCK={_LED}{path}: nobody leads this clock ({error})") from error

    def now(self) -> datetime:
        while True:
            number, values, again = self._segment[:8], self._segment[8:-8], self._segment[-8:]
            if number == again:
                break
        _, business, then, rate, limit, _ = _SEGMENT.unpack(number + values + again)
        return datetime.fromtimestamp(min(business + max(0.0, time.time() - then) * rate, limit), UTC)


class ClockLeader:
    """Writes the segments that every LedClock of the same file follows; business time never goes back."""

    def __init__(self, path: Path, start: datetime) -> None:
        self._sequence = 0
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o600)
        try:
            os.ftruncate(descriptor, _SEGMENT.size)
            self._segment = mmap.mmap(descriptor, _SEGMENT.size)
        finally:
            os.close(descriptor)
        self._business = start.timestamp()
        self._write(self._business, 0.0, self._business)
        self.specification = f"{_LED}{path}"
        self.clock = LedClock(path)

    def lead(self, *, rate: float, until: datetime | None) -> None:
        """From now on business time runs `rate` times as fast as the system's, and stands at `until`."""
        now = self.clock.now().timestamp()
        self._write(now, rate, float("inf") if until is None else max(now, until.timestamp()))

    def _write(self, business: float, rate: float, limit: float) -> None:
        self._sequence += 1
        segment = _SEGMENT.pack(self._sequence, business, time.time(), rate, limit, self._sequence)
        self._segment[-8:] = segment[-8:]
        self._segment[8:-8] = segment[8:-8]
        self._segment[:8] = segment[:8]


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


def is_played(clock: Clock) -> bool:
    """Whether business time is scaled or led, as in a demo: its hours keep nobody waiting."""
    return isinstance(clock, (ScaledClock, LedClock))


def business_clock(specification: str) -> Clock:
    """The clock of BUSINESS_CLOCK: empty for real time, else `<ISO start>@<epoch seconds>x<rate>[..<ISO end>]`.

    Or `led:<file>`, where another process leads it. Every process of one run gets the same text, so that all agree on
    the hour.
    """
    if not specification:
        return SystemClock()
    if specification.startswith(_LED):
        return LedClock(Path(specification.removeprefix(_LED)))
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
