"""What notifier tells of webhooks: how a receiver fares, and that it wants nothing more."""

from __future__ import annotations

from services.intake.webhooks import store
from shared.consuming.batch import Batch
from shared.contract.events import RecordedEvent, WebhookHealth, WebhookStopped
from shared.postgres.database import Transaction


async def apply(batch: Batch[RecordedEvent | WebhookHealth | WebhookStopped], tx: Transaction) -> None:
    """Keep at which version of its registration each webhook was stopped last, and the newest of its health."""
    bodies = [event.body for event in batch]
    await store.STOPS.save(tx, (body for body in bodies if isinstance(body, WebhookStopped)))
    await store.HEALTH.save(tx, (body for body in bodies if isinstance(body, WebhookHealth)))
