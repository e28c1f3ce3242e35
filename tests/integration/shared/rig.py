"""A tiny service on the real backbone: counts how often each event was applied, and in which order per key."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

from sqlalchemy import MetaData, text

from shared.consuming.applying import Inbound
from shared.consuming.batch import Batch
from shared.consuming.consumers import Consumers
from shared.consuming.subscription import Subscription
from shared.contract.events import SUBMISSIONS, SubmissionReceived, obligation_key
from shared.outbox import publish
from shared.outbox.relay import Relay
from shared.postgres.database import Database, Transaction
from shared.postgres.tables import backbone_tables
from shared.runtime.clock import SystemClock, monotonic_seconds
from shared.runtime.settings import KafkaSettings
from tests.in_no_order import rows_of

APPLIED = "CREATE TABLE applied (place bigint GENERATED ALWAYS AS IDENTITY, key text, version int, submission uuid)"


async def prepare(database: Database) -> None:
    """The backbone's tables and the ledger of what was applied; no claim hides in it, repetition shows."""
    metadata = MetaData()
    backbone_tables(metadata)
    async with database.transaction() as tx:
        await tx.run_sync(metadata.create_all)
        await tx.execute(text(APPLIED))


def submission(agency: str = "H99.01", version: int = 1, **changes: Any) -> SubmissionReceived:
    values: dict[str, Any] = {
        "submission_id": uuid4(),
        "obligation": obligation_key(agency, "BC", "2026-M01"),
        "agency": agency,
        "regime": "BC",
        "regime_version": 1,
        "period": "2026-M01",
        "version": version,
        "officer_id": "o1",
        "received_at": datetime(2026, 1, 15, tzinfo=UTC),
        "sha256": "0" * 64,
        "figures": {"A": "1.50"},
    }
    return SubmissionReceived(**{**values, **changes})


async def record(batch: Batch[SubmissionReceived], tx: Transaction) -> None:
    """Write one row per applied event."""
    events = batch.events
    await tx.execute(
        text(
            "INSERT INTO applied (key, version, submission) SELECT * FROM "
            "unnest(CAST(:keys AS text[]), CAST(:versions AS int[]), CAST(:ids AS uuid[]))"
        ),
        {
            "keys": [event.key for event in events],
            "versions": [event.body.version for event in events],
            "ids": [event.body.submission_id for event in events],
        },
    )


def subscription(
    database: Database,
    kafka: KafkaSettings,
    handle: Callable[[Batch[Any], Transaction], Awaitable[None]] = record,
    known: Callable[[Transaction, Sequence[str]], Awaitable[set[str]]] | None = None,
    **options: Any,
) -> Subscription:
    inbound = Inbound("follow", (SUBMISSIONS,), (SubmissionReceived,), handle, known)
    return Subscription("scoring", inbound, database, kafka, SystemClock(), **options)


def relay(database: Database, kafka: KafkaSettings, *, service: str = "intake", **options: Any) -> Relay:
    return Relay(service, database.url, kafka, SystemClock(), **options)


def consumers(kafka: KafkaSettings, *subscriptions: Subscription) -> Consumers:
    return Consumers("scoring", kafka, subscriptions, grace_seconds=5)


async def send(database: Database, events: Sequence[SubmissionReceived]) -> None:
    async with database.transaction() as tx:
        await publish(tx, events)


async def rows(database: Database, query: str, **values: Any) -> list[Any]:
    async with database.read_transaction() as snapshot:
        return list(await rows_of(snapshot, query, values))


async def count(database: Database, table: str) -> int:
    return int((await rows(database, f"SELECT count(*) FROM {table}"))[0][0])


async def eventually(condition: Callable[[], Awaitable[bool]], what: str, *, seconds: float = 30) -> None:
    """Poll until the condition holds; fail with `what` at the deadline."""
    deadline = monotonic_seconds() + seconds
    while not await condition():
        if monotonic_seconds() > deadline:
            raise AssertionError(f"not within {seconds} s: {what}")
        await asyncio.sleep(0.05)
