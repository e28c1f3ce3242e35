"""Events about something not yet known wait under their key, in order, and are fed again once it is known.

What waits is state in the database, and what is known is asked of the database: a release that was missed is made
good by the next look.
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
from shared.postgres.database import Reading, Transaction

_COLUMNS = {
    "key": "text", "awaits": "text", "event_id": "uuid", "topic": "text", "partition": "int", "offset": "bigint",
    "headers": "jsonb", "value": "bytea",
}  # fmt: skip
_PARK = text(f"""
    INSERT INTO waiting (consumer, {names(_COLUMNS)})
    SELECT :consumer, {names(_COLUMNS)} FROM {unnest(_COLUMNS, place="ordinal")} ORDER BY ordinal
""")  # noqa: S608 - constant names
_HEADS = text("""
    SELECT DISTINCT ON (key) key, awaits FROM waiting
     WHERE consumer = :consumer AND key = ANY(CAST(:keys AS text[])) ORDER BY key, id
""")
# The names that the first event of some key awaits; later ones of the key only queue.
_NAMES = text("""
    SELECT DISTINCT awaits FROM waiting WHERE consumer = :consumer AND awaits > :after ORDER BY awaits LIMIT :limit
""")
_READY = """
    WITH heads AS (
      SELECT DISTINCT ON (w.key) w.key, w.id, w.awaits FROM waiting w
       WHERE w.consumer = :consumer
         AND w.key IN (SELECT key FROM waiting WHERE consumer = :consumer AND awaits = ANY(CAST(:names AS text[])))
       ORDER BY w.key, w.id)
    SELECT w.id, w.key, w.awaits, w.event_id, w.topic, w.partition, w."offset", w.headers, w.value
      FROM waiting w JOIN heads h ON h.key = w.key AND h.awaits = ANY(CAST(:names AS text[]))
     WHERE w.consumer = :consumer
     ORDER BY w.id LIMIT :limit
"""
_READY_LOCKED = text(_READY + " FOR UPDATE OF w")
_READY_SEEN = text(_READY)
_STILL = text("""
    SELECT event_id FROM waiting WHERE consumer = :consumer AND event_id = ANY(CAST(:ids AS uuid[]))
""")
# What is applied alone: the first of its key, which awaits its own turn. Without bodies: they may be large and many.
_ALONE = text("""
    SELECT w.id, w.event_id FROM waiting w
     WHERE w.consumer = :consumer AND w.awaits = 'alone/' || w.event_id::text
       AND NOT EXISTS (SELECT FROM waiting b WHERE b.consumer = w.consumer AND b.key = w.key AND b.id < w.id)
     ORDER BY w.id LIMIT :limit
""")
_ONE = """
    SELECT id, key, awaits, event_id, topic, partition, "offset", headers, value FROM waiting WHERE id = :id
"""
_ONE_LOCKED = text(_ONE + " FOR UPDATE SKIP LOCKED")
_ONE_SEEN = text(_ONE)
_REMOVE = text("DELETE FROM waiting WHERE id = ANY(CAST(:ids AS bigint[]))")
_RENAME = text("""
    UPDATE waiting SET awaits = row.awaits
      FROM unnest(CAST(:ids AS bigint[]), CAST(:awaits AS text[])) AS row (id, awaits) WHERE waiting.id = row.id
""")
_LOCK = text("SELECT pg_try_advisory_xact_lock(hashtextextended('waiting ' || :consumer, 0))")


@dataclass(frozen=True, slots=True)
class Parked:
    """A row of `waiting`."""

    id: int
    key: str
    awaits: str
    event_id: UUID
    record: Record


async def park(tx: Transaction, consumer: str, events: Sequence[tuple[Event[EventModel], str]]) -> None:
    """Store events with what each awaits, behind whatever of their keys waits already."""
    if not events:
        return
    rows = (
        (
            event.key, awaits, event.id, event.record.topic, event.record.partition, event.record.offset,
            encode_headers(event.record.headers), event.record.value,
        )
        for event, awaits in events
    )  # fmt: skip
    await tx.execute(_PARK, {"consumer": consumer, **parameters(_COLUMNS, rows)})


async def heads(tx: Transaction, consumer: str, keys: Sequence[str]) -> dict[str, str]:
    """Of these keys, those that wait, with what their first event awaits."""
    result = await tx.execute(_HEADS, {"consumer": consumer, "keys": list(keys)})
    return {row.key: row.awaits for row in result}


async def lock(tx: Transaction, consumer: str) -> bool:
    """Whether this transaction alone may feed waiting events of the consumer."""
    result = await tx.execute(_LOCK, {"consumer": consumer})
    return bool(result.scalar_one())


async def awaited(tx: Reading, consumer: str, after: str, limit: int) -> list[str]:
    """A page of the names that are awaited, in order."""
    result = await tx.execute(_NAMES, {"consumer": consumer, "after": after, "limit": limit})
    return [str(name) for name in result.scalars()]


async def ready(tx: Reading, consumer: str, names: Sequence[str], limit: int, *, lock: bool = True) -> list[Parked]:
    """Waiting events, oldest first, of keys whose first event awaits one of `names`; locked, unless only looked at."""
    query = _READY_LOCKED if lock else _READY_SEEN
    result = await tx.execute(query, {"consumer": consumer, "names": list(names), "limit": limit})
    return [_parked(row) for row in result]


async def still(tx: Reading, consumer: str, ids: Sequence[UUID]) -> set[UUID]:
    """Which of these events wait."""
    result = await tx.execute(_STILL, {"consumer": consumer, "ids": list(ids)})
    return set(result.scalars())


async def alone(tx: Reading, consumer: str, limit: int) -> list[tuple[int, UUID]]:
    """Rows and events that are to be applied alone, oldest first."""
    result = await tx.execute(_ALONE, {"consumer": consumer, "limit": limit})
    return [(row.id, row.event_id) for row in result]


async def one(tx: Reading, row_id: int, *, lock: bool = True) -> Parked | None:
    """One row; None where it is gone, or where another transaction has it locked."""
    result = await tx.execute(_ONE_LOCKED if lock else _ONE_SEEN, {"id": row_id})
    row = result.one_or_none()
    return None if row is None else _parked(row)


def _parked(row: Any) -> Parked:
    return Parked(
        row.id,
        row.key,
        row.awaits,
        row.event_id,
        Record(
            row.topic,
            row.partition,
            row.offset,
            row.key.encode() or None,  # a replayed letter may have had no key
            row.value,
            decode_headers(row.headers),
        ),
    )


async def remove(tx: Transaction, ids: Sequence[int]) -> None:
    await tx.execute(_REMOVE, {"ids": list(ids)})


async def rename(tx: Transaction, changes: Sequence[tuple[int, str]]) -> None:
    """What these rows await from now on."""
    if changes:
        await tx.execute(_RENAME, {"ids": [i for i, _ in changes], "awaits": [name for _, name in changes]})
