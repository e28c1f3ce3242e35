"""The pace of the quarter: business time runs as fast as asked, but waits for every action planned at a moment.

An agency that will act at a business moment holds it. The clock stops a little after the earliest held moment until
the action is done, so whether a report is in time depends on the seed alone, not on the speed of the machine. No hold
lasts for ever: one whose moment has come is given up after a stated real time, so that every quarter ends.
"""

from __future__ import annotations

import asyncio
import heapq
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path

from shared.runtime.clock import Clock, ClockLeader, monotonic_seconds

#: how far the clock may run past a held moment
TOLERANCE = timedelta(hours=1)
#: for an action whose moment has come: longer than any single call's or verdict's patience, real seconds
PATIENCE_SECONDS = 240.0
#: shortest sleep while waiting for the clock, real seconds
LOOK_SECONDS = 0.002


@dataclass(order=True, slots=True)
class Hold:
    """A business moment with a planned action; the clock does not run past it until it is released.

    what: the action, in words. since: when it was first seen to keep the clock, monotonic seconds.
    """

    moment: datetime
    what: str = field(default="", compare=False)
    released: bool = field(default=False, compare=False)
    since: float | None = field(default=None, compare=False)


class Pace:
    """From `start` to `end` of business time, `rate` times as fast as real time at most."""

    def __init__(
        self, path: Path, start: datetime, end: datetime, rate: float, patience_seconds: float = PATIENCE_SECONDS
    ) -> None:
        self.start, self.end, self.rate = start, end, rate
        self._patience_seconds = patience_seconds
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
        """The share of the quarter that has passed, 0 to 1."""
        return min(1.0, max(0.0, (self.clock.now() - self.start) / (self.end - self.start)))

    def begin(self) -> None:
        """Start business time, which stands at `start` until then."""
        self._began_at = monotonic_seconds()
        self._lead()

    @property
    def waited_seconds(self) -> float:
        """Real seconds by which the quarter takes longer than its rate implies."""
        if self._began_at is None:
            return 0.0
        asked_seconds = (self.clock.now() - self.start).total_seconds() / self.rate
        return max(0.0, monotonic_seconds() - self._began_at - asked_seconds)

    def finish(self) -> None:
        """Run at real time from now on, so that the system can come to rest."""
        self._leader.lead(rate=1.0, until=None)

    def hold(self, moment: datetime, what: str = "") -> Hold:
        """Keep the clock from running past a moment. Hold it before it passes if the order of actions matters."""
        held = Hold(moment, what)
        heapq.heappush(self._holds, held)
        if self._began_at is not None and moment + TOLERANCE < self._limit:
            self._lead()
        return held

    def release(self, held: Hold) -> None:
        """Let the clock pass: the action is done or given up; harmless when repeated."""
        held.released = True
        while self._holds and self._holds[0].released:
            heapq.heappop(self._holds)
        if self._began_at is not None:
            self._lead()

    def move(self, held: Hold, moment: datetime) -> Hold:
        """Hold a later moment, then release the present one."""
        later = self.hold(moment, held.what)
        self.release(held)
        return later

    def give_up(self) -> list[Hold]:
        """Release and return every hold whose moment came so long ago that its action hangs. Call it time and again.

        The action may still go on; business time does not wait for it any more.
        """
        now, seconds = self.clock.now(), monotonic_seconds()
        hanging: list[Hold] = []
        for held in self._holds:
            if held.released or held.moment > now:
                continue
            if held.since is None:
                held.since = seconds
            elif seconds - held.since > self._patience_seconds:
                hanging.append(held)
        for held in hanging:
            self.release(held)
        return sorted(hanging)

    async def reach(self, held: Hold) -> bool:
        """Wait for the held moment; False if the quarter ends before it."""
        if held.moment >= self.end:
            return False
        while True:  # again if business time has stood still meanwhile
            left = held.moment - self.clock.now()
            if left <= timedelta(0):
                return True
            await asyncio.sleep(max(LOOK_SECONDS, left.total_seconds() / self.rate))

    def _lead(self) -> None:
        limit = min(self.end, self._holds[0].moment + TOLERANCE) if self._holds else self.end
        if limit != self._limit:
            self._limit = limit
            self._leader.lead(rate=self.rate, until=limit)
