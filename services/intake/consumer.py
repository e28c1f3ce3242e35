"""The Kafka door: a signature and one call."""

from __future__ import annotations

from services.intake.submissions import handlers
from shared.consuming.applying import Inbound
from shared.consuming.batch import Batch
from shared.contract.events import (
    COMPLIANCE,
    NOTIFICATIONS,
    VERDICTS,
    ComplianceEvent,
    NotificationRecorded,
    ObligationDueSoon,
    ObligationFulfilled,
    ObligationOpened,
    ObligationOverdue,
    ScoreChanged,
    VerdictReached,
)
from shared.postgres.database import Transaction


async def follow(batch: Batch[VerdictReached | ComplianceEvent], tx: Transaction) -> None:
    await handlers.follow(batch, tx)


async def follow_notices(batch: Batch[NotificationRecorded], tx: Transaction) -> None:
    await handlers.follow_notices(batch, tx)


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

#: of its own, so that trouble with either keeps nothing of the other from the agencies
NOTICES = Inbound(
    name="notices",
    topics=(NOTIFICATIONS,),
    models=(NotificationRecorded,),
    handle=follow_notices,
)
