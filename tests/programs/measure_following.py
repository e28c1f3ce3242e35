"""Measures the cost of scoring's fold per event: `python -m tests.programs.measure_following [--profile]`.

It uses batches of 500 events, half submissions and half accepting verdicts of the same 250 obligations, on its own
PostgreSQL. It reports this process's CPU, the best of several batches, since the machine is shared. The budget covers
the fold and the save (states and lines), not the outbox.
"""

from __future__ import annotations

import asyncio
import cProfile
import pstats
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from deploy.local import Options, Stack
from deploy.local.postgres import create_database
from services.scoring.obligations import deciding, domain, handlers, store
from services.scoring.obligations.domain import Cause
from shared.consuming.batch import Batch
from shared.contract.ids import new_id
from shared.outbox import publish
from shared.postgres.database import Database
from shared.postgres.migrations import migrate
from tests.integration.scoring.rig import Rig, agency, key_of, regime
from tests.unit.scoring.samples import CALENDAR, POLICY, obligation, submission, verdict

BUDGET_MICROSECONDS = 60
KEYS = 250
ROUNDS = 12


def events(keys: Sequence[str]) -> list[Any]:
    return [*(submission(key=key) for key in keys), *(verdict(key=key) for key in keys)]


def fold(best: float = float("inf")) -> float:
    """Microseconds an event of the pure fold, a submission and its verdict in turn."""
    start, one, two = obligation(), submission(), verdict()
    cause = Cause(two.decided_at, new_id(), new_id())
    for _ in range(40):
        begun = time.process_time_ns()
        for _ in range(500):
            obligation_then = start
            for event in (one, two):
                facts = domain.with_reports(obligation_then.facts, [(None, event)])
                decision = domain.settle(obligation_then, start.terms, facts, POLICY, CALENDAR, cause)
                obligation_then = decision.obligation
        best = min(best, (time.process_time_ns() - begun) / 1000 / 1000)
    return best


class Meter:
    """Best CPU and elapsed microseconds an event of each part."""

    def __init__(self) -> None:
        self.best: dict[str, tuple[float, float]] = {}
        self._begun = (0, 0)

    def begin(self) -> None:
        self._begun = (time.process_time_ns(), time.perf_counter_ns())

    def end(self, part: str) -> None:
        cpu, elapsed = time.process_time_ns() - self._begun[0], time.perf_counter_ns() - self._begun[1]
        a_piece = (cpu / 1000 / (2 * KEYS), elapsed / 1000 / (2 * KEYS))
        self.best[part] = min(self.best.get(part, a_piece), a_piece)


async def measure(database: Database, profile: bool) -> Meter:
    rig, meter, profiler = await Rig.ready(database), Meter(), cProfile.Profile()
    codes = [f"H99.{number}" for number in range(1000, 1000 + KEYS)]
    await rig.registry(regime(), *(agency(code) for code in codes))
    rig.generator._horizon *= 20  # enough periods for every round
    await rig.generate()
    periods = sorted({key.split("/")[2] for key in await rig.keys()})
    assert len(periods) > 2 * ROUNDS
    for turn in range(ROUNDS):
        keys = [key_of(code, periods[turn]) for code in codes]
        batch: Batch[Any] = Batch.of(events(keys))
        async with database.transaction() as tx:
            if profile and turn:
                profiler.enable()
            meter.begin()
            await handlers.follow(batch, tx, rig.rules)
            meter.end("handler, outbox included")
            profiler.disable()
        keys = [key_of(code, periods[-1 - turn]) for code in codes]
        batch = Batch.of(events(keys))
        async with database.transaction() as tx:
            meter.begin()
            held = await store.lock_obligations(tx, batch.keys)
            meter.end("load (lock)")
            by_key = {key: [event for event in batch if event.key == key] for key in keys}
            meter.begin()
            proposed = [handlers._with(held[key], events) for key, events in by_key.items()]
            decided = await deciding.decide(tx, rig.rules, proposed)
            meter.end("fold")
            lines = [(decision.obligation.key, line) for decision in decided.decisions for line in decision.lines]
            meter.begin()
            await store.save(tx, [decision.obligation for decision in decided.decisions], lines)
            meter.end("save")
            meter.begin()
            published = [
                (decision.event, decision.event_id) for decision in decided.decisions if decision.event is not None
            ]
            await publish(tx, [deciding.outgoing(event, event_id) for event, event_id in published])
            meter.end("publish")
    if profile:
        pstats.Stats(profiler).sort_stats("tottime").print_stats(30)
    return meter


def main() -> None:
    print(f"pure fold: {fold():6.1f} us CPU an event")
    with tempfile.TemporaryDirectory() as folder:
        options = Options(directory=Path(folder), services={}, infrastructure=frozenset({"postgres"}))
        with Stack(options) as stack:
            url = create_database(stack.admin_database_url, "measure", password="test-only")
            migrate("scoring", url)

            async def run() -> Meter:
                database = Database(url, pool_size=2)
                try:
                    return await measure(database, "--profile" in sys.argv)
                finally:
                    await database.close()

            meter = asyncio.run(run())
    for part, (cpu, elapsed) in meter.best.items():
        print(f"{part:26} {cpu:6.1f} us CPU {elapsed:7.1f} us elapsed, an event")
    spent = sum(meter.best[part][0] for part in ("fold", "save"))
    print(f"fold + save: {spent:.1f} us CPU an event (budget {BUDGET_MICROSECONDS})")


if __name__ == "__main__":
    main()
