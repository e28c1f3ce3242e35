"""python -m tests.programs.faults: the fault matrix. ROWS=1,5 runs some, SEED=7 repeats; writes .local/faults.json."""

from __future__ import annotations

import argparse
import json
import os
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from importlib import import_module
from pathlib import Path

from tests.programs.faults.ground import Ground
from tests.programs.faults.invariants import CHECKS, SHOWN
from tests.programs.faults.matrix import ROWS, Result, order, run_row

ROOT = Path(__file__).resolve().parents[3]


def load_rows() -> None:
    """Import every rows_*.py of this folder: they register themselves."""
    for path in sorted(Path(__file__).parent.glob("rows_*.py")):
        import_module(f"tests.programs.faults.{path.stem}")


def mark(result: Result) -> str:
    """One word for the table."""
    if result.expected_failure:
        return "fails, as expected" if not result.passed else "PASSES UNEXPECTEDLY"
    if not result.passed:
        return "FAILED"
    if result.control_red is None:
        return "holds"
    return "holds, control red" if result.control_red else "NO CONTROL"


def show(result: Result) -> None:
    """The row of the table, and under it what was found wrong."""
    figures = ", ".join(f"{name} {value}" for name, value in result.figures.items())
    controls = "; ".join(f"{control}: {' '.join(names)}" for control, names in result.reds.items())
    print(f"{result.number:>3}  {mark(result):<19} {' '.join(result.invariants):<18} {result.fault}")
    print(f"     {result.seconds:.0f} s; {figures}")
    print(f"     red in controls: {controls or 'none of its own'}")
    if elsewhere := result.document()["control_elsewhere"]:
        told = "; ".join(f"{name}: row {', '.join(rows) or 'NONE'}" for name, rows in elsewhere.items())
        print(f"     controls of other rows: {told}")
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
    parser = argparse.ArgumentParser(prog="python -m tests.programs.faults")
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
    red = show_controls(results)
    lacking = [name for name in CHECKS if not red.get(name)] if set(wanted) == set(ROWS) else []
    minutes = (time.monotonic() - began) / 60
    print(f"{len(results)} rows in {minutes:.1f} minutes; not as they should be: {', '.join(bad) or 'none'}")
    if lacking:
        print(f"NO CONTROL turned red: {', '.join(lacking)}")
    return 1 if bad or lacking else 0


def show_controls(results: Sequence[Result]) -> dict[str, list[str]]:
    """For each invariant the runs without a protection that turned it red; printed, and returned for the verdict."""
    red: dict[str, list[str]] = {}
    for result in results:
        for control, names in result.reds.items():
            for name in names:
                red.setdefault(name, []).append(f"{control} (row {result.number})")
    print("\nred without a protection:")
    for name in CHECKS:
        print(f"     {name}: {', '.join(red.get(name, ())) or 'nothing in this run'}")
    return red


def this_build() -> str:
    """The commit, and whether the tree differs from it; "unknown" where there is no git."""
    done = subprocess.run(
        ["git", "describe", "--always", "--dirty"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    return done.stdout.strip() or "unknown"


def end_in_order() -> None:
    """Let SIGTERM end the run as Ctrl-C does: stop all children and remove the folder."""

    def end(number: int, frame: object) -> None:
        raise SystemExit(128 + number)

    signal.signal(signal.SIGTERM, end)


def write(path: Path, results: Sequence[Result]) -> None:
    """The rows run so far replace those of their number in the file; others stay, marked where they are not of this
    build or seed: they say nothing of the code that was run now.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    kept: dict[str, dict[str, object]] = {}
    if path.exists():
        try:
            kept = {row["fault"].partition(" ")[0]: row for row in json.loads(path.read_text("utf-8"))["rows"]}
        except (ValueError, KeyError):
            kept = {}
    build, seed = this_build(), results[0].seed if results else 0
    kept |= {result.number: {**result.document(), "build": build} for result in results}
    rows = [_marked(kept[number], build, seed) for number in sorted(kept, key=order) if number in ROWS]
    fresh = path.with_suffix(".new")
    fresh.write_text(json.dumps({"rows": rows}, ensure_ascii=False, indent=1), encoding="utf-8")
    fresh.replace(path)


def _marked(document: Mapping[str, object], build: str, seed: int) -> dict[str, object]:
    same = document.get("build") == build and document.get("seed") == seed
    return {**document, "of_this_run": same}


if __name__ == "__main__":
    end_in_order()
    raise SystemExit(main())
