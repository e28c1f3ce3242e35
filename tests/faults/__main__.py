"""python -m tests.faults: the fault matrix. ROWS=1,5 runs some, SEED=7 repeats; writes .local/faults.json."""

from __future__ import annotations

import argparse
import json
import os
import secrets
import signal
import sys
import time
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path

from tests.faults.ground import Ground
from tests.faults.invariants import SHOWN
from tests.faults.matrix import ROWS, Result, order, run_row

ROOT = Path(__file__).resolve().parents[2]


def load_rows() -> None:
    """Import every rows_*.py of this folder: they register themselves."""
    for path in sorted(Path(__file__).parent.glob("rows_*.py")):
        import_module(f"tests.faults.{path.stem}")


def mark(result: Result) -> str:
    """One word for the table."""
    if result.expected_failure:
        return "fails, as expected" if not result.passed else "PASSES UNEXPECTEDLY"
    if not result.passed:
        return "FAILED"
    return "holds" if result.control_red else "NO CONTROL"


def show(result: Result) -> None:
    """The row of the table, and under it what was found wrong."""
    figures = ", ".join(f"{name} {value}" for name, value in result.figures.items())
    controls = "; ".join(f"{control}: {' '.join(names)}" for control, names in result.reds.items())
    print(f"{result.number:>3}  {mark(result):<19} {' '.join(result.invariants):<18} {result.fault}")
    print(f"     {result.seconds:.0f} s; {figures}")
    print(f"     red in controls: {controls or 'none'}")
    if result.expected_failure:
        print(f"     expected: {result.expected_failure}")
    for invariant, found in result.wrongs.items():
        for wrong in found[:SHOWN]:
            print(f"     {invariant}: {wrong}")
        if len(found) > SHOWN:
            print(f"     {invariant}: … and {len(found) - SHOWN} more")
    if result.error and not result.expected_failure:
        print("     " + result.error.replace("\n", "\n     "))
    sys.stdout.flush()


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.faults")
    parser.add_argument("--rows", default=os.environ.get("ROWS", ""), help="1,5,22")
    parser.add_argument("--seed", type=int, default=int(os.environ.get("SEED") or 0))
    parser.add_argument("--scale", type=float, default=float(os.environ.get("SCALE") or 1), help="of every load")
    parser.add_argument("--out", type=Path, default=ROOT / ".local" / "faults.json")
    asked = parser.parse_args(argv)
    load_rows()
    seed = asked.seed or secrets.randbelow(10**9) + 1
    wanted = [name.strip() for name in asked.rows.split(",") if name.strip()] or list(ROWS)
    unknown = [name for name in wanted if name not in ROWS]
    if unknown:
        parser.error(f"no such rows: {', '.join(unknown)}; there are {', '.join(sorted(ROWS, key=order))}")
    print(f"seed {seed} (SEED={seed} repeats it)", flush=True)
    began = time.monotonic()
    results: list[Result] = []
    with Ground() as ground:
        for name in sorted(wanted, key=order):
            results.append(run_row(ROWS[name], ground, seed, asked.scale))
            show(results[-1])
            write(asked.out, results)
    bad = [result.number for result in results if not result.as_it_should]
    minutes = (time.monotonic() - began) / 60
    print(f"{len(results)} rows in {minutes:.1f} minutes; not as they should be: {', '.join(bad) or 'none'}")
    return 1 if bad else 0


def end_in_order() -> None:
    """SIGTERM ends the run as Ctrl-C does: what was started is stopped and its folder removed."""

    def end(number: int, frame: object) -> None:
        raise SystemExit(128 + number)

    signal.signal(signal.SIGTERM, end)


def write(path: Path, results: Sequence[Result]) -> None:
    """The rows run so far replace those of their number in the file; the others stay."""
    path.parent.mkdir(parents=True, exist_ok=True)
    kept: dict[str, object] = {}
    if path.exists():
        try:
            kept = {each["fault"].partition(" ")[0]: each for each in json.loads(path.read_text("utf-8"))["rows"]}
        except (ValueError, KeyError):
            kept = {}
    kept |= {result.number: result.document() for result in results}
    rows = [kept[number] for number in sorted(kept, key=order)]
    fresh = path.with_suffix(".new")
    fresh.write_text(json.dumps({"rows": rows}, ensure_ascii=False, indent=1), encoding="utf-8")
    fresh.replace(path)


if __name__ == "__main__":
    end_in_order()
    raise SystemExit(main())
