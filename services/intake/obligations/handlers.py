"""Use cases of obligations: load, decide, save. The edge commits the transaction; nothing here does."""

from __future__ import annotations

from services.intake.obligations import store
from services.intake.obligations.standing import Standing, fold
from shared.consuming.batch import Batch
from shared.contract.events import ComplianceEvent, NotificationRecorded, VerdictReached
from shared.postgres.database import Transaction


async def apply_compliance(batch: Batch[VerdictReached | ComplianceEvent], tx: Transaction) -> None:
    """Keep where each obligation stands, as its newest event says."""
    standings: dict[str, Standing] = {}
    for event in batch:
        if not isinstance(event.body, VerdictReached):
            standings[event.body.obligation] = fold(standings.get(event.body.obligation), event.body)
    await store.STANDINGS.save(tx, standings.values())


async def apply_notices(batch: Batch[NotificationRecorded], tx: Transaction) -> None:
    """Keep the newest record of each notice."""
    await store.NOTICES.save(tx, (event.body for event in batch))
