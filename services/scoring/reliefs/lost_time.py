"""Gives back the time that the system lost for people: a relief extends past the gap by as long again.

An agency whose deadline lies in the gap, or so soon after it that the gap took more time than was left, gets the lost
time back: at least an hour, at most a day.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from sqlalchemy import text

from shared.postgres.database import ReadTransaction
from shared.runtime.clock import LOCAL_ZONE

LEAST, MOST = timedelta(hours=1), timedelta(days=1)

# A report received after its deadline counts too: the gap may have delayed it.
_DEADLINES = text("""
    SELECT count(*) FROM obligations
     WHERE owed AND (standing <> 'fulfilled' OR received_at > deadline)
       AND deadline >= :starts_at AND deadline <= :ends_at
""")


def compensation(lost: timedelta) -> timedelta:
    """Return how long a relief goes on after the lost time."""
    return min(max(lost, LEAST), MOST)


async def deadlines_within(tx: ReadTransaction, starts_at: datetime, ends_at: datetime) -> int:
    """Count the deadlines within the span, both ends included, of obligations not answered in time."""
    return int((await tx.execute(_DEADLINES, {"starts_at": starts_at, "ends_at": ends_at})).scalar_one())


def shown(moment: datetime) -> str:
    """Format a moment for a reason: local time, to the second."""
    return f"{moment.astimezone(LOCAL_ZONE):%H:%M:%S %d/%m/%Y}"


def kept(moment: datetime) -> str:
    """Format a moment for evidence: ISO 8601, local time."""
    return moment.astimezone(LOCAL_ZONE).isoformat()
