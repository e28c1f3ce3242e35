"""Reports that could not be judged: they ran over a limit of ours, alone and twice. They count against nobody.

Each is published once, and kept with its event until an operator has it judged again (rejudging.py): the cause was
mended, or the limits are wider. The verdict that it then gets has the next revision.
"""

from __future__ import annotations

from datetime import datetime

from services.validator import metrics, store
from services.validator.domain import Overrun
from shared.consuming.batch import Batch
from shared.contract.events import NotJudged, SubmissionReceived
from shared.contract.ids import new_id
from shared.outbox import publish
from shared.postgres.database import Transaction

#: of the verdict that says so, and of the one that follows
FIRST, NEXT = 1, 2


async def keep(batch: Batch[SubmissionReceived], tx: Transaction, decided_at: datetime) -> None:
    """Keep those of the batch that could not be judged, and publish it; most batches have none."""
    over = [(event, where) for event in batch if isinstance(where := batch.prepared.get(event.id), Overrun)]
    if not over:
        return
    said = [_said(event.body, where, decided_at) for event, where in over]
    reports = [event.record.value or event.body.encode() for event, _ in over]
    fresh = await store.insert_not_judged(tx, said, reports)
    kept = [one for one in said if one.submission_id in fresh]
    await publish(tx, kept)
    metrics.NOT_JUDGED_TOTAL.inc(len(kept))


def _said(body: SubmissionReceived, where: Overrun, decided_at: datetime) -> NotJudged:
    return NotJudged(
        verdict_id=new_id(),
        submission_id=body.submission_id,
        obligation=body.obligation,
        agency=body.agency,
        regime=body.regime,
        regime_version=body.regime_version,
        period=body.period,
        version=body.version,
        revision=FIRST,
        officer_id=body.officer_id,
        received_at=body.received_at,
        decided_at=decided_at,
        nil=body.nil,
        warnings=1,
        findings=(where.finding,),
    )
