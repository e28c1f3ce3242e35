"""Purges dead letters discarded more than RESTORE_DAYS ago; until then an operator can restore them.

The statement that deletes a letter also claims its event in the inbox. So a replay of the archive does not apply the
event, and every event stays in exactly one place.
"""

from __future__ import annotations

from datetime import datetime, timedelta

import asyncpg

from shared.telemetry import metrics
from shared.telemetry.logging import get_logger

log = get_logger()

RESTORE_DAYS = 30
#: letters per statement and statements per round; the next round continues
PURGED_ROWS, PURGES = 1000, 20

# an event with another open letter stays unclaimed, so that a replay of that letter still applies it
_PURGE = """
    WITH old AS (
      SELECT id FROM dead_letter WHERE discarded_at < $1 ORDER BY id LIMIT $2 FOR UPDATE SKIP LOCKED),
    gone AS (DELETE FROM dead_letter d USING old WHERE d.id = old.id RETURNING d.id, d.consumer, d.event_id),
    settled AS (
      INSERT INTO inbox (consumer, event_id)
      SELECT DISTINCT consumer, event_id FROM gone g
       WHERE event_id IS NOT NULL AND consumer <> 'relay'
         AND NOT EXISTS (SELECT FROM dead_letter other
                          WHERE other.consumer = g.consumer AND other.event_id = g.event_id
                            AND other.id NOT IN (SELECT id FROM old))
       ORDER BY 1, 2 ON CONFLICT DO NOTHING)
    SELECT consumer, count(*) AS letters FROM gone GROUP BY consumer
"""


async def purge_discarded(connection: asyncpg.Connection, now: datetime) -> int:
    """Delete letters discarded more than RESTORE_DAYS before `now` (system time). Returns how many."""
    total = 0
    for _ in range(PURGES):
        rows = await connection.fetch(_PURGE, now - timedelta(days=RESTORE_DAYS), PURGED_ROWS)
        for row in rows:
            metrics.DEAD_LETTERS_PURGED_TOTAL.labels(row["consumer"]).inc(row["letters"])
            log.info(
                "Discarded dead letters were purged.",
                action="dead_letter.purged",
                consumer=row["consumer"],
                letters=row["letters"],
            )
        purged = sum(row["letters"] for row in rows)
        total += purged
        if purged < PURGED_ROWS:
            break
    return total
