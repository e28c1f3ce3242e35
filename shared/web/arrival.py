"""When a request arrived: its head was read then; how long its body takes to come is nobody's delay but the line's.

The server notes the moment in the scope. A body that comes more slowly than it may keeps no moment open.
"""

from __future__ import annotations

from datetime import datetime

from msgspec import Struct
from starlette.types import Scope

from shared.runtime.clock import Clock, monotonic_seconds

_ARRIVAL = "thongsuot.arrival"


class Arrival(Struct, frozen=True, gc=False):
    """The head was read at `at`, business time; the moment counts while the body comes within its time."""

    at: datetime
    since_seconds: float  # monotonic
    body_timeout_seconds: float

    def moment(self, clock: Clock) -> datetime:
        """To be asked once the body is whole."""
        if monotonic_seconds() - self.since_seconds > self.body_timeout_seconds:
            return clock.now()
        return self.at


def note(scope: Scope, clock: Clock, body_timeout_seconds: float) -> Arrival:
    """The head of this request was read now."""
    arrival = scope[_ARRIVAL] = Arrival(clock.now(), monotonic_seconds(), body_timeout_seconds)
    return arrival


def arrival_of(scope: Scope, clock: Clock, body_timeout_seconds: float) -> Arrival:
    """As the server noted it; now, where another server is in front of the application."""
    found: Arrival | None = scope.get(_ARRIVAL)
    return note(scope, clock, body_timeout_seconds) if found is None else found
