"""python -m tests.programs.bench.compare TREE …: what a submission costs each service in other checkouts, in turns.

Every tree has a system of its own on one PostgreSQL and one Kafka; only one of them runs at a time. A round sends first
reports to intake alone, then has each consumer alone drain them, in full batches. Figures are microseconds of CPU a
submission, the median of the rounds: they hardly depend on what else the machine does, as rates would. `floor` among
the trees is the floor of this tree. AGENCIES, PERIODS, ROUNDS, SECONDS_A_ROUND (of sending) change the plan.
"""

from __future__ import annotations

import os
import statistics
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from deploy.local import Stack
from tests.programs.bench import rounds
from tests.programs.bench.__main__ import directory, say
from tests.programs.bench.load import Load, require
from tests.programs.bench.province import Province
from tests.programs.bench.results import WIDE
from tests.programs.bench.systems import System, infrastructure, set_up_ours, wait_generated, wait_until
from tests.programs.bench.usage import cpu_seconds

FLOOR = "floor"
ACCEPTS = "intake, accepting"


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
    province = Province.of(int(os.environ.get("AGENCIES", "4000")), int(os.environ.get("PERIODS", "20")))
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


def one_round(system: System, infra: Stack, seconds: float) -> dict[str, tuple[float, float]]:
    """Microseconds of CPU a submission by part: of the service, and of its sessions of PostgreSQL."""
    rounds.accepts(system, WIDE, 1)
    before, spent = system.stored(), cpu_seconds(infra, system.stack)
    sent = system.load.send(system.submit_url, WIDE, seconds)
    wait_until(lambda: system.outbox_rows("intake") == 0, 300)
    after, submissions = cpu_seconds(infra, system.stack), system.stored() - before
    assert submissions >= sent.accepted
    found = {
        ACCEPTS: (
            1e6 * (after["intake"] - spent["intake"]) / submissions,
            1e6 * (after["intake postgres"] - spent["intake postgres"]) / submissions,
        )
    }
    backlog = rounds.consumer_rates(system, infra, submissions, 10, lambda text: None)
    system.none()
    return found | {name: (1000 * one.cpu_ms, 1000 * one.database_cpu_ms) for name, one in backlog.items()}


def table(trees: Sequence[str], found: Sequence[Sequence[dict[str, tuple[float, float]]]]) -> str:
    """One line a part, two columns a tree: Python and PostgreSQL."""
    lines = [f"{'':20}" + "".join(f"{Path(tree).name:>18}" for tree in trees)]
    parts = list(found[0][0])
    middle = [
        {part: [statistics.median(one[part][of] for one in of_tree) for of in (0, 1)] for part in parts}
        for of_tree in found
    ]
    for part in parts:
        lines.append(f"{part:20}" + "".join(f"{of[part][0]:9.1f} +{of[part][1]:7.1f}" for of in middle))
    sums = [[sum(of[part][which] for part in parts) for which in (0, 1)] for of in middle]
    lines.append(f"{'sum':20}" + "".join(f"{python:9.1f} +{database:7.1f}" for python, database in sums))
    return "\n".join(lines)


def main(trees: Sequence[str]) -> None:
    require()
    seconds = float(os.environ.get("SECONDS_A_ROUND", "6"))
    with directory() as place, infrastructure(place / "infra", lambda text: None) as infra:
        systems = set_up(trees, infra, place)
        try:
            found: list[list[dict[str, tuple[float, float]]]] = [[] for _ in trees]
            for number in range(int(os.environ.get("ROUNDS", "3"))):
                for at in range(len(trees)) if number % 2 == 0 else reversed(range(len(trees))):
                    found[at].append(one_round(systems[at], infra, seconds))
                print(table(trees, found), flush=True)
        finally:
            for system in systems:
                system.load.abort()
                system.stack.stop()


if __name__ == "__main__":
    main(sys.argv[1:])
