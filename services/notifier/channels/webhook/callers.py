"""Who reads what was sent to a webhook, and has it sent again: whoever keeps the webhook."""

from __future__ import annotations

from services.notifier.callers import tree_for
from shared.access import Scope
from shared.access.rights import keeps_webhooks
from shared.postgres.database import ReadTransaction
from shared.web.callers import Caller

SCOPES: tuple[Scope, ...] = ("submit", "review", "administer", "operate")


async def keeps(caller: Caller, tx: ReadTransaction, agency: str, covers: str) -> bool:
    """Whether the caller keeps this agency's webhooks."""
    tree = await tree_for(tx, caller, [agency])
    return keeps_webhooks(caller.principal, agency, tree, caller.on, below=covers == "below")
