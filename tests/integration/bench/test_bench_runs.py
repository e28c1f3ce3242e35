"""The benchmark measures what it says: a tiny run on the real stack fills every row, and nothing is lost or refused.

The tiny run takes five minutes and wrk: `make bench` begins with it.
"""

from __future__ import annotations

import json
import math
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from deploy.local.errors import MissingPrerequisite
from deploy.local.jars import find_kafka
from deploy.local.options import ROOT
from tests.programs.bench.plot import comparison
from tests.programs.bench.rounds import POLL_SECONDS, drain, percentile
from tests.programs.bench.table import Row, Table


def _missing() -> str | None:
    if shutil.which("wrk") is None:
        return "wrk is missing: sudo apt-get install wrk"
    try:
        find_kafka(lambda _: None)
    except MissingPrerequisite as missing:
        return missing.message()
    return None


@pytest.fixture(scope="module")
def document(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What a tiny run has written."""
    if reason := _missing():
        pytest.fail(reason)
    out = tmp_path_factory.mktemp("bench") / "bench.json"
    env = {**os.environ, "BENCH_PLAN": "tiny", "BENCH_OUT": str(out)}
    for outside in ("KAFKA_BOOTSTRAP_SERVERS", "LOCAL_BROKER", "QUICK", "ROUNDS", "STORED", "SYSTEMS"):
        env.pop(outside, None)
    done = subprocess.run(
        [sys.executable, "-m", "tests.programs.bench"],
        cwd=ROOT,
        env=env,
        capture_output=True,
        text=True,
        timeout=560,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-4000:]
    loaded: dict[str, Any] = json.loads(out.read_text(encoding="utf-8"))
    return loaded


@pytest.mark.bench
@pytest.mark.timeout(600)
def test_a_tiny_run_measures_every_system(document: dict[str, Any]) -> None:
    rows = {row["measure"]: row for row in document["rows"]}
    for name, row in rows.items():
        if "end to end" in name or "durable accepts" in name:
            for system in ("ours", "floor", "conventional"):
                assert row[system] is not None, (name, system)
                assert row[system] > 0, (name, system)


@pytest.mark.bench
@pytest.mark.timeout(600)
def test_a_tiny_run_loses_nothing(document: dict[str, Any]) -> None:
    assert document["trouble"] == []


@pytest.mark.bench
@pytest.mark.timeout(600)
def test_every_goal_has_a_verdict_or_no_figure(document: dict[str, Any]) -> None:
    for row in document["rows"]:
        assert (row["met"] is not None) == bool(row["goal"] and row["ours"] is not None), row["measure"]


def test_a_drain_is_timed_between_the_first_and_the_last_event_that_were_seen() -> None:
    seen = iter([0, 10, 10, 30, 50])
    rate, count = drain(lambda: next(seen), 50)
    assert count == 50
    assert 0 < rate <= 40 / (3 * POLL_SECONDS)  # 40 events over three pauses, each at least that long


def test_a_drain_that_was_nearly_over_at_the_first_look_has_no_figure() -> None:
    seen = iter([40, 45, 50])
    rate, count = drain(lambda: next(seen), 50)
    assert count == 50
    assert math.isnan(rate)


def test_a_drain_that_stalls_ends_and_says_how_far_it_came() -> None:
    _, count = drain(lambda: 7, 50, stall_seconds=0.2)
    assert count == 7


def test_a_percentile_is_a_value_that_was_measured() -> None:
    values = [float(n) for n in range(1, 101)]
    assert percentile(values, 0.99) == 99.0
    assert percentile([3.0], 0.5) == 3.0


def test_what_is_no_number_becomes_no_figure() -> None:
    table = Table("tiny")
    row = table.add(Row("a", "s", ours=float("nan"), floor=1.0))
    assert row.ours is None
    assert "—" in table.text()


def test_the_plot_has_a_bar_for_each_figure(tmp_path: Path) -> None:
    row = {"measure": "x / accepts", "unit": "submissions/s", "ours": 10.0, "floor": 20.0, "conventional": None}
    svg = comparison({"rows": [row]})
    assert svg.count("<rect") == 1 + 2 + 2  # the ground, two bars, two keys of the legend
