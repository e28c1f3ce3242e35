"""Does costly work before the transaction opens, so that it holds no locks and leaves no connection idle.

A result depends only on the event and on immutable data, so it stays right however often the transaction is retried.
The inbox is claimed later: results for events already applied are dropped.
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

#: a function that opens a short read transaction
Snapshots = Callable[[], AbstractAsyncContextManager[ReadTransaction]]

#: prefix of the name that an event to apply alone awaits
ALONE = "alone/"


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why an event becomes a dead letter before any handler saw it."""

    error_class: str
    why: str


@dataclass(slots=True)
class Prepared:
    """The results of preparing events; an event in none of these collections goes to the handler unprepared."""

    values: dict[UUID, Any] = field(default_factory=dict)  # for the handler: `batch.prepared`
    refused: dict[UUID, Refusal] = field(default_factory=dict)
    alone: set[UUID] = field(default_factory=set)  # to defer, and apply alone later, where they delay no other

    def sort(
        self, events: Iterable[Event[EventModel]], held: Mapping[str, str]
    ) -> tuple[list[Event[EventModel]], dict[UUID, str], list[Event[EventModel]]]:
        """Split into events for the handler, deferred ones with the name they await, and refused ones; keeps key order.

        `held`: keys with earlier events already deferred, with the name those await.
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
    """Computes what the handler needs for these events. Keeps read transactions open only while it reads.

    `apart` is false for a batch: its cost is bounded, and an event that does not fit is deferred to be applied alone.
    `apart` is true for such an event: it has the whole budget, and is refused if it exceeds that.
    """

    def __call__(self, events: Sequence[Event[Any]], snapshots: Snapshots, *, apart: bool) -> Awaitable[Prepared]: ...


def alone(event_id: UUID) -> str:
    """The name that an event to apply alone awaits; later events of its key await it too."""
    return f"{ALONE}{event_id}"


def alone_id(name: str) -> UUID | None:
    """The id of the event to apply alone in this name; None for a service's own name."""
    return UUID(name[len(ALONE) :]) if name.startswith(ALONE) else None
