"""Who reads what was sent to a webhook, and has it sent again: whoever keeps the webhook."""

from __future__ import annotations

from services.notifier.callers import Caller
from shared.access import Scope
from shared.access.rights import keeps_webhooks
from shared.postgres.database import ReadTransaction

SCOPES: tuple[Scope, ...] = ("submit", "review", "administer", "operate")


async def keeps(caller: Caller, tx: ReadTransaction, agency: str, covers: str) -> bool:
    """Whether the caller keeps this agency's webhooks."""
    tree = await caller.tree(tx, agency)
    return keeps_webhooks(caller.principal, agency, tree, caller.on, below=covers == "below")
