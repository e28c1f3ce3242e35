"""A statement that goes to the driver itself behaves as SQLAlchemy's own: rows, counts, errors, broken connections."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import asyncpg
import pytest
from sqlalchemy import TextClause, bindparam, event, text
from sqlalchemy.exc import DBAPIError, IntegrityError, PendingRollbackError
from sqlalchemy.ext.asyncio import AsyncConnection

from shared.postgres import sqlalchemy_internals
from shared.postgres.database import Database, Transaction, is_infrastructure, sqlstate

_INSERT = text("INSERT INTO t (a) VALUES (:a)")
_COUNT = text("SELECT count(*) FROM t")
_PID = text("SELECT pg_backend_pid()")


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    opened = Database(database_url, pool_size=1)
    async with opened.transaction() as tx:
        await tx.execute(text("CREATE TABLE t (a int PRIMARY KEY, b text)"))
    yield opened
    await opened.close()


async def _terminate(database_url: str, pid: int) -> None:
    other = await asyncpg.connect(database_url)
    await other.execute("SELECT pg_terminate_backend($1, 5000)", pid)
    await other.close()


async def _count(database: Database) -> int:
    async with database.transaction() as tx:
        return int((await tx.execute(_COUNT)).scalar_one())


@pytest.mark.parametrize(
    ("statement", "values"),
    [
        (text("SELECT CAST(:x AS int) AS x, :y || 'a\\:b %' AS y, CAST(:x AS int) + 1 AS z"), {"x": 1, "y": "é"}),
        (text("SELECT CAST(:j AS jsonb) AS j, CAST(:k AS json) AS k, 1.50 AS n"), {"j": '{"a": [1]}', "k": "[2]"}),
        (text("SELECT unnest(CAST(:list AS text[])) AS item"), {"list": ["a", None, "c"]}),
        (text("INSERT INTO t (a) SELECT generate_series(1, 3)"), None),
        (text("SELECT a FROM t"), {}),
    ],
)
async def test_rows_and_counts_are_those_of_sqlalchemy(
    database: Database, statement: TextClause, values: dict[str, Any] | None
) -> None:
    seen = []
    for execute in (AsyncConnection.execute, sqlalchemy_internals.DirectConnection.execute):
        async with database.transaction() as tx:
            result = await execute(tx, statement, values)  # type: ignore[arg-type]
            rows = result.all() if statement.text.startswith("SELECT") else []
            seen.append((rows, [row._asdict() for row in rows], result.rowcount))
            await tx.execute(text("DELETE FROM t"))
    assert seen[0] == seen[1]


async def test_what_sqlalchemy_has_to_convert_is_left_to_it_in_the_same_transaction(database: Database) -> None:
    async with database.transaction() as tx:
        await tx.execute(_INSERT, [{"a": 1}, {"a": 2}])
        filled = text("INSERT INTO t (a) VALUES (:a)").bindparams(bindparam("a", 3))
        await tx.execute(filled)
        assert (await tx.execute(_COUNT)).scalar_one() == 3
    assert await _count(database) == 3


async def test_whoever_listens_to_statements_hears_of_each(database: Database) -> None:
    heard: list[str] = []

    def hear(*arguments: Any) -> None:
        heard.append(arguments[2])

    event.listen(database.engine.sync_engine, "before_cursor_execute", hear)
    async with database.transaction() as tx:
        await tx.execute(_COUNT)
    event.remove(database.engine.sync_engine, "before_cursor_execute", hear)
    assert heard == [_COUNT.text]


async def test_an_error_is_sqlalchemys_and_nothing_after_it_is_written(database: Database) -> None:
    async def twice(tx: Transaction) -> None:
        await tx.execute(_INSERT, {"a": 1})
        with pytest.raises(IntegrityError) as refused:
            await tx.execute(_INSERT, {"a": 1})
        assert sqlstate(refused.value) == "23505"
        await tx.execute(_INSERT, {"a": 2})  # the transaction has failed: it is not begun anew

    with pytest.raises(DBAPIError) as failed:
        async with database.transaction() as tx:
            await twice(tx)
    assert sqlstate(failed.value) == "25P02"
    assert await _count(database) == 0


async def test_a_savepoint_takes_back_what_came_after_it_and_no_more(database: Database) -> None:
    async def refused(tx: Transaction) -> None:
        async with tx.begin_nested():
            await tx.execute(_INSERT, {"a": 2})
            await tx.execute(_INSERT, {"a": 1})

    async with database.transaction() as tx:
        await tx.execute(_INSERT, {"a": 1})
        with pytest.raises(IntegrityError):
            await refused(tx)
        await tx.execute(_INSERT, {"a": 3})
    assert await _count(database) == 2


@pytest.mark.parametrize("at_commit", [False, True])
async def test_a_connection_that_breaks_is_trouble_and_given_up(
    database: Database, database_url: str, at_commit: bool
) -> None:
    async def broken() -> None:
        async with database.transaction() as tx:
            await tx.execute(_INSERT, {"a": 1})
            await _terminate(database_url, (await tx.execute(_PID)).scalar_one())
            if not at_commit:
                await tx.execute(_COUNT)

    with pytest.raises(DBAPIError) as trouble:
        await broken()
    assert is_infrastructure(trouble.value)
    assert trouble.value.connection_invalidated
    assert await _count(database) == 0


async def test_after_a_break_the_transaction_takes_nothing_more(database: Database, database_url: str) -> None:
    async def going_on() -> None:
        async with database.transaction() as tx:
            await _terminate(database_url, (await tx.execute(_PID)).scalar_one())
            with pytest.raises(DBAPIError):
                await tx.execute(_INSERT, {"a": 1})
            await tx.execute(_INSERT, {"a": 2})

    with pytest.raises(PendingRollbackError):
        await going_on()
    assert await _count(database) == 0


async def _pid_after_a_cancelled_statement(database: Database) -> bool:
    """Cancel a statement; returns whether the next transaction has the same connection."""
    begun = asyncio.Event()
    pids: list[int] = []

    async def work() -> None:
        async with database.transaction() as tx:
            await tx.execute(_INSERT, {"a": 1})
            pids.append((await tx.execute(_PID)).scalar_one())
            begun.set()
            await tx.execute(text("SELECT pg_sleep(60)"))

    working = asyncio.create_task(work())
    await begun.wait()
    await asyncio.sleep(0)
    working.cancel()
    with pytest.raises(asyncio.CancelledError):
        await working
    assert await _count(database) == 0
    async with database.transaction() as tx:
        return bool((await tx.execute(_PID)).scalar_one() == pids[0])


async def test_the_connection_of_a_cancelled_statement_is_given_up(database: Database) -> None:
    assert not await _pid_after_a_cancelled_statement(database)


async def test_without_sqlalchemys_handling_it_would_be_used_again(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Negative control."""

    def only_raise(connection: object, adapter: object, error: BaseException, *rest: object) -> None:
        raise error

    monkeypatch.setattr(sqlalchemy_internals, "_fail", only_raise)
    assert await _pid_after_a_cancelled_statement(database)


async def test_after_a_change_of_a_table_one_statement_fails_and_the_next_ones_are_planned_anew(
    database: Database, database_url: str
) -> None:
    every = text("SELECT * FROM t")
    async with database.transaction() as tx:
        await tx.execute(every)
    other = await asyncpg.connect(database_url)
    await other.execute("ALTER TABLE t ADD COLUMN c int")
    await other.close()
    with pytest.raises(DBAPIError) as stale:
        async with database.transaction() as tx:
            await tx.execute(every)
    assert sqlstate(stale.value) == "0A000"
    async with database.transaction() as tx:
        assert list((await tx.execute(every)).keys()) == ["a", "b", "c"]


async def test_a_snapshot_is_read_only_and_its_connection_writes_again_afterwards(database: Database) -> None:
    with pytest.raises(DBAPIError) as refused:
        async with database.read_transaction() as tx:
            await tx.execute(_INSERT, {"a": 1})
    assert sqlstate(refused.value) == "25006"
    async with database.read_transaction() as tx:
        assert (await tx.execute(text("SHOW transaction_isolation"))).scalar_one() == "repeatable read"
    async with database.transaction() as tx:
        assert (await tx.execute(text("SHOW transaction_isolation"))).scalar_one() == "read committed"
        await tx.execute(_INSERT, {"a": 1})
    assert await _count(database) == 1
