"""Our system, the floor and the conventional build as three sets of services on one PostgreSQL and one Kafka.

Only one of them runs at a time, with only the services that the measurement needs.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import asyncpg
import psutil

from deploy.local import Options, Stack
from deploy.local.calls import call
from deploy.local.component import Component
from deploy.local.options import ROOT
from deploy.local.service import Service
from tests.programs.bench.load import Load
from tests.programs.bench.path import SERVICES
from tests.programs.bench.province import START, Province

Name = Literal["ours", "floor", "conventional"]
NAMES: tuple[Name, ...] = ("ours", "floor", "conventional")
COMMANDS: Mapping[Name, tuple[str, ...]] = {
    "ours": ("{python}", "-m", "services.{name}"),
    "floor": ("{python}", "-m", "tests.programs.bench.floor", "{name}"),
    "conventional": ("{python}", "-m", "tests.programs.bench.conventional", "{name}"),
}
VERDICT = "vn.thongsuot.verdict.reached.v1"
_APPLIED = re.compile(r'^thongsuot_consumer_applied_total\{group="([^"]+)",type="([^"]*)"\} (\S+)', re.MULTILINE)
_DECIDED = """
    SELECT count(*) FROM obligations AS o, json_array_elements(o.document -> 'facts' -> 'versions') AS v
     WHERE v -> 'verdicts' IS NOT NULL
"""
_DECIDED_BY_HAND = "SELECT coalesce(sum(decided_version), 0) FROM obligations"
#: agencies' limits stay as shipped: the load has so many agencies that none comes near its own
OURS_ENV = {"SCORING_HORIZON_DAYS": "0"}
#: memory and checkpoints as on a server; the local stack's own are for a laptop
POSTGRES_SETTINGS = {
    "track_commit_timestamp": "on",
    "shared_buffers": f"{min(2048, psutil.virtual_memory().total // 8 // 2**20)}MB",
    "max_wal_size": "8GB",
}
#: Kafka's own default: processes that start together get their partitions together. Without it the first one takes all
#: of them, and drains what it can until its next heartbeat tells it of the others
KAFKA_SETTINGS = {"group.initial.rebalance.delay.ms": "3000"}


def infrastructure(directory: Path, say: Callable[[str], None]) -> Stack:
    """PostgreSQL and Kafka, on a disk (fsync on), and the mail sink."""
    return Stack(
        Options(
            directory=directory,
            services={},
            kafka_bootstrap=None,
            database_urls={},
            postgres_settings=POSTGRES_SETTINGS,
            kafka_settings=KAFKA_SETTINGS,
            progress=say,
        )
    )


@dataclass
class System:
    """One of the three."""

    name: Name
    stack: Stack
    load: Load
    #: business time minus system time, seconds; receipts are business time
    clock_ahead_seconds: float = 0.0

    @classmethod
    def on(cls, name: Name, infra: Stack, directory: Path, load_data: Path, province: Path) -> System:
        env = {"BENCH_PROVINCE": str(province)}
        ahead = 0.0
        if name == "ours":
            now = time.time()
            ahead = START.timestamp() - now
            env |= OURS_ENV | {"BUSINESS_CLOCK": f"{START.isoformat()}@{now:.3f}x1.0"}
        stack = Stack(
            Options(
                directory=directory / name,
                services={},
                infrastructure=frozenset(),
                kafka_bootstrap=infra.kafka_bootstrap,
                kafka_idempotence=infra.kafka_idempotence,
                admin_database_url=infra.admin_database_url,
                smtp_address=infra.smtp_address,
                database_urls={},
                topic_prefix=f"{name}.",
                database_prefix=f"{name}_",
                service_command=COMMANDS[name],
                env=env,
            )
        )
        return cls(name, stack, Load(load_data, f"{name}-{int(time.time())}"), ahead)

    def only(self, *services: str, ready: bool = True) -> None:
        """Run exactly these until they are ready; `ready` False: until they answer, before they drain a backlog."""
        for component in self.stack.components:
            if component.name not in services:
                component.stop()
        missing = {name: 1 for name in services if name not in {c.name for c in self.stack.components}}
        if missing:
            self.stack.add_services(missing)
        there = [self.stack.component(name) for name in services]
        for component in there:
            component.start()
        with ThreadPoolExecutor(len(there) or 1) as threads:
            list(threads.map(lambda component: component.wait_ready() if ready else _wait_alive(component), there))

    def all(self) -> None:
        """All that a report passes run."""
        self.only(*SERVICES)

    def none(self) -> None:
        """Nothing of it runs."""
        self.only()

    @property
    def submit_url(self) -> str:
        return f"{self.stack.url('intake')}/v1/submissions"

    def applied(self, service: str, kind: str | None = None, instance: int = 0) -> int:
        """Return the events that a service has applied since its start, of one type or of all."""
        with urllib.request.urlopen(f"{self.stack.urls(service)[instance]}/metrics", timeout=10) as answer:
            text = answer.read().decode()
        return sum(
            int(float(value))
            for group, found, value in _APPLIED.findall(text)
            if group.startswith(f"{service}.") and (kind is None or found == kind)
        )

    def scored(self) -> int:
        """Verdicts that scoring has applied since its start."""
        return self.applied("scoring", VERDICT)

    def query(self, service: str, sql: str, *arguments: Any) -> list[Any]:
        """Rows from a service's database."""

        async def run() -> list[Any]:
            connection = await asyncpg.connect(self.stack.database_url(service), timeout=10)
            try:
                return list(await connection.fetch(sql, *arguments))
            finally:
                await connection.close()

        return call(run)

    def stored(self) -> int:
        """Submissions in intake's store."""
        return int(self.query("intake", "SELECT count(*) FROM submissions")[0][0])

    def decided(self) -> int:
        """Count submissions whose verdict scoring has applied, in its store: versions have no gap."""
        return int(self.query("scoring", _DECIDED if self.name == "ours" else _DECIDED_BY_HAND)[0][0])

    def outbox_rows(self, service: str) -> int:
        """Count events that Kafka has not taken yet; the conventional build has no outbox."""
        if self.name == "conventional":
            return 0
        return int(self.query(service, "SELECT count(*) FROM outbox")[0][0])

    def command(self, service: str, *arguments: str) -> str:
        """Run one of our operator's commands; return its output. Raises CalledProcessError with its output."""
        done = subprocess.run(
            [sys.executable, "-m", f"services.{service}", *arguments],
            env=self.stack.service_env(service),
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise RuntimeError(f"services.{service} {' '.join(arguments)}: {done.stderr[-3000:]}")
        return done.stdout


def _wait_alive(component: Component) -> None:
    if not isinstance(component, Service) or not wait_until(lambda: answers(f"{component.url}/metrics"), 60, 0.05):
        raise RuntimeError(f"{component.name} does not answer")


def answers(url: str) -> bool:
    """Whether it answers below 300 within two seconds."""
    try:
        with urllib.request.urlopen(url, timeout=2) as answer:
            return bool(answer.status < 300)
    except OSError:
        return False


def set_up_ours(ours: System, province: Province, folder: Path) -> dict[str, str]:
    """Load the registry and make the keys by the operator's own commands; the key of each agency."""
    ours.only("intake")
    province.write_registry(folder)
    ours.command("intake", "registry", "apply", str(folder), "--why", "a test")
    listed = json.loads(ours.command("intake", "keys", "create", "--all", "--json"))
    return {row["agency"]: row["key"] for row in listed["keys"]}


def wait_until(done: Callable[[], bool], timeout_seconds: float, interval_seconds: float = 0.2) -> bool:
    """Poll with a deadline."""
    deadline = time.monotonic() + timeout_seconds
    while not done():
        if time.monotonic() > deadline:
            return False
        time.sleep(interval_seconds)
    return True


def wait_generated(ours: System, expected: int, say: Callable[[str], None], timeout_seconds: float = 900) -> bool:
    """Wait until scoring has generated the load's obligations and every service has followed."""

    def settled() -> bool:
        found = ours.query("scoring", "SELECT count(*) FROM obligations")[0][0]
        waiting = sum(ours.outbox_rows(service) for service in SERVICES)
        followed = ours.query("intake", "SELECT count(*) FROM standings")[0][0]
        told = ours.query("notifier", "SELECT count(*) FROM obligations")[0][0]
        say(f"  nghĩa vụ / obligations {found}, intake {followed}, notifier {told}, outbox {waiting}")
        return bool(found >= expected and followed >= expected and told >= expected and not waiting)

    return wait_until(settled, timeout_seconds, 2.0)
