"""The tables of a report's body: rows of cells, bounded in number before they are looked at, kept as they were sent.

As for figures there are two ways. `take` says yes to a good body at the least cost; `read` reports every error. Both
agree on every body that `take` accepts.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from itertools import chain
from typing import Any

import msgspec
from msgspec import Raw

from shared.reports.body_errors import Errors
from shared.reports.body_json import exact_text_of, is_literal, items_of, members_of
from shared.reports.classified import is_classified
from shared.reports.limits import (
    MAX_CELL_CHARACTERS,
    MAX_CELLS,
    MAX_COLUMNS,
    MAX_TABLE_ROWS,
    MAX_TABLES,
    are_codes,
)

Rows = list[dict[str, str | None]]

_decoder = msgspec.json.Decoder(dict[str, Any], float_hook=str)
_SPACED = re.compile(rb"[ \t\n\r]:")
_EXAMPLE = '{"T01": [{"TEN": "…", "SO_LUONG": 12}]}'
_ROW_EXAMPLE = '{"TEN": "…", "SO_LUONG": 12}'


def members(tables: dict[str, list[dict[str, Any]]]) -> int:
    """How many members the objects of the tables have."""
    return len(tables) + sum(map(len, chain.from_iterable(tables.values())))


def take(tables: dict[str, list[dict[str, Any]]], *, minus_zero: bool) -> bool:
    """Whether the tables are good as they stand; whole numbers become the text that was sent."""
    if len(tables) > MAX_TABLES or sum(map(len, tables.values())) > MAX_TABLE_ROWS:
        return False
    columns: set[str] = set()
    cells = 0
    for row in chain.from_iterable(tables.values()):
        cells += len(row)
        if cells > MAX_CELLS or len(row) > MAX_COLUMNS or not _take_row(row, minus_zero):
            return False
        columns.update(row)
    return are_codes(tables.keys()) and are_codes(columns)


def _take_row(row: dict[str, Any], minus_zero: bool) -> bool:
    for column, value in row.items():
        if type(value) is str:
            if len(value) > MAX_CELL_CHARACTERS or (not "0" <= value < ":" and is_classified(value)):
                return False
        elif type(value) is int:
            if not value and minus_zero:
                return False
            row[column] = str(value)
        elif value is not None:
            return False
    return True


def read(raw: Raw, errors: Errors) -> dict[str, Rows]:
    """The tables, with every error in them reported. Rows and cells beyond the limits are not looked at."""
    if _least_members(raw) - MAX_TABLES > MAX_CELLS:
        errors.too_many("/tables", MAX_CELLS)
        return {}
    given: list[tuple[str, str, list[Raw]]] = []
    for code, value in members_of(raw, "/tables", MAX_TABLES, _EXAMPLE, errors).items():
        pointer = errors.code_of("/tables", code)
        rows = items_of(value, MAX_TABLE_ROWS + 1)
        if rows is None:
            errors.add(
                pointer,
                "Bảng phải là một mảng JSON gồm các dòng.",
                "A table must be a JSON array of rows.",
                f"Ví dụ: {_EXAMPLE}.",
                f"For example {_EXAMPLE}.",
            )
        else:
            given.append((code, pointer, rows))
    if _too_many(given, errors):
        return {}
    tables: dict[str, Rows] = {}
    cells = 0
    for code, table_pointer, rows in given:
        tables[code] = []
        for number, row in enumerate(rows):
            read_row = _good_row(row)
            if read_row is None:
                pointer = f"{table_pointer}/{number}"
                read_row = _row(members_of(row, pointer, MAX_COLUMNS, _ROW_EXAMPLE, errors), pointer, errors)
            cells += len(read_row)
            if cells > MAX_CELLS:
                errors.too_many("/tables", MAX_CELLS)
                return {}
            if errors.full:
                errors.truncated = True
                return {}
            tables[code].append(read_row)
    return tables


def _least_members(raw: Raw) -> int:
    """A number of members that the value has at least: each ends in `":`, and what a text says is written `\\":`."""
    text = bytes(raw)
    return text.count(b'":') - text.count(b'\\":')


def _too_many(given: Collection[tuple[str, str, list[Raw]]], errors: Errors) -> bool:
    """Whether the tables together have more rows than may be; the table that goes beyond is named."""
    count = 0
    for _, pointer, rows in given:
        count += len(rows)
        if count > MAX_TABLE_ROWS:
            errors.add(
                pointer,
                f"Các bảng có hơn {MAX_TABLE_ROWS} dòng; các dòng chưa được xem từng cái.",
                f"The tables have more than {MAX_TABLE_ROWS} rows; they have not been looked at one by one.",
                f"Gửi không quá {MAX_TABLE_ROWS} dòng trong một báo cáo.",
                f"Send at most {MAX_TABLE_ROWS} rows in one report.",
            )
            return True
    return False


def _good_row(raw: Raw) -> dict[str, str | None] | None:
    """The row where nothing in it needs a closer look; of thousands of rows few are wrong."""
    text = bytes(raw)
    try:
        row = _decoder.decode(text)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None
    # a column given twice would vanish silently
    if text.count(b'":') != len(row) or _SPACED.search(text) or b"\\u0000" in text or len(row) > MAX_COLUMNS:
        return None
    return row if _take_row(row, b"-0" in text) and are_codes(row.keys()) else None


def _row(given: dict[str, Raw], row_pointer: str, errors: Errors) -> dict[str, str | None]:
    row: dict[str, str | None] = {}
    for column, value in given.items():
        pointer = errors.code_of(row_pointer, column)
        if is_literal(value, b"null"):
            row[column] = None
            continue
        cell = exact_text_of(value)
        if cell is None:
            errors.add(
                pointer,
                "Ô của bảng phải là số, chuỗi hoặc null.",
                "A cell must be a number, a text or null.",
                "Ghi một số hoặc một chuỗi, hoặc null nếu không có.",
                "Write a number or a text, or null where there is none.",
            )
        elif is_classified(cell):
            errors.classified(pointer)
        elif errors.fits(pointer, cell, MAX_CELL_CHARACTERS):
            row[column] = cell
    return row
