"""Measures what recomputing costs: `python -m tests.programs.measure_recompute [ROWS]`, 200,000 by default.

Obligations as a year leaves them: most fulfilled, in time or late, some overdue, each with its lines in the ledger, on
a PostgreSQL of its own. CPU is that of the command's process.
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
from services.scoring.recomputing import recompute_command
from shared.postgres.database import Database
from shared.postgres.migrations import migrate
from tests.integration.scoring.rig import Rig, agency, key_of, local, regime
from tests.unit.scoring.samples import DEADLINE, verdict

NATION = 1_300_000
_OBLIGATIONS = text("""
    INSERT INTO obligations SELECT replace(obligation, CAST(:code AS text), 'H98.' || n), 'H98.' || n, regime, period,
           version, owed, standing, overdue, deadline, received_at, next_at, terms, document, opened_at
      FROM obligations, generate_series(CAST(:first AS int), CAST(:last AS int)) AS n WHERE obligation = :key
""")
_LINES = text("""
    INSERT INTO score_lines SELECT replace(obligation, CAST(:code AS text), 'H98.' || n), seq, line_id, component,
           clause, points, cause, cause_en, policy_version, event_id, created_at, reverses
      FROM score_lines, generate_series(CAST(:first AS int), CAST(:last AS int)) AS n WHERE obligation = :key
""")


async def seed(database: Database, rows: int) -> None:
    """Four kinds of obligations, each copied."""
    rig = await Rig.ready(database)
    await rig.registry(regime(), *(agency(f"H99.{number}") for number in range(31, 35)))
    await rig.generate()
    late = local(2026, 10, 20, 9)
    for code, receipt in (("H99.31", DEADLINE), ("H99.32", late), ("H99.33", DEADLINE)):
        await rig.follow(verdict(key=key_of(code, "2026-M10"), received_at=receipt, decided_at=late))
    await rig.at(local(2026, 10, 21))
    async with database.transaction() as tx:
        for number, code in enumerate(("H99.31", "H99.32", "H99.33", "H99.34")):
            key, begins = key_of(code, "2026-M10"), number * (rows // 4)
            copied = {"key": key, "code": code, "first": begins + 1, "last": begins + rows // 4}
            await tx.execute(_OBLIGATIONS, copied)
            await tx.execute(_LINES, copied)
    async with database.engine.connect() as connection:
        await (await connection.execution_options(isolation_level="AUTOCOMMIT")).execute(text("ANALYZE"))


def main() -> int:
    rows = int(sys.argv[1]) if len(sys.argv) > 1 else 200_000
    with tempfile.TemporaryDirectory() as folder:
        options = Options(directory=Path(folder), services={}, infrastructure=frozenset({"postgres"}))
        with Stack(options) as stack:
            url = create_database(stack.admin_database_url, "measure", password="test-only")
            migrate("scoring", url)

            async def fill() -> None:
                database = Database(url, pool_size=2, statement_timeout_seconds=600)
                try:
                    await seed(database, rows)
                finally:
                    await database.close()

            asyncio.run(fill())
            os.environ["SCORING_DATABASE_URL"] = url
            begun, cpu = time.perf_counter(), time.process_time()
            code = recompute_command([])
            elapsed, spent = time.perf_counter() - begun, time.process_time() - cpu
    a_row = 1e6 / rows
    print(f"{rows} obligations: {elapsed * a_row:.1f} us elapsed, {spent * a_row:.1f} us CPU of Python each")
    print(f"{NATION}: {elapsed * NATION / rows:.0f} s elapsed, {spent * NATION / rows:.0f} s of CPU of Python")
    return code


if __name__ == "__main__":
    raise SystemExit(main())
