"""Who calls notifier with a key of its own, and who stands above whom on that day."""

from __future__ import annotations

from dataclasses import dataclass

from services.notifier.planning import store
from shared.access.rights import Tree
from shared.postgres.database import ReadTransaction
from shared.web import callers


@dataclass(frozen=True, slots=True)
class Caller(callers.Caller):
    """Who calls, and on which day."""

    async def tree(self, tx: ReadTransaction, agency: str) -> Tree:
        """Who stands above the agency that day; asked for people alone, whose rights depend on it."""
        return await store.chain_above(tx, agency, self.on) if self.principal.kind == "person" else {}


class Callers(callers.Callers[Caller]):
    """A FastAPI dependency that admits whoever has one of these scopes somewhere."""

    made = Caller
