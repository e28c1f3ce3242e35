"""Work that needs no transaction is done before it opens: nothing costly holds locks or leaves a connection idle.

What an event needs for that is computed from the event and from what never changes, so a result stays right however
often the transaction is tried. The inbox is claimed later: results for events applied already are thrown away.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from typing import Any, Protocol
from uuid import UUID

from shared.consuming.batch import Event
from shared.contract.events import EventModel
from shared.postgres.database import ReadTransaction

#: opens a short read transaction
Snapshots = Callable[[], AbstractAsyncContextManager[ReadTransaction]]

#: what an event that is applied alone awaits: its turn
ALONE = "alone/"


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why an event becomes a dead letter before any handler saw it."""

    error_class: str
    why: str


@dataclass(slots=True)
class Prepared:
    """What is known of events before the transaction opens. An event that is in none of these goes to the handler."""

    values: dict[UUID, Any] = field(default_factory=dict)  # for the handler: `batch.prepared`
    refused: dict[UUID, Refusal] = field(default_factory=dict)
    alone: set[UUID] = field(default_factory=set)  # deferred: applied later, each alone, out of its neighbours' way

    def sort(
        self, events: Iterable[Event[EventModel]], held: Mapping[str, str]
    ) -> tuple[list[Event[EventModel]], dict[UUID, str], list[Event[EventModel]]]:
        """Events for the handler; those deferred, with what they await; those refused. Order per key is kept.

        `held`: keys whose earlier events are deferred already, with what they await.
        """
        awaited = dict(held)
        free: list[Event[EventModel]] = []
        deferred: dict[UUID, str] = {}
        refused: list[Event[EventModel]] = []
        for event in events:
            if event.key in awaited:
                deferred[event.id] = awaited[event.key]
            elif event.id in self.alone:
                deferred[event.id] = awaited[event.key] = alone(event.id)
            elif event.id in self.refused:
                refused.append(event)
            else:
                free.append(event)
        return free, deferred, refused


class Prepare(Protocol):
    """Computes what the handler needs of these events. Opens read transactions only as long as it reads.

    `apart` is false for a batch: its cost is bounded, and what does not fit is left to be applied alone. It is true
    for one event that is applied alone: that has its whole budget, and is refused when it does not suffice.
    """

    def __call__(self, events: Sequence[Event[Any]], snapshots: Snapshots, *, apart: bool) -> Awaitable[Prepared]: ...


def alone(event_id: UUID) -> str:
    """The name that an event applied alone awaits, and that later events of its key await with it."""
    return f"{ALONE}{event_id}"


def alone_id(name: str) -> UUID | None:
    """The event that is applied alone and that this name speaks of; None for a service's own name."""
    return UUID(name[len(ALONE) :]) if name.startswith(ALONE) else None
