"""Measures one, two and four processes of each consumer over twelve partitions: throughput and its spread."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from tests.programs.bench.rounds import LEFT_SHARE, POLL_SECONDS, accepts
from tests.programs.bench.systems import System, wait_until

#: each before those that its events go to
SERVICES_SCALED = ("validator", "scoring", "notifier", "intake")
STALL_SECONDS = 5.0


@dataclass
class Scaled:
    """How `instances` processes of one service drain one backlog."""

    service: str
    instances: int
    per_second: float
    events: list[int]  # applied by each process while all were at work

    @property
    def fairness(self) -> float:
        """Return the events of the least busy process divided by those of the busiest."""
        return min(self.events) / max(self.events) if max(self.events) else 0.0


def scale_out(
    system: System, instances: tuple[int, ...], connections: int, seconds: float, say: Callable[[str], None]
) -> list[Scaled]:
    """Measure a fresh backlog for each number of processes, drained by one service after the other."""
    found = []
    for count in instances:
        for service in SERVICES_SCALED:
            while (
                len(system.stack.urls(service)) < count
            ):  # before there is a backlog: a new process would begin at once
                system.stack.add_instance(service)
        before = system.stored()
        accepts(system, connections, seconds)
        stored = system.stored() - before
        for service in SERVICES_SCALED:
            system.none()
            system.only(service, *(f"{service}-{number}" for number in range(2, count + 1)), ready=False)
            rate, events, total = _drained_together(partial(_applied, system, service, count), stored)
            events_of_one = total / stored
            if sum(events) < LEFT_SHARE * total:
                rate = math.nan
            found.append(Scaled(service, count, rate / events_of_one, events))
            say(f"  {service} × {count}: {rate / events_of_one:.0f}/s, events {events} of {total}")
            wait_until(lambda service=service: system.outbox_rows(service) == 0, 120)  # type: ignore[misc]
    system.none()
    return found


def _applied(system: System, service: str, count: int) -> list[int]:
    return [system.applied(service, instance=instance) for instance in range(count)]


def _drained_together(applied: Callable[[], list[int]], submissions: int) -> tuple[float, list[int], int]:
    """Events per second, and by process, from when every process had applied something to the last event; all events.

    Each submission is at least one event to each service; how many it is depends on what was reported before.
    """
    first: list[int] = []
    begun = last_at = time.monotonic()
    last = applied()
    while True:
        now_applied, now = applied(), time.monotonic()
        if not first and all(now_applied):
            first, begun = now_applied, now
        if now_applied != last:
            last, last_at = now_applied, now
        if now - last_at > (STALL_SECONDS if sum(last) >= submissions else 6 * STALL_SECONDS):
            break
        time.sleep(POLL_SECONDS)
    if not first or last_at <= begun:
        return math.nan, last, sum(last)
    events = [after - before for after, before in zip(last, first, strict=True)]
    return sum(events) / (last_at - begun), events, sum(last)
