"""The report about a period as files: PDF, DOCX, XLSX. What takes long runs beside the pages."""

from __future__ import annotations

import asyncio
import io
import sys
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import msgspec
from docxtpl import DocxTemplate
from jinja2.sandbox import SandboxedEnvironment

from services.board.pages.words import STATES
from services.board.periods.figures import Count, Figures, Item
from services.board.workbook import Cell, Sheet, workbook
from shared.telemetry.logging import get_logger
from shared.web.errors import unavailable

log = get_logger()

WORD_TEMPLATE = Path(__file__).with_name("report.docx")
#: what sets a PDF, for this Python
SETTER = ("-m", "services.board.periods.typeset")
#: reports set at once in one instance, how many may wait, and how long one takes at most
AT_ONCE, MOST_WAITING, DEADLINE_SECONDS = 1, 20, 45.0

_HEADS: Mapping[str, Sequence[str]] = {
    "vi": ("Phải nộp", "Đúng hạn", "Chậm", "Còn thiếu", "Còn hạn", "Bị trả lại", "Đang kiểm tra"),
    "en": ("Owed", "On time", "Late", "Missing", "In time still", "Returned", "Being checked"),
}
_COUNTS = ("owed", "on_time", "late", "missing", "not_due", "returned", "awaiting")
_ITEM_HEADS: Mapping[str, Sequence[str]] = {
    "vi": ("Mã cơ quan", "Cơ quan", "Mã chế độ", "Báo cáo", "Hạn nộp", "Số ngày chậm", "Tình trạng", "Số lần nhắc"),
    "en": ("Agency code", "Agency", "Regime code", "Report", "Deadline", "Days late", "State", "Reminders"),
}
_NAMES = {"vi": ("Mã", "Tên"), "en": ("Code", "Name")}
_SHEETS = {
    "vi": ("Theo chế độ", "Theo cơ quan", "Còn thiếu", "Gửi chậm"),
    "en": ("By regime", "By agency", "Missing", "Late"),
}


class Press:
    """Makes the files, a few at once; who comes while many wait is asked to come again."""

    def __init__(self) -> None:
        self._turn = asyncio.Semaphore(AT_ONCE)
        self._waiting = 0

    async def pdf(self, document: Mapping[str, Any]) -> bytes:
        """The report, set by a process of its own. Raises a 503 problem where it cannot be had now."""
        return await self._in_turn(_typeset(msgspec.json.encode(document)))

    async def docx(self, document: Mapping[str, Any]) -> bytes:
        """The report, to be edited."""
        return await self._in_turn(asyncio.to_thread(word, document))

    async def xlsx(self, figures: Figures, note: str, language: str) -> bytes:
        """All that the figures say, as numbers."""
        return await self._in_turn(asyncio.to_thread(spreadsheet, figures, note, language))

    async def _in_turn(self, work: Any) -> bytes:
        if self._waiting >= MOST_WAITING:
            work.close()
            raise unavailable(5)
        self._waiting += 1
        try:
            async with self._turn:
                made: bytes = await work
                return made
        finally:
            self._waiting -= 1


async def _typeset(document: bytes) -> bytes:
    process = await asyncio.create_subprocess_exec(
        sys.executable, *SETTER,
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    try:
        async with asyncio.timeout(DEADLINE_SECONDS):
            made, said = await process.communicate(document)
    except TimeoutError:
        log.warning("Setting a report took too long.", action="periods.typeset_slow", seconds=DEADLINE_SECONDS)
        raise unavailable(30) from None
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    if process.returncode:
        why = said.decode("utf-8", "replace")[-2000:]
        raise RuntimeError(f"the typesetter ended with {process.returncode}: {why}")
    return made


def word(document: Mapping[str, Any]) -> bytes:
    """The report as a Word file."""
    template = DocxTemplate(str(WORD_TEMPLATE))
    # escaped: a name with < or & would break the file
    template.render(document, jinja_env=SandboxedEnvironment(autoescape=True), autoescape=True)
    out = io.BytesIO()
    template.save(out)
    return out.getvalue()


def spreadsheet(figures: Figures, note: str, language: str) -> bytes:
    """All that the figures say: four sheets."""
    english = language == "en"
    by_regime, by_agency, missing, late = _SHEETS[language]
    regimes = [(one.code, one.name_en if english else one.name, one.count) for one in figures.regimes]
    agencies = [(one.code, one.name_en if english else one.name, one.count) for one in figures.agencies]
    total = ("", "Total" if english else "Tổng số", figures.total)
    heads = [*_NAMES[language], *_HEADS[language]]
    names, reports = {code: name for code, name, _ in agencies}, {code: name for code, name, _ in regimes}
    return workbook(
        [
            *(
                Sheet(name, note, heads, ((code, called, *_numbers(count)) for code, called, count in rows))
                for name, rows in ((by_regime, [*regimes, total]), (by_agency, agencies))
            ),
            *(
                Sheet(
                    name, note, _ITEM_HEADS[language], (_item(item, names, reports, english) for item in items),
                    frozenset({1, 3}),
                )
                for name, items in ((missing, figures.missing), (late, figures.late))
            ),
        ]
    )  # fmt: skip


def _numbers(count: Count) -> list[int]:
    return [getattr(count, name) for name in _COUNTS]


def _item(item: Item, agencies: Mapping[str, str], regimes: Mapping[str, str], english: bool) -> list[Cell]:
    return [
        item.agency, agencies.get(item.agency, item.agency), item.regime, regimes.get(item.regime, item.regime),
        datetime.fromisoformat(item.deadline), item.days_late, STATES[item.state][english], item.reminded,
    ]  # fmt: skip
