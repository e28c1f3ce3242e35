"""Reference tables in memory. A version never changes, so what is here is right whatever rolls back."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Iterable, Mapping
from datetime import date

from services.validator import store
from services.validator.formula import Value
from services.validator.formula.context import Reference
from services.validator.references import read_stored, reference_of
from shared.consuming.preparing import Snapshots

#: rows made in one turn of the event loop
_SLICE_ROWS = 1_000


class ReferenceCache:
    """At most `limit` tables by registry key (`reference/<code>/<table_version>`); the oldest go first."""

    def __init__(self, limit: int = 50) -> None:
        self._limit = limit
        self._tables: dict[str, Reference] = {}

    async def of(self, snapshots: Snapshots, asked: Collection[tuple[str, date]]) -> dict[tuple[str, date], str]:
        """The key of the version in force on the day, by code and day; left out where there is none."""
        async with snapshots() as snapshot:
            return await store.references_in_force(snapshot, sorted(asked))

    async def load(self, snapshots: Snapshots, keys: Iterable[str]) -> dict[str, Reference]:
        """The tables of these keys."""
        found: dict[str, Reference] = {}
        for key in sorted(set(keys)):
            table = self._tables.get(key)
            if table is None:
                async with snapshots() as snapshot:
                    text = await store.reference(snapshot, key)
                table = self._tables[key] = await _read(text)
                while len(self._tables) > self._limit:
                    del self._tables[next(iter(self._tables))]
            found[key] = table
        return found


async def _read(text: str) -> Reference:
    columns, rows = read_stored(text)
    found: dict[str, Mapping[str, Value | None]] = {}
    for start in range(0, len(rows), _SLICE_ROWS):
        found.update(reference_of(columns, rows[start : start + _SLICE_ROWS]))
        await asyncio.sleep(0)
    return found
