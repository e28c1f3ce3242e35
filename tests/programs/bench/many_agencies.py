"""Measures very many agencies in one database: `python -m tests.programs.bench.many_agencies [10000 100000]`.

For each number, on stores of its own: the registry's load, intake's start, keys, `GET /v1/me`, and one monthly period
generated for all of them. Two numbers show which cost grows faster than the agencies.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path

from deploy.local import Stack
from deploy.local.options import ROOT
from tests.programs.bench.__main__ import directory
from tests.programs.bench.province import Province
from tests.programs.bench.systems import System, infrastructure, wait_until
from tests.programs.bench.usage import MEBIBYTE, peak_mebibytes

FOLLOWERS = ("validator", "scoring", "notifier")
REQUESTS = 300
#: where each service keeps its part of the registry
AGENCIES = {"scoring": "agencies", "notifier": "agencies"}
_begun = time.monotonic()


def say(text: str) -> None:
    print(f"[{time.monotonic() - _begun:6.0f} s] {text}", flush=True)


def command(system: System, *arguments: str) -> tuple[str, float, float]:
    """Run one of intake's commands; return output, seconds, and peak resident memory in MiB."""
    begun = time.monotonic()
    process = subprocess.Popen(
        [sys.executable, "-m", "services.intake", *arguments],
        env=system.stack.service_env("intake"), cwd=ROOT, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stdout is not None
    said = process.stdout.read()
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise RuntimeError(f"{arguments}: {said[-2000:]}")
    return said, time.monotonic() - begun, usage.ru_maxrss * 1024 / MEBIBYTE


def timed(work: Callable[[], object]) -> float:
    begun = time.monotonic()
    work()
    return time.monotonic() - begun


def latencies(url: str, keys: list[str]) -> list[float]:
    """Return the milliseconds of one GET with each key, sorted; print refusals."""
    found, refused = [], []
    for key in keys:
        request = urllib.request.Request(url, headers={"authorization": f"Bearer {key}"})
        begun = time.perf_counter()
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                answer.read()
        except urllib.error.HTTPError as error:
            refused.append(f"{error.code} {error.read().decode()}")
        found.append((time.perf_counter() - begun) * 1000)
    if refused:
        say(f"{len(refused)} of {len(keys)} were refused: {refused[0]}")
    return sorted(found)


def memory(system: System) -> str:
    return ", ".join(f"{name} {mebibytes:.0f} MiB" for name, mebibytes in peak_mebibytes(system.stack).items())


def count(system: System, service: str, table: str) -> int:
    return int(system.query(service, f"SELECT count(*) FROM {table}")[0][0])


def followed(system: System, agencies: int) -> bool:
    """Return whether the services know all agencies and no event is on its way."""
    found = {service: count(system, service, table) for service, table in AGENCIES.items()}
    return system.outbox_rows("intake") == 0 and all(count >= agencies for count in found.values())


def generated(system: System, wanted: int) -> bool:
    return count(system, "scoring", "obligations") >= wanted


def told(system: System, wanted: int) -> bool:
    """Whether intake and notifier have every obligation."""
    return (
        system.outbox_rows("scoring") == 0
        and count(system, "intake", "standings") >= wanted
        and count(system, "notifier", "obligations") >= wanted
    )


def measure(infra: Stack, place: Path, agencies: int) -> None:
    say(f"== {agencies:,} agencies; load average {os.getloadavg()[0]:.0f}")
    province, folder = Province.of(agencies, 1), place / "registry"
    ours = System.on("ours", infra, place, place / "load.lua", place / "province.json")
    try:
        ours.stack.start()
        ours.only("intake")
        province.write_registry(folder)
        regime = folder / "regimes"
        regime.rename(place / "later")
        regime.mkdir()
        _, seconds, peak = command(ours, "registry", "apply", str(folder), "--why", "a test")
        say(f"load: {seconds:.1f} s, {peak:.0f} MiB")
        said, seconds, peak = command(ours, "keys", "create", "--all", "--json")
        keys = [row["key"] for row in json.loads(said)["keys"]]
        say(f"keys for all: {seconds:.1f} s, {peak:.0f} MiB")
        say(f"relay: empty {timed(lambda: wait_until(lambda: ours.outbox_rows('intake') == 0, 900)):.1f} s later")
        ours.none()
        say(f"intake starts: {timed(lambda: ours.only('intake')):.1f} s; {memory(ours)}")
        begun = time.monotonic()
        ours.only("intake", *FOLLOWERS, ready=False)
        assert wait_until(lambda: followed(ours, agencies), 1800), "the registry was not followed in time"
        say(f"registry followed: {time.monotonic() - begun:.1f} s from a start; {memory(ours)}")
        regime.rmdir()
        (place / "later").rename(regime)
        _, seconds, peak = command(ours, "registry", "apply", str(folder), "--why", "a test")
        say(f"load again, with a regime more: {seconds:.1f} s, {peak:.0f} MiB")
        begun = time.monotonic()
        assert wait_until(lambda: generated(ours, agencies), 1800), "not generated in time"
        say(f"one period generated: {time.monotonic() - begun:.1f} s")
        assert wait_until(lambda: told(ours, agencies), 1800), "not told in time"
        say(f"… and known to intake and notifier: {time.monotonic() - begun:.1f} s; {memory(ours)}")
        answers = latencies(f"{ours.stack.url('intake')}/v1/me", keys[:: max(1, len(keys) // REQUESTS)])
        say(f"GET /v1/me: p50 {answers[len(answers) // 2]:.1f} ms, p99 {answers[len(answers) * 99 // 100]:.1f} ms")
        for service in ("validator", "scoring", "notifier", "intake"):
            ours.none()
            seconds = timed(lambda service=service: ours.only(service))  # type: ignore[misc]
            say(f"{service} starts again: {seconds:.1f} s; {memory(ours)}")
    finally:
        ours.stack.stop()


def main() -> None:
    for agencies in [int(number) for number in sys.argv[1:]] or [10_000, 100_000]:
        with directory() as place:
            with infrastructure(place / "infra", say) as infra:
                measure(infra, place, agencies)
            shutil.rmtree(place / "registry", ignore_errors=True)


if __name__ == "__main__":
    main()
