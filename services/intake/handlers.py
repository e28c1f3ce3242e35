"""Use cases of intake: load, decide, save. The transaction is the door's; nothing here commits."""

from __future__ import annotations

from collections.abc import Sequence

from services.intake import domain, encoding, store
from services.intake.domain import Decided, Pending
from shared.db import Transaction
from shared.outbox import caused_by, publish_encoded


async def accept(tx: Transaction, group: Sequence[Pending]) -> list[Decided]:
    """Store a group of submissions with their events; one outcome for each, in the group's order.

    The obligations are locked before anything is read or published, so versions have no gap and the outbox's order
    is the order of versions.
    """
    obligations = sorted({pending.obligation for pending in group})
    last_versions = await store.lock_obligations(tx, obligations)
    receipts, in_force = await store.known(tx, group, [key for key, last in last_versions.items() if last > 0])
    outcomes, fresh = domain.decide(group, last_versions, receipts, in_force)
    if fresh:
        await store.insert_submissions(tx, fresh)
        traces = {item.pending.obligation: item.pending.traceparent for item in fresh}
        with caused_by({obligation: trace for obligation, trace in traces.items() if trace}):
            await publish_encoded(tx, [encoding.outgoing(item) for item in fresh])
    return outcomes
