"""The arrival of a request is the moment its head was read, so a slow line does not make a report late.

The server stores the moment in the scope. It counts only if the body arrives within the body timeout.
"""

from __future__ import annotations

from datetime import datetime

from msgspec import Struct
from starlette.types import Scope

from shared.runtime.clock import Clock, monotonic_seconds

_ARRIVAL = "thongsuot.arrival"


class Arrival(Struct, frozen=True, gc=False):
    """The head was read at `at` (business time); the moment counts if the body arrives within its timeout."""

    at: datetime
    since_seconds: float  # monotonic
    body_timeout_seconds: float

    def moment(self, clock: Clock) -> datetime:
        """The request's moment of arrival; call it once the body is complete."""
        if monotonic_seconds() - self.since_seconds > self.body_timeout_seconds:
            return clock.now()
        return self.at


def note(scope: Scope, clock: Clock, body_timeout_seconds: float) -> Arrival:
    """Store that the head of this request has just been read."""
    arrival = scope[_ARRIVAL] = Arrival(clock.now(), monotonic_seconds(), body_timeout_seconds)
    return arrival


def arrival_of(scope: Scope, clock: Clock, body_timeout_seconds: float) -> Arrival:
    """The arrival that the server stored; now, where another server runs the application."""
    found: Arrival | None = scope.get(_ARRIVAL)
    return note(scope, clock, body_timeout_seconds) if found is None else found
