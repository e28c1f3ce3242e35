"""Reads the databases, each in one read-only snapshot, as streams of rows in the order of their keys.

Memory holds one page of each stream. The snapshots are not of the same moment, so an event on its way between two
stores may look like a difference; the comparison therefore looks again before it reports one.
"""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any, Self

import asyncpg

from shared.contract.services import SERVICES
from shared.postgres.connecting import connect
from shared.postgres.database import UrlError, plain_url

#: rows of a stream held at once; a submission's row may take a quarter of a megabyte
PAGE_ROWS = 250
CONNECT_SECONDS = 10.0
#: collations that sort text as Python does, by code point
_BY_CODE_POINT = frozenset({"C", "POSIX", "C.UTF-8", "C.UTF8", "C.utf8"})
_COLLATION = "SELECT datcollate FROM pg_database WHERE datname = current_database()"
#: the server sorts whole archives on its disk; more memory for this one session slows nothing else
_SETTINGS = {"application_name": "thongsuot-reconcile", "work_mem": "64MB", "jit": "off", "statement_timeout": "0"}


class CannotCompare(Exception):
    """A store could not be read, or lacks what this release expects. The operator sees the message as it is."""

    def __init__(self, vi: str, en: str) -> None:
        super().__init__(f"{vi} / {en}")
        self.vi, self.en = vi, en


@dataclass(frozen=True, slots=True)
class Source:
    """A stream of one service's rows in the order of a key (text), which `sql` selects as its first column.

    `sql` has two placeholders: `{only}` for the condition that narrows it to the keys in $1, and `{c}` for the
    collation after each text column in its ORDER BY.
    """

    name: str
    service: str
    sql: str
    key: str  # the SQL expression of the key
    type: str = "text"

    def text(self, collation: str, narrowed: bool) -> str:
        only = f"{self.key} = ANY($1::{self.type}[])" if narrowed else "TRUE"
        return self.sql.format(only=only, c=collation, key=self.key)


class Stores:
    """Connections to the databases. Reading only: each snapshot is a read-only transaction."""

    def __init__(self, connections: Mapping[str, asyncpg.Connection], collations: Mapping[str, str]) -> None:
        self._connections = connections
        self._collations = collations

    @classmethod
    @asynccontextmanager
    async def open(cls, urls: Mapping[str, str]) -> AsyncIterator[Self]:
        """Connect to all. Raises CannotCompare."""
        async with AsyncExitStack() as stack:
            connections: dict[str, asyncpg.Connection] = {}
            collations: dict[str, str] = {}
            for service in SERVICES:
                connection = await _connect(service, urls[service])
                stack.push_async_callback(connection.close, timeout=5)
                collation = await connection.fetchval(_COLLATION)
                connections[service] = connection
                collations[service] = "" if collation in _BY_CODE_POINT else ' COLLATE "C"'
            yield cls(connections, collations)

    @asynccontextmanager
    async def snapshot(self) -> AsyncIterator[Snapshot]:
        """One moment of each store, one taken soon after the other."""
        async with AsyncExitStack() as stack:
            for service in SERVICES:
                transaction = self._connections[service].transaction(isolation="repeatable_read", readonly=True)
                try:
                    await stack.enter_async_context(transaction)
                    await self._connections[service].fetchval("SELECT 1")
                except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
                    raise _unreadable(service, error) from error
            yield Snapshot(self._connections, self._collations)


class Snapshot:
    """One read-only snapshot of each store."""

    def __init__(self, connections: Mapping[str, asyncpg.Connection], collations: Mapping[str, str]) -> None:
        self._connections = connections
        self._collations = collations
        #: rows read so far, by source
        self.rows: dict[str, int] = {}

    async def all(self, service: str, query: str, *arguments: Any) -> list[asyncpg.Record]:
        """All rows of a small table."""
        try:
            return list(await self._connections[service].fetch(query, *arguments))
        except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
            raise _unreadable(service, error) from error

    async def stream(self, source: Source, keys: Collection[str] | None = None) -> Stream:
        """The rows of a source, all or those of some keys, in key order."""
        text = source.text(self._collations[source.service], keys is not None)
        arguments = [] if keys is None else [list(keys)]
        try:
            cursor = await self._connections[source.service].cursor(text, *arguments)
        except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
            raise _unreadable(source.service, error) from error
        stream = Stream(source, cursor, self)
        await stream.fill()
        return stream


class Stream:
    """Rows of one source in key order, a page at a time."""

    def __init__(self, source: Source, cursor: Any, snapshot: Snapshot) -> None:
        self.source = source
        self._cursor = cursor
        self._snapshot = snapshot
        self._rows: deque[asyncpg.Record] = deque()
        self._ended = False

    @property
    def key(self) -> Any | None:
        """The next key; None at the end."""
        return self._rows[0][0] if self._rows else None

    async def fill(self) -> None:
        if self._ended:
            return
        try:
            page = await self._cursor.fetch(PAGE_ROWS)
        except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
            raise _unreadable(self.source.service, error) from error
        self._rows.extend(page)
        self._ended = len(page) < PAGE_ROWS
        counted = f"{self.source.service}/{self.source.name}"
        self._snapshot.rows[counted] = self._snapshot.rows.get(counted, 0) + len(page)

    async def take(self, key: Any) -> list[asyncpg.Record]:
        """The rows of this key, which must be the next one or lie before it."""
        rows = self._rows
        found: list[asyncpg.Record] = []
        while rows and rows[0][0] == key:
            found.append(rows.popleft())
            if not rows:
                await self.fill()
        return found


async def _connect(service: str, url: str) -> asyncpg.Connection:
    if not url:
        raise CannotCompare(
            f"Chưa biết kho của {service}: đặt {service.upper()}_DATABASE_URL hoặc --{service}.",
            f"the database of {service} is not known: set {service.upper()}_DATABASE_URL or --{service}",
        )
    try:
        return await connect(plain_url(url), timeout=CONNECT_SECONDS, server_settings=_SETTINGS)
    except UrlError as error:
        raise CannotCompare(f"Địa chỉ kho của {service} không đúng: {error}.", f"{service}: {error}") from error
    except (TimeoutError, OSError, ValueError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
        raise _unreadable(service, error) from error


def _unreadable(service: str, error: BaseException) -> CannotCompare:
    said = f"{type(error).__name__}: {error}"[:300]
    return CannotCompare(f"Không đọc được kho của {service}: {said}.", f"cannot read the database of {service}: {said}")


def by_key(rows: Sequence[asyncpg.Record], column: str) -> dict[Any, asyncpg.Record]:
    return {row[column]: row for row in rows}
