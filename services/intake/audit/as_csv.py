"""Writes entries of the audit trail as CSV (RFC 4180) that a spreadsheet opens without running anything in it."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Iterable

from services.intake.audit.queries import AuditEntry
from shared.runtime.clock import LOCAL_ZONE

#: without it spreadsheets read UTF-8 in the machine's own code page
BYTE_ORDER_MARK = "\ufeff"
COLUMNS = ("audit_id", "at", "by", "via", "action", "kind", "key", "before", "after", "why")

#: what makes a spreadsheet take a cell for a formula (OWASP, CSV injection). A cell begins after a semicolon or a tab
#: too: where the comma is the decimal sign, as in Vietnam, a spreadsheet separates columns by semicolons
#: white space is looked at once, from its first: begun again at each tab of many, it costs their square
_FORMULA = re.compile(r"(?P<before>^|;|(?<![\s\ufeff]))(?P<space>[\s\ufeff]*+)(?=[=+\-@＝＋－＠])")
_BEGINS_CELL = re.compile(r"[\t\r\n]")
_BEGINS_OUTSIDE = re.compile(r"\s*[\t\r\n]")


def header() -> str:
    return BYTE_ORDER_MARK + _line([COLUMNS])


def rows(entries: Iterable[AuditEntry]) -> str:
    return _line(
        [
            str(entry.audit_id),
            entry.at.astimezone(LOCAL_ZONE).isoformat(),
            *(inert(cell) for cell in (entry.by, entry.via, entry.action, entry.kind, entry.key)),
            _json(entry.before),
            _json(entry.after),
            inert(entry.why),
        ]
        for entry in entries
    )


def inert(cell: str) -> str:
    """The text, with an apostrophe before what a spreadsheet would compute."""
    marked = _FORMULA.sub(_marked, cell)
    return f"'{marked}" if _BEGINS_OUTSIDE.match(marked) else marked


def _marked(found: re.Match[str]) -> str:
    before = found["before"]
    begins = bool(before) or not found.start()
    return before + ("'" if begins else "") + _BEGINS_CELL.sub(r"\g<0>'", found["space"])


def _json(value: object) -> str:
    """The JSON text, with semicolons escaped: it stays the same value, in one cell."""
    return "" if value is None else json.dumps(value, ensure_ascii=False).replace(";", "\\u003b")


def _line(cells: Iterable[Iterable[str]]) -> str:
    written = io.StringIO()
    csv.writer(written).writerows(cells)
    return written.getvalue()
