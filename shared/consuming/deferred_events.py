"""Stores deferred events, which name something that has not arrived; they keep their order per key until it does.

Both deferred events and awaited names are rows in the database, so the next round catches a release that was missed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import text

from shared.consuming.batch import Event, Record
from shared.contract.cloudevents import decode_headers, encode_headers
from shared.contract.events import EventModel
from shared.postgres.bulk import names, parameters, unnest
from shared.postgres.database import ReadTransaction, Transaction

_COLUMNS = {
    "key": "text", "awaits": "text", "event_id": "uuid", "topic": "text", "partition": "int", "offset": "bigint",
    "headers": "jsonb", "value": "bytea",
}  # fmt: skip
_DEFER = text(f"""
    INSERT INTO deferred_events (consumer, {names(_COLUMNS)})
    SELECT :consumer, {names(_COLUMNS)} FROM {unnest(_COLUMNS, place="ordinal")} ORDER BY ordinal
""")  # noqa: S608 - constant names
_HEADS = text("""
    SELECT DISTINCT ON (key) key, awaits FROM deferred_events
     WHERE consumer = :consumer AND key = ANY(CAST(:keys AS text[])) ORDER BY key, id
""")
_ANY = text("SELECT EXISTS (SELECT FROM deferred_events WHERE consumer = :consumer)")
# The names that events await; later events of a key carry the name of its first one.
_NAMES = text("""
    SELECT DISTINCT awaits FROM deferred_events WHERE consumer = :consumer AND awaits > :after
     ORDER BY awaits LIMIT :limit
""")
_READY = """
    WITH heads AS (
      SELECT DISTINCT ON (w.key) w.key, w.id, w.awaits FROM deferred_events w
       WHERE w.consumer = :consumer
         AND w.key IN (SELECT key FROM deferred_events
                        WHERE consumer = :consumer AND awaits = ANY(CAST(:names AS text[])))
       ORDER BY w.key, w.id),
    first AS (
      SELECT w.id, coalesce(octet_length(w.value), 0) AS bytes
        FROM deferred_events w JOIN heads h ON h.key = w.key AND h.awaits = ANY(CAST(:names AS text[]))
       WHERE w.consumer = :consumer
       ORDER BY w.id LIMIT :limit),
    measured AS (SELECT id, sum(bytes) OVER (ORDER BY id) - bytes AS bytes_before FROM first)
    SELECT w.id, w.key, w.awaits, w.event_id, w.topic, w.partition, w."offset", w.headers, w.value, w.deferred_at
      FROM deferred_events w JOIN measured m ON m.id = w.id
     WHERE m.bytes_before < :most_bytes
     ORDER BY w.id
"""
_READY_LOCKED = text(_READY + " FOR UPDATE OF w")
_READY_SEEN = text(_READY)
_STILL = text("""
    SELECT event_id FROM deferred_events WHERE consumer = :consumer AND event_id = ANY(CAST(:ids AS uuid[]))
""")
# Events to apply alone, each the first of its key. Without bodies, which may be large and many.
_ALONE = text("""
    SELECT w.id, w.event_id FROM deferred_events w
     WHERE w.consumer = :consumer AND w.awaits = 'alone/' || w.event_id::text
       AND NOT EXISTS (SELECT FROM deferred_events b WHERE b.consumer = w.consumer AND b.key = w.key AND b.id < w.id)
     ORDER BY w.id LIMIT :limit
""")
_ONE = """
    SELECT id, key, awaits, event_id, topic, partition, "offset", headers, value, deferred_at
      FROM deferred_events WHERE id = :id
"""
_ONE_LOCKED = text(_ONE + " FOR UPDATE SKIP LOCKED")
_ONE_SEEN = text(_ONE)
#: bodies in the memory of one round: an event may have a megabyte
READY_BYTES = 16 * 1024 * 1024
_REMOVE = text("DELETE FROM deferred_events WHERE id = ANY(CAST(:ids AS bigint[]))")
_RENAMED = {"id": "bigint", "awaits": "text"}
_RENAME = text(f"""
    UPDATE deferred_events SET awaits = row.awaits FROM {unnest(_RENAMED)} WHERE deferred_events.id = row.id
""")  # noqa: S608 - constant names
_LOCK = text("SELECT pg_try_advisory_xact_lock(hashtextextended('deferred_events ' || :consumer, 0))")


@dataclass(frozen=True, slots=True)
class DeferredEvent:
    """A row of `deferred_events`."""

    id: int
    key: str
    awaits: str
    event_id: UUID
    record: Record


async def defer_events(tx: Transaction, consumer: str, events: Sequence[tuple[Event[EventModel], str]]) -> None:
    """Store events with the name that each awaits, after the already deferred ones of their keys."""
    if not events:
        return
    rows = (
        (
            event.key, awaits, event.id, event.record.topic, event.record.partition, event.record.offset,
            encode_headers(event.record.headers), event.record.value,
        )
        for event, awaits in events
    )  # fmt: skip
    await tx.execute(_DEFER, {"consumer": consumer, **parameters(_COLUMNS, rows)})


async def heads(tx: Transaction, consumer: str, keys: Sequence[str]) -> dict[str, str]:
    """Those of the keys that have deferred events, with the name that the first of each awaits."""
    result = await tx.execute(_HEADS, {"consumer": consumer, "keys": list(keys)})
    return {row.key: row.awaits for row in result}


async def any_of(snapshot: ReadTransaction, consumer: str) -> bool:
    """Whether the consumer has a deferred event at all."""
    return bool((await snapshot.execute(_ANY, {"consumer": consumer})).scalar_one())


async def lock(tx: Transaction, consumer: str) -> bool:
    """Try to become the only transaction that releases this consumer's events. Returns whether it is."""
    result = await tx.execute(_LOCK, {"consumer": consumer})
    return bool(result.scalar_one())


async def awaited(tx: ReadTransaction, consumer: str, after: str, limit: int) -> list[str]:
    """A page of awaited names, sorted."""
    result = await tx.execute(_NAMES, {"consumer": consumer, "after": after, "limit": limit})
    return [str(name) for name in result.scalars()]


async def ready(
    tx: ReadTransaction, consumer: str, names: Sequence[str], limit: int, *, lock: bool = True
) -> list[DeferredEvent]:
    """Deferred events, oldest first, of keys whose first event awaits one of `names`; `lock`: their rows are locked.

    At most `limit`, and fewer where their bodies are large.
    """
    query = _READY_LOCKED if lock else _READY_SEEN
    values = {"consumer": consumer, "names": list(names), "limit": limit, "most_bytes": READY_BYTES}
    result = await tx.execute(query, values)
    return [event_of(row) for row in result]


async def still(tx: ReadTransaction, consumer: str, ids: Sequence[UUID]) -> set[UUID]:
    """Which of these events are still deferred."""
    result = await tx.execute(_STILL, {"consumer": consumer, "ids": list(ids)})
    return set(result.scalars())


async def alone(tx: ReadTransaction, consumer: str, limit: int) -> list[tuple[int, UUID]]:
    """Row and event ids of events to apply alone, oldest first."""
    result = await tx.execute(_ALONE, {"consumer": consumer, "limit": limit})
    return [(row.id, row.event_id) for row in result]


async def one(tx: ReadTransaction, row_id: int, *, lock: bool = True) -> DeferredEvent | None:
    """One row; None if it is gone or locked by another transaction."""
    result = await tx.execute(_ONE_LOCKED if lock else _ONE_SEEN, {"id": row_id})
    row = result.one_or_none()
    return None if row is None else event_of(row)


def event_of(row: Any) -> DeferredEvent:
    """Of a row with its headers and value."""
    return DeferredEvent(
        row.id,
        row.key,
        row.awaits,
        row.event_id,
        Record(
            row.topic,
            row.partition,
            row.offset,
            row.key.encode() or None,  # the record of a replayed dead letter may have no key
            row.value,
            decode_headers(row.headers),
            int(row.deferred_at.timestamp() * 1000),
        ),
    )


async def remove(tx: Transaction, ids: Sequence[int]) -> None:
    await tx.execute(_REMOVE, {"ids": list(ids)})


async def rename(tx: Transaction, changes: Sequence[tuple[int, str]]) -> None:
    """Change the names that these rows await."""
    if changes:
        await tx.execute(_RENAME, parameters(_RENAMED, changes))
