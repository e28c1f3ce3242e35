"""Spoils for every column of every table, made from the tables themselves and the rows that are there.

Each changes one value as a hand or a fault might: a text, a number by one, a moment by a second, a leaf of a document.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from importlib import import_module
from typing import Any
from uuid import UUID

import asyncpg
from sqlalchemy import (
    ARRAY,
    Boolean,
    Column,
    Date,
    DateTime,
    Integer,
    LargeBinary,
    Numeric,
    Table,
    Text,
    UniqueConstraint,
    Uuid,
)
from sqlalchemy.dialects.postgresql import JSON, JSONB

from shared.contract.services import SERVICES

#: tables whose rows are of several sorts: one row of each is spoiled
SORTS = {
    "registry": "kind", "outbox_archive": "type", "notifications": "kind", "inbox": "consumer",
    "dead_letter": "consumer",
    "verdict": "outcome", "verdicts": "outcome", "score_lines": "clause", "obligations": "standing",
    "standings": "standing", "submissions": "nil", "steps": "kind",
}  # fmt: skip
#: of these each sort has documents of its own make
SHAPED = frozenset({"registry", "outbox_archive"})
_MOMENT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d")
_DAY = re.compile(r"\d{4}-\d\d-\d\d")
_NUMBER = re.compile(r"-?\d{1,30}(\.\d{1,30})?")
_PLACE = re.compile(r"\.\d+(?=\.|$)")
_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


@dataclass(frozen=True)
class Spoil:
    """One change of one row: SQL for it, and what must be named by a difference."""

    service: str
    table: str
    column: str  # or what is done to the row: `(deleted)`, `(doubled)`
    path: str  # within a document
    sort: str  # which row
    statement: str
    arguments: tuple[Any, ...]
    names: frozenset[str]

    def __str__(self) -> str:
        leaf = f" {self.path}" if self.path else ""
        return f"{self.service}.{self.table}.{self.column}{leaf}" + (f" of {self.sort}" if self.sort else "")


def tables(service: str) -> list[Table]:
    """The tables of a service, by name."""
    metadata = import_module(f"services.{service}.tables").metadata
    return [metadata.tables[name] for name in sorted(metadata.tables)]


async def every_spoil(connections: Mapping[str, asyncpg.Connection]) -> tuple[list[Spoil], list[str]]:
    """All spoils of all services, and the tables (`service.table`) that have no row to spoil."""
    found: list[Spoil] = []
    empty: list[str] = []
    for service in SERVICES:
        for table in tables(service):
            rows = await _rows(connections[service], table)
            if not rows:
                empty.append(f"{service}.{table.name}")
            shapes: set[tuple[str, str]] = set()
            for sort, row in rows:
                found += _of_row(service, table, sort, row, shapes)
                if table.name in SHAPED:
                    shapes.clear()
    return found, empty


async def _rows(connection: asyncpg.Connection, table: Table) -> list[tuple[str, asyncpg.Record]]:
    """The last row of each sort, by primary key (an archive's newest)."""
    order = ", ".join(f'"{column.name}"' for column in table.primary_key) or '"id"'
    rows = await connection.fetch(f'SELECT tableoid, ctid, * FROM "{table.name}" ORDER BY {order}')
    by = SORTS.get(table.name, "")
    by_sort: dict[str, asyncpg.Record] = {}
    for row in rows:
        by_sort[str(row[by]) if by in table.columns else ""] = row
    return sorted(by_sort.items())


def _of_row(
    service: str, table: Table, sort: str, row: asyncpg.Record, shapes: set[tuple[str, str]]
) -> Iterator[Spoil]:
    """shapes: (column, leaf) spoiled already in a document of the same make; of a list of like things one is enough."""
    names = frozenset(str(row[name]) for name in _naming(table) if row[name] is not None)
    where = "tableoid = $1 AND ctid = $2"
    place = (row["tableoid"], row["ctid"])
    for column in table.columns:
        for path, value in _values(column, row[column.name]):
            shape = column.name, _PLACE.sub(".*", path)
            if path and shape in shapes:
                continue
            shapes.add(shape)
            statement = f'UPDATE "{table.name}" SET "{column.name}" = $3{_cast(column)} WHERE {where}'
            yield Spoil(service, table.name, column.name, path, sort, statement, (*place, value), names)
    deletion = f'DELETE FROM "{table.name}" WHERE {where}'
    yield Spoil(service, table.name, "(deleted)", "", sort, deletion, place, names)
    doubled = _doubled(table, row)
    if doubled is not None:
        yield Spoil(service, table.name, "(doubled)", "", sort, *doubled, names)


def _naming(table: Table) -> list[str]:
    """Columns that a difference may name the record by."""
    known = ("obligation", "key", "event_id", "verdict_id", "submission_id", "notification_id", "dead_letter_id", "id",
             "delivery_id", "webhook_id")  # fmt: skip
    return [*table.primary_key.columns.keys(), *(name for name in known if name in table.columns)]


def _doubled(table: Table, row: asyncpg.Record) -> tuple[str, tuple[Any, ...]] | None:
    """The same row once more under another key; none where there can be one row only."""
    keys = list(table.primary_key) or [table.columns["id"]]
    if any(isinstance(column.type, Boolean) for column in keys):
        return None
    unique = {column.name for column in keys}
    unique |= {name for names in _unique(table) for name in names[:1]}
    names, values = [], []
    for column in table.columns:
        value = row[column.name]
        if column.name in unique and value is not None:
            value = _beside(value)
        names.append(f'"{column.name}"')
        values.append(value)
    marks = ", ".join(f"${place}{_cast(column)}" for place, column in enumerate(table.columns, 1))
    return f'INSERT INTO "{table.name}" ({", ".join(names)}) OVERRIDING SYSTEM VALUE VALUES ({marks})', tuple(values)


def _unique(table: Table) -> list[list[str]]:
    found = [[column.name] for column in table.columns if column.unique]
    for constraint in table.constraints:
        if isinstance(constraint, UniqueConstraint):
            found.append([column.name for column in constraint.columns])
    for index in table.indexes:
        if index.unique:
            found.append([column.name for column in index.columns])
    return found


def _beside(value: Any) -> Any:
    match value:
        case bool():
            return not value
        case int():
            return value + 1000
        case UUID():
            return UUID(int=value.int ^ 0xFF)
        case bytes():
            return value + b"x"
        case datetime():
            return value + timedelta(days=1)
        case date():
            return value + timedelta(days=400)
        case _:
            return f"{value}x"


def _cast(column: Column[Any]) -> str:
    if isinstance(column.type, JSON | JSONB):
        return "::text::jsonb" if isinstance(column.type, JSONB) else "::text::json"
    return ""


def _values(column: Column[Any], value: Any) -> Iterator[tuple[str, Any]]:
    """(path, spoiled value) for each way to spoil the column."""
    kind = column.type
    if isinstance(kind, JSON | JSONB):
        if value is None:
            yield "", '{"x": 1}'
            return
        yield from ((path, json.dumps(spoiled)) for path, spoiled in leaves(json.loads(value)))
    elif isinstance(kind, LargeBinary):
        document = _json(value)
        if isinstance(document, dict):
            yield from ((path, json.dumps(spoiled).encode()) for path, spoiled in leaves(document))
        elif value is None:
            yield "", b"x"
        else:
            yield "", bytes([value[0] ^ 1, *value[1:]]) if value else b"x"
    else:
        yield "", _changed(kind, value)


def _json(value: bytes | None) -> Any:
    try:
        return None if value is None else json.loads(value)
    except ValueError:
        return None


def _changed(kind: Any, value: Any) -> Any:
    match kind:
        case Boolean():
            return not value
        case Integer():
            return 1 if value is None else value + 1
        case Numeric():
            return Decimal(1) if value is None else value + 1
        case DateTime():
            return datetime(2026, 1, 1, tzinfo=UTC) if value is None else value + timedelta(seconds=1)
        case Date():
            return date(2026, 1, 1) if value is None else value + timedelta(days=1)
        case Uuid():
            return UUID(int=8) if value is None else UUID(int=value.int ^ 1)
        case ARRAY():
            return [*(value or ()), "x"]
        case Text():
            return f"{value or ''}x"
    raise TypeError(f"no way to spoil a {kind!r}")


def leaves(document: Any) -> Iterator[tuple[str, Any]]:
    """Every copy of the document with one leaf changed, and the leaf's path."""
    for path in _paths(document):
        yield ".".join(map(str, path)), _with(document, path)


def _paths(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    if isinstance(value, dict) and value:
        for name, item in value.items():
            yield from _paths(item, (*path, name))
    elif isinstance(value, list) and value:
        for place, item in enumerate(value):
            yield from _paths(item, (*path, place))
    else:
        yield path


def _with(document: Any, path: Sequence[Any]) -> Any:
    if not path:
        return _leaf(document)
    copy = dict(document) if isinstance(document, dict) else list(document)
    copy[path[0]] = _with(document[path[0]], path[1:])
    return copy


def _leaf(value: Any) -> Any:
    match value:
        case bool():
            return not value
        case int() | float():
            return value + 1
        case None:
            return "x"
        case []:
            return ["x"]
        case {}:
            return {"x": "x"}
    if _MOMENT.match(value):
        return (datetime.fromisoformat(value) + timedelta(seconds=1)).isoformat()
    if _DAY.fullmatch(value):
        return (date.fromisoformat(value) + timedelta(days=1)).isoformat()
    if _UUID.fullmatch(value):
        return str(UUID(int=UUID(value).int ^ 1))
    if _NUMBER.fullmatch(value):
        return format(Decimal(value) + 1, "f")
    return f"{value}x"
