"""One, two, four processes of each consumer over twelve partitions: what they carry together, and how evenly."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from deploy.local.options import SERVICES
from tests.bench.rounds import EVENTS_OF_ONE, accepts, drain
from tests.bench.systems import System, wait_until


@dataclass
class Scaled:
    """`instances` processes of one service draining one backlog."""

    service: str
    instances: int
    submissions_per_second: float
    events: list[int]  # applied by each process

    @property
    def fairness(self) -> float:
        """Events of the least busy process over those of the busiest."""
        return min(self.events) / max(self.events) if max(self.events) else 0.0


def scale_out(
    system: System, instances: tuple[int, ...], connections: int, seconds: float, say: Callable[[str], None]
) -> list[Scaled]:
    """A fresh backlog for each number of processes, drained by one service after the other."""
    found = []
    for count in instances:
        before = system.stored()
        accepts(system, connections, seconds)
        stored = system.stored() - before
        for service in ("validator", "scoring", "notifier", "intake"):
            system.none()
            system.stack.add_services({service: count})
            each = EVENTS_OF_ONE[system.name][service]

            def applied(service: str = service, count: int = count) -> int:
                return sum(system.applied(service, instance=instance) for instance in range(count))

            rate, _ = drain(applied, stored * each)
            events = [system.applied(service, instance=instance) for instance in range(count)]
            found.append(Scaled(service, count, rate / each, events))
            say(f"  {service} × {count}: {rate / each:.0f}/s, events {events}")
            wait_until(lambda service=service: system.outbox_rows(service) == 0, 120)  # type: ignore[misc]
            for component in system.stack.components:
                if component.name.split("-")[0] in SERVICES:
                    component.stop()
    return found
