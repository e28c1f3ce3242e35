"""Spreadsheets as files: text stays text, numbers are numbers, moments are Vietnam's time."""

from __future__ import annotations

import io
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

import xlsxwriter

from shared.runtime.clock import LOCAL_ZONE

Cell = str | int | Decimal | datetime | None
#: widths in characters
_WIDE, _NARROW, _A4 = 44, 16, 9


@dataclass(frozen=True, slots=True)
class Sheet:
    """One sheet: a note above the heads of its columns, then its rows. wide: columns that hold names."""

    name: str
    note: str
    heads: Sequence[str]
    rows: Iterable[Sequence[Cell]]
    wide: frozenset[int] = frozenset({1})


def workbook(sheets: Sequence[Sheet]) -> bytes:
    """The XLSX file, in memory that does not grow with its rows. A text that begins with = is no formula."""
    out = io.BytesIO()
    book = xlsxwriter.Workbook(
        out,
        {
            "constant_memory": True,
            "strings_to_formulas": False,
            "strings_to_urls": False,
            "strings_to_numbers": False,
            "default_date_format": "hh:mm dd/mm/yyyy",
        },
    )
    bold = book.add_format({"bold": True, "text_wrap": True, "valign": "top"})
    for given in sheets:
        sheet = book.add_worksheet(given.name)
        for column in range(len(given.heads)):
            sheet.set_column(column, column, _WIDE if column in given.wide else _NARROW)
        sheet.freeze_panes(2, 2)
        sheet.set_landscape()
        sheet.set_paper(_A4)
        sheet.fit_to_pages(1, 0)
        sheet.repeat_rows(1)
        sheet.write_string(0, 0, given.note)
        sheet.write_row(1, 0, given.heads, bold)
        for place, row in enumerate(given.rows, 2):
            sheet.write_row(place, 0, [_written(cell) for cell in row])
    book.close()
    return out.getvalue()


def _written(cell: Cell) -> str | int | Decimal | datetime | None:
    return cell.astimezone(LOCAL_ZONE).replace(tzinfo=None) if isinstance(cell, datetime) else cell
