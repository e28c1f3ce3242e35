"""Makes the statement that keeps a copy from the copy's table, so that a column is added there and in a migration.

Set-based: a batch is one statement. Works on the caller's transaction and never ends it.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from operator import attrgetter
from typing import Any, Generic, TypeVar

import msgspec
from sqlalchemy import ARRAY, Column, Table, text
from sqlalchemy.dialects import postgresql
from sqlalchemy.dialects.postgresql import JSON, JSONB

from shared.postgres.database import Transaction

R = TypeVar("R")

_DIALECT = postgresql.dialect()  # type: ignore[no-untyped-call]
_quote = _DIALECT.identifier_preparer.quote


class Projection(Generic[R]):
    """A table that holds the newest version of each record, by its primary key.

    Each column takes the record's attribute of its name, or what `values` makes of the record (JSON and lists as JSON
    text). Raises TypeError where a column has neither, so that a new one is not forgotten.

    version: the columns that order the versions of a record.
    fixed: columns that the first version to come writes, and no later one.
    remembered: columns that stay as they are where a newer version says nothing (None).
    on_change: the service's own columns, each with the SQL that every change sets it to.
    own: the service's own columns that no change touches.
    refilled: whether a record of the version that is there is written where the copy is unlike it. A record that its
    owner publishes again fills so the columns that were added since; only where a version has one content for ever.
    """

    def __init__(
        self,
        table: Table,
        record: type[R],
        *,
        values: Mapping[str, Callable[[R], Any]] | None = None,
        version: Sequence[str] = ("version",),
        fixed: Collection[str] = (),
        remembered: Collection[str] = (),
        on_change: Mapping[str, str] | None = None,
        own: Collection[str] = (),
        refilled: bool = False,
    ) -> None:
        made, on_change = values or {}, on_change or {}
        columns = [column for column in table.columns if column.name not in {*own, *on_change}]
        named = {*made, *version, *fixed, *remembered}
        if unknown := named - {column.name for column in columns}:
            raise TypeError(f"{table.name} copies no column {', '.join(sorted(unknown))}")
        by_name = {*table.primary_key.columns.keys(), *version}
        for column in columns:
            if (column.name not in made or column.name in by_name) and not _has(record, column.name):
                raise TypeError(
                    f"{table.name}.{column.name} is no attribute of {record.__name__}: say what it is made of"
                )
        self._values = {column.name: _value(column, made) for column in columns}
        keys = [column.name for column in table.primary_key]
        self._one_key = len(keys) == 1
        self._key = attrgetter(*keys)
        self._version = attrgetter(*version)
        statement = _statement(table, columns, version, fixed, remembered, on_change, refilled=refilled)
        self.statement = text(statement)
        self.returning = text(f"{statement} RETURNING {', '.join(f'kept.{_quote(name)}' for name in keys)}")

    async def save(self, tx: Transaction, records: Iterable[R]) -> None:
        """Write the newest version of each record, unless one as new is there.

        Rows are written in the order of their keys, so that two transactions do not wait for each other.
        """
        if newest := self._newest(records):
            await tx.execute(self.statement, self._columns(newest))

    async def save_telling(self, tx: Transaction, records: Iterable[R]) -> list[R]:
        """As `save`. Returns the records that were written: new, or newer than what was there."""
        newest = self._newest(records)
        if not newest:
            return []
        rows = (await tx.execute(self.returning, self._columns(newest))).all()
        return [newest[row[0] if self._one_key else tuple(row)] for row in rows]

    def _newest(self, records: Iterable[R]) -> dict[Any, R]:
        """The newest version of each record by key, in the order of the keys; the first of equal ones."""
        given = list(records)
        keys = list(map(self._key, given))
        newest = dict(zip(keys, given, strict=True))
        if len(newest) < len(given):
            version = self._version
            newest.clear()
            for key, record in zip(keys, given, strict=True):
                before = newest.get(key)
                if before is None or version(before) < version(record):
                    newest[key] = record
        return {key: newest[key] for key in sorted(newest)}

    def _columns(self, newest: Mapping[Any, R]) -> dict[str, list[Any]]:
        records = newest.values()
        return {name: list(map(value, records)) for name, value in self._values.items()}


def _value(column: Column[Any], made: Mapping[str, Callable[[R], Any]]) -> Callable[[R], Any]:
    if column.name in made:
        return made[column.name]
    get = attrgetter(column.name)
    if isinstance(column.type, ARRAY):  # arrays within an array must be of one length
        return lambda record: msgspec.json.encode(get(record)).decode()
    return get


def _has(record: type[Any], name: str) -> bool:
    return hasattr(record, name) or any(name in vars(base).get("__annotations__", {}) for base in record.__mro__)


def _statement(
    table: Table,
    columns: Sequence[Column[Any]],
    version: Sequence[str],
    fixed: Collection[str],
    remembered: Collection[str],
    on_change: Mapping[str, str],
    *,
    refilled: bool,
) -> str:
    key = [column.name for column in table.primary_key]
    names = ", ".join(_quote(column.name) for column in columns)
    arrays = ", ".join(f"CAST(:{column.name} AS {_sql_type(column)}[])" for column in columns)
    selected = ", ".join(_selected(column) for column in columns)
    changes = [
        f"{name} = coalesce(excluded.{name}, kept.{name})" if column.name in remembered else f"{name} = excluded.{name}"
        for column in columns
        if column.name not in {*key, *fixed}
        for name in [_quote(column.name)]
    ]
    changes += [f"{_quote(name)} = {expression}" for name, expression in on_change.items()]
    keys = ", ".join(_quote(name) for name in key)
    before = ", ".join(f"kept.{_quote(name)}" for name in version)
    after = ", ".join(f"excluded.{_quote(name)}" for name in version)
    newer = f"({before}) < ({after})"
    if refilled:
        told = [column for column in columns if column.name not in {*key, *version, *fixed, *remembered}]
        here, there = (", ".join(_comparable(column, of) for column in told) for of in ("kept", "excluded"))
        newer = f"{newer} OR (({before}) = ({after}) AND ROW({here}) IS DISTINCT FROM ROW({there}))"
    return f"""
        INSERT INTO {_quote(table.name)} AS kept ({names})
        SELECT {selected} FROM unnest({arrays}) AS given ({names})
        ON CONFLICT ({keys}) DO UPDATE SET {", ".join(changes)}
         WHERE {newer}
    """  # noqa: S608 - names of the service's own table


def _selected(column: Column[Any]) -> str:
    name = _quote(column.name)
    if isinstance(column.type, ARRAY):
        return f"ARRAY(SELECT jsonb_array_elements_text(CAST({name} AS jsonb)))"
    if isinstance(column.type, JSONB):
        return f"CAST({name} AS jsonb)"
    return f"CAST({name} AS json)" if isinstance(column.type, JSON) else name


def _comparable(column: Column[Any], of: str) -> str:
    name = f"{of}.{_quote(column.name)}"
    return f"CAST({name} AS jsonb)" if isinstance(column.type, JSON) else name  # json itself knows no equality


def _sql_type(column: Column[Any]) -> str:
    # JSON travels as text: the driver would call into Python for each value of the other
    return "text" if isinstance(column.type, ARRAY | JSON) else str(column.type.compile(dialect=_DIALECT))
