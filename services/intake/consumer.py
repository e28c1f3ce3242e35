"""What intake consumes from Kafka: each handler takes the events of its own kind."""

from __future__ import annotations

from services.intake.lifecycle import handlers as lifecycle
from services.intake.obligations import handlers as obligations
from services.intake.submissions import handlers as submissions
from services.intake.webhooks import following as webhooks
from shared.consuming.applying import Inbound
from shared.consuming.batch import Batch
from shared.contract.events import (
    ComplianceEvent,
    NotJudged,
    RecordedEvent,
    VerdictReached,
    WebhookHealth,
    WebhookStopped,
)
from shared.postgres.database import Transaction


async def apply(batch: Batch[VerdictReached | NotJudged | ComplianceEvent], tx: Transaction) -> None:
    await submissions.apply_verdicts(batch, tx)
    await lifecycle.follow_verdicts(batch, tx)
    await obligations.apply_compliance(batch, tx)


async def notices(batch: Batch[RecordedEvent | WebhookHealth | WebhookStopped], tx: Transaction) -> None:
    await obligations.apply_notices(batch, tx)
    await webhooks.apply(batch, tx)


FOLLOW = Inbound.of("intake.follow", apply, submissions.stored)
NOTICES = Inbound.of("intake.notices", notices)
