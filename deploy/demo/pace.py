"""The pace of the quarter: business time runs as fast as asked, but never past a moment at which somebody still acts.

Whoever means to act at a business moment holds it. The clock stands a little behind the earliest held moment until
that act is done, so what is in time depends on the seed alone and never on how fast the machine is.
"""

from __future__ import annotations

import asyncio
import heapq
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path

from shared.runtime.clock import Clock, ClockLeader, monotonic_seconds

#: how far the clock may run on while an act of that moment is still under way
TOLERANCE = timedelta(hours=1)
#: the shortest sleep of somebody who waits for the clock, real seconds
LOOK_SECONDS = 0.002


@dataclass(order=True, slots=True)
class Hold:
    """A business moment at which somebody acts; until it is released the clock does not run past it."""

    moment: datetime
    released: bool = field(default=False, compare=False)


class Pace:
    """From `start` to `end` of business time, `rate` times as fast as real time at most."""

    def __init__(self, path: Path, start: datetime, end: datetime, rate: float) -> None:
        self.start, self.end, self.rate = start, end, rate
        self._leader = ClockLeader(path, start)
        self.specification = self._leader.specification
        self.clock: Clock = self._leader.clock
        self._holds: list[Hold] = []
        self._limit = start
        self._began_at: float | None = None

    @property
    def over(self) -> bool:
        return self.clock.now() >= self.end

    @property
    def share(self) -> float:
        """How much of it has passed, 0 to 1."""
        return min(1.0, max(0.0, (self.clock.now() - self.start) / (self.end - self.start)))

    def begin(self) -> None:
        """Let business time run; it has stood at the start so far."""
        self._began_at = monotonic_seconds()
        self._lead()

    @property
    def waited_seconds(self) -> float:
        """Real seconds by which the quarter has lasted longer than its rate alone would have it."""
        if self._began_at is None:
            return 0.0
        asked_seconds = (self.clock.now() - self.start).total_seconds() / self.rate
        return max(0.0, monotonic_seconds() - self._began_at - asked_seconds)

    def finish(self) -> None:
        """From here on as fast as real time: what was played can come to rest."""
        self._leader.lead(rate=1.0, until=None)

    def hold(self, moment: datetime) -> Hold:
        """Keep the clock from running past a moment. It must not have passed yet where the order of acts matters."""
        held = Hold(moment)
        heapq.heappush(self._holds, held)
        if self._began_at is not None and moment + TOLERANCE < self._limit:
            self._lead()
        return held

    def release(self, held: Hold) -> None:
        """The act is done, or will not be done; harmless when repeated."""
        held.released = True
        while self._holds and self._holds[0].released:
            heapq.heappop(self._holds)
        if self._began_at is not None:
            self._lead()

    def move(self, held: Hold, moment: datetime) -> Hold:
        """Act again at a later moment: hold it, then release the present one."""
        later = self.hold(moment)
        self.release(held)
        return later

    async def reach(self, held: Hold) -> bool:
        """Wait until the held moment has come; False where the quarter ends before it."""
        if held.moment >= self.end:
            return False
        while True:  # again, where business time stood meanwhile
            left = held.moment - self.clock.now()
            if left <= timedelta(0):
                return True
            await asyncio.sleep(max(LOOK_SECONDS, left.total_seconds() / self.rate))

    def _lead(self) -> None:
        limit = min(self.end, self._holds[0].moment + TOLERANCE) if self._holds else self.end
        if limit != self._limit:
            self._limit = limit
            self._leader.lead(rate=self.rate, until=limit)
