"""python -m tests.bench.plot: docs/plots/*.svg from .local/bench.json and docs/plots/history.json, by hand."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from html import escape
from pathlib import Path
from typing import Any

from tests.bench.table import OUTPUT, shown

PLOTS = Path("docs") / "plots"
HISTORY = PLOTS / "history.json"
PAGE = Path("docs") / "performance.md"
BEGIN, END = "<!-- table: python -m tests.bench.plot -->", "<!-- end of table -->"
COLOURS = ("#1b6ca8", "#9aa5b1", "#d08770", "#5e8c61")
WIDTH, BAR, GAP, LEFT = 760, 20, 8, 260


def bars(title: str, unit: str, groups: Sequence[tuple[str, Sequence[tuple[str, float]]]]) -> str:
    """A horizontal bar chart: groups of (name, [(series, value)]). Values are written beside the bars."""
    series = list(dict.fromkeys(name for _, values in groups for name, _ in values))
    most = max((value for _, values in groups for _, value in values), default=1.0) or 1.0
    room = WIDTH - LEFT - 110
    parts: list[str] = []
    y = 70.0
    for name, values in groups:
        middle = y + len(values) * BAR / 2 + 4
        parts.append(f'<text x="{LEFT - 10}" y="{middle:.0f}" text-anchor="end">{escape(name)}</text>')
        for label, value in values:
            width = max(1.0, room * value / most)
            colour = COLOURS[series.index(label) % len(COLOURS)]
            parts.append(f'<rect x="{LEFT}" y="{y:.0f}" width="{width:.1f}" height="{BAR - 3}" fill="{colour}"/>')
            shown = f"{value:,.0f}" if value >= 100 else f"{value:,.3g}"
            parts.append(f'<text x="{LEFT + width + 6:.1f}" y="{y + BAR - 7:.0f}">{shown}</text>')
            y += BAR
        y += GAP
    legend = "".join(
        f'<rect x="{LEFT + place * 150}" y="38" width="12" height="12" fill="{COLOURS[place % len(COLOURS)]}"/>'
        f'<text x="{LEFT + place * 150 + 18}" y="49">{escape(label)}</text>'
        for place, label in enumerate(series)
    )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{y + 10:.0f}" role="img" '
        f'aria-label="{escape(title)}" font-family="sans-serif" font-size="12">'
        f'<rect width="100%" height="100%" fill="#ffffff"/>'
        f'<text x="16" y="24" font-size="15" font-weight="bold">{escape(title)} ({escape(unit)})</text>'
        f"{legend}{''.join(parts)}</svg>\n"
    )


def comparison(document: dict[str, Any]) -> str:
    """Throughput of the three systems, from a bench's rows."""
    groups = []
    for row in document["rows"]:
        if row["unit"] != "submissions/s" or row["ours"] is None or row["floor"] is None:
            continue
        name = row["measure"].partition(" / ")[2] or row["measure"]
        values = [(label, row[key]) for label, key in (("ours", "ours"), ("floor", "floor"),
                  ("conventional", "conventional")) if row[key] is not None]  # fmt: skip
        groups.append((name, values))
    return bars("Hệ thống này, sàn, bản thông thường / ours, floor, conventional", "submissions/s", groups)


def history(document: dict[str, Any]) -> str:
    """Before and after each improvement: [{"change": …, "before": …, "after": …}] in one unit."""
    groups = [
        (entry["change"], [("before", entry["before"]), ("after", entry["after"])]) for entry in document["entries"]
    ]
    return bars(document["title"], document["unit"], groups)


def markdown(document: dict[str, Any]) -> str:
    """The table for docs/performance.md."""
    lines = [
        "| measure | unit | ours | floor | conventional | limit | ratio | goal | met |",
        "|---|---|" + "---:|" * 5 + "---|---|",
    ]
    for row in document["rows"]:
        ratio = f"{shown(row['ratio'], 2)} of {row['ratio_to']}" if row["ratio"] is not None else "—"
        met = {True: "yes", False: "**no**", None: ""}[row["met"]]
        cells = [shown(row[key]) for key in ("ours", "floor", "conventional", "limit")]
        lines.append(f"| {' | '.join([row['measure'].strip(), row['unit'], *cells, ratio, row['goal'], met])} |")
    machine = [f"{name}: {value}" for name, value in document["machine"].items()]
    return "\n".join([*lines, "", *(f"- {text}" for text in machine)])


def into_page(page: Path, text: str, begin: str = BEGIN, end: str = END) -> None:
    """Put the text between the page's marks."""
    if not page.exists():
        return
    before, found, rest = page.read_text("utf-8").partition(begin)
    _, ended, after = rest.partition(end)
    if found and ended:
        page.write_text(f"{before}{begin}\n{text}\n{end}{after}", encoding="utf-8")


def main() -> int:
    """Write what there is data for."""
    PLOTS.mkdir(parents=True, exist_ok=True)
    if OUTPUT.exists():
        into_page(PAGE, markdown(json.loads(OUTPUT.read_text("utf-8"))))
        (PLOTS / "comparison.svg").write_text(comparison(json.loads(OUTPUT.read_text("utf-8"))), encoding="utf-8")
    if HISTORY.exists():
        (PLOTS / "history.svg").write_text(history(json.loads(HISTORY.read_text("utf-8"))), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
