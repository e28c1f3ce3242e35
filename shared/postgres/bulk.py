"""Many rows in one statement: a dictionary of column -> type is declared once, SQL and parameters follow from it.

One array per column, as wide as there are rows: the statement's text, and so its plan, is the same for any number.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

#: column -> PostgreSQL's type of one value; the parameter has the column's name
Columns = Mapping[str, str]


def names(columns: Iterable[str]) -> str:
    """`"a", "b"`: for INSERT INTO t (…) and SELECT …"""
    return ", ".join(f'"{name}"' for name in columns)


def unnest(columns: Columns, alias: str = "row", *, place: str = "") -> str:
    """`unnest(CAST(:a AS text[]), …) AS row ("a", …)`, for FROM; `place` names a further column, the row's number."""
    arrays = ", ".join(f"CAST(:{name} AS {kind}[])" for name, kind in columns.items())
    if place:
        return f"unnest({arrays}) WITH ORDINALITY AS {alias} ({names((*columns, place))})"
    return f"unnest({arrays}) AS {alias} ({names(columns)})"


def assignments(columns: Iterable[str], alias: str = "row") -> str:
    """`"a" = row."a", …`: for UPDATE … SET, and with `excluded` for ON CONFLICT DO UPDATE SET."""
    return ", ".join(f'"{name}" = {alias}."{name}"' for name in columns)


def parameters(columns: Columns, rows: Iterable[Sequence[Any]]) -> dict[str, list[Any]]:
    """Rows, each in the columns' order, as one list per column. ValueError where a row has other columns."""
    if not (given := list(rows)):
        return {name: [] for name in columns}
    return dict(zip(columns, map(list, zip(*given, strict=True)), strict=True))
