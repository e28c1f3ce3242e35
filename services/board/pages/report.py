"""What a version of a report says, laid out by its form, with the period before beside it. Pure.

The reports are what intake shows; what their form does not know is shown by its code alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from services.board.pages.words import Pair

#: rows of one table that a page shows
MOST_ROWS = 200


@dataclass(frozen=True, slots=True)
class Figure:
    """A figure as it was sent, and as it was sent for the period before; None: not sent."""

    code: str
    label: Pair
    unit: str
    value: str | None
    before: str | None


@dataclass(frozen=True, slots=True)
class Narrative:
    """A section of text."""

    code: str
    label: Pair
    text: str


@dataclass(frozen=True, slots=True)
class Table:
    """A table, its first rows."""

    code: str
    label: Pair
    columns: tuple[Pair, ...]
    rows: tuple[tuple[str, ...], ...]
    more: int  # rows that are not shown


@dataclass(frozen=True, slots=True)
class Content:
    """What the report says."""

    figures: tuple[Figure, ...]
    narratives: tuple[Narrative, ...]
    tables: tuple[Table, ...]


def content_of(
    report: Mapping[str, Any], form: Mapping[str, Any] | None = None, before: Mapping[str, Any] | None = None
) -> Content:
    """The report's content, in the form's order; what the form does not know comes last."""
    form, before = form or {}, before or {}
    values, earlier = _mapping(report.get("figures")), _mapping(before.get("figures"))
    figures = tuple(
        Figure(code, label, str(field.get("unit") or ""), _text(values.get(code)), _text(earlier.get(code)))
        for code, label, field in _fields(form.get("figures"), values)
    )
    texts = _mapping(report.get("narratives"))
    narratives = tuple(
        Narrative(code, label, str(texts[code]))
        for code, label, _ in _fields(form.get("narratives"), texts)
        if code in texts
    )
    tables = _mapping(report.get("tables"))
    return Content(
        figures,
        narratives,
        tuple(
            _table(code, label, field, _items(tables[code]))
            for code, label, field in _fields(form.get("tables"), tables)
            if code in tables
        ),
    )


def _table(code: str, label: Pair, field: Mapping[str, Any], rows: Sequence[Mapping[str, Any]]) -> Table:
    used = dict.fromkeys(name for row in rows for name in row)
    columns = list(_fields(field.get("columns"), used))
    shown = tuple(tuple(_text(row.get(name)) or "" for name, _, _ in columns) for row in rows[:MOST_ROWS])
    return Table(code, label, tuple(name for _, name, _ in columns), shown, max(0, len(rows) - MOST_ROWS))


def _fields(known: Any, sent: Iterable[str]) -> Iterable[tuple[str, Pair, Mapping[str, Any]]]:
    """Each field of the form, then what was sent besides; with its code and what it is called."""
    fields = {str(field.get("code")): field for field in _items(known)}
    for code in dict.fromkeys([*fields, *sent]):
        field = fields.get(code, {})
        label = str(field.get("label") or code)
        yield code, (label, str(field.get("label_en") or label)), field


def _items(found: Any) -> list[Mapping[str, Any]]:
    return [one for one in found if isinstance(one, Mapping)] if isinstance(found, list) else []


def _mapping(found: Any) -> Mapping[str, Any]:
    return found if isinstance(found, Mapping) else {}


def _text(value: Any) -> str | None:
    return None if value is None else str(value)
