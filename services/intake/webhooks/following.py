"""What notifier tells of webhooks: that a receiver wants nothing more."""

from __future__ import annotations

from services.intake.webhooks import store
from shared.consuming.batch import Batch
from shared.contract.events import RecordedEvent, WebhookStopped
from shared.postgres.database import Transaction


async def apply_stops(batch: Batch[RecordedEvent | WebhookStopped], tx: Transaction) -> None:
    """Keep at which version of its registration each webhook was stopped last."""
    await store.STOPS.save(tx, (event.body for event in batch if isinstance(event.body, WebhookStopped)))
