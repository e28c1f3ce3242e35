"""The Kafka door: a signature and one call."""

from __future__ import annotations

from services.intake.submissions import handlers
from shared.consuming.applying import Inbound
from shared.consuming.batch import Batch
from shared.contract.events import ComplianceEvent, NotificationRecorded, VerdictReached
from shared.postgres.database import Transaction


async def follow(batch: Batch[VerdictReached | ComplianceEvent], tx: Transaction) -> None:
    await handlers.follow(batch, tx)


async def follow_notices(batch: Batch[NotificationRecorded], tx: Transaction) -> None:
    await handlers.follow_notices(batch, tx)


FOLLOW = Inbound.of("intake.follow", follow, handlers.known)
NOTICES = Inbound.of("intake.notices", follow_notices)
