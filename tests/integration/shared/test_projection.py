"""A copy holds the newest version of each record, whatever comes in which order, how often, and in what batches."""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from sqlalchemy import Boolean, Column, DateTime, Integer, MetaData, Table, Text, Uuid, text
from sqlalchemy.dialects.postgresql import ARRAY, JSONB

from shared.postgres.database import Database
from shared.projection import Projection

metadata = MetaData()
places = Table(
    "places",
    metadata,
    Column("code", Text, primary_key=True),
    Column("part", Integer, primary_key=True),
    Column("name", Text, nullable=False),
    Column("tags", ARRAY(Text), nullable=False),
    Column("form", JSONB, nullable=False),
    Column("score", Integer),
    Column("version", Integer, nullable=False),
    Column("seen", Boolean, nullable=False, server_default="false"),
    Column("learned_at", DateTime(timezone=True), nullable=False, server_default=text("clock_timestamp()")),
)
rulings = Table(
    "rulings",
    metadata,
    Column("subject", Text, primary_key=True),
    Column("ruling", Uuid, nullable=False),
    Column("at", DateTime(timezone=True), nullable=False),
)


@dataclass(frozen=True)
class Place:
    code: str = "A"
    version: int = 1
    name: str = "Xã"
    part: int = 1
    tags: tuple[str, ...] = ()
    form: str = "{}"
    score: int | None = None


@dataclass(frozen=True)
class Ruling:
    subject: str
    ruling: UUID
    at: datetime


def made() -> Projection[Place]:
    return Projection(
        places, Place, fixed=("form",), remembered=("score",), on_change={"seen": "false"}, own=("learned_at",)
    )


PLACES = made()
RULINGS = Projection(rulings, Ruling, version=("at", "ruling"))
NOW = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.fixture
async def copy(database_url: str) -> AsyncIterator[Database]:
    database = Database(database_url)
    async with database.transaction() as tx:
        await tx.run_sync(metadata.create_all)
    yield database
    await database.close()


async def save(database: Database, *batch: Place, by: Projection[Place] = PLACES) -> list[Place]:
    async with database.transaction() as tx:
        return await by.save_telling(tx, batch)


async def rows(database: Database, columns: str = "code, part, name, version") -> list[tuple[object, ...]]:
    async with database.read_transaction() as snapshot:
        return [tuple(row) for row in await snapshot.execute(text(f"SELECT {columns} FROM places ORDER BY 1, 2"))]


async def test_the_newest_version_stands_whatever_the_order_and_the_batches(copy: Database) -> None:
    versions = [Place(version=number, name=f"{number}") for number in (1, 2, 3)]
    for number, order in enumerate(itertools.permutations(versions)):
        for split in range(4):
            code = f"{number}/{split}"
            batches = [replace(agency, code=code) for agency in order]
            await save(copy, *batches[:split])
            await save(copy, *batches[split:])
    assert {row[2:] for row in await rows(copy)} == {("3", 3)}
    assert len(await rows(copy)) == 24


async def test_it_tells_which_records_it_wrote_and_no_others(copy: Database) -> None:
    first, second = Place("B", 2), Place("A", 5)
    assert await save(copy) == []
    assert await save(copy, first, second, Place("A", 4)) == [second, first]
    assert await save(copy, first, Place("A", 4)) == []
    assert await save(copy, Place("B", 1), Place("A", 6), Place("C")) == [Place("A", 6), Place("C")]


async def test_of_records_of_one_version_the_first_to_come_stands(copy: Database) -> None:
    """In one batch as in two."""
    await save(copy, Place(name="first"), Place(name="again"))
    await save(copy, Place(name="and again"))
    assert await rows(copy) == [("A", 1, "first", 1)]


async def test_without_the_version_condition_an_older_version_overwrites(copy: Database) -> None:
    unguarded = made()
    without = str(unguarded.returning).replace("WHERE (kept.version) < (excluded.version)", "")
    assert without != str(unguarded.returning)
    unguarded.returning = text(without)
    await save(copy, Place(version=2, name="new"), by=unguarded)
    await save(copy, Place(version=1, name="old"), by=unguarded)
    assert await rows(copy) == [("A", 1, "old", 1)]


async def test_a_record_is_its_whole_key(copy: Database) -> None:
    await save(copy, Place(part=1, version=9), Place(part=2, version=1, name="other"))
    assert await rows(copy) == [("A", 1, "Xã", 9), ("A", 2, "other", 1)]


async def test_lists_keep_their_order_and_length_and_may_differ(copy: Database) -> None:
    awkward = ('"', "{a,b}", "\\", "", "null", "đ")
    await save(copy, Place("A", tags=awkward), Place("B"), Place("C", tags=("one",)))
    assert await rows(copy, "code, tags") == [("A", list(awkward)), ("B", []), ("C", ["one"])]


async def test_fixed_stays_remembered_stays_where_nothing_is_said_and_own_columns_are_the_services(
    copy: Database,
) -> None:
    await save(copy, Place(form='{"n": 1}', score=7))
    async with copy.transaction() as tx:
        await tx.execute(text("UPDATE places SET seen = true, learned_at = :at"), {"at": NOW})
    await save(copy, Place(version=1, form='{"n": 0}', score=0))
    told = "CAST(form AS text), score, seen, learned_at"
    assert await rows(copy, told) == [('{"n": 1}', 7, True, NOW)]
    await save(copy, Place(version=2, form='{"n": 2}'))
    assert await rows(copy, told) == [('{"n": 1}', 7, False, NOW)]
    await save(copy, Place(version=3, score=0))
    assert await rows(copy, told) == [('{"n": 1}', 0, False, NOW)]


async def test_a_record_published_again_fills_columns_that_were_added_since(copy: Database) -> None:
    refilled = Projection(places, Place, remembered=("score",), own=("seen", "learned_at"), refilled=True)
    full = Place(version=2, name="xã", tags=("a",), form='{"n": 1}', score=7)
    for by, told in ((made(), ([], "{}")), (refilled, (["a"], '{"n": 1}'))):
        async with copy.transaction() as tx:
            await tx.execute(text("DELETE FROM places"))
        await save(copy, full, by=by)
        async with copy.transaction() as tx:
            await tx.execute(text("UPDATE places SET tags = '{}', form = '{}'"))
        assert bool(await save(copy, replace(full, version=1, tags=("old",)), by=by)) is False
        assert await rows(copy, "tags, CAST(form AS text), version") == [([], "{}", 2)]
        again = await save(copy, full, by=by)
        assert await rows(copy, "tags, CAST(form AS text), score") == [(*told, 7)]
        assert again == ([full] if by is refilled else [])
        assert await save(copy, full, by=by) == [], "nothing is unlike any more"


async def test_a_version_may_be_a_moment_and_an_id(copy: Database) -> None:
    later, earlier = NOW + timedelta(seconds=1), NOW
    right = Ruling("A", UUID(int=1), later)
    for batch in ([Ruling("A", UUID(int=9), earlier)], [Ruling("A", UUID(int=0), later), right], [replace(right)]):
        async with copy.transaction() as tx:
            await RULINGS.save(tx, batch)
    async with copy.read_transaction() as snapshot:
        assert [tuple(row) for row in await snapshot.execute(text("SELECT * FROM rulings"))] == [
            ("A", UUID(int=1), later)
        ]


def test_a_column_that_nobody_fills_is_told_when_the_service_starts() -> None:
    with pytest.raises(TypeError, match=r"places.learned_at is no attribute of Place: say what it is made of"):
        Projection(places, Place, own=("seen",))
    with pytest.raises(TypeError, match="places copies no column nmae"):
        Projection(places, Place, own=("seen", "learned_at"), fixed=("nmae",))
