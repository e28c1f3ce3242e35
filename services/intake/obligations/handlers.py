"""Use cases of obligations: load, decide, save. The edge commits the transaction; nothing here does."""

from __future__ import annotations

from services.intake.obligations import store
from shared.consuming.batch import Batch
from shared.contract.events import (
    ComplianceEvent,
    NotJudged,
    ObligationChanged,
    RecordedEvent,
    VerdictReached,
    WebhookHealth,
    WebhookStopped,
)
from shared.postgres.database import Transaction


async def apply_compliance(batch: Batch[VerdictReached | NotJudged | ComplianceEvent], tx: Transaction) -> None:
    """Keep where each obligation stands, as its newest event says, and when it is locked."""
    told = [event.body for event in batch if isinstance(event.body, ObligationChanged)]
    await store.STANDINGS.save(tx, told)
    # nothing is asked of the database where no regime locks; a lock may also be lifted by new terms
    locking = {body.obligation for body in told if body.locks_at is not None or "terms_changed" in body.changes}
    if locking:
        await store.keep_locks(tx, sorted(locking))


async def apply_notices(batch: Batch[RecordedEvent | WebhookHealth | WebhookStopped], tx: Transaction) -> None:
    """Keep the newest record of each notice."""
    bodies = [event.body for event in batch]
    await store.NOTICES.save(tx, (body for body in bodies if not isinstance(body, WebhookHealth | WebhookStopped)))
