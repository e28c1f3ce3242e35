"""Use cases of webhooks: load, decide, save, publish. The edge commits; nothing here does."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import msgspec

from services.intake.audit import trail
from services.intake.audit.domain import Author, Change, changed_fields, fingerprint
from services.intake.webhooks import domain, store
from services.intake.webhooks.domain import MAX_WEBHOOKS, TwoLive, Wanted, Webhook
from services.intake.webhooks.store import Order
from shared.access import Principal
from shared.contract.events import WebhookState
from shared.contract.events.registry import WebhookCovers
from shared.contract.ids import new_id
from shared.contract.webhook_secrets import MasterKeys, shown
from shared.outbox import publish
from shared.postgres.database import Transaction


@dataclass(frozen=True, slots=True)
class Call:
    """Who calls, under which idempotency key, and when (system time)."""

    by: Principal
    key: str
    now: datetime


@dataclass(frozen=True, slots=True)
class Made:
    """A webhook after a call. secret: what its owner gets to see; replayed: an earlier call with this key did it."""

    webhook: Webhook
    secret: str | None = None
    test_id: UUID | None = None
    replayed: bool = False


@dataclass(frozen=True, slots=True)
class KeyReused:
    """The idempotency key was used for something else."""


@dataclass(frozen=True, slots=True)
class TooMany:
    """The agency has as many webhooks as it may have."""


@dataclass(frozen=True, slots=True)
class Stale:
    """The webhook is in another version."""

    version: int


async def register(
    tx: Transaction, call: Call, agency: str, wanted: Wanted, covers: WebhookCovers, master: MasterKeys
) -> Made | KeyReused | TooMany:
    """Add a webhook with its first secret."""
    webhook = domain.registered(new_id(), agency, wanted, covers, master.first, call.now)
    said = ("create", agency, wanted) if covers == "own" else ("create", agency, wanted, covers)
    order = Order(webhook.webhook_id, _sha256(*said), generation=1)
    if (earlier := await store.order(tx, _maker(call.by), call.key, order)) is not None:
        return await _again(tx, earlier, order, master, call.now)
    if await store.count_alone(tx, agency) >= MAX_WEBHOOKS:
        return TooMany()
    await _save(tx, call.by, "created", None, webhook)
    return Made(webhook, shown(master.secret(master.first, webhook.webhook_id, 1)))


async def rotate(
    tx: Transaction, call: Call, webhook: Webhook, keep: timedelta, master: MasterKeys
) -> Made | KeyReused | TwoLive:
    """Give the webhook, which is locked, a new secret."""
    generation = webhook.secrets[0].generation + 1
    order = Order(
        webhook.webhook_id, _sha256("rotate", str(webhook.webhook_id), keep.total_seconds()), generation=generation
    )
    if (earlier := await store.order(tx, _maker(call.by), call.key, order)) is not None:
        return await _again(tx, earlier, order, master, call.now)
    made = domain.rotated(webhook, master.first, keep, call.now)
    if isinstance(made, TwoLive):
        return made
    await _save(tx, call.by, "rotated", webhook, made)
    return Made(made, shown(master.secret(master.first, made.webhook_id, generation)))


async def test(tx: Transaction, call: Call, webhook: Webhook) -> Made | KeyReused | timedelta:
    """Have a test sent to the webhook, which is locked; else how long to wait."""
    order = Order(webhook.webhook_id, _sha256("test", str(webhook.webhook_id)), test_id=new_id())
    if (earlier := await store.order(tx, _maker(call.by), call.key, order)) is not None:
        if earlier.sha256 != order.sha256:
            return KeyReused()
        return Made(webhook, test_id=earlier.test_id, replayed=True)
    assert order.test_id is not None
    made = domain.tested(webhook, order.test_id, call.now)
    if isinstance(made, timedelta):
        return made
    await _save(tx, call.by, "tested", webhook, made)
    return Made(made, test_id=order.test_id)


async def edit(
    tx: Transaction, call: Call, webhook: Webhook, wanted: Wanted, state: WebhookState, expected: int
) -> Made | Stale:
    """Change the webhook, which is locked, if it still is in the version that was read."""
    if webhook.version != expected:
        return Stale(webhook.version)
    made = domain.edited(webhook, wanted, state, call.now)
    if made is not webhook:
        await _save(tx, call.by, "changed", webhook, made)
    return Made(made)


async def resume(tx: Transaction, call: Call, webhook: Webhook) -> Made:
    """Send to the webhook, which is locked, again: after a 410, a pause, or while it rests."""
    made = domain.resumed(webhook, call.now)
    await _save(tx, call.by, "resumed", webhook, made)
    return Made(made)


async def delete(tx: Transaction, call: Call, webhook: Webhook, expected: int) -> Stale | None:
    """Delete the webhook, which is locked, if it still is in the version that was read."""
    if webhook.version != expected:
        return Stale(webhook.version)
    await _save(tx, call.by, "deleted", webhook, domain.deleted(webhook, call.now))
    return None


async def _again(tx: Transaction, earlier: Order, order: Order, master: MasterKeys, now: datetime) -> Made | KeyReused:
    """The answer that may have been lost: with the secret, as long as that one signs."""
    webhook = await store.one(tx, earlier.webhook_id)
    if earlier.sha256 != order.sha256 or webhook is None or earlier.generation is None:
        return KeyReused()
    secret = webhook.secret_of(earlier.generation, now)
    known = secret is not None and secret.master_key in master.keys
    text = shown(master.secret(secret.master_key, webhook.webhook_id, secret.generation)) if secret and known else None
    return Made(webhook, text, replayed=True)


async def _save(tx: Transaction, by: Principal, action: str, before: Webhook | None, after: Webhook) -> None:
    await store.save(tx, after)
    old, new = changed_fields(None if before is None else _audited(before), _audited(after))
    change = Change(action, "webhook", str(after.webhook_id), old, new)
    await trail.append(tx, Author(by.id, "", "api"), [change], after.changed_at)
    await publish(tx, [after.event])


def _audited(webhook: Webhook) -> Mapping[str, Any]:
    return webhook.audited | {"contact": fingerprint(webhook.contact)}


def _maker(by: Principal) -> str:
    return f"{by.kind}/{by.id}"


def _sha256(*said: object) -> bytes:
    """What was asked for, so that one key names one thing."""
    return hashlib.sha256(msgspec.json.encode(said)).digest()
