"""python -m tests.programs.bench.compare TREE …: what a submission costs each service in other checkouts, in turns.

Every tree has a system of its own on one PostgreSQL and one Kafka; only one of them runs at a time, under first reports
that come at a fixed rate: so batches are about as large, whatever else the machine does, and the CPU of a submission
can be compared where rates cannot. Figures are microseconds of CPU a submission, the median of the rounds. `floor`
among the trees is the floor of this tree. RATE (a second), SECONDS_A_ROUND, ROUNDS, AGENCIES, PERIODS change the plan.
"""

from __future__ import annotations

import os
import statistics
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from deploy.local import Stack
from shared.contract.services import SERVICES
from tests.programs.bench import rounds
from tests.programs.bench.__main__ import directory, say
from tests.programs.bench.load import Load, require
from tests.programs.bench.province import Province
from tests.programs.bench.systems import System, infrastructure, set_up_ours, wait_generated

FLOOR = "floor"
CONNECTIONS = 64
PARTS = (*(f"{name}{of}" for name in SERVICES for of in ("", " postgres")), "postgres rest", "kafka")


def _of_tree(tree: Path, number: int, infra: Stack, place: Path, load_data: Path, floor_data: Path) -> System:
    """Our system as the checkout `tree` has it, in databases and topics of its own."""
    system = System.on("ours", infra, place, load_data, floor_data)
    options = replace(
        system.stack.options,
        directory=place / f"tree-{number}",
        topic_prefix=f"tree{number}.",
        database_prefix=f"tree{number}_",
        service_command=("env", "-C", str(tree), f"PYTHONPATH={tree}", "{python}", "-m", "services.{name}"),
    )
    return replace(system, stack=Stack(options), load=Load(load_data, f"tree{number}"))


def set_up(trees: Sequence[str], infra: Stack, place: Path) -> list[System]:
    """One system for each tree, with the registry, keys and open obligations."""
    province = Province.of(int(os.environ.get("AGENCIES", "2000")), int(os.environ.get("PERIODS", "10")))
    systems: list[System] = []
    keys: dict[str, str] = {}
    floor_data = place / "province.json"
    for number, tree in enumerate(trees):
        load_data = place / f"load-{number}.lua"
        if tree == FLOOR:
            system = System.on("floor", infra, place, load_data, floor_data)
        else:
            system = _of_tree(Path(tree).resolve(), number, infra, place, load_data, floor_data)
        system.stack.start()
        if tree != FLOOR:
            keys = set_up_ours(system, province, place / f"registry-{number}")
            system.all()
            wait_generated(system, len(province.agencies) * len(province.periods), lambda text: None)
        province.write_load(load_data, keys)
        province.write_floor(floor_data, keys)
        system.none()
        systems.append(system)
        say(f"{tree}: obligations are open")
    return systems


def one_round(system: System, infra: Stack, seconds: float, rate: float) -> dict[str, float]:
    """Microseconds of CPU a submission by part."""
    system.all()
    rounds.end_to_end(system, infra, CONNECTIONS, 2, rate)  # connections, caches
    rounds.settle(system)
    run = rounds.end_to_end(system, infra, CONNECTIONS, seconds, rate)
    system.none()
    if run.scored < run.sent.accepted:
        say(f"{system.name}: {run.sent.accepted} accepted, {run.scored} scored")
    return {part: run.cpu.get(part, 0.0) / run.sent.accepted * 1e6 for part in PARTS}


def table(trees: Sequence[str], found: Sequence[Sequence[dict[str, float]]]) -> str:
    """One line a part, one column a tree."""
    lines = [f"{'':20}" + "".join(f"{Path(tree).name:>12}" for tree in trees)]
    medians = [{part: statistics.median(one[part] for one in of_tree) for part in PARTS} for of_tree in found]
    for part in PARTS:
        lines.append(f"{part:20}" + "".join(f"{of[part]:12.1f}" for of in medians))
    lines.append(f"{'sum':20}" + "".join(f"{sum(of.values()):12.1f}" for of in medians))
    return "\n".join(lines)


def main(trees: Sequence[str]) -> None:
    require()
    seconds, rate = float(os.environ.get("SECONDS_A_ROUND", "8")), float(os.environ.get("RATE", "200"))
    with directory() as place, infrastructure(place / "infra", lambda text: None) as infra:
        systems = set_up(trees, infra, place)
        try:
            found: list[list[dict[str, float]]] = [[] for _ in trees]
            for number in range(int(os.environ.get("ROUNDS", "3"))):
                for at in range(len(trees)) if number % 2 == 0 else reversed(range(len(trees))):
                    found[at].append(one_round(systems[at], infra, seconds, rate))
                print(table(trees, found), flush=True)
        finally:
            for system in systems:
                system.load.abort()
                system.stack.stop()


if __name__ == "__main__":
    main(sys.argv[1:])
