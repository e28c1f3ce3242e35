"""Stores a bad record with its evidence as a `dead_letter` row and publishes it to `<service>.dlq` through the outbox.

One transaction writes both and gives the record up, before its offset is committed: the record cannot get lost on the
way to the dead-letter topic, and a redelivery does not store it twice. A letter stands for one record at one place; a
different record at the same place, after a log has started again at offset 0, is a new letter. The row always holds
the whole record; if it is too large for the topic, the published record holds its beginning and where to find the rest.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from uuid import UUID

from sqlalchemy import text

from shared.consuming.batch import Record
from shared.contract.cloudevents import DEAD_LETTER_TYPE, encode_headers
from shared.contract.ids import new_id
from shared.outbox.publish import Outgoing, publish_encoded
from shared.outbox.sizes import batch_bytes, declared_limit
from shared.postgres.bulk import names, parameters, unnest
from shared.postgres.database import Transaction
from shared.runtime import failpoints
from shared.telemetry import metrics
from shared.telemetry.logging import about_event, get_logger

log = get_logger()

#: bytes that the relay adds to a dead letter's own headers
ENVELOPE_BYTES = 2048
#: limits on the record's bytes and on each piece of evidence where the whole is too large for the topic
SHORTENED_BYTES = 16 * 1024


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A record given up, with the reason, the number of attempts and when it was first seen (system time)."""

    record: Record
    event_id: UUID | None
    type: str
    error_class: str
    error_text: str
    attempts: int
    first_seen: datetime


# digest: identifies the record apart from its place, by its id, or by its key if it has none
_COLUMNS = {
    "dead_letter_id": "uuid", "event_id": "uuid", "topic": "text", "partition": "int", "offset": "bigint",
    "key": "bytea", "value": "bytea", "headers": "jsonb", "error_class": "text", "error_text": "text",
    "attempts": "int", "first_seen": "timestamptz",
}  # fmt: skip
_INSERT = text(rf"""
    INSERT INTO dead_letter ({names(_COLUMNS)}, consumer, digest)
    SELECT {names(_COLUMNS)}, :consumer,
           sha256(convert_to(coalesce(event_id::text, encode(key, 'hex'), ''), 'UTF8') || '\x00'::bytea
                  || coalesce(sha256(value), '') || '\x00'::bytea || convert_to(headers::text, 'UTF8'))
      FROM {unnest(_COLUMNS)}
    ON CONFLICT (consumer, topic, partition, "offset", digest) DO UPDATE
       SET replayed_at = NULL, error_class = excluded.error_class, error_text = excluded.error_text,
           attempts = dead_letter.attempts + excluded.attempts
    RETURNING dead_letter_id, xmax = 0 AS inserted
""")  # noqa: S608 - constant names


async def bury(tx: Transaction, service: str, consumer: str, letters: Sequence[DeadLetter]) -> None:
    """Store the letters; publish each to the service's dead-letter topic with its original bytes and evidence."""
    if not letters:
        return
    failpoints.hit("deadletter.before_row")
    ids = [new_id() for _ in letters]
    texts = [letter.error_text.replace("\x00", "\ufffd") for letter in letters]
    originals = [encode_headers(letter.record.headers) for letter in letters]
    rows = (
        (
            dead_letter_id, letter.event_id, letter.record.topic, letter.record.partition, letter.record.offset,
            letter.record.key, letter.record.value, original, letter.error_class, error_text, letter.attempts,
            letter.first_seen,
        )
        for dead_letter_id, letter, error_text, original in zip(ids, letters, texts, originals, strict=True)
    )  # fmt: skip
    result = await tx.execute(_INSERT, {"consumer": consumer, **parameters(_COLUMNS, rows)})
    # a replayed letter that fails again is the same letter, and its topic already has it
    new = {row.dead_letter_id for row in result if row.inserted}
    failpoints.hit("deadletter.between_row_and_publish")
    await publish_encoded(
        tx,
        [
            _message(service, consumer, letter, dead_letter_id, error_text, original)
            for dead_letter_id, letter, error_text, original in zip(ids, letters, texts, originals, strict=True)
            if dead_letter_id in new
        ],
    )
    metrics.DEAD_LETTERS_TOTAL.labels(consumer).inc(len(new))
    for letter in letters:
        _log(consumer, letter)


def _message(
    service: str, consumer: str, letter: DeadLetter, dead_letter_id: UUID, error_text: str, original: str
) -> Outgoing:
    topic, key, value = f"{service}.dlq", str(dead_letter_id), letter.record.value
    headers = _evidence(consumer, letter, error_text, original)
    if batch_bytes(key.encode(), value, headers) > declared_limit(topic) - ENVELOPE_BYTES:
        headers, value = _shortened(service, letter, dead_letter_id, headers)
    return Outgoing(topic, key, DEAD_LETTER_TYPE, value, dead_letter_id, encode_headers(headers))


def _shortened(
    service: str, letter: DeadLetter, dead_letter_id: UUID, headers: Sequence[tuple[str, bytes]]
) -> tuple[list[tuple[str, bytes]], bytes | None]:
    """The beginning of a record that is too large, its size and digest, and where the whole is kept."""
    value = letter.record.value
    kept = [(name, content[:SHORTENED_BYTES]) for name, content in headers if name != "dlq_headers"]
    kept += [
        ("dlq_shortened", b"true"),
        ("dlq_whole", f"{service}: python -m services.{service} dead-letters show {dead_letter_id}".encode()),
        ("dlq_value_bytes", str(len(value or b"")).encode()),
        ("dlq_value_sha256", sha256(value or b"").hexdigest().encode()),
    ]
    return kept, None if value is None else value[:SHORTENED_BYTES]


def _log(consumer: str, letter: DeadLetter) -> None:
    record = letter.record
    traceparent = dict(record.headers).get("traceparent") or b""
    with about_event(letter.event_id, record.key, traceparent.decode("ascii", "replace")):
        log.warning(
            "Gave up an event and kept it as a dead letter.",
            action="consumer.buried",
            consumer=consumer,
            type=letter.type,
            place=f"{record.topic}-{record.partition}@{record.offset}",
            error_class=letter.error_class,
            error=letter.error_text[:500],
            attempts=letter.attempts,
        )


def _evidence(consumer: str, letter: DeadLetter, error_text: str, original: str) -> list[tuple[str, bytes]]:
    record = letter.record
    return [
        ("dlq_consumer", consumer.encode()),
        ("dlq_topic", record.topic.encode()),
        ("dlq_partition", str(record.partition).encode()),
        ("dlq_offset", str(record.offset).encode()),
        ("dlq_key", record.key or b""),
        ("dlq_headers", original.encode()),
        ("dlq_error_class", letter.error_class.encode()),
        ("dlq_error", error_text.encode()),
        ("dlq_attempts", str(letter.attempts).encode()),
        ("dlq_first_seen", letter.first_seen.isoformat().encode()),
    ]
