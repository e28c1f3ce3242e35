"""`make help`: every target with its `##` text, in 80 columns; a `##>` line under a target is its English."""

from __future__ import annotations

import re
import sys
import textwrap
from pathlib import Path

COLUMNS = 80
INDENT = 16
MAKEFILE = Path(__file__).resolve().parents[1] / "Makefile"


def targets(makefile: str) -> list[tuple[str, str, str]]:
    """Name, Vietnamese text and English text of each target that has one, in the file's order."""
    return re.findall(r"^([a-z]+):[^#\n]*## (.*)\n(?:##> (.*)\n)?", makefile, re.M)


def help_text(makefile: str) -> str:
    """The list as a terminal shows it; no line is longer than 80 columns and nothing is cut off."""
    lines = []
    for name, vietnamese, english in targets(makefile):
        shown = wrapped(f"  make {name}".ljust(INDENT) + vietnamese)
        lines += shown + (wrapped(" " * INDENT + english) if english else [])
    return "\n".join(lines)


def wrapped(line: str) -> list[str]:
    return textwrap.wrap(
        line,
        COLUMNS,
        subsequent_indent=" " * INDENT,
        break_long_words=False,
        break_on_hyphens=False,
        drop_whitespace=True,
    )


if __name__ == "__main__":
    sys.stdout.reconfigure(encoding="utf-8")  # type: ignore[union-attr]
    print(help_text(MAKEFILE.read_text(encoding="utf-8")))
