"""python -m tests.programs.faults.soak: N submissions while components are killed and paused; then reconcile.

N=… submissions (default 100 000), SEED=…; it shows progress and stores it in .local/soak.json. An interrupted run
continues after its last finished round (--fresh starts again).
"""

from __future__ import annotations

import argparse
import json
import os
import random
import secrets
import sys
import time
import traceback
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import psutil

from deploy.local.process import poll_until
from shared.contract.services import SERVICES
from tests.programs.faults.__main__ import ROOT, end_in_order
from tests.programs.faults.ground import Ground, Province
from tests.programs.faults.invariants import SHOWN
from tests.programs.faults.load import Ledger, Load
from tests.programs.faults.matrix import Field, Result, Unproved

#: submissions of one round: a round has its own province, is settled, checked and reconciled, and then counted
ROUND_POSTS = 40_000
CLIENTS = 128
#: a small round is paced to last so long, or it would be over before anything breaks
LOAD_SECONDS = 30.0
FAULT_EVERY_SECONDS = (2.0, 8.0)
INSTANCES = tuple(name for service in SERVICES for name in (service, f"{service}-2"))
INFRASTRUCTURE = ("kafka", "postgres")
MAIL = "mail"
DRAIN_SECONDS = 600.0
#: the run ends after so many rounds without a verdict: something else is broken
ERRORS_AT_MOST = 3


@dataclass
class Report:
    """What .local/soak.json holds; a later run with the same N and seed adds to it."""

    wanted: int
    seed: int
    posted: int = 0
    receipts: int = 0
    stored: int = 0
    events: int = 0
    rounds: int = 0
    faults: dict[str, int] = field(default_factory=dict)
    errors: list[str] = field(default_factory=list)  # rounds that ended otherwise than in a verdict
    lost: int = 0
    applied_twice: int = 0
    wrongs: list[str] = field(default_factory=list)
    reconcile_differences: int = 0
    seconds: float = 0.0
    finished: bool = False

    @classmethod
    def resumed(cls, path: Path, wanted: int, seed: int) -> Report:
        """Return the report of an unfinished run of the same kind, or a new one."""
        try:
            known = cls(**json.loads(path.read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError):
            return cls(wanted, seed or secrets.randbelow(10**9) + 1)
        if known.finished or known.wanted != wanted or (seed and known.seed != seed):
            return cls(wanted, seed or secrets.randbelow(10**9) + 1)
        return known

    def write(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        fresh = path.with_suffix(".new")
        fresh.write_text(json.dumps(asdict(self), ensure_ascii=False, indent=1), encoding="utf-8")
        fresh.replace(path)


class Chaos:
    """Causes one fault after the other, each mended before the next, until the load ends."""

    def __init__(self, province: Province, ground: Ground, dice: random.Random) -> None:
        self._province = province
        self._ground = ground
        self._dice = dice
        self.counts: Counter[str] = Counter()

    def strike(self) -> str:
        """Break something, wait, mend it. Returns what it was; counts only faults that were seen to happen."""
        name = self._dice.choice((*INSTANCES, *INSTANCES, *INFRASTRUCTURE, MAIL))
        how = self._dice.choice(("kill", "pause", "restart"))
        owner: Any = self._ground if name in INFRASTRUCTURE else self._province
        component = owner.component(name)
        before = component.pid
        if how == "pause":
            component.pause()
            struck = poll_until(lambda: psutil.Process(before).status() == psutil.STATUS_STOPPED, 2)
            time.sleep(self._dice.uniform(1, 8))
            component.resume()
        elif how == "kill":
            component.kill()
            struck = not component.running
            time.sleep(self._dice.uniform(0, 3))
        else:
            component.stop()
            struck = not component.running
        if not component.running:
            component.start()
            component.wait_ready(180)
        self.counts[f"{how} {name.removesuffix('-2')}"] += struck
        return f"{how} {name}"


def one_round(ground: Ground, report: Report, posts: int, show: bool = True) -> None:
    """Run a load under chaos in a province; drain, check, reconcile. Adds to the report."""
    seed = report.seed + report.rounds
    result = Result("soak", "random kills, pauses and restarts", ("I1", "I2", "I3", "I4", "I5", "I6", "I7"), seed)
    scene = Field(ground, result)
    wanted = {"intake": 2, "validator": 2, "scoring": 2, "notifier": 2, "board": 1}
    with scene.province(services=wanted) as province:
        versions = max(2, -(-posts // 240))
        pause_seconds = CLIENTS * LOAD_SECONDS / posts if posts < ROUND_POSTS / 2 else 0.0
        load: Load = scene.load(
            province, posts, versions=versions, clients=CLIENTS, pause_seconds=pause_seconds, patience_seconds=300
        )
        chaos = Chaos(province, ground, random.Random(seed))
        struck = ""
        with load as running:
            next_at = time.monotonic() + 3
            while not running.done:
                if time.monotonic() > next_at:
                    struck = chaos.strike()
                    next_at = time.monotonic() + scene.dice.uniform(*FAULT_EVERY_SECONDS)
                if show:
                    _progress(report, running.ledger, chaos.counts, struck)
                time.sleep(1)
            ledger = running.finish()
        ground.heal()
        if not chaos.counts.total():
            raise Unproved("no fault struck in this round: its load ended before the first, or none took effect")
        # the checks are tried on spoiled stores once a run: their code does not change with the rounds
        stores = scene.judge(province, ledger, drain_seconds=DRAIN_SECONDS, spoil=not report.rounds)
    report.posted += len(ledger.posted)
    report.receipts += len({receipt.submission_id for receipt in ledger.receipts})
    report.stored += len(stores.submissions)
    report.events += len(stores.told)
    report.faults = dict(Counter(report.faults) + chaos.counts)
    report.lost += sum("is not stored" in w or "is nowhere" in w for found in result.wrongs.values() for w in found)
    report.applied_twice += sum(" times" in wrong for wrong in result.wrongs.get("I2", ()) if " applied " in wrong)
    report.reconcile_differences += sum(wrong.startswith("reconcile") for wrong in result.wrongs.get("I7", ()))
    report.wrongs += [f"{name}: {wrong}" for name, found in result.wrongs.items() for wrong in found[:SHOWN]]
    report.rounds += 1


def _progress(report: Report, ledger: Ledger, faults: Counter[str], struck: str) -> None:
    done = report.posted + len(ledger.posted)
    line = f"{done:>10,} of {report.wanted:,}  faults {sum(faults.values()) + sum(report.faults.values()):>4}  {struck}"
    print(f"\r{line:<100}" if sys.stdout.isatty() else line, end="" if sys.stdout.isatty() else "\n", flush=True)


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.programs.faults.soak")
    parser.add_argument("-n", type=int, default=int(os.environ.get("N") or 100_000), help="submissions")
    parser.add_argument("--seed", type=int, default=int(os.environ.get("SEED") or 0))
    parser.add_argument("--round", type=int, default=ROUND_POSTS, help="submissions of one round")
    parser.add_argument("--out", type=Path, default=ROOT / ".local" / "soak.json")
    parser.add_argument("--fresh", action="store_true", help="forget an unfinished run")
    asked = parser.parse_args(argv)
    if asked.fresh:
        asked.out.unlink(missing_ok=True)
    report = Report.resumed(asked.out, asked.n, asked.seed)
    print(f"seed {report.seed}; {report.posted:,} of {report.wanted:,} done before", flush=True)
    with Ground(proxied=False) as ground:
        while report.posted < report.wanted and len(report.errors) < ERRORS_AT_MOST:
            began = time.monotonic()
            try:
                one_round(ground, report, min(asked.round, report.wanted - report.posted))
            except Exception as error:
                # it is printed and counted as wrong; earlier rounds stay, and one with the next seed follows
                why = f"round {report.rounds + 1}: {type(error).__name__}: {error}"[:2000]
                report.errors.append(why)
                report.rounds += 1
                print(f"{why}\n{traceback.format_exc(limit=-4)}", flush=True)
                ground.heal()
            report.seconds += time.monotonic() - began
            report.finished = report.posted >= report.wanted
            report.write(asked.out)
            print(
                f"round {report.rounds}: {report.posted:,} posted, {report.receipts:,} receipts, {report.stored:,} "
                f"stored, {sum(report.faults.values())} faults; lost {report.lost}, applied twice "
                f"{report.applied_twice}, reconcile {report.reconcile_differences}, errors {len(report.errors)}",
                flush=True,
            )
            for wrong in report.wrongs[:SHOWN]:
                print(f"  {wrong}", flush=True)
    if not report.faults:
        print("no fault struck: the run says nothing", flush=True)
    counts = (report.lost, report.applied_twice, report.reconcile_differences)
    return 1 if report.wrongs or report.errors or any(counts) or not report.faults else 0


if __name__ == "__main__":
    end_in_order()
    raise SystemExit(main())
