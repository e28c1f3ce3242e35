"""The rows of a table against its columns: every cell is judged, only so many findings of one table are put into words.

The first cells that are wrong are told each by its place; the rest of a table is counted in one finding. A row beyond
the table's limit is not looked at.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import date

from services.validator.rules import catalogue, figures
from services.validator.rules.flaws import Flaw, pointer, shown
from services.validator.rules.forms import Column, Table, is_day
from services.validator.rules.narratives import trimmed
from services.validator.rules.numbers import is_blank, plainly, value_of
from services.validator.rules.placeholders import is_placeholder
from shared.contract.events import Severity
from shared.runtime.english import counted

Row = Mapping[str, str | None]
Tables = Mapping[str, Sequence[Row]]

#: findings about the cells of one table that are told each by itself
LISTED_CELLS = 20
#: columns that a table does not have, told of one table
LISTED_COLUMNS = 10
_SHOWN_CHOICES = 10
#: dates as they are written by hand, day first
_BY_HAND = "/.-"


def check(
    table: Table, rows: Sequence[Row] | None, flaws: list[Flaw], severities: Mapping[str, Severity], *, demanded: bool
) -> bool:
    """Add what is wrong with the table; whether it is there and can be used.

    `demanded` is false in a NIL report: then nothing is missing. `severities`: of the codes that the regime chooses.
    """
    if not rows:
        empty_allowed = rows is not None and table.min_rows == 0
        if table.required and demanded and not empty_allowed:
            minimum = max(1, table.min_rows)
            words = {"minimum": str(minimum), "minimum_en": counted(minimum, "row")}
            flaws.append(Flaw(catalogue.TABLE_MISSING, table.path, table.words | words))
        return empty_allowed
    before = len(flaws)
    _check_length(table, len(rows), flaws)
    _check_cells(table, rows, flaws, severities)
    usable = not any(flaw.is_error or flaw.rule is catalogue.PLACEHOLDER for flaw in flaws[before:])
    _check_columns(table, rows, flaws)
    return usable


def _check_length(table: Table, count: int, flaws: list[Flaw]) -> None:
    if count < table.min_rows:
        missing = table.min_rows - count
        words = {
            "provided_en": counted(count, "row"),
            "minimum": str(table.min_rows),
            "missing": str(missing),
            "missing_en": counted(missing, "row"),
        }
        flaws.append(
            Flaw(
                catalogue.TOO_FEW_ROWS, table.path, table.words | words, str(count), f">= {table.min_rows}",
                str(-missing),
            )
        )  # fmt: skip
    elif count > table.max_rows:
        words = table.words | {"limit": str(table.max_rows)}
        surplus = str(count - table.max_rows)
        flaws.append(Flaw(catalogue.TOO_MANY_ROWS, table.path, words, str(count), f"<= {table.max_rows}", surplus))


def says_something(table: Table, rows: Sequence[Row] | None) -> bool:
    """Whether a row has a number other than 0, or one that cannot be read; without columns of numbers, any row does."""
    numbers = [column.code for column in table.columns if column.figure is not None]
    if not rows or not numbers:
        return bool(rows)
    texts = (row.get(code) for row in rows for code in numbers)
    return any(not is_blank(text) and value_of(text or "") != 0 for text in texts)


def _check_cells(table: Table, rows: Sequence[Row], flaws: list[Flaw], severities: Mapping[str, Severity]) -> None:
    listed: list[Flaw] = []
    unlisted = 0
    for number, row in enumerate(rows[: table.max_rows]):
        for column in table.columns:
            text = row.get(column.code)
            if text is None or is_blank(text):
                if not column.required:
                    continue
                if len(listed) < LISTED_CELLS:
                    path, words = _place(table, number, column)
                    listed.append(Flaw(catalogue.CELL_MISSING, path, words))
                else:
                    unlisted += 1
            elif not column.fits(text):
                if len(listed) < LISTED_CELLS:
                    _check_cell(table, number, column, text, listed, severities)
                else:
                    unlisted += not _takes(column, text, severities)
    flaws += listed
    if unlisted:
        words = {"count": str(unlisted), "count_en": counted(unlisted, "more error")}
        flaws.append(Flaw(catalogue.MORE_IN_TABLE, table.path, table.words | words, difference=str(unlisted)))


def _place(table: Table, number: int, column: Column) -> tuple[str, dict[str, str]]:
    """The JSON Pointer of a cell, and its words; people count rows from 1."""
    where = {
        "subject": f"Bảng {table.words['code']}, dòng {number + 1}, cột {column.words['name']}",
        "subject_en": f"Table {table.words['code']}, row {number + 1}, column {column.words['name_en']}",
    }
    return f"{table.path}/{number}{pointer(column.code)}", column.words | where


def _takes(column: Column, text: str, severities: Mapping[str, Severity]) -> bool:
    """Whether a value that did not fit at first sight is in order all the same, or nothing that returns the report."""
    if column.figure is not None:
        value = plainly(text)
        return value is not None and column.figure.takes(value.value, value.fraction_digits)
    if column.type != "text" or len(trimmed(text)) > column.max_characters:
        return False
    return not (column.required and is_placeholder(text)) or severities[catalogue.PLACEHOLDER.code] != "error"


def _check_cell(
    table: Table, number: int, column: Column, text: str, flaws: list[Flaw], severities: Mapping[str, Severity]
) -> None:
    path, words = _place(table, number, column)
    if column.figure is not None:
        figures.check(replace(column.figure, path=path, words=words), text, flaws, demanded=False)
        return
    match column.type:
        case "text" if column.required and is_placeholder(text):
            severity = severities[catalogue.PLACEHOLDER.code]
            flaws.append(Flaw(catalogue.PLACEHOLDER, path, words, provided=shown(text, 60), severity=severity))
        case "text":
            surplus = len(trimmed(text)) - column.max_characters
            if surplus > 0:
                limit = column.max_characters
                flaws.append(
                    Flaw(
                        catalogue.TEXT_TOO_LONG, path, words | {"limit": str(limit)}, str(limit + surplus),
                        f"<= {limit}", str(surplus),
                    )
                )  # fmt: skip
        case "date":
            flaws.append(_no_day(path, words, text))
        case _:
            flaws.append(_no_choice(column, path, words, text))


def _no_day(path: str, words: dict[str, str], text: str) -> Flaw:
    meant = _day_first(text.strip())
    hint, hint_en = (
        ("Viết năm, tháng, ngày, ví dụ 2026-03-31.", "Write year, month and day, such as 2026-03-31.")
        if meant is None
        else (f"Viết {meant} nếu ý là ngày {text.strip()}.", f"Write {meant} if you mean {text.strip()} (day first).")
    )
    return Flaw(catalogue.NOT_A_DAY, path, words | {"hint": hint, "hint_en": hint_en}, shown(text, 60), meant)


def _day_first(text: str) -> str | None:
    """31/3/2026 as 2026-03-31: how dates are written by hand here."""
    for mark in _BY_HAND:
        parts = text.split(mark)
        if len(parts) == 3 and len(text) <= 10 and all(part.isascii() and part.isdigit() for part in parts):
            day, month, year = map(int, parts)
            try:
                meant = date(year, month, day).isoformat()
            except ValueError:
                return None
            return meant if is_day(meant) else None
    return None


def _no_choice(column: Column, path: str, words: dict[str, str], text: str) -> Flaw:
    folded = trimmed(text).casefold()
    meant = next((choice for choice in column.choices if choice.casefold() == folded), None)
    named = column.choices[:_SHOWN_CHOICES] if meant is None else (meant,)
    choices = "; ".join(f"“{shown(choice, 60)}”" for choice in named)
    if meant is None and len(column.choices) > _SHOWN_CHOICES:
        choices += "; …"
    return Flaw(catalogue.NOT_A_CHOICE, path, words | {"choices": choices}, shown(text, 60), meant)


def _check_columns(table: Table, rows: Sequence[Row], flaws: list[Flaw]) -> None:
    """Columns that the table does not have: each once, at the first row that has it."""
    first: dict[str, int] = {}
    times: dict[str, int] = {}
    for number, row in enumerate(rows):
        if not row.keys() <= table.column_codes:
            for code in row.keys() - table.column_codes:
                first.setdefault(code, number)
                times[code] = times.get(code, 0) + 1
    columns = ", ".join(column.code for column in table.columns)
    for code in sorted(first, key=lambda code: (first[code], code))[:LISTED_COLUMNS]:
        words = {
            "column": shown(code, 60),
            "rows": str(times[code]),
            "rows_en": counted(times[code], "row"),
            "columns": shown(columns, 400),
        }
        path = f"{table.path}/{first[code]}{pointer(code)}"
        flaws.append(Flaw(catalogue.UNKNOWN_COLUMN, path, table.words | words, provided=shown(code)))
