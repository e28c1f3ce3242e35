"""The Kafka door: a signature and one call."""

from __future__ import annotations

from services.intake import handlers
from shared.applying import Inbound
from shared.batch import Batch
from shared.db import Transaction
from shared.events import (
    COMPLIANCE,
    VERDICTS,
    ComplianceEvent,
    ObligationDueSoon,
    ObligationFulfilled,
    ObligationOpened,
    ObligationOverdue,
    ScoreChanged,
    VerdictReached,
)


async def follow(batch: Batch[VerdictReached | ComplianceEvent], tx: Transaction) -> None:
    await handlers.follow(batch, tx)


FOLLOW = Inbound(
    name="follow",
    topics=(VERDICTS, COMPLIANCE),
    models=(
        VerdictReached,
        ObligationOpened,
        ObligationDueSoon,
        ObligationOverdue,
        ObligationFulfilled,
        ScoreChanged,
    ),
    handle=follow,
    known=handlers.known,
)
