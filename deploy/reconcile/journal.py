"""Follows every event from its publisher's archive to its followers' inboxes, and checks what stopped on the way.

It merges the archives of all services, and the inboxes of each consumer, in the order of event ids, so that memory
holds a page of each. On a compacted topic only the newest event of a key must have arrived.
"""

from __future__ import annotations

import hashlib
import json
from base64 import b64decode
from collections.abc import AsyncIterator, Collection, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import cache
from typing import Any
from uuid import UUID

import asyncpg

from deploy.kafka.provision import load
from deploy.reconcile.differences import Difference, Teller
from deploy.reconcile.reference import Reference
from deploy.reconcile.stores import Snapshot, Source, Stream
from shared.contract.cloudevents import DEAD_LETTER_TYPE
from shared.contract.events import MODELS, OWNERS
from shared.contract.services import SERVICES
from shared.contract.subscriptions import SUBSCRIPTIONS

_TAKEN = {table: f"SELECT * FROM {table} ORDER BY id" for table in ("deferred_events", "dead_letter", "consumer_halt")}


@cache
def _compacted() -> frozenset[str]:
    return frozenset(topic.name for topic in load() if topic.compacted)


def _published(service: str) -> Source:
    """Yield every event of a service by id, and (on compacted topics only) whether a newer one of its key follows."""
    rows = " UNION ALL ".join(
        f"SELECT event_id, id, topic, key, type, '{place}' AS place FROM {place} WHERE {{only}}{also}"
        for place, also in (("outbox_archive", ""), ("outbox", ""), ("outbox_set_aside", " AND NOT archived"))
    )
    compacted = ", ".join(f"'{topic}'" for topic in sorted(_compacted()) if OWNERS.get(topic) == service) or "''"
    sql = (
        "SELECT event_id, topic, key, type, place,"
        f" topic IN ({compacted}) AND lead(id) OVER (PARTITION BY topic, key ORDER BY id) IS NOT NULL AS superseded"
        f" FROM ({rows}) AS event ORDER BY event_id"
    )
    if compacted == "''":
        sql = f"SELECT event_id, topic, key, type, place, false AS superseded FROM ({rows}) AS event ORDER BY event_id"
    return Source("published", service, sql, "event_id", "uuid")


def _inbox(consumer: str) -> Source:
    sql = f"SELECT event_id, applied_at FROM inbox WHERE consumer = '{consumer}' AND {{only}} ORDER BY event_id"
    return Source(f"inbox {consumer}", consumer.partition(".")[0], sql, "event_id", "uuid")


@dataclass(slots=True)
class Stopped:
    """Events that consumers have deferred or given up, and those that relays have set aside."""

    deferred: dict[tuple[str, UUID], asyncpg.Record] = field(default_factory=dict)
    letters: dict[tuple[str, UUID], asyncpg.Record] = field(default_factory=dict)
    rows: list[tuple[str, str, asyncpg.Record]] = field(default_factory=list)  # service, table, row

    def behind(self) -> dict[str, frozenset[str]]:
        """By consumer, the keys of which it lacks a named event; it need not show what follows from that event."""
        found: dict[str, set[str]] = {}
        for (consumer, _), row in (*self.deferred.items(), *self.letters.items()):
            key = row["key"]
            found.setdefault(consumer, set()).add(
                key if isinstance(key, str) else (key or b"").decode(errors="replace")
            )
        return {consumer: frozenset(keys) for consumer, keys in found.items()}


async def compare(
    snapshot: Snapshot, reference: Reference, stopped: Stopped, events: Collection[str] | None = None
) -> AsyncIterator[Difference]:
    """Name lost, unsent and unknown events, of all or of these (by id); and all deferred events and dead letters."""
    async for difference in _inboxes(snapshot, reference, stopped, events):
        yield difference
    for difference in await _letters(snapshot, stopped):
        yield difference


async def read_stopped(snapshot: Snapshot) -> Stopped:
    """Read the events that have stopped on their way: deferred events, dead letters, halts."""
    found = Stopped()
    for service in SERVICES:
        for table, query in _TAKEN.items():
            for row in await snapshot.all(service, query):
                found.rows.append((service, table, row))
                if table == "deferred_events":
                    found.deferred[row["consumer"], row["event_id"]] = row
                elif table == "dead_letter" and row["event_id"] is not None:
                    found.letters[row["consumer"], row["event_id"]] = row
    return found


async def _inboxes(
    snapshot: Snapshot, reference: Reference, stopped: Stopped, events: Collection[str] | None
) -> AsyncIterator[Difference]:
    archives: dict[str, Stream] = {name: await snapshot.stream(_published(name), events) for name in SERVICES}
    inboxes: dict[str, Stream] = {
        consumer: await snapshot.stream(_inbox(consumer), events) for consumer in SUBSCRIPTIONS
    }
    followers: dict[str, list[str]] = {}
    for consumer, models in SUBSCRIPTIONS.items():
        for model in models:
            followers.setdefault(model.TYPE, []).append(consumer)
    streams = [*archives.values(), *inboxes.values()]
    while heads := [stream.key for stream in streams if stream.key is not None]:
        event_id = min(heads)
        published = [
            (service, row) for service, stream in archives.items() if stream.key == event_id
            for row in await stream.take(event_id)
        ]  # fmt: skip
        applied = {
            consumer for consumer, stream in inboxes.items() if stream.key == event_id and await stream.take(event_id)
        }
        for difference in _event(event_id, published, applied, followers, stopped, reference):
            yield difference
    for service in SERVICES:
        known = [consumer for consumer in SUBSCRIPTIONS if consumer.startswith(f"{service}.")]
        for row in await snapshot.all(
            service, "SELECT consumer, event_id FROM inbox WHERE NOT consumer = ANY($1::text[]) LIMIT 100", known
        ):
            told = Teller("event", f"{service}.inbox", f"{row['consumer']} {row['event_id']}", "theo khai báo",
                          "by shared/contract/subscriptions.py", "event")  # fmt: skip
            yield told.difference("consumer", row["consumer"], ", ".join(known))


def _event(
    event_id: UUID,
    published: list[tuple[str, asyncpg.Record]],
    applied: set[str],
    followers: dict[str, list[str]],
    stopped: Stopped,
    reference: Reference,
) -> Iterator[Difference]:
    if not published:
        for consumer in applied:
            owners = {OWNERS[model.TOPIC] for model in SUBSCRIPTIONS[consumer]}
            if all(reference.archived(owner, event_id) for owner in owners):
                service = consumer.partition(".")[0]
                names = ", ".join(sorted(owners))
                told = Teller("event", f"{service}.inbox", str(event_id), f"theo kho lưu của {names}",
                              f"by the archives of {names}", "event")  # fmt: skip
                yield told.difference(
                    "event_id", f"{consumer} đã áp dụng / applied", "không ai phát / nobody published it"
                )
        return
    if len(published) > 1:
        told = Teller("event", f"{published[0][0]}.outbox_archive", str(event_id), "một lần", "once", "event")
        yield told.difference("event_id", len(published), 1)
    service, row = published[0]
    told = Teller(
        "event", f"{service}.{row['place']}", f"{row['key']} {event_id}", "theo hợp đồng", "by contract", "event"
    )
    model = MODELS.get(row["type"])  # also of what no service follows
    right = row["topic"] == (f"{service}.dlq" if row["type"] == DEAD_LETTER_TYPE else model and model.TOPIC)
    if not right or (row["topic"] != f"{service}.dlq" and OWNERS.get(row["topic"]) != service):
        yield told.difference("topic, type", f"{row['topic']} {row['type']}", f"một sự kiện của {service}")
    if row["place"] != "outbox_archive":
        about = Teller("event", f"{service}.{row['place']}", f"{row['key']} {event_id}", "đã gửi", "sent", "event")
        yield about.difference("", "còn chờ / still there", "outbox_archive")
        return
    for consumer in followers.get(row["type"], ()):
        if consumer in applied or row["superseded"]:
            continue
        if (consumer, event_id) in stopped.deferred or (consumer, event_id) in stopped.letters:
            continue
        lost = Teller("event", f"{consumer.partition('.')[0]}.inbox", f"{consumer} {event_id}",
                      f"{service}.outbox_archive {row['key']}", subject="event")  # fmt: skip
        yield lost.missing()
    for consumer in applied - set(followers.get(row["type"], ())):
        odd = Teller("event", f"{consumer.partition('.')[0]}.inbox", f"{consumer} {event_id}", "theo khai báo",
                     "by shared/contract/subscriptions.py", "event")  # fmt: skip
        yield odd.surplus()


async def _letters(snapshot: Snapshot, stopped: Stopped) -> list[Difference]:
    """Check dead letters against the messages about them; name deferred events and halts."""
    found: list[Difference] = []
    for service in SERVICES:
        rows = await snapshot.all(
            service, "SELECT * FROM outbox_archive WHERE topic = $1 ORDER BY id", f"{service}.dlq"
        )
        told_of = {row["event_id"]: row for row in rows}
        letters = {row["dead_letter_id"]: row for owner, table, row in stopped.rows
                   if owner == service and table == "dead_letter"}  # fmt: skip
        for name, row in letters.items():
            if row["consumer"] != "relay":
                found += _letter(service, row, told_of.get(name))
        for name in told_of.keys() - letters.keys():
            found.append(
                Teller("event", f"{service}.dead_letter", str(name), f"theo {service}.dlq", subject="event").missing()
            )
    for service, table, row in stopped.rows:
        if table == "consumer_halt" and row["resumed_at"] is None:
            told = Teller("unfinished", f"{service}.consumer_halt", row["consumer"], "đang chạy", "running", "event")
            found.append(told.difference("halted_at", row["halted_at"], None))
    return found


def _letter(service: str, row: asyncpg.Record, message: asyncpg.Record | None) -> Iterator[Difference]:
    key = str(row["dead_letter_id"])
    computed = Teller("event", f"{service}.dead_letter", key, "tính lại", "computed again", "event")
    yield from computed.values(row, {"digest": _digest(row)})
    sent = Teller("event", f"{service}.outbox_archive", key, "theo dead_letter", "by dead_letter", "event")
    if message is None:
        yield sent.missing()
        return
    yield from sent.values(message, {"key": key, "type": DEAD_LETTER_TYPE})
    try:
        evidence = {name: b64decode(value, validate=True) for name, value in json.loads(message["headers"] or "[]")}
        said = _said(evidence)
        headers = json.loads(evidence["dlq_headers"])
    except (ValueError, KeyError, TypeError) as error:
        yield sent.difference("headers", f"không đọc được / unreadable: {error}"[:200], "dlq_…")
        return
    if "dlq_shortened" in evidence:
        return
    if row["replayed_at"] is not None or row["attempts"] > said["attempts"]:
        # it was tried again since: its latest failure is newer than the message
        for name in ("attempts", "error_class", "error_text"):
            said.pop(name)
    told = Teller("event", f"{service}.dead_letter", key, f"theo {service}.dlq", f"by {service}.dlq", "event")
    yield from told.values(row, {"value": message["body"]} | said)
    yield from told.document(json.loads(row["headers"]), headers, "headers")


def _said(evidence: Mapping[str, bytes]) -> dict[str, Any]:
    """Return the columns of a dead letter as its message gives them. Raises KeyError, ValueError."""
    return {
        "consumer": evidence["dlq_consumer"].decode(), "topic": evidence["dlq_topic"].decode(),
        "partition": int(evidence["dlq_partition"]), "offset": int(evidence["dlq_offset"]),
        "key": evidence["dlq_key"] or None, "error_class": evidence["dlq_error_class"].decode(),
        "error_text": evidence["dlq_error"].decode(), "attempts": int(evidence["dlq_attempts"]),
        "first_seen": datetime.fromisoformat(evidence["dlq_first_seen"].decode()),
    }  # fmt: skip


def _digest(row: asyncpg.Record) -> bytes:
    """Compute the digest as the SQL of shared/consuming/dead_letters.py does."""
    key: bytes | None = row["key"]
    name = str(row["event_id"]) if row["event_id"] is not None else (key.hex() if key is not None else "")
    value = b"" if row["value"] is None else hashlib.sha256(row["value"]).digest()
    return hashlib.sha256(b"\x00".join((name.encode(), value, row["headers"].encode()))).digest()
