"""One look at what has not been settled yet: for the sender's next step and for the gauges."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import text

from shared.db import Reading

_BACKLOG = text("""
    SELECT count(*) FILTER (WHERE state IN ('pending', 'retry') AND due_at <= :now) AS due,
           count(*) FILTER (WHERE state IN ('pending', 'retry')) AS waiting,
           count(*) FILTER (WHERE token IS NOT NULL) AS leased,
           min(due_at) FILTER (WHERE due_at <= :now) AS oldest_due,
           (SELECT count(*) FROM notifications WHERE state = 'unknown') AS unknown
      FROM notifications WHERE due_at IS NOT NULL OR token IS NOT NULL
""")

_ANYTHING_DUE = text("SELECT EXISTS (SELECT FROM notifications WHERE due_at <= :now)")


@dataclass(frozen=True, slots=True)
class Backlog:
    """Rows by what they wait for; `oldest_due` is a system instant, None where nothing is due."""

    due: int
    waiting: int  # due or later
    leased: int
    unknown: int
    oldest_due: datetime | None


async def backlog(tx: Reading, now: datetime) -> Backlog:
    """Count the unsettled rows. `now` is system time."""
    return Backlog(**(await tx.execute(_BACKLOG, {"now": now})).mappings().one())


async def anything_due(snapshot: Reading, now: datetime) -> bool:
    """Whether a claim would find something."""
    return bool((await snapshot.execute(_ANYTHING_DUE, {"now": now})).scalar_one())
