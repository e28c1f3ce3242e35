"""How long the oldest submission without a verdict has been here: deferred, not to be judged, or a dead letter."""

from __future__ import annotations

from sqlalchemy import text

from services.validator import metrics
from shared.postgres.database import ReadTransaction

CONSUMER = "validator.submissions"
#: how often it is looked at
INTERVAL_SECONDS = 5.0

_OLDEST = text("""
    SELECT coalesce(extract(epoch FROM clock_timestamp() - min(since)), 0) FROM (
        SELECT min(deferred_at) AS since FROM deferred_events WHERE consumer = :consumer
        UNION ALL
        SELECT min(rejected_at) FROM dead_letter
         WHERE consumer = :consumer AND replayed_at IS NULL AND discarded_at IS NULL
        UNION ALL
        SELECT min(parked_at) FROM not_judged WHERE judged_at IS NULL
    ) AS waiting
""")


async def look(tx: ReadTransaction) -> int:
    """Set the metric. A tick of a Ticker; never asks for another at once."""
    age = (await tx.execute(_OLDEST, {"consumer": CONSUMER})).scalar_one()
    metrics.VALIDATION_AGE_SECONDS.set(float(age))
    return 0
