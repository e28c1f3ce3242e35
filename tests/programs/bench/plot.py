"""python -m tests.programs.bench.plot: the tables of docs/performance.md and docs/measurements, and docs/plots/*.svg.

Their sources are .local/bench.json and docs/plots/history.json. The performance page gets the twelve decisive rows;
the whole table goes to the page of measurements of that day.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from html import escape
from pathlib import Path
from typing import Any

from tests.programs.bench.table import OUTPUT, shown

PLOTS = Path("docs") / "plots"
HISTORY = PLOTS / "history.json"
PAGE = Path("docs") / "performance.md"
MEASUREMENTS = Path("docs") / "measurements"
#: the rows of docs/performance.md, by how their measure begins, in the page's order
DECIDING = (
    "Nhận bền vững qua HTTP / durable accepts, 256",
    "so với hằng số / of the constant app, 256",
    "Từ nhận đến chấm điểm / end to end, 256",
    "so với sàn / of the floor",
    "so với thông thường / over conventional",
    "POST → điểm / to scored, p99",
    "Sau khi broker mất / drain",
    "CPU Python mỗi bản",
    "Bộ nhớ cao nhất / peak memory, intake",
    "Với ",
    "Láng giềng / neighbour's p99 beside 40/s ?limit=1000",
)
BEGIN, END = "<!-- table: python -m tests.programs.bench.plot -->", "<!-- end of table -->"
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


def whole_table(document: Mapping[str, Any]) -> str:
    """Every row, and the machine under it: the table for docs/measurements."""
    lines = [
        "| measure | unit | ours | floor | conventional | limit | ratio | goal | met |",
        "|---|---|" + "---:|" * 5 + "---|---|",
    ]
    for row in document["rows"]:
        ratio = f"{shown(row['ratio'], 2)} of {row['ratio_to']}" if row["ratio"] is not None else "—"
        cells = [row["measure"].strip(), row["unit"], *_figures(row), ratio, row["goal"], _met(row)]
        lines.append(f"| {' | '.join(cells)} |")
    machine = [f"{name}: {value}" for name, value in document["machine"].items()]
    return "\n".join([*lines, "", *(f"- {text}" for text in machine)])


def deciding_table(document: Mapping[str, Any]) -> str:
    """The rows that decide: the table for docs/performance.md. A row that was not measured is left out."""
    lines = ["| measure | ours | floor | conventional | limit | goal | met |", "|---|" + "---:|" * 4 + "---|---|"]
    rows = document["rows"]
    chosen = [row for begins in DECIDING for row in rows if row["measure"].strip().startswith(begins)]
    for row in chosen:
        cells = [f"{row['measure'].strip()} ({row['unit']})", *_figures(row), row["goal"], _met(row)]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def _figures(row: Mapping[str, Any]) -> list[str]:
    return [shown(row[key]) for key in ("ours", "floor", "conventional", "limit")]


def _met(row: Mapping[str, Any]) -> str:
    return {True: "yes", False: "**no**", None: ""}[row["met"]]


def into_page(page: Path, text: str, begin: str = BEGIN, end: str = END) -> None:
    """Write the text between the page's marks."""
    if not page.exists():
        return
    before, found, rest = page.read_text("utf-8").partition(begin)
    _, ended, after = rest.partition(end)
    if found and ended:
        page.write_text(f"{before}{begin}\n{text}\n{end}{after}", encoding="utf-8")


def measured_on(bench: Path, document: Mapping[str, Any]) -> str:
    """The day of a run, as YYYY-MM-DD."""
    told = document["machine"].get("date")
    return str(told) if told else datetime.fromtimestamp(bench.stat().st_mtime, UTC).date().isoformat()


def write_tables(bench: Path, page: Path = PAGE, measurements: Path = MEASUREMENTS) -> Path:
    """Put the deciding rows into the page, and the whole table into the measurements of its day; returns the latter."""
    document = json.loads(bench.read_text("utf-8"))
    day = measured_on(bench, document)
    whole = measurements / f"{day}-benchmark.md"
    if not whole.exists():
        measurements.mkdir(parents=True, exist_ok=True)
        whole.write_text(f"# Đo tốc độ {day} / Benchmark of {day}\n\n{BEGIN}\n{END}\n", encoding="utf-8")
    into_page(whole, whole_table(document))
    link = f"Bảng đầy đủ / the whole table: [{day}]({measurements.name}/{whole.name})."
    into_page(page, f"{deciding_table(document)}\n\n{link}")
    return whole


def main() -> int:
    """Write the pages and plots for which there is data."""
    PLOTS.mkdir(parents=True, exist_ok=True)
    if OUTPUT.exists():
        write_tables(OUTPUT)
        (PLOTS / "comparison.svg").write_text(comparison(json.loads(OUTPUT.read_text("utf-8"))), encoding="utf-8")
    if HISTORY.exists():
        (PLOTS / "history.svg").write_text(history(json.loads(HISTORY.read_text("utf-8"))), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
