"""A database that is closed while work goes on, and a connection whose asker is cancelled, leave nothing open."""

from __future__ import annotations

import asyncio
import gc
import warnings
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Any

import asyncpg
import pytest
from sqlalchemy import text

from shared.postgres import database as databases
from shared.postgres.connecting import connect
from shared.postgres.database import Database, DatabaseClosed, is_infrastructure


@contextmanager
def _unclosed() -> Iterator[list[str]]:
    """What the collector finds unclosed at the end of the block."""
    found: list[str] = []
    gc.collect()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", ResourceWarning)
        yield found
        gc.collect()
        found += [str(warning.message) for warning in caught if "unclosed connection" in str(warning.message)]


async def _closed_at_work(url: str, close: Callable[[Database], Awaitable[None]], *, seconds: float = 0.1) -> str:
    """Close a database while a transaction is open in it, which ends so much later. Returns how the work ended."""
    database = Database(url, pool_size=2)
    begun = asyncio.Event()

    async def work() -> str:
        async with database.transaction() as transaction:
            begun.set()
            return str(await transaction.scalar(text("SELECT 'done' FROM pg_sleep(:seconds)"), {"seconds": seconds}))

    working = asyncio.create_task(work())
    await begun.wait()
    await close(database)
    return await working


async def test_what_is_at_work_when_a_database_closes_ends_and_its_connection_is_closed(database_url: str) -> None:
    with _unclosed() as found:
        assert await _closed_at_work(database_url, Database.close) == "done"
    assert found == []


async def test_what_outlasts_the_patience_of_closing_has_its_connection_closed_as_it_ends(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(databases, "CLOSING_PATIENCE_SECONDS", 0.0)
    with _unclosed() as found:
        assert await _closed_at_work(database_url, Database.close) == "done"
    assert found == []


async def test_disposed_of_at_once_the_connection_at_work_would_stay_open(database_url: str) -> None:
    """Negative control."""
    with _unclosed() as found:
        assert await _closed_at_work(database_url, lambda database: database.engine.dispose()) == "done"
    assert len(found) == 1


async def test_a_closed_database_gives_out_no_connection_and_says_that_it_is_closed(database_url: str) -> None:
    database = Database(database_url)
    await database.close()
    for opened in (database.transaction, database.read_transaction):
        with pytest.raises(DatabaseClosed) as refused:
            async with opened():
                pass
        assert is_infrastructure(refused.value)


async def _cancelled_at_every_step(open_one: Callable[[], Awaitable[asyncpg.Connection]]) -> list[str]:
    """Cancel a connection after 1, 2, … turns of the loop. Returns what asyncio then logs as nobody's error."""
    said: list[str] = []

    def note(_: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        said.append(str(context["message"]))

    loop = asyncio.get_running_loop()
    loop.set_exception_handler(note)
    for turns in range(12):
        opening = asyncio.ensure_future(open_one())
        for _ in range(turns):
            await asyncio.sleep(0)
        opening.cancel()
        made = (await asyncio.gather(opening, return_exceptions=True))[0]
        if isinstance(made, asyncpg.Connection):
            await made.close()
    await asyncio.sleep(0)
    gc.collect()
    loop.set_exception_handler(None)
    return said


async def test_a_cancelled_connection_leaves_no_error_that_nobody_retrieves(database_url: str) -> None:
    with _unclosed() as found:
        assert await _cancelled_at_every_step(lambda: connect(database_url)) == []
    assert found == []


async def test_cancelled_within_asyncpg_it_would_leave_one(database_url: str) -> None:
    """Negative control."""
    assert await _cancelled_at_every_step(lambda: asyncpg.connect(database_url)) != []
