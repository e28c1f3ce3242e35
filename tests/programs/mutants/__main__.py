"""python -m tests.programs.mutants: change the pure rooms, ask the unit tests. Goes on where it was interrupted.

ONLY=services/notifier (a path's beginning) or a room's name; SAMPLE=400 asks so many, chosen by SEED=7; FRESH=1 forgets
all answers. Ends with 0 only if each room's tests notice at least nine in ten.
"""

from __future__ import annotations

import os
import random
import sys

from tests.programs.mutants import engine
from tests.programs.mutants.engine import WORK, Mutant
from tests.programs.mutants.report import figures, outdated, read_reasons, survivors_text, table
from tests.programs.mutants.rooms import GROUPS, Group, Room


def main() -> int:
    """Ask, then report; the exit code."""
    only, sample = os.environ.get("ONLY", ""), int(os.environ.get("SAMPLE", "0"))
    seed, fresh = int(os.environ.get("SEED", "7")), os.environ.get("FRESH") == "1"
    chosen = [group for group in GROUPS if any(_is_chosen(file, group, only) for file in group.files)]
    if not chosen:
        print(f"ONLY={only}: no such room or file; rooms: {', '.join(r.name for g in GROUPS for r in g.rooms)}")
        return 2
    for group in chosen:
        engine.prepare(group, fresh=fresh)
    made = {group: [m for m in engine.mutants(group) if _is_chosen(m.file, group, only)] for group in chosen}
    asked = _sample([mutant.key for found in made.values() for mutant in found], sample, seed)
    for group, found in made.items():
        keys = {mutant.key for mutant in found} & asked
        waiting = sum(mutant.status is None for mutant in found if mutant.key in keys)
        print(f"{group.name}: {len(keys):,} of {len(found):,} mutants, {waiting:,} without an answer", flush=True)
        if waiting and engine.run(group, keys, lambda count: print(f"{count:>7,}", flush=True)) != 0:
            print(f"{group.name}: the tests fail without any mutant, or were interrupted")
            return 1
    return _report([mutant for group in chosen for mutant in engine.mutants(group)], asked, chosen)


def _report(every: list[Mutant], asked: set[str], chosen: list[Group]) -> int:
    reasons = read_reasons()
    answered = [mutant for mutant in every if mutant.key in asked]
    rows = [figures(room, answered, reasons) for group in chosen for room in group.rooms if _is_asked(room, answered)]
    listed = WORK / "survivors.yaml"
    listed.write_text(survivors_text(answered, reasons), encoding="utf-8")
    print(f"\n{table(rows)}\nsurvivors without a reason: {listed.relative_to(WORK.parents[1])}")
    for file, function, was, becomes in outdated(every, reasons):
        print(f"its reason may go, no such mutant survives: {file} {function}: {was} → {becomes}")
    return 0 if all(row.ok for row in rows) else 1


def _is_chosen(file: str, group: Group, only: str) -> bool:
    return file.startswith(only) or any(room.name.startswith(only) and file in room.files for room in group.rooms)


def _is_asked(room: Room, answered: list[Mutant]) -> bool:
    return any(mutant.file in room.files for mutant in answered)


def _sample(keys: list[str], size: int, seed: int) -> set[str]:
    return set(random.Random(seed).sample(keys, min(size, len(keys))) if size else keys)


if __name__ == "__main__":
    sys.exit(main())
