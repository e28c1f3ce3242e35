"""Measures a tree of a nation's size: `python -m tests.programs.measure_tree [AGENCIES]`, 100,000 by default.

Agencies in parents five deep, one regime that asks everybody below the top. Printed: what generating one period costs,
and what follows from a move of one parent, of which a tenth of all agencies stands below: that the move is heard, and
that all below are planned for again. Twice, with a quarter of the agencies first: what grows faster than they do shows.
Seconds are CPU of this process and of its PostgreSQL together, so neighbours on the machine do not count (Linux).
"""

from __future__ import annotations

import asyncio
import os
import sys
import tempfile
import time
from pathlib import Path

from sqlalchemy import text

from deploy.local import Options, Stack
from deploy.local.postgres import create_database
from shared.postgres.database import Database
from shared.postgres.migrations import migrate
from tests.integration.scoring.rig import Rig, agency, regime

TOP, DEPTH, WIDTH = "H99", 5, 10
#: records in one batch, as a consumer gets them
BATCH = 500


def parent_of(number: int, agencies: int) -> str:
    """Ten under the top, ten under each of these, and so on; the lowest are spread evenly."""
    if number < WIDTH:
        return TOP
    inner = sum(WIDTH**level for level in range(1, DEPTH))
    if number < inner:
        return f"H99.{(number - WIDTH) // WIDTH}"
    lowest_parents = WIDTH ** (DEPTH - 1)
    return f"H99.{inner - lowest_parents + number % lowest_parents}"


class Cpu:
    """CPU seconds since it was last asked, of this process and of all that one PostgreSQL server runs."""

    def __init__(self, folder: Path) -> None:
        (pid_file,) = folder.rglob("postmaster.pid")
        self._server = pid_file.read_text().split()[0]
        self._before = self._now()

    def spent(self) -> float:
        before, self._before = self._before, self._now()
        return self._before - before

    def _now(self) -> float:
        ticks = 0
        for file in Path("/proc").glob("[0-9]*/stat"):
            try:
                pid, _, rest = file.read_text().partition(" (")
            except OSError:
                continue  # it has ended
            fields = rest.rpartition(") ")[2].split()  # from the third on: state, parent, …
            if self._server in (pid, fields[1]):
                ticks += sum(map(int, fields[11:15] if pid == self._server else fields[11:13]))
        return time.process_time() + ticks / os.sysconf("SC_CLK_TCK")


async def generate(rig: Rig, database: Database) -> None:
    """Tick to the end. Statistics are renewed as the table doubles: in life autovacuum has a minute between ticks."""
    ticks, analyzed = 0, 4
    while True:
        async with database.transaction() as tx:
            if not await rig.generator.tick(tx):
                return
        ticks += 1
        if ticks >= analyzed:
            analyzed *= 2
            await analyze(database, "obligations")


async def analyze(database: Database, table: str = "") -> None:
    async with database.engine.connect() as connection:
        await (await connection.execution_options(isolation_level="AUTOCOMMIT")).execute(text(f"ANALYZE {table}"))


async def measure(url: str, agencies: int, cpu: Cpu) -> None:
    database = Database(url, pool_size=2, statement_timeout_seconds=600)
    try:
        rig = await Rig.ready(database)
        cpu.spent()
        await rig.registry(agency(TOP, kind="province"))
        for first in range(0, agencies, BATCH):
            numbers = range(first, min(agencies, first + BATCH))
            await rig.registry(*(agency(f"H99.{n}", parent=parent_of(n, agencies)) for n in numbers))
        loading = cpu.spent()
        await analyze(database)
        await rig.registry(regime(submitter_kinds=(), submitter_parents=(TOP,)))
        cpu.spent()
        await generate(rig, database)
        making = cpu.spent()
        owed = (await rig.rows("SELECT count(*) FROM obligations"))[0]["count"]
        print(
            f"{agencies} agencies, {DEPTH} deep: heard of in {loading:.1f} s; "
            f"{owed} obligations in {making:.1f} s, {making / max(owed, 1) * 1e6:.0f} us each",
            flush=True,
        )
        cpu.spent()
        await rig.registry(agency("H99.0", parent="H99.1", version=2))
        hearing = cpu.spent()
        await generate(rig, database)
        print(f"  a parent moves: heard of in {hearing:.2f} s, followed in {cpu.spent():.1f} s", flush=True)
    finally:
        await database.close()


def main() -> int:
    agencies = int(sys.argv[1]) if len(sys.argv) > 1 else 100_000
    with tempfile.TemporaryDirectory() as folder:
        options = Options(directory=Path(folder), services={}, infrastructure=frozenset({"postgres"}))
        with Stack(options) as stack:
            cpu = Cpu(Path(folder))
            for number, size in enumerate((agencies // 4, agencies)):
                url = create_database(stack.admin_database_url, f"measure{number}", password="test-only")
                migrate("scoring", url)
                asyncio.run(measure(url, size, cpu))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
