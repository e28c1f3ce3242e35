"""Publishing inserts into the outbox on the caller's transaction; it never commits, connects or sends.

Lock the aggregate's row before publishing about it, so that id order is commit order per key.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from uuid import UUID

from msgspec import Struct
from sqlalchemy import text

from shared.contract.events import EventModel
from shared.contract.ids import new_id
from shared.postgres.bulk import names, parameters, unnest
from shared.postgres.database import Transaction
from shared.telemetry import tracing

_COLUMNS = {
    "event_id": "uuid", "topic": "text", "key": "text", "type": "text", "traceparent": "text", "headers": "jsonb",
    "body": "bytea",
}  # fmt: skip
_INSERT = text(f"""
    INSERT INTO outbox ({names(_COLUMNS)})
    SELECT {names(_COLUMNS)} FROM {unnest(_COLUMNS, place="place")} ORDER BY place
""")  # noqa: S608 - constant names


class Outgoing(Struct, frozen=True):
    """An event that is already encoded. `body` None is a tombstone; `headers` is JSON text of [[name, base64], …]."""

    topic: str
    key: str
    type: str
    body: bytes | None
    event_id: UUID | None = None
    headers: str | None = None


#: key -> traceparent of the event being applied; the batch runtime sets it so that effects carry their cause's trace
_causes: ContextVar[Mapping[str, str] | None] = ContextVar("outbox_causes", default=None)


@contextmanager
def caused_by(traceparents: Mapping[str, str]) -> Iterator[None]:
    """While open, events published about a key carry that key's traceparent (W3C Trace Context)."""
    token = _causes.set(traceparents)
    try:
        yield
    finally:
        _causes.reset(token)


def cause_of(key: str) -> str | None:
    """The traceparent that an event about this key would carry now; for effects that run later, such as mails."""
    return (_causes.get() or {}).get(key) or tracing.traceparent()


async def publish(tx: Transaction, events: Iterable[EventModel | Outgoing]) -> list[UUID]:
    """Insert the events into the outbox in the given order, in one statement.

    Returns their ids (UUIDv7) in the same order. Raises what the database raises. The relay sends nothing before the
    caller's edge commits.
    """
    return await publish_encoded(
        tx,
        [
            event if isinstance(event, Outgoing) else Outgoing(event.TOPIC, event.key, event.TYPE, event.encode())
            for event in events
        ],
    )


async def publish_encoded(tx: Transaction, events: Sequence[Outgoing]) -> list[UUID]:
    """Like `publish`, for events that are already encoded."""
    if not events:
        return []
    ids = [event.event_id or new_id() for event in events]
    causes, own = _causes.get() or {}, tracing.traceparent()
    rows = (
        (event_id, event.topic, event.key, event.type, causes.get(event.key, own), event.headers, event.body)
        for event_id, event in zip(ids, events, strict=True)
    )
    await tx.execute(_INSERT, parameters(_COLUMNS, rows))
    return ids
