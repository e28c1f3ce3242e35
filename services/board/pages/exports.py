"""The heat map as files: one row for each agency and period."""

from __future__ import annotations

import asyncio
import csv
import io
from collections.abc import Sequence
from datetime import datetime

from starlette.responses import Response

from services.board.pages import views, words
from services.board.pages.web import Visit
from services.board.readmodel import queries
from services.board.readmodel.queries import Line
from services.board.workbook import Cell, Sheet, workbook
from shared.runtime.clock import LOCAL_ZONE
from shared.web.errors import not_found
from shared.web.spreadsheets import BYTE_ORDER_MARK, inert

XLSX = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"


async def heat_map_csv(visit: Visit) -> Response:
    """The rows as CSV."""
    regime, lines = await _asked(visit)
    text = await asyncio.to_thread(_csv, lines, visit)  # of a nation a second's work, in which others are answered
    return _file(f"{regime}.csv", BYTE_ORDER_MARK + text, "text/csv; charset=utf-8")


async def heat_map_xlsx(visit: Visit) -> Response:
    """The rows as a spreadsheet, numbers as numbers."""
    regime, lines = await _asked(visit)
    english = visit.language == "en"
    note = f"{'As of' if english else 'Số liệu lúc'} {views.moment(visit.now, seconds=True)}"
    rows = (_row(line, visit) for line in lines)
    sheet = Sheet(regime[:31], note, words.CSV_HEADS[visit.language], rows, frozenset({1, 4}))
    return _file(f"{regime}.xlsx", await asyncio.to_thread(workbook, [sheet]), XLSX)


async def _asked(visit: Visit) -> tuple[str, Sequence[Line]]:
    """The regime and all its rows. Raises 404 where there are none: the page offers no file without rows."""
    regime = visit.request.query_params.get("regime", "")
    lines = await queries.all_cells(visit.snapshot, visit.view, regime, visit.now)
    if not lines:
        raise not_found("chế độ báo cáo này", "such regime")
    return regime, lines


def _file(name: str, content: str | bytes, kind: str) -> Response:
    headers = {
        "Content-Disposition": f'attachment; filename="{name}"',
        "Cache-Control": "no-store",
        "X-Content-Type-Options": "nosniff",
    }
    return Response(content, headers=headers, media_type=kind)


def _row(line: Line, visit: Visit) -> Sequence[Cell]:
    return (
        line.agency, visit.agency_name(line.agency), line.regime, line.period,
        views.name_of(line, visit.now)[visit.language == "en"], line.deadline, line.answer_received_at,
        views.days_late(line, visit.now), line.score,
    )  # fmt: skip


def _csv(lines: Sequence[Line], visit: Visit) -> str:
    out = io.StringIO()
    write = csv.writer(out, lineterminator="\r\n").writerow
    write(words.CSV_HEADS[visit.language])
    for line in lines:
        write([_text(cell) for cell in _row(line, visit)])
    return out.getvalue()


def _text(cell: Cell) -> str:
    """A cell that every spreadsheet reads as what it is; no text is a formula."""
    if isinstance(cell, datetime):
        return f"{cell.astimezone(LOCAL_ZONE):%Y-%m-%d %H:%M:%S}"
    if isinstance(cell, str):
        return inert(cell)
    return "" if cell is None else format(cell, "f" if not isinstance(cell, int) else "d")
