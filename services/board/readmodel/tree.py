"""The agencies and who stands above whom, kept in memory for as long as the registry says the same."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date

from services.board.readmodel import queries
from services.board.readmodel.queries import Agency
from shared.postgres.database import ReadTransaction


@dataclass(frozen=True, slots=True)
class Tree:
    """Every agency by its code, and the agency above each on one day."""

    agencies: Mapping[str, Agency]
    above: Mapping[str, str | None]


class Trees:
    """Gives the tree that the snapshot holds. A nation has 3,300 agencies, and every page needs them."""

    def __init__(self) -> None:
        self._kept: tuple[object, date, Tree] | None = None

    async def of(self, snapshot: ReadTransaction, day: date) -> Tree:
        """The tree of the day, read anew when any agency's record is another than the last time."""
        marks = await queries.agencies_marks(snapshot)
        if self._kept is not None and self._kept[:2] == (marks, day):
            return self._kept[2]
        agencies = await queries.agencies(snapshot)
        tree = Tree(agencies, {code: agency.above.on(day) for code, agency in agencies.items()})
        self._kept = marks, day, tree
        return tree
