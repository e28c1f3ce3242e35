"""Runs wrk with the reports of load.lua. No serial is used twice, so every request is a new submission."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from dataclasses import dataclass, field
from pathlib import Path

LUA = Path(__file__).with_name("load.lua")
THREADS = 2


class NoLoadGenerator(Exception):
    """Thiếu wrk. Cài: sudo apt-get install wrk / wrk is missing: sudo apt-get install wrk."""

    def __init__(self) -> None:
        super().__init__("Thiếu wrk. Cài: sudo apt-get install wrk / wrk is missing: sudo apt-get install wrk")


@dataclass(frozen=True)
class Sent:
    """One run of wrk. `accepted` are answers below 400; latencies are those of the HTTP answer, in milliseconds."""

    requests: int
    accepted: int
    refused: int
    broken: int
    seconds: float
    p50_ms: float
    p99_ms: float

    @property
    def per_second(self) -> float:
        return self.accepted / self.seconds


def require() -> str:
    """Return the path of wrk. Raises NoLoadGenerator."""
    found = shutil.which("wrk")
    if found is None:
        raise NoLoadGenerator
    return found


@dataclass
class Load:
    """Sends to one system; remembers which serials have been used."""

    data: Path
    tag: str
    serial: int = 0
    _running: subprocess.Popen[str] | None = field(default=None, repr=False)

    def start(self, url: str, connections: int, seconds: float, rate_per_second: float = 0) -> None:
        """Start in the background. `rate_per_second`: as fast as it can (0), or the mean rate of Poisson arrivals."""
        pause_ms = 1000 * connections / rate_per_second if rate_per_second else 0
        command = [require(), "-t", str(THREADS), "-c", str(connections), "-d", f"{seconds:.0f}s", "--timeout", "10s"]
        command += ["--latency", "-s", str(LUA), url, "--", str(self.serial), str(THREADS), self.tag, str(pause_ms)]
        env = {**os.environ, "BENCH_LOAD": str(self.data)}
        self._running = subprocess.Popen(command, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)

    def finish(self) -> Sent:
        """Wait for its end."""
        assert self._running is not None
        said, _ = self._running.communicate()
        self._running = None
        line = next((line for line in said.splitlines() if line.startswith("BENCH ")), None)
        if line is None:
            raise RuntimeError(f"wrk said:\n{said[-2000:]}")
        told = json.loads(line.removeprefix("BENCH "))
        self.serial += told["made"] + THREADS
        refused = told["refused"]
        return Sent(
            told["requests"], told["requests"] - refused, refused, told["broken"], told["seconds"], told["p50_ms"],
            told["p99_ms"],
        )  # fmt: skip

    def send(self, url: str, connections: int, seconds: float, rate_per_second: float = 0) -> Sent:
        """Start and finish."""
        self.start(url, connections, seconds, rate_per_second)
        return self.finish()

    def abort(self) -> None:
        """Stop a run that nobody waits for."""
        if self._running is not None:
            self._running.kill()
            self._running.wait()
            self._running = None
