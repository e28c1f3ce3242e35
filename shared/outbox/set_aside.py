"""Moves an event that Kafka never takes from the outbox to `outbox_set_aside`, where it stays until it is retried.

Later events of its key queue behind it there, so a key keeps its order; other keys continue. On a topic whose newest
event of a key replaces earlier ones, the newer event is sent and the one set aside is closed as superseded. A retry
moves all events of a key back into the outbox under their old ids (shared/outbox/tool.py).
"""

from __future__ import annotations

from collections.abc import Sequence

import asyncpg

from shared.outbox.sending import LAST_WORD_TOPICS, Row, Sent
from shared.telemetry import metrics
from shared.telemetry.logging import get_logger

log = get_logger()

_COLUMNS = "id, event_id, topic, key, type, traceparent, headers, body, created_at"
_REASONS = """
    unnest($1::bigint[], $2::text[], $3::text[], $4::int[], $5::bigint[])
      AS r (row_id, error_class, error_text, encoded_bytes, behind)
"""
#: a conflicting row is the same event, returned by a lost acknowledgement or a replay of the archive
_PUT = f"""
    WITH gone AS (DELETE FROM outbox WHERE id = ANY($1::bigint[]) RETURNING {_COLUMNS})
    INSERT INTO outbox_set_aside ({_COLUMNS}, error_class, error_text, encoded_bytes, behind)
    SELECT {_COLUMNS}, error_class, error_text, encoded_bytes, behind
      FROM gone JOIN {_REASONS} ON row_id = id ORDER BY id
    ON CONFLICT (id) DO NOTHING
"""  # noqa: S608 - constant names
_PUT_ARCHIVED = f"""
    INSERT INTO outbox_set_aside ({_COLUMNS}, error_class, error_text, encoded_bytes, behind, archived)
    SELECT {_COLUMNS}, error_class, error_text, encoded_bytes, behind, true
      FROM outbox_archive JOIN {_REASONS} ON row_id = id WHERE id = ANY($1::bigint[]) ORDER BY id
    ON CONFLICT (id) DO NOTHING
"""  # noqa: S608 - constant names
#: the keys that still have a row set aside: a retry may have removed it; LOCK excludes a retry meanwhile
_STILL_FRONTED = """
    SELECT DISTINCT a.topic, a.key FROM outbox_set_aside a
      JOIN unnest($1::text[], $2::text[]) AS wanted (topic, key) USING (topic, key) WHERE a.closed_at IS NULL
"""
_SUPERSEDE = """
    UPDATE outbox_set_aside a
       SET closed_at = clock_timestamp(), closed_as = 'superseded', closed_by = 'relay', closed_reason = newer.event_id
      FROM unnest($1::text[], $2::text[], $3::bigint[], $4::text[]) AS newer (topic, key, id, event_id)
     WHERE a.topic = newer.topic AND a.key = newer.key AND a.id < newer.id AND a.closed_at IS NULL
"""
#: the relay and the operator's commands take it before they change which keys are set aside
LOCK = "LOCK TABLE outbox_set_aside IN SHARE ROW EXCLUSIVE MODE"

Reasons = tuple[list[int], list[str], list[str], list[int], list[int | None]]


async def put(connection: asyncpg.Connection, sent: Sent) -> None:
    """Move refused rows, and those behind them, out of the outbox; on the caller's transaction."""
    await connection.execute(LOCK)
    refused = {(refusal.row["topic"], refusal.row["key"]) for refusal in sent.refused}
    lines = sorted({(row["topic"], row["key"]) for row, _ in sent.behind} - refused)
    found = await connection.fetch(_STILL_FRONTED, [topic for topic, _ in lines], [key for _, key in lines])
    fronted = refused | {(row["topic"], row["key"]) for row in found}
    sent.behind = [(row, front) for row, front in sent.behind if (row["topic"], row["key"]) in fronted]
    await connection.execute(_PUT, *_reasons(sent))


async def put_archived(connection: asyncpg.Connection, sent: Sent) -> None:
    """Like `put` for rows of the archive, where they stay."""
    if sent.refused or sent.behind:
        await connection.execute(_PUT_ARCHIVED, *_reasons(sent))
        report(sent)


async def supersede(connection: asyncpg.Connection, sent: Sequence[Row]) -> None:
    """Close events that a newer event of their key has replaced."""
    rows = [row for row in sent if row["topic"] in LAST_WORD_TOPICS]
    if rows:
        await connection.execute(
            _SUPERSEDE,
            [row["topic"] for row in rows],
            [row["key"] for row in rows],
            [row["id"] for row in rows],
            [str(row["event_id"]) for row in rows],
        )


def report(sent: Sent) -> None:
    """Log and count the events set aside; call it after the commit."""
    for refusal in sent.refused:
        metrics.OUTBOX_SET_ASIDE_TOTAL.labels("too_large" if refusal.of_the_row else "refused").inc()
        log.error(
            "An event that Kafka does not take was set aside. See `outbox list`.",
            action="relay.set_aside",
            id=refusal.row["id"],
            event_id=str(refusal.row["event_id"]),
            type=refusal.row["type"],
            topic=refusal.row["topic"],
            key=refusal.row["key"],
            encoded_bytes=refusal.bytes,
            error=f"{type(refusal.error).__name__}: {refusal.error}"[:500],
        )
    for row, front in sent.behind:
        metrics.OUTBOX_SET_ASIDE_TOTAL.labels("behind").inc()
        log.warning(
            "An event queues behind an earlier one of its key that was set aside.",
            action="relay.queued_behind",
            id=row["id"],
            topic=row["topic"],
            key=row["key"],
            behind=front,
        )


def _reasons(sent: Sent) -> Reasons:
    ids: list[int] = []
    classes, texts, sizes = list[str](), list[str](), list[int]()
    behind: list[int | None] = []
    for refusal in sent.refused:
        ids.append(refusal.row["id"])
        classes.append(type(refusal.error).__name__)
        texts.append(str(refusal.error)[:2000])
        sizes.append(refusal.bytes)
        behind.append(None)
    for row, front in sent.behind:
        ids.append(row["id"])
        classes.append("Behind")
        texts.append(f"an earlier event of its key is set aside: {front}")
        sizes.append(0)
        behind.append(front)
    return ids, classes, texts, sizes, behind
