"""Nobody owes what a withdrawn request asked for, but what had answered it in time by then keeps what it earned.

What counted against the others is reversed. Facts stay, so a page still shows what was sent. A withdrawal is final.
Nothing here commits.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from msgspec.structs import replace

from services.scoring import metrics, registry
from services.scoring.obligations import deciding, setbacks, store
from services.scoring.obligations.deadline_sweep import passes
from services.scoring.obligations.deciding import Proposed
from services.scoring.obligations.domain import Obligation
from services.scoring.reference_data import Rules
from shared.postgres.database import Transaction
from shared.postgres.each_alone import each_alone

_AT_ONCE = 500


async def withdraw(tx: Transaction, rules: Rules, limit: int, now: datetime) -> int:
    """Follow the withdrawal of some requests, at most `limit`. Returns the requests and obligations gone through."""
    requests = await registry.requests_to_withdraw(tx, limit)
    count = len(requests)
    for request_id, withdrawn_at in requests.items():
        count += await _withdraw_one(tx, rules, request_id, withdrawn_at, now)
    await registry.requests_withdrawn(tx, list(requests))
    return count


async def _withdraw_one(tx: Transaction, rules: Rules, request_id: str, withdrawn_at: datetime, now: datetime) -> int:
    async def settle(part: Sequence[Obligation]) -> int:
        proposed = [
            Proposed(owed, replace(owed.terms, withdrawn_at=withdrawn_at), owed.facts, now)
            for owed in part
            if owed.terms.withdrawn_at != withdrawn_at
        ]
        return await deciding.settle_all(tx, rules, proposed)

    count, after = 0, ""
    while (found := await store.lock_of_request(tx, request_id, after, _AT_ONCE)).rows:
        after = found.last_key
        done, failed = await each_alone(tx, found.obligations, settle, passes=passes)
        count += sum(done)
        reasons = {key: setbacks.why(error) for key, error in found.unreadable.items()}
        reasons |= {lost.key: setbacks.why(error) for lost, error in failed}
        await setbacks.record(tx, "withdraw", reasons)
    metrics.WITHDRAWN_TOTAL.inc(count)
    return count
