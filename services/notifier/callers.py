"""Who stands above whom, for a caller with a key of one's own."""

from __future__ import annotations

from collections.abc import Collection

from services.notifier.planning import store
from shared.access.rights import Tree
from shared.postgres.database import ReadTransaction
from shared.web.callers import Caller


async def tree_for(tx: ReadTransaction, caller: Caller, agencies: Collection[str]) -> Tree:
    """Who stands above these agencies that day; asked for people alone, whose rights depend on it."""
    if caller.principal.kind != "person":
        return {}
    above = (await store.tree_above(tx, sorted(agencies))).parents
    return {code: parents.on(caller.on) for code, parents in above.items()}
