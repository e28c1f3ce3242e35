"""Ladders in the database: loaded once, never changed under their version. Nothing here commits."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from typing import Any

from sqlalchemy import text

from services.notifier.ladders.data import LadderError, ReadLadder, conflicts, parse_ladder, shipped_ladders
from services.notifier.ladders.domain import Ladder, LadderBook
from shared.postgres.database import ReadTransaction, Transaction
from shared.telemetry.logging import get_logger

log = get_logger()

# loads stand in line, or two of them could each be right alone and wrong together
_ALONE = text("SELECT pg_advisory_xact_lock(hashtextextended('notifier: ladders', 0))")
_LOADED = text("SELECT name, version, sha256 FROM ladders")
_BODIES = text("SELECT name, version, body FROM ladders ORDER BY name, version")
_LIST = text("SELECT name, version, sha256, loaded_at, body FROM ladders ORDER BY name, version")
_LOAD = text("""
    INSERT INTO ladders (name, version, sha256, body) VALUES (:name, :version, :sha256, :body) ON CONFLICT DO NOTHING
""")


async def load_ladders(tx: Transaction, ladders: Iterable[ReadLadder]) -> list[str]:
    """Store ladders that are not there yet; returns their labels.

    Raises LadderError if a stored version has other contents: reports climb by it, so it may not change. Or if for some
    report two ladders would go before each other.
    """
    await tx.execute(_ALONE)
    stored = {(row.name, row.version): row.sha256 for row in await tx.execute(_LOADED)}
    book = [_parsed(row) for row in await tx.execute(_BODIES)]
    fresh = []
    for read in ladders:
        key = (read.ladder.name, read.ladder.version)
        if key not in stored:
            fresh.append(read)
        elif stored[key] != read.sha256:
            raise LadderError(
                f"Thang {read.ladder.label} đã nạp với nội dung khác và không được sửa, hãy tăng version / ladder "
                f"{read.ladder.label} is loaded with other contents and may not change: write a greater version "
                f"(sha256 đã nạp / loaded: {stored[key]}; tệp / file: {read.sha256})"
            )
    if faults := conflicts([*book, *(read.ladder for read in fresh)]):
        raise LadderError("\n".join(faults))
    for read in fresh:
        ladder = read.ladder
        await tx.execute(
            _LOAD, {"name": ladder.name, "version": ladder.version, "sha256": read.sha256, "body": read.body}
        )
    return [read.ladder.label for read in fresh]


class LadderShelf:
    """The loaded ladders, kept. A version never changes, so only a new one makes it read the table again."""

    def __init__(self) -> None:
        self._book = LadderBook(())
        self._known: frozenset[tuple[str, int]] = frozenset()

    async def book(self, tx: Transaction) -> LadderBook:
        """The ladders loaded by now. Those that come with this release are loaded where they are missing."""
        stored = {(row.name, row.version): row.sha256 for row in await tx.execute(_LOADED)}
        if missing := [read for read in _shipped() if (read.ladder.name, read.ladder.version) not in stored]:
            try:
                await load_ladders(tx, missing)
            except LadderError as error:  # the operator's ladders are for the same reports
                log.error("A shipped ladder was left out.", action="ladder.left_out", error=str(error)[:500])
            stored = {(row.name, row.version): row.sha256 for row in await tx.execute(_LOADED)}
        if self._known != stored.keys():
            self._book = LadderBook([_parsed(row) for row in await tx.execute(_BODIES)])
            self._known = frozenset(stored)
        return self._book


@cache
def _shipped() -> tuple[ReadLadder, ...]:
    return tuple(shipped_ladders())


def _parsed(row: Any) -> Ladder:
    return parse_ladder(f"ladders/{row.name}/{row.version}", row.body.encode()).ladder


async def listed(tx: ReadTransaction) -> Sequence[Mapping[str, Any]]:
    """All loaded ladders, by name and version."""
    return [dict(row) for row in (await tx.execute(_LIST)).mappings()]
