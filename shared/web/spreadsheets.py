"""Text in CSV that a spreadsheet opens without running anything in it. Pure."""

from __future__ import annotations

import re

#: without it spreadsheets read UTF-8 in the machine's own code page
BYTE_ORDER_MARK = "\ufeff"

#: what makes a spreadsheet take a cell for a formula (OWASP, CSV injection). A cell begins after a semicolon or a tab
#: too: where the comma is the decimal sign, as in Vietnam, a spreadsheet separates columns by semicolons
#: white space is looked at once, from its first: begun again at each tab of many, it costs their square
_FORMULA = re.compile(r"(?P<before>^|;|(?<![\s\ufeff]))(?P<space>[\s\ufeff]*+)(?=[=+\-@＝＋－＠])")
_BEGINS_CELL = re.compile(r"[\t\r\n]")
_BEGINS_OUTSIDE = re.compile(r"\s*[\t\r\n]")


def inert(cell: str) -> str:
    """The text, with an apostrophe before what a spreadsheet would compute."""
    marked = _FORMULA.sub(_marked, cell)
    return f"'{marked}" if _BEGINS_OUTSIDE.match(marked) else marked


def _marked(found: re.Match[str]) -> str:
    before = found["before"]
    begins = bool(before) or not found.start()
    return before + ("'" if begins else "") + _BEGINS_CELL.sub(r"\g<0>'", found["space"])
