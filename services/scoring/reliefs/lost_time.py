"""What the system took from people is given back: a relief lasts as long again as the time that was lost.

So whose deadline lies in the gap, or so soon behind it that the gap took more than it left, gets the time that was
lost, at least an hour, at most a day.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from sqlalchemy import text

from shared.postgres.database import ReadTransaction
from shared.runtime.clock import LOCAL_ZONE

LEAST, MOST = timedelta(hours=1), timedelta(days=1)

# What was received behind its deadline counts too: it may have been kept waiting until then.
_DEADLINES = text("""
    SELECT count(*) FROM obligations
     WHERE owed AND (standing <> 'fulfilled' OR received_at > deadline)
       AND deadline >= :starts_at AND deadline <= :ends_at
""")


def compensation(lost: timedelta) -> timedelta:
    """How long a relief goes on behind the time that was lost."""
    return min(max(lost, LEAST), MOST)


async def deadlines_within(tx: ReadTransaction, starts_at: datetime, ends_at: datetime) -> int:
    """How many deadlines, of what was not answered in time, lie within the span, both ends included."""
    return int((await tx.execute(_DEADLINES, {"starts_at": starts_at, "ends_at": ends_at})).scalar_one())


def shown(moment: datetime) -> str:
    """As a reason names it: local time, to the second."""
    return f"{moment.astimezone(LOCAL_ZONE):%H:%M:%S %d/%m/%Y}"


def kept(moment: datetime) -> str:
    """As evidence keeps it: ISO 8601, local time."""
    return moment.astimezone(LOCAL_ZONE).isoformat()
