"""Counts what the ledger still has to send, for the mail dispatcher's next step and for the gauges."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import text

from services.notifier.delivery.states import RetryPolicy
from services.notifier.ladders.domain import EMAIL
from shared.postgres.database import ReadTransaction, Transaction

#: by how much the clocks of two machines may differ in ordinary operation
CLOCK_TOLERANCE = timedelta(seconds=5)

_BACKLOG = text("""
    SELECT count(*) FILTER (WHERE state IN ('pending', 'retry') AND due_at <= :now) AS due,
           count(*) FILTER (WHERE state IN ('pending', 'retry')) AS waiting,
           count(*) FILTER (WHERE token IS NOT NULL) AS leased,
           min(due_at) FILTER (WHERE due_at <= :now) AS oldest_due,
           (SELECT count(*) FROM notifications WHERE state = 'unknown' AND channel = :channel) AS unknown
      FROM notifications WHERE channel = :channel AND (due_at IS NOT NULL OR token IS NOT NULL)
""")

# An instant further ahead than any wait we set was written before the clock was set back.
_BRING_FORWARD = text("""
    UPDATE notifications
       SET due_at = CASE WHEN due_at IS NULL THEN NULL ELSE CAST(:now AS timestamptz) END,
           lease_until = CASE WHEN lease_until IS NULL THEN NULL ELSE CAST(:lease_until AS timestamptz) END
     WHERE due_at > CAST(:now AS timestamptz) + CAST(:tolerance AS interval) + CASE state
             WHEN 'pending' THEN interval '0'
             WHEN 'retry' THEN 1.2 * least(
               CAST(:backoff AS interval) * power(2, least(greatest(attempts - 1, 0), 30)), CAST(:ceiling AS interval))
             ELSE CAST(:resend AS interval) END
        OR lease_until > CAST(:lease_until AS timestamptz) + CAST(:tolerance AS interval)
""")
_ANYTHING_DUE = text("""
    SELECT EXISTS (
        SELECT FROM notifications
         WHERE channel = :channel AND due_at <= :now AND recipient <> ALL (CAST(:not_to AS text[]))
    )
""")


@dataclass(frozen=True, slots=True)
class Backlog:
    """Numbers of unsettled notices; `oldest_due` is a system instant, None where nothing is due."""

    due: int
    waiting: int  # due or later
    leased: int
    unknown: int
    oldest_due: datetime | None


async def backlog(tx: ReadTransaction, now: datetime, channel: str = EMAIL) -> Backlog:
    """Count a channel's unsettled notices. `now` is system time."""
    return Backlog(**(await tx.execute(_BACKLOG, {"now": now, "channel": channel})).mappings().one())


async def anything_due(
    snapshot: ReadTransaction, now: datetime, *, not_to: Sequence[str] = (), channel: str = EMAIL
) -> bool:
    """Whether something of the channel is due. not_to: as of `claim`."""
    asked = {"now": now, "not_to": list(not_to), "channel": channel}
    return bool((await snapshot.execute(_ANYTHING_DUE, asked)).scalar_one())


async def bring_forward(tx: Transaction, now: datetime, policy: RetryPolicy, *, lease_seconds: float) -> int:
    """Make notices due now and shorten leases that a system clock since set back left too far ahead.

    now: system time. Returns how many notices changed; none, unless the clock was set back.
    """
    result = await tx.execute(
        _BRING_FORWARD,
        {
            "now": now,
            "tolerance": CLOCK_TOLERANCE,
            "backoff": timedelta(seconds=policy.backoff_seconds),
            "ceiling": timedelta(seconds=policy.backoff_ceiling_seconds),
            "resend": timedelta(seconds=policy.resend_after_seconds),
            "lease_until": now + timedelta(seconds=lease_seconds),
        },
    )
    return result.rowcount
