"""Reads everything the checker needs, without the services: tables by SQL, topics as bytes, the mail sink; plain data.

It shares no code with the services, so it cannot share their mistakes.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal
from typing import Any

import asyncpg
from aiokafka import AIOKafkaConsumer, TopicPartition

from shared.contract.events import EscalationChanged
from shared.contract.services import SERVICES

#: topic -> the service whose outbox feeds it
TOPICS = {
    "registry": "intake",
    "submissions": "intake",
    "verdicts": "validator",
    "compliance": "scoring",
    "notifications": "notifier",
}
_KIND = "vn.thongsuot.{}.v1"
_REGISTRY = ("registry.agency", "registry.officer", "registry.regime", "registry.request")
_ACCESS = ("registry.key", "registry.person", "registry.officer")
#: consumer -> the event types that it must apply; written from the design, not from the code
FOLLOWS: dict[str, frozenset[str]] = {
    consumer: frozenset(_KIND.format(name) for name in names)
    for consumer, names in {
        "intake.follow": ("verdict.reached", "verdict.not_judged", "obligation.changed"),
        "intake.notices": ("notification.recorded", "notification.webhook", "notification.health"),
        "validator.registry": ("registry.regime", "registry.reference", "registry.waiver"),
        "validator.agencies": ("registry.agency",),
        "validator.submissions": ("submission.received",),
        "validator.steps": ("submission.step",),
        "scoring.registry": (*_REGISTRY, "registry.regrouped"),
        "scoring.follow": (
            "submission.received",
            "verdict.reached",
            "verdict.not_judged",
            "intake.available",
            "intake.unavailable",
        ),
        "notifier.registry": (*_REGISTRY, "registry.person", "registry.webhook"),
        "notifier.steps": ("submission.step", "submission.lateness", "submission.received"),
        "notifier.verdicts": ("verdict.reached", "verdict.not_judged"),
        "notifier.compliance": ("obligation.changed", "calendar.loaded", "policy.loaded"),
        "validator.access": _ACCESS,
        "scoring.access": _ACCESS,
        "notifier.access": _ACCESS,
        "board.registry": (*_REGISTRY, "registry.person"),
        "board.submissions": ("submission.received", "submission.step", "submission.lateness"),
        "board.verdicts": ("verdict.reached", "verdict.not_judged"),
        "board.compliance": ("obligation.changed",),
        "board.notifications": ("notification.recorded", "notification.escalation"),
        "board.access": _ACCESS,
    }.items()
}
#: consumer -> the topics it reads
READS: dict[str, tuple[str, ...]] = {
    "intake.follow": ("verdicts", "compliance"),
    "intake.notices": ("notifications",),
    "validator.registry": ("registry",),
    "validator.agencies": ("registry",),
    "validator.submissions": ("submissions",),
    "validator.steps": ("submissions",),
    "scoring.registry": ("registry",),
    "scoring.follow": ("submissions", "verdicts"),
    "notifier.registry": ("registry",),
    "notifier.steps": ("submissions",),
    "notifier.verdicts": ("verdicts",),
    "notifier.compliance": ("compliance",),
    "validator.access": ("registry",),
    "scoring.access": ("registry",),
    "notifier.access": ("registry",),
    "board.registry": ("registry",),
    "board.submissions": ("submissions",),
    "board.verdicts": ("verdicts",),
    "board.compliance": ("compliance",),
    "board.notifications": ("notifications",),
    "board.access": ("registry",),
}
RECEIVED, REACHED = _KIND.format("submission.received"), _KIND.format("verdict.reached")
NOT_JUDGED = _KIND.format("verdict.not_judged")
CHANGED = _KIND.format("obligation.changed")


@dataclass(frozen=True, slots=True)
class Submission:
    """A row of intake's store."""

    submission_id: str
    obligation: str
    agency: str
    version: int
    idempotency_key: str
    sha256: str
    received_at: datetime
    body: bytes
    regime_version: int = 1


@dataclass(frozen=True, slots=True)
class Told:
    """An event in its owner's outbox or archive."""

    owner: str
    event_id: str
    topic: str
    key: str
    type: str
    version: int | None
    submission_id: str | None
    sent: bool


@dataclass(frozen=True, slots=True)
class Applied:
    """A line of the witness: this consumer applied this event, in this order."""

    place: int
    consumer: str
    event_id: str
    topic: str
    key: str
    version: int
    climb: int = 0  # as of Message


@dataclass(frozen=True, slots=True)
class Verdict:
    """A row of validator's store."""

    verdict_id: str
    submission_id: str
    obligation: str
    version: int
    outcome: str
    revision: int = 1


@dataclass(frozen=True, slots=True)
class Owed:
    """A row of scoring's obligations; `received` and `decided` are the versions that its facts have."""

    obligation: str
    owed: bool
    deadline: datetime
    received: tuple[int, ...]
    decided: tuple[int, ...]
    standing: str
    overdue: bool
    on_time: bool | None
    score: Decimal | None


@dataclass(frozen=True, slots=True)
class Notice:
    """A row of notifier's ledger."""

    id: str
    message_id: str
    recipient: str | None
    kind: str
    state: str
    unknowns: int
    due: bool


@dataclass(frozen=True, slots=True)
class Delivery:
    """A message of notifier's to a webhook. `message_id` is what its `webhook-id` says."""

    message_id: str
    webhook_id: str
    event: str
    state: str
    reason: str | None
    created_at: float


@dataclass(frozen=True, slots=True)
class Hooked:
    """A webhook that was registered before the load began; until `timed_until` (epoch seconds) messages are in time."""

    webhook_id: str
    agency: str
    timed_until: float


@dataclass(frozen=True, slots=True)
class Posted:
    """A request that a webhook's receiver got, whether a stock library verified it, and its answer; 0: none."""

    webhook_id: str
    message_id: str
    event: str
    submission_id: str
    agency: str
    verified: bool
    status: int
    at: float


@dataclass(frozen=True, slots=True)
class Message:
    """A message as it lies in a topic."""

    topic: str
    partition: int
    offset: int
    key: str
    event_id: str
    version: int | None
    climb: int = 0  # of an escalation: which climb of the report it is; each has versions of its own


@dataclass
class Stores:
    """One reading of everything. Lists keep duplicates: that is what the checks look for."""

    submissions: list[Submission] = field(default_factory=list)
    told: list[Told] = field(default_factory=list)
    inbox: list[tuple[str, str]] = field(default_factory=list)  # (consumer, event id)
    deferred: list[tuple[str, str]] = field(default_factory=list)
    dead: list[tuple[str, str]] = field(default_factory=list)  # not replayed
    buried: int = 0  # dead letters, replayed or not
    witnessed: list[Applied] = field(default_factory=list)
    verdicts: list[Verdict] = field(default_factory=list)
    obligations: list[Owed] = field(default_factory=list)
    score_lines: list[tuple[str, Decimal]] = field(default_factory=list)
    special_days: dict[date, bool] = field(default_factory=dict)  # day -> whether one works
    statuses: dict[str, str] = field(default_factory=dict)  # submission -> outcome, intake's copy
    standings: dict[str, tuple[int, str]] = field(default_factory=dict)  # obligation -> version, standing: intake's
    notified: dict[str, int] = field(default_factory=dict)  # obligation -> version, notifier's copy
    notices: list[Notice] = field(default_factory=list)
    mails: list[str] = field(default_factory=list)  # Message-IDs that the mail server took
    messages: list[Message] = field(default_factory=list)
    deliveries: list[Delivery] = field(default_factory=list)
    hooks: list[Hooked] = field(default_factory=list)
    posts: list[Posted] = field(default_factory=list)
    internal_hits: list[str] = field(default_factory=list)  # connections to where no webhook may be sent


def _event(owner: str, row: Mapping[str, Any], *, sent: bool) -> Told:
    body = json.loads(row["body"]) if row["body"] is not None and not row["topic"].endswith(".dlq") else {}
    version, submission = body.get("version"), body.get("submission_id")
    return Told(
        owner, str(row["event_id"]), row["topic"], row["key"], row["type"], version, str(submission or "") or None, sent
    )


async def _rows(connection: asyncpg.Connection, query: str) -> list[asyncpg.Record]:
    return list(await connection.fetch(query))


async def _backbone(stores: Stores, service: str, connection: asyncpg.Connection) -> None:
    event = "event_id, topic, key, type, body"
    set_aside = "outbox_set_aside WHERE NOT archived"
    for table, sent in (("outbox_archive", True), ("outbox", False), (set_aside, False)):
        rows = await _rows(connection, f"SELECT {event} FROM {table} ORDER BY id")
        stores.told += [_event(service, row, sent=sent) for row in rows]
    for row in await _rows(connection, "SELECT consumer, event_id FROM inbox"):
        stores.inbox.append((row["consumer"], str(row["event_id"])))
    for row in await _rows(connection, "SELECT consumer, event_id FROM deferred_events"):
        stores.deferred.append((row["consumer"], str(row["event_id"])))
    for row in await _rows(connection, "SELECT consumer, event_id, replayed_at FROM dead_letter"):
        stores.buried += 1
        if row["replayed_at"] is None:
            stores.dead.append((row["consumer"], str(row["event_id"])))
    rows = await _rows(connection, "SELECT place, consumer, event_id, topic, key, version, climb FROM fault_witness")
    stores.witnessed += [
        Applied(r["place"], r["consumer"], str(r["event_id"]), r["topic"], r["key"], r["version"], r["climb"])
        for r in rows
    ]


async def _intake(stores: Stores, connection: asyncpg.Connection) -> None:
    rows = await _rows(
        connection,
        "SELECT submission_id, obligation, agency, version, idempotency_key, encode(sha256, 'hex') AS sha256, "
        "received_at, body, regime_version FROM submissions",
    )
    stores.submissions = [Submission(str(row["submission_id"]), *tuple(row)[1:]) for row in rows]
    rows = await _rows(connection, "SELECT submission_id, outcome FROM verdicts")
    stores.statuses = {str(row["submission_id"]): row["outcome"] for row in rows}
    rows = await _rows(connection, "SELECT obligation, version, standing FROM standings")
    stores.standings = {row["obligation"]: (row["version"], row["standing"]) for row in rows}


async def _validator(stores: Stores, connection: asyncpg.Connection) -> None:
    rows = await _rows(
        connection, "SELECT verdict_id, submission_id, obligation, version, outcome, revision FROM verdict"
    )
    stores.verdicts = [Verdict(str(row[0]), str(row[1]), *tuple(row)[2:]) for row in rows]


async def _scoring(stores: Stores, connection: asyncpg.Connection) -> None:
    rows = await _rows(
        connection, "SELECT obligation, owed, deadline, standing, overdue, CAST(document AS text) FROM obligations"
    )
    stores.obligations = [_owed(*row) for row in rows]
    rows = await _rows(connection, "SELECT obligation, points FROM score_lines")
    stores.score_lines = [(row["obligation"], row["points"]) for row in rows]
    rows = await _rows(connection, "SELECT day, work FROM calendar_days")
    stores.special_days = {row["day"]: row["work"] for row in rows}


def _owed(obligation: str, owed: bool, deadline: datetime, standing: str, overdue: bool, document: str) -> Owed:
    read = json.loads(document)
    versions, state = read["facts"].get("versions", ()), read["state"]
    score = state.get("score")
    return Owed(
        obligation,
        owed,
        deadline,
        tuple(sorted(version["number"] for version in versions)),
        tuple(sorted(version["number"] for version in versions if version.get("verdicts"))),
        standing,
        overdue,
        state.get("on_time"),
        None if score is None else Decimal(score),
    )


async def _notifier(stores: Stores, connection: asyncpg.Connection) -> None:
    rows = await _rows(
        connection,
        "SELECT id, message_id, recipient, kind, state, unknowns, due_at IS NOT NULL AS due FROM notifications",
    )
    stores.notices = [Notice(str(row["id"]), *tuple(row)[1:]) for row in rows]
    rows = await _rows(connection, "SELECT obligation, version FROM obligations")
    stores.notified = {row["obligation"]: row["version"] for row in rows}
    rows = await _rows(
        connection, "SELECT delivery_id, webhook_id, event, state, reason, created_at FROM webhook_deliveries"
    )
    stores.deliveries = [
        Delivery(f"msg_{r[0].hex}", str(r[1]), r["event"], r["state"], r["reason"], r["created_at"].timestamp())
        for r in rows
    ]


_OWN = {"intake": _intake, "validator": _validator, "scoring": _scoring, "notifier": _notifier}


async def read_databases(urls: Mapping[str, str]) -> Stores:
    """Read every service's database, each in one snapshot. `urls` by service."""
    stores = Stores()
    for service in SERVICES:
        connection = await asyncpg.connect(urls[service], timeout=20)
        try:
            async with connection.transaction(isolation="repeatable_read", readonly=True):
                await _backbone(stores, service, connection)
                if service in _OWN:  # the board has nothing of its own, only copies
                    await _OWN[service](stores, connection)
        finally:
            await connection.close()
    return stores


async def read_topics(bootstrap: str, prefix: str, topics: Iterable[str] = tuple(TOPICS)) -> list[Message]:
    """Read every message of the topics from the beginning to their present ends."""
    consumer = AIOKafkaConsumer(bootstrap_servers=bootstrap, enable_auto_commit=False, auto_offset_reset="earliest")
    await consumer.start()
    found: list[Message] = []
    try:
        places = []
        for topic in topics:
            await consumer._client.add_topic(prefix + topic)
        await consumer._client.force_metadata_update()
        for topic in topics:
            numbers = consumer.partitions_for_topic(prefix + topic) or ()
            places += [TopicPartition(prefix + topic, number) for number in numbers]
        consumer.assign(places)
        await consumer.seek_to_beginning(*places)
        ends = {place: end for place, end in (await consumer.end_offsets(places)).items() if end}
        deadline = asyncio.get_running_loop().time() + 60
        while ends:
            for place, records in (await consumer.getmany(timeout_ms=300, max_records=5000)).items():
                for record in records:
                    found.append(_message(record, place.topic.removeprefix(prefix)))
            for place in list(ends):
                if await consumer.position(place) >= ends[place]:
                    del ends[place]
            if asyncio.get_running_loop().time() > deadline:
                raise TimeoutError(f"the topics could not be read to their ends: {ends}")
    finally:
        await consumer.stop()
    return found


def _message(record: Any, topic: str) -> Message:
    headers = dict(record.headers)
    try:
        body = json.loads(record.value)
        version = body.get("version")
        climb = body["number"] if headers.get("ce_type") == EscalationChanged.TYPE.encode() else 0
    except (TypeError, ValueError, AttributeError, RecursionError, KeyError):
        version, climb = None, 0
    key = (record.key or b"").decode("utf-8", "replace")
    event_id = headers.get("ce_id", b"").decode("utf-8", "replace")
    return Message(topic, record.partition, record.offset, key, event_id, version, climb)
