"""The table: each measure beside floor, conventional build and limit; a missed goal stays, with its reason."""

from __future__ import annotations

import json
import math
import os
import platform
import subprocess
import textwrap
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import psutil

from deploy.local.jars import find_java
from deploy.local.options import ROOT
from deploy.local.postgres import find_binaries
from tests.programs.bench.systems import POSTGRES_SETTINGS

OUTPUT = Path(os.environ.get("BENCH_OUT") or ROOT / ".local" / "bench.json")


#: the machine's other load
LOAD = "load average at start (1, 5, 15 min)"


@dataclass
class Row:
    """A measure. `ratio` divides ours by what `ratio_to` names; None where a column does not apply."""

    measure: str
    unit: str
    ours: float | None = None
    floor: float | None = None
    conventional: float | None = None
    limit: float | None = None
    ratio: float | None = None
    ratio_to: str = ""
    goal: str = ""
    met: bool | None = None
    note: str = ""


@dataclass
class Table:
    """The measures of a run, and its machine."""

    mode: str
    machine: dict[str, str] = field(default_factory=dict)
    rows: list[Row] = field(default_factory=list)
    series: dict[str, Any] = field(default_factory=dict)  # what plots are made of
    trouble: list[str] = field(default_factory=list)

    def add(self, row: Row) -> Row:
        for name in ("ours", "floor", "conventional", "limit", "ratio"):
            value = getattr(row, name)
            if value is not None and not math.isfinite(value):
                setattr(row, name, None)
        self.rows.append(row)
        return row

    @classmethod
    def load(cls, path: Path = OUTPUT) -> Table:
        """The last table. Raises OSError where there is none."""
        document = json.loads(path.read_text("utf-8"))
        document["rows"] = [Row(**row) for row in document["rows"]]
        return cls(**document)

    @classmethod
    def load_if_there(cls, path: Path = OUTPUT) -> Table | None:
        """The last table, or None before the first run."""
        try:
            return cls.load(path)
        except FileNotFoundError:
            return None

    def replace(self, rows: list[Row]) -> None:
        """Replace the rows of the same names; append the others."""
        places = {row.measure: place for place, row in enumerate(self.rows)}
        for row in rows:
            if row.measure in places:
                self.rows[places[row.measure]] = row
            else:
                self.rows.append(row)

    def save(self, path: Path = OUTPUT) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        document = {
            "mode": self.mode,
            "machine": self.machine,
            "rows": [asdict(row) for row in self.rows],
            "series": self.series,
            "trouble": self.trouble,
        }
        fresh = path.with_suffix(".new")
        fresh.write_text(json.dumps(document, ensure_ascii=False, indent=1), encoding="utf-8")
        fresh.replace(path)

    def text(self) -> str:
        """The table for a terminal of 80 columns: each measure on a line, its figures on the next, nothing cut off."""
        head = ["ours", "floor", "conventional", "limit", "goal", "met"]
        body = [
            [*(shown(v) for v in (row.ours, row.floor, row.conventional, row.limit)), row.goal,
             {True: "yes", False: "NO", None: ""}[row.met]]
            for row in self.rows
        ]  # fmt: skip
        widths = [max(len(line[column]) for line in [head, *body]) for column in range(len(head))]

        def figures(line: list[str], ratio: str) -> str:
            cells = [
                cell.rjust(width) if column < 4 else cell.ljust(width)
                for column, (cell, width) in enumerate(zip(line, widths, strict=True))
            ]
            return ("    " + "  ".join(cells) + (f"  {ratio}" if ratio else "")).rstrip()

        lines = [figures(head, "ratio")]
        for row, line in zip(self.rows, body, strict=True):
            lines += _wrapped(f"{row.measure.strip()} ({row.unit})", "", "  ")
            lines.append(figures(line, f"{shown(row.ratio, 2)} of {row.ratio_to}" if row.ratio is not None else ""))
        notes = [line for row in self.rows if row.note for line in _wrapped(f"{row.measure.strip()}: {row.note}")]
        machine = [line for name, value in self.machine.items() for line in _wrapped(f"{name}: {value}")]
        trouble = [line for text in self.trouble for line in _wrapped(f"! {text}")]
        return "\n".join([*lines, "", "Ghi chú / notes:", *notes, *trouble, "", "Máy / machine:", *machine])


def _wrapped(text: str, first: str = "  ", rest: str = "    ") -> list[str]:
    """Lines of at most 80 columns; words stay whole."""
    return textwrap.wrap(
        text, 80, initial_indent=first, subsequent_indent=rest, break_long_words=False, break_on_hyphens=False
    )


def shown(value: float | None, digits: int | None = None) -> str:
    """A figure as a table shows it."""
    if value is None:
        return "—"
    if digits is None:
        digits = 0 if abs(value) >= 100 else 1 if abs(value) >= 10 else 3
    return f"{value:,.{digits}f}"


def machine() -> dict[str, str]:
    """Describe what the figures depend on."""
    cpu = next(
        (
            line.partition(":")[2].strip()
            for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
            if line.startswith("model name")
        ),
        platform.processor(),
    )
    postgres = subprocess.run(
        [find_binaries() / "postgres", "--version"], capture_output=True, text=True, check=True
    ).stdout.strip()
    packages = ("uvicorn", "fastapi", "aiokafka", "faststream", "SQLAlchemy", "asyncpg", "pydantic", "msgspec")
    load = ", ".join(f"{value:.1f}" for value in os.getloadavg())
    return {
        "date": datetime.now(UTC).date().isoformat(),
        "cpu": f"{os.cpu_count()} × {cpu}",
        "memory": f"{psutil.virtual_memory().total / 1024**3:.0f} GiB",
        "system": f"{platform.system()} {platform.release()}, Python {platform.python_version()}",
        "postgres": f"{postgres}, fsync on, shared_buffers {POSTGRES_SETTINGS['shared_buffers']}",
        "java": find_java()[1].splitlines()[0],
        "packages": ", ".join(f"{name} {version(name)}" for name in packages),
        LOAD: load,
    }
