"""Sends messages of a webhook again at its owner's order, under the same `webhook-id`; the order is kept.

A replay begins the ten attempts anew. What is on its way already is left alone. Nothing here commits.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal
from uuid import UUID

import msgspec
from sqlalchemy import text

from services.notifier.channels.webhook.store import KEPT
from shared.contract.ids import new_id
from shared.postgres.database import Transaction

ReplayState = Literal["delivered", "failed", "retry"]
#: what one message may be in for its replay to do anything
REPLAYED: tuple[ReplayState, ...] = ("delivered", "failed", "retry")
#: between two orders for one webhook, and messages of one order: they go out one after the other
INTERVAL = timedelta(seconds=10)
MAX_MESSAGES = 5_000

# No message is queued behind this lock: inserting one asks for the key alone.
_LOCK = text("""
    SELECT CASE WHEN stopped_version = version THEN 'stopped' ELSE state END AS state
      FROM webhooks WHERE webhook_id = :webhook_id AND state <> 'deleted' FOR NO KEY UPDATE
""")
_ORDERED = text("""
    SELECT replay_id, webhook_id, request_sha256, messages, at FROM webhook_replays
     WHERE made_by = :made_by AND idempotency_key = :key
""")
_LATEST = text("SELECT max(at) FROM webhook_replays WHERE webhook_id = :webhook_id")
_CHOSEN = """
    SELECT delivery_id FROM webhook_deliveries
     WHERE webhook_id = :webhook_id AND created_at >= :since
       AND created_at < coalesce(CAST(:until AS timestamptz), 'infinity')
       AND state = ANY(CAST(:states AS text[]))
       AND (CAST(:events AS text[]) IS NULL OR event = ANY(CAST(:events AS text[])))
       AND (CAST(:delivery_id AS uuid) IS NULL OR delivery_id = :delivery_id)
"""
_COUNT = text(f"SELECT count(*) FROM ({_CHOSEN} LIMIT :limit) AS chosen")  # noqa: S608 - constants
_AGAIN = text(f"""
    UPDATE webhook_deliveries
       SET state = 'retry', due_at = :now, reason = NULL, settled_at = NULL, replays = replays + 1,
           attempts_before = attempts
     WHERE delivery_id IN ({_CHOSEN}) AND state = ANY(CAST(:states AS text[]))
""")  # noqa: S608 - constants
_WAKE = text("UPDATE webhooks SET rest_until = NULL WHERE webhook_id = :webhook_id AND rest_until IS NOT NULL")
_RECORD = text("""
    INSERT INTO webhook_replays (replay_id, webhook_id, made_by, idempotency_key, request_sha256, wanted, messages, at)
    VALUES (:replay_id, :webhook_id, :made_by, :key, :sha256, CAST(:wanted AS jsonb), :messages, :now)
    ON CONFLICT DO NOTHING
""")
_PRUNE = text("""
    DELETE FROM webhook_replays WHERE replay_id IN (
        SELECT replay_id FROM webhook_replays WHERE at < :before LIMIT :limit FOR UPDATE SKIP LOCKED)
""")


class Wanted(msgspec.Struct, frozen=True):
    """Which messages: one, or those queued in a span (system time), of these states and events (None: all)."""

    delivery_id: UUID | None = None
    since: datetime | None = None
    until: datetime | None = None
    states: tuple[ReplayState, ...] = REPLAYED
    events: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True)
class Order:
    """Who orders what for which webhook, under which idempotency key, when (system time)."""

    webhook_id: UUID
    made_by: str
    key: str
    wanted: Wanted
    now: datetime


@dataclass(frozen=True, slots=True)
class Replayed:
    """How many messages go out again. again: an earlier call with this key ordered it."""

    replay_id: UUID
    messages: int
    at: datetime
    again: bool = False


@dataclass(frozen=True, slots=True)
class Unknown:
    """There is no such webhook, or none any more."""


@dataclass(frozen=True, slots=True)
class KeyReused:
    """The idempotency key was used for something else."""


@dataclass(frozen=True, slots=True)
class NotActive:
    """Nothing is sent to the webhook: it is paused, or stopped by a 410."""

    state: str


@dataclass(frozen=True, slots=True)
class TooMany:
    """More messages than one order may send again."""


Outcome = Replayed | Unknown | KeyReused | NotActive | TooMany | timedelta


async def replay(tx: Transaction, order: Order) -> Outcome:
    """Have messages sent again; else why not. A timedelta: how long to wait."""
    about = {"webhook_id": order.webhook_id}
    webhook = (await tx.execute(_LOCK, about)).first()
    if webhook is None:
        return Unknown()
    said = msgspec.json.encode(order.wanted)
    sha256 = hashlib.sha256(order.webhook_id.bytes + said).digest()
    if (earlier := (await tx.execute(_ORDERED, {"made_by": order.made_by, "key": order.key})).first()) is not None:
        if bytes(earlier.request_sha256) != sha256:
            return KeyReused()
        return Replayed(earlier.replay_id, earlier.messages, earlier.at, again=True)
    if webhook.state != "active":
        return NotActive(webhook.state)
    latest: datetime | None = (await tx.execute(_LATEST, about)).scalar_one()
    if latest is not None and timedelta() <= order.now - latest < INTERVAL:
        return INTERVAL - (order.now - latest)
    oldest, wanted = order.now - KEPT, order.wanted
    chosen = {
        **about, "delivery_id": wanted.delivery_id, "states": list(wanted.states),
        "since": max(wanted.since or oldest, oldest), "until": wanted.until,
        "events": None if wanted.events is None else list(wanted.events),
    }  # fmt: skip
    if (await tx.execute(_COUNT, {**chosen, "limit": MAX_MESSAGES + 1})).scalar_one() > MAX_MESSAGES:
        return TooMany()
    messages = (await tx.execute(_AGAIN, {**chosen, "now": order.now})).rowcount
    await tx.execute(_WAKE, about)
    replay_id = new_id()
    kept = await tx.execute(
        _RECORD,
        {
            **about, "replay_id": replay_id, "made_by": order.made_by, "key": order.key, "sha256": sha256,
            "wanted": said.decode(), "messages": messages, "now": order.now,
        },
    )  # fmt: skip
    # the same key, at the same moment, for another webhook
    return Replayed(replay_id, messages, order.now) if kept.rowcount else KeyReused()


async def prune(tx: Transaction, now: datetime, limit: int = 1_000) -> None:
    """Forget orders as old as the messages that they were about."""
    await tx.execute(_PRUNE, {"before": now - KEPT, "limit": limit})
