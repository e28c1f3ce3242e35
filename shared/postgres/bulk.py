"""Many rows in one statement: a dictionary of column -> type is declared once, SQL and parameters follow from it.

One array per column, as wide as there are rows: the statement's text, and so its plan, is the same for any number.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

#: column -> PostgreSQL's type of one value; the parameter has the column's name
Columns = Mapping[str, str]
_JSON = frozenset({"json", "jsonb"})


def names(columns: Iterable[str]) -> str:
    """`"a", "b"`: for INSERT INTO t (…) and SELECT …"""
    return ", ".join(f'"{name}"' for name in columns)


def unnest(columns: Columns, alias: str = "row", *, place: str = "") -> str:
    """`unnest(CAST(:a AS text[]), …) AS row ("a", …)`, for FROM; `place` names a further column, the row's number.

    JSON travels as text: of the other the driver would call into Python for each value.
    """
    sent = {name: "text" if kind in _JSON else kind for name, kind in columns.items()}
    arrays = ", ".join(f"CAST(:{name} AS {kind}[])" for name, kind in sent.items())
    every = (*columns, place) if place else tuple(columns)
    rows = f"unnest({arrays}){' WITH ORDINALITY' if place else ''} AS {alias} ({names(every)})"
    if sent == columns:
        return rows
    values = ", ".join(
        f'CAST("{name}" AS {columns[name]}) AS "{name}"' if columns.get(name) in _JSON else f'"{name}"'
        for name in every
    )
    return f"(SELECT {values} FROM {rows}) AS {alias}"  # noqa: S608 - names of our own columns


def assignments(columns: Iterable[str], alias: str = "row") -> str:
    """`"a" = row."a", …`: for UPDATE … SET, and with `excluded` for ON CONFLICT DO UPDATE SET."""
    return ", ".join(f'"{name}" = {alias}."{name}"' for name in columns)


def parameters(columns: Columns, rows: Iterable[Sequence[Any]]) -> dict[str, list[Any]]:
    """Rows, each in the columns' order, as one list per column. ValueError where a row has other columns."""
    if not (given := list(rows)):
        return {name: [] for name in columns}
    return dict(zip(columns, map(list, zip(*given, strict=True)), strict=True))
