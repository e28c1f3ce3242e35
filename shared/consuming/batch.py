"""The batch that a handler gets: claimed events in order per key, which it may also defer or reject."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar
from uuid import UUID

from msgspec import Struct

from shared.contract.events import EventModel
from shared.contract.ids import new_id

M = TypeVar("M", bound=EventModel, covariant=True)


class Record(Struct, frozen=True):
    """A record from Kafka or `deferred_events`: bytes, place and headers. `key` may be absent.

    `written_ms`: when it was written to the log (or deferred), milliseconds since 1970; None: unknown.
    """

    topic: str
    partition: int
    offset: int
    key: bytes | None
    value: bytes | None
    headers: Sequence[tuple[str, bytes]]
    written_ms: int | None = None


class Event(Struct, Generic[M], frozen=True):
    """A parsed event. `id` is the CloudEvents id (UUIDv7)."""

    id: UUID
    type: str
    key: str
    body: M
    record: Record
    traceparent: str | None = None

    @property
    def topic(self) -> str:
        return self.record.topic


@dataclass(slots=True)
class Batch(Generic[M]):
    """Claimed events. Iteration skips rejected events, deferred ones and later ones of their keys, even if the handler
    rejects or defers during the iteration.
    """

    _events: tuple[Event[M], ...]
    deferred: dict[UUID, str] = field(default_factory=dict)  # event -> the name it awaits
    rejected: dict[UUID, str] = field(default_factory=dict)
    prepared: Mapping[UUID, Any] = field(default_factory=dict)  # computed before the transaction opened

    @classmethod
    def of(cls, models: Iterable[M]) -> Batch[M]:
        """A batch of new events with these bodies, for calling a handler directly."""
        events = []
        for place, body in enumerate(models):
            record = Record(body.TOPIC, 0, place, body.key.encode(), None, ())
            events.append(Event(new_id(), body.TYPE, body.key, body, record))
        return cls(tuple(events))

    @property
    def events(self) -> tuple[Event[M], ...]:
        """The events neither rejected nor deferred, in order."""
        return tuple(self)

    @property
    def keys(self) -> list[str]:
        """Their distinct keys, sorted: lock rows in this order."""
        return sorted({event.key for event in self})

    def __iter__(self) -> Iterator[Event[M]]:
        passed: set[str] = set()  # keys deferred by the events passed so far; their earlier events are applied
        for event in self._events:
            if event.id not in self.deferred and event.key not in passed and event.id not in self.rejected:
                yield event
            if event.id in self.deferred:
                passed.add(event.key)

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def defer(self, event: Event[EventModel], awaits: str) -> None:
        """Defer the event, and later ones of its key, until the name it `awaits` (such as `regime/X/2`) is resolved."""
        self.deferred[event.id] = awaits

    def reject(self, event: Event[EventModel], why: str) -> None:
        """Dead-letter this event for a fault in its data; the other events are applied."""
        self.rejected[event.id] = why
