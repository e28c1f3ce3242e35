"""Transactions are opened and committed only at an edge, by `Database`; what it calls gets one and never ends it.

`is_infrastructure` draws the one line that matters when something fails: trouble that passes (wait, retry) against
a fault of the data (park it). Codes: PostgreSQL manual, appendix A.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager

import asyncpg
from aiokafka.errors import KafkaError
from sqlalchemy import event
from sqlalchemy import exc as sa_exc
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from shared.postgres.connecting import connect
from shared.postgres.sqlalchemy_internals import DirectConnection
from shared.runtime.clock import monotonic_seconds
from shared.runtime.trouble import InfrastructureTrouble

#: A connection inside an open transaction that its edge will commit.
Transaction = AsyncConnection
#: A connection inside a read-only transaction.
ReadTransaction = AsyncConnection

#: what closing waits for work under way; its connections are closed as they come back, however late
CLOSING_PATIENCE_SECONDS = 0.8

#: SQLSTATE classes that pass by themselves or by an operator's hand, never by changing the data:
#: 08 connection, 25 read-only after failover, 28 authorisation, 3D no such database, 40 rollback (deadlock,
#: serialization), 42 schema behind the code, 53 resources (disk full), 55 lock not available, 57 intervention,
#: 58 system error
_PASSING_CLASSES = frozenset({"08", "25", "28", "3D", "40", "42", "53", "55", "57", "58"})


class DatabaseClosed(InfrastructureTrouble):
    """The service is stopping: what is asked now is asked again of the next one."""


class UrlError(ValueError):
    """A database's address that cannot be one."""


def driver_url(url: str) -> str:
    """The URL in SQLAlchemy's form for asyncpg; `postgresql://` is what people write."""
    scheme, separator, rest = url.partition("://")
    if not separator or scheme.split("+")[0] not in {"postgresql", "postgres"}:
        raise UrlError("a database URL must begin with postgresql://")
    return f"postgresql+asyncpg://{rest}"


def plain_url(url: str) -> str:
    """The URL as libpq and asyncpg know it."""
    return "postgresql://" + driver_url(url).partition("://")[2]


class Database:
    """One service's own database: a bounded pool and the two ways to open a transaction."""

    def __init__(
        self,
        url: str,
        *,
        pool_size: int = 10,
        pool_timeout_seconds: float = 5,
        statement_timeout_seconds: float = 30,
        application_name: str = "thongsuot",
        server_settings: Mapping[str, str] | None = None,
    ) -> None:
        self.url = plain_url(url)
        self._statement_timeout_seconds = statement_timeout_seconds
        self.engine: AsyncEngine = create_async_engine(
            driver_url(url),
            pool_size=pool_size,
            max_overflow=0,
            pool_timeout=pool_timeout_seconds,
            pool_use_lifo=True,
            connect_args={
                "async_creator_fn": connect,
                "timeout": 5,
                # the client gives up a little after the server should have
                "command_timeout": statement_timeout_seconds + 5,
                "server_settings": {
                    "application_name": application_name,
                    "statement_timeout": str(int(statement_timeout_seconds * 1000)),
                    "idle_in_transaction_session_timeout": "60000",
                    "jit": "off",
                    **(server_settings or {}),
                },
            },
        )
        self._closed = False

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Transaction]:
        """A transaction that commits when the block ends and rolls back when it raises."""
        async with self._opened() as connection:
            yield connection

    @asynccontextmanager
    async def read_transaction(self) -> AsyncIterator[ReadTransaction]:
        """A read-only snapshot: every statement in it sees the same moment."""
        async with self._opened(isolation_level="REPEATABLE READ", postgresql_readonly=True) as connection:
            yield connection

    @asynccontextmanager
    async def _opened(self, **options: object) -> AsyncIterator[DirectConnection]:
        self._refuse_if_closed()
        connection = DirectConnection(self.engine)
        try:
            yield await connection.open(**options)
            await connection.commit()
        except BaseException:
            if connection.sync_connection is not None:
                await connection.__aexit__(None, None, None)  # rolls back, to its end also when cancelled
            raise
        if self._closed:
            await connection.__aexit__(None, None, None)  # the pool has the connection closed, which takes a while
        else:
            await connection.give_back()

    def pool_in_use(self) -> int:
        """Connections that are checked out now."""
        return int(getattr(self.engine.pool, "checkedout", lambda: 0)())

    async def close(self) -> None:
        """Give out no connection any more, and close each: the idle ones now, one at work when its work has ended."""
        self._closed = True
        pool, began = self.engine.sync_engine.pool, monotonic_seconds()
        try:
            while self.pool_in_use() and monotonic_seconds() - began < CLOSING_PATIENCE_SECONDS:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
        finally:
            # dispose() forgets connections that are out: they would come back to a pool that nobody closes
            event.listen(pool, "checkin", lambda _, record: record.invalidate())
            await self.engine.dispose()

    def _refuse_if_closed(self) -> None:
        if self._closed:
            raise DatabaseClosed("the database has been closed")


def causes(error: BaseException) -> Iterator[BaseException]:
    """The error, and what it wraps or was raised from, outermost first."""
    seen: set[int] = set()
    current: BaseException | None = error
    while current is not None and id(current) not in seen:
        seen.add(id(current))
        yield current
        original = getattr(current, "orig", None)
        current = original if isinstance(original, BaseException) else current.__cause__


def sqlstate(error: BaseException) -> str | None:
    """The SQLSTATE PostgreSQL gave, if the error came from it."""
    for link in causes(error):
        code = getattr(link, "sqlstate", None) or getattr(link, "pgcode", None)
        if isinstance(code, str) and len(code) == 5:
            return code
    return None


def is_infrastructure(error: BaseException) -> bool:
    """Whether the error is trouble that is waited out: the same work, tried later, can succeed unchanged."""
    code = sqlstate(error)
    if code is not None:
        return code[:2] in _PASSING_CLASSES
    for link in causes(error):
        # a process short of memory says nothing of the event in its hands: giving that up would lose good data
        if isinstance(link, MemoryError):
            return True
        if isinstance(link, sa_exc.DBAPIError) and link.connection_invalidated:
            return True
        if isinstance(
            link,
            InfrastructureTrouble
            | OSError
            | EOFError
            | TimeoutError
            | asyncio.TimeoutError
            | sa_exc.TimeoutError
            | sa_exc.DisconnectionError
            | asyncpg.exceptions.InternalClientError
            | KafkaError,
        ):
            return True
        # asyncpg says "connection is closed", "another operation is in progress" with this class
        # (its ValueErrors are arguments that do not fit a column: data)
        if isinstance(link, asyncpg.exceptions.InterfaceError) and not isinstance(link, ValueError):
            return True
        if isinstance(link, sa_exc.ResourceClosedError | sa_exc.PendingRollbackError):
            return True
    return False
