"""The inbox claims an event in the transaction that applies it, so each event is applied at most once.

Claim before loading state: after a rebalance the old owner's batch may still be in flight. The claim waits for its
commit; only then is it safe to read what it wrote.
"""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import text

from shared.postgres.database import ReadTransaction, Transaction

# Sorted, so that two consumers that claim the same events wait for each other instead of deadlocking.
_CLAIM = text("""
    INSERT INTO inbox (consumer, event_id)
    SELECT :consumer, id FROM unnest(CAST(:ids AS uuid[])) AS id ORDER BY id
    ON CONFLICT DO NOTHING
    RETURNING event_id
""")
_CLAIMED = text("SELECT event_id FROM inbox WHERE consumer = :consumer AND event_id = ANY(CAST(:ids AS uuid[]))")
_ANY = text("SELECT EXISTS (SELECT FROM inbox WHERE consumer = :consumer)")
_RELEASE = text("DELETE FROM inbox WHERE consumer = :consumer AND event_id = ANY(CAST(:ids AS uuid[]))")


async def claim(tx: Transaction, consumer: str, ids: Sequence[UUID]) -> set[UUID]:
    """Claim events for `consumer`. Returns those not applied before: handle only these."""
    if not ids:
        return set()
    result = await tx.execute(_CLAIM, {"consumer": consumer, "ids": list(ids)})
    return set(result.scalars())


async def claimed(tx: ReadTransaction, consumer: str, ids: Sequence[UUID]) -> set[UUID]:
    """Which of these events are already claimed. For information only: `claim` decides what may be handled."""
    result = await tx.execute(_CLAIMED, {"consumer": consumer, "ids": list(ids)})
    return set(result.scalars())


async def release(tx: Transaction, consumer: str, ids: Sequence[UUID]) -> None:
    """Release claims in the transaction that made them: a rejected event was not applied."""
    if ids:
        await tx.execute(_RELEASE, {"consumer": consumer, "ids": list(ids)})


async def ever_claimed(tx: ReadTransaction, consumer: str) -> bool:
    """Whether `consumer` has ever applied an event."""
    return bool((await tx.execute(_ANY, {"consumer": consumer})).scalar_one())
