"""Everything that relies on private parts of SQLAlchemy's asyncpg dialect: plain statements go straight to the driver.

A statement costs SQLAlchemy three times what it costs asyncpg: it changes greenlets, looks the compiled form up and
makes a cursor; a transaction costs four times as much. What is here keeps SQLAlchemy's connection, pool, transaction,
prepared statements and errors, so both ways can be mixed in one transaction.
tests/integration/shared/test_direct_statements.py holds the two ways to be alike.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Any, NoReturn, Self

from msgspec import Struct
from sqlalchemy import Connection, Executable, TextClause
from sqlalchemy.dialects.postgresql.asyncpg import PGDialect_asyncpg
from sqlalchemy.engine.result import IteratorResult, SimpleResultMetaData
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.sql.sqltypes import NullType
from sqlalchemy.util import greenlet_spawn

_COUNT = re.compile(r"(?:SELECT|UPDATE|DELETE|INSERT \d+) (\d+)")
#: statements remembered as the driver takes them; those made anew for each request push each other out
_STATEMENTS = 1000
_DIALECT = PGDialect_asyncpg()  # type: ignore[no-untyped-call]


class _Plain(Struct, frozen=True):
    """SQL with numbered parameters, and their names in that order."""

    sql: str
    names: tuple[str, ...]


class DirectResult(IteratorResult[Any]):
    """The rows of a statement, and how many it touched (-1: it does not say)."""

    def __init__(self, columns: SimpleResultMetaData, rows: list[Any], status: str | None) -> None:
        super().__init__(columns, iter(rows))
        self._status = status

    @property
    def rowcount(self) -> int:
        count = _COUNT.match(self._status or "")
        return int(count[1]) if count else -1


class DirectConnection(AsyncConnection):
    """SQLAlchemy's connection in a transaction, whose plain statements, BEGIN and COMMIT go to the driver itself."""

    async def open(self, **options: Any) -> Self:
        """Take a connection from the pool and begin; BEGIN is sent with the first statement. `options`: execution's."""
        await self.start()
        if options:
            await self.execution_options(**options)
        self._sync.begin()  # of SQLAlchemy's own book alone
        return self

    async def execute(self, statement: Executable, parameters: Any = None, *, execution_options: Any = None) -> Any:
        """As SQLAlchemy's; `text()` with plain parameters goes to the driver, unless somebody listens to statements."""
        plain = _plain(statement) if isinstance(statement, TextClause) and not execution_options else None
        heard = self._sync._has_events or self._sync.engine._has_events
        named = isinstance(parameters, Mapping) or parameters is None
        if plain is None or heard or not named or (parameters is None and plain.names):
            return await super().execute(statement, parameters, execution_options=execution_options)
        given = parameters or {}
        arguments = [given[name] for name in plain.names]
        connection, adapter = self._sync, self._adapter
        try:
            async with adapter._execute_mutex:
                if adapter._transaction is None:
                    await adapter._start_transaction()
                dialect: Any = connection.dialect
                prepared, attributes = await adapter._prepare(plain.sql, dialect._invalidate_schema_cache_asof)
                rows = await prepared.fetch(*arguments)
        except BaseException as error:
            await greenlet_spawn(_fail, connection, adapter, error, plain.sql, arguments)
        return DirectResult(_columns(tuple(column.name for column in attributes)), rows, prepared.get_statusmsg())

    async def commit(self) -> None:
        """Commit, and end the transaction in SQLAlchemy's book too."""
        connection, adapter = self._sync, self._adapter
        if adapter._transaction is not None:
            try:
                await adapter._call_and_discard(adapter._transaction.commit)
            except BaseException as error:
                await greenlet_spawn(_fail, connection, adapter, error, None, ())
        transaction = connection.get_transaction()
        if transaction is not None:
            await greenlet_spawn(transaction.commit)  # has nothing left to send

    async def give_back(self) -> None:
        """Return the connection to its pool after a commit: nothing is left to be sent, so nothing is waited for."""
        await greenlet_spawn(self._sync.close)

    @property
    def _sync(self) -> Connection:
        assert self.sync_connection is not None
        return self.sync_connection

    @property
    def _adapter(self) -> Any:
        return self._sync.connection.dbapi_connection


@lru_cache(_STATEMENTS)
def _plain(statement: TextClause) -> _Plain | None:
    """The statement as the driver takes it; None where SQLAlchemy has to convert or to fill in a parameter."""
    if not all(bind.required and isinstance(bind.type, NullType) for bind in statement._bindparams.values()):
        return None
    compiled: Any = statement.compile(dialect=_DIALECT)
    return _Plain(compiled.string, tuple(compiled.positiontup or ()))


@lru_cache(_STATEMENTS)
def _columns(names: tuple[str, ...]) -> SimpleResultMetaData:
    return SimpleResultMetaData(names)


def _fail(connection: Connection, adapter: Any, error: BaseException, sql: str | None, arguments: Any) -> NoReturn:
    """Raise the error as SQLAlchemy would: translated, and with its connection given up where that is broken."""
    try:
        if isinstance(error, Exception):
            adapter._handle_exception(error)
        raise error
    except BaseException as translated:
        dialect: Any = connection.dialect
        stale = dialect.loaded_dbapi.InvalidCachedStatementError, dialect.loaded_dbapi.InternalServerError
        if isinstance(translated, stale):
            dialect._invalidate_schema_cache()
        connection._handle_dbapi_exception(translated, sql, tuple(arguments), None, None)
