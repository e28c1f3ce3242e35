"""SQL of the tellings of regime versions. Nothing here commits."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import date, datetime

from sqlalchemy import RowMapping, text

from services.notifier.regimes.domain import Version
from shared.postgres import bulk
from shared.postgres.database import ReadTransaction, Transaction

#: agencies in a transaction
AGENCIES_AT_ONCE = 200

# where a process of before this column kept it, it is known since ever
_KNOWN = text("""
    SELECT code, regime_version, coalesce(kept_since, 'epoch') AS kept_since FROM regimes
     WHERE code = ANY(CAST(:codes AS text[]))
""")
_KEPT = text("UPDATE regimes SET kept_since = :now WHERE code = ANY(CAST(:codes AS text[])) AND kept_since IS NULL")
_BEGUN = {"code": "text", "regime_version": "int", "published": "timestamptz"}
# where a lost database is replaced, what was published before it was lost was told before it was lost
_BEGIN = text(f"""
    INSERT INTO regime_tellings (code, regime_version, at)
    SELECT code, regime_version, CASE WHEN EXISTS (SELECT FROM told_before) THEN published ELSE :now END
      FROM {bulk.unnest(_BEGUN)} ORDER BY code, regime_version
    ON CONFLICT DO NOTHING
""")  # noqa: S608 - column names of this module
# Who is registered or named later hears of what is still ahead; whoever was told is not told again. One that is on its
# way ends first, and those that begin again stand behind the others: a long import keeps none from its end.
_AGAIN = text("""
    UPDATE regime_tellings t
       SET again = NOT t.done, rounds = t.rounds + CAST(t.done AS int), done = false,
           after = CASE WHEN t.done THEN '' ELSE t.after END
      FROM regimes r WHERE r.code = t.code AND r.regime_version = t.regime_version AND r.effective_from > :today
       AND (t.done OR (t.after <> '' AND NOT t.again))
""")
_TAKE = text("""
    SELECT code, regime_version, at, after FROM regime_tellings WHERE NOT done
     ORDER BY rounds, at, code, regime_version LIMIT 1 FOR UPDATE SKIP LOCKED
""")
_SAVE = text("""
    UPDATE regime_tellings
       SET after = CASE WHEN :done AND again THEN '' ELSE :after END, done = :done AND NOT again,
           rounds = rounds + CAST(:done AND again AS int), again = again AND NOT :done
     WHERE code = :code AND regime_version = :regime_version
""")
_VERSIONS = text("""
    SELECT code, regime_version, effective_from, content FROM regimes
     WHERE code = :code AND regime_version <= :number ORDER BY regime_version DESC LIMIT 2
""")
_NEXT = text("SELECT code FROM agencies WHERE code > :after ORDER BY code LIMIT :limit")


@dataclass(frozen=True, slots=True)
class Telling:
    """A version that is being told. at: business time; after: the last agency done."""

    code: str
    number: int
    at: datetime
    after: str


async def known(tx: Transaction, codes: Collection[str]) -> dict[str, dict[int, datetime]]:
    """The versions that are here of these regimes, each with the moment since when (system time)."""
    found: dict[str, dict[int, datetime]] = {}
    for row in await tx.execute(_KNOWN, {"codes": sorted(codes)}):
        found.setdefault(row.code, {})[row.regime_version] = row.kept_since
    return found


async def kept(tx: Transaction, codes: Collection[str], now: datetime) -> None:
    """Note since when the new versions of these regimes are here; now: system time."""
    await tx.execute(_KEPT, {"codes": sorted(codes), "now": now})


async def announce(tx: Transaction, versions: Iterable[tuple[str, int, datetime]], now: datetime) -> None:
    """Have these versions told, each once: (regime, version, when it was published). `now`: business time."""
    rows = sorted(versions)
    if rows:
        await tx.execute(_BEGIN, {**bulk.parameters(_BEGUN, rows), "now": now})


async def look_again(tx: Transaction, today: date) -> None:
    """Have versions that do not count yet told to whoever has not been."""
    await tx.execute(_AGAIN, {"today": today})


async def take(tx: Transaction) -> Telling | None:
    """The telling that is not done and has begun anew least often, of these the oldest; locked."""
    row = (await tx.execute(_TAKE)).first()
    return None if row is None else Telling(*row)


async def save(tx: Transaction, telling: Telling, *, after: str, done: bool) -> None:
    """Note how far a telling is."""
    await tx.execute(
        _SAVE, {"code": telling.code, "regime_version": telling.number, "after": after, "done": done}
    )  # fmt: skip


async def versions(tx: ReadTransaction, telling: Telling) -> tuple[Version | None, Version | None]:
    """The version, and the one before it, as far as they are kept."""
    rows = (await tx.execute(_VERSIONS, {"code": telling.code, "number": telling.number})).mappings().all()
    found = [_version(row) for row in rows]
    return (found[0] if found else None), (found[1] if len(found) > 1 else None)


async def agencies_after(tx: ReadTransaction, after: str) -> list[str]:
    """The next agencies by code."""
    return list((await tx.execute(_NEXT, {"after": after, "limit": AGENCIES_AT_ONCE})).scalars())


def _version(row: RowMapping) -> Version:
    return Version(row["code"], row["regime_version"], row["effective_from"] or date.min, row["content"])
