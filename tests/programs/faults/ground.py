"""The common infrastructure of all rows: one PostgreSQL, one Kafka, migrated template databases; a province per row.

Services reach both through proxies and the checker reaches them directly, so that no proxy can hide a loss.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit, urlunsplit

import asyncpg

from deploy.local import Component, Options, Stack, StackError
from deploy.local.calls import call, in_thread
from deploy.local.kafka import KafkaBroker
from deploy.local.options import ROOT, Broker
from deploy.local.postgres import create_database, drop_database
from deploy.local.process import poll_until
from shared.contract.services import SERVICES
from shared.postgres.migrations import migrate
from tests.programs.faults import people, witness
from tests.programs.faults.proxy import Proxy

MEMORY = Path("/dev/shm")
ENOUGH_BYTES = 4 * 1024**3
BEGUN_BEFORE_SECONDS = 7200.0
COMMAND = ("{python}", "-m", "tests.programs.faults.controls", "{name}")
#: quick enough for tests; nothing here switches a protection off
PACE = {
    "KAFKA_SESSION_TIMEOUT_SECONDS": "6",
    "KAFKA_REQUEST_TIMEOUT_SECONDS": "5",
    "NOTIFIER_IDLE_POLL_SECONDS": "0.2",
    "NOTIFIER_SWEEP_SECONDS": "1",
    "NOTIFIER_LEASE_SECONDS": "12",
    "NOTIFIER_SMTP_TIMEOUT_SECONDS": "3",
    "NOTIFIER_SMTP_DATA_TIMEOUT_SECONDS": "3",
    "NOTIFIER_RETRY_SECONDS": "1",
    "NOTIFIER_RETRY_CEILING_SECONDS": "4",
    "NOTIFIER_RESEND_SECONDS": "2",
    "NOTIFIER_OUTAGE_CEILING_SECONDS": "2",
}


def _silent(text: str) -> None:
    """Discard progress messages."""


class _Held:
    """Starts when its block is entered; releases everything when the block ends or the start fails."""

    def _start(self) -> None:
        raise NotImplementedError

    def close(self) -> None:
        """Release everything."""
        raise NotImplementedError

    def __enter__(self) -> Self:
        try:
            self._start()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class Ground(_Held):
    """PostgreSQL, Kafka, two proxies and templates. `with Ground() as ground:`; provinces end before it."""

    def __init__(
        self,
        *,
        brokers: int = 1,
        broker: Broker = "kafka",
        postgres_settings: Mapping[str, str] | None = None,
        postgres_directory: Path | None = None,
        proxied: bool = True,
        progress: Callable[[str], None] = _silent,
    ) -> None:
        room = MEMORY.is_dir() and shutil.disk_usage(MEMORY).free > ENOUGH_BYTES
        self.directory = Path(tempfile.mkdtemp(prefix="thong-suot-faults-", dir=MEMORY if room else None))
        self.keys: dict[str, str] = {}
        self.database_proxy = Proxy()
        self.kafka_proxies: dict[str, Proxy] = {}
        self._brokers = brokers
        self._broker = broker
        self._postgres_settings = {"max_connections": "200", **(postgres_settings or {})}
        self._postgres_directory = postgres_directory
        self._proxied = proxied  # False: services connect straight, for loads that the proxies would slow down
        self._progress = progress
        self._template_urls: dict[str, str] = {}
        self._stack: Stack | None = None

    def close(self) -> None:
        """End everything and remove its data."""
        if self._stack is not None:
            self._stack.stop()
        self.database_proxy.close()
        for proxy in self.kafka_proxies.values():
            proxy.close()
        shutil.rmtree(self.directory, ignore_errors=True)

    def _start(self) -> None:
        names = ["kafka", "kafka-2", "kafka-3"][: self._brokers] if self._broker == "kafka" and self._proxied else []
        for name in names:
            self.kafka_proxies[name] = Proxy().__enter__()
        self.database_proxy.__enter__()
        if self._postgres_directory is not None:
            (self.directory / "stack").mkdir()
            (self.directory / "stack" / "postgres").symlink_to(self._postgres_directory, target_is_directory=True)
        self._stack = Stack(
            Options(
                directory=self.directory / "stack",
                services={},
                infrastructure=frozenset({"postgres", "kafka"}),
                broker=self._broker,
                brokers=self._brokers,
                kafka_bootstrap=None,
                kafka_advertised={name: proxy.port for name, proxy in self.kafka_proxies.items()},
                postgres_settings=self._postgres_settings,
                database_urls={},
                progress=self._progress,
            )
        )
        self._stack.start()
        self.database_proxy.target = urlsplit(self.stack.admin_database_url).port or 0
        for name, proxy in self.kafka_proxies.items():
            broker = self.stack.component(name)
            assert isinstance(broker, KafkaBroker)
            proxy.target = broker.node.proxied_port or 0
        self._make_templates()

    # ------------------------------------------------------------------ where things are

    @property
    def stack(self) -> Stack:
        assert self._stack is not None
        return self._stack

    @property
    def kafka_proxy(self) -> Proxy:
        return self.kafka_proxies["kafka"]

    @property
    def kafka_direct(self) -> str:
        """Bootstrap servers past the proxies; for provisioning and the checker."""
        return self.stack.kafka_bootstrap

    @property
    def kafka_proxied(self) -> str:
        """Bootstrap servers through the proxies; for the services."""
        if not self.kafka_proxies:
            return self.kafka_direct
        return ",".join(f"127.0.0.1:{proxy.port}" for proxy in self.kafka_proxies.values())

    def database_url_for_services(self, url: str) -> str:
        """Return the URL through the proxy, or past it."""
        return through(url, self.database_proxy.port) if self._proxied else url

    def template_url(self, service: str) -> str:
        """A migrated database of the service that nobody writes to."""
        return self._template_urls[service]

    def component(self, name: str) -> Component:
        """postgres, kafka, kafka-2 …"""
        return self.stack.component(name)

    def heal(self) -> None:
        """Mend whatever a row left broken: proxies pass, components run. Called between rows."""
        for proxy in (self.database_proxy, *self.kafka_proxies.values()):
            proxy.restore()
        for component in self.stack.components:
            component.resume()
            if not component.running:
                component.start()
        for component in self.stack.components:
            component.wait_ready()

    def _make_templates(self) -> None:
        for service in SERVICES:
            url = create_database(self.stack.admin_database_url, f"template_{service}", password="test-only")
            self._template_urls[service] = url
            in_thread(partial(migrate, service, url))  # here: a process for each costs 2 s of CPU for its imports
            call(partial(_execute, url, witness.TABLE))
        folder = people.write_registry(self.directory / "registry")
        intake = self._template_urls["intake"]
        operate("intake", intake, "registry", "apply", str(folder), "--why", "a test")
        made = json.loads(operate("intake", intake, "keys", "create", "--all", "--json"))
        self.keys.update({key["agency"]: key["key"] for key in made["keys"]})


async def _execute(url: str, statement: str) -> None:
    connection = await asyncpg.connect(url, timeout=10)
    try:
        await connection.execute(statement)
    finally:
        await connection.close()


def operate(service: str, url: str, *arguments: str, env: Mapping[str, str] | None = None) -> str:
    """Run an operator's command of a service on a database; return its output. Raises StackError with its output."""
    upper = service.upper()
    environment = {
        **{name: os.environ[name] for name in ("PATH", "HOME", "LANG", "LOCAL_STACK_MARK") if name in os.environ},
        "PYTHONPATH": str(ROOT),
        f"{upper}_DATABASE_URL": url,
        **(env or {}),
    }
    done = subprocess.run(
        [sys.executable, "-m", f"services.{service}", *arguments],
        env=environment, cwd=ROOT, capture_output=True, text=True, timeout=180, check=False,
    )  # fmt: skip
    if done.returncode != 0:
        said = (done.stderr or done.stdout)[-3000:]
        raise StackError(said, f"`{service} {' '.join(arguments)}` failed with exit code {done.returncode}:\n{said}")
    return done.stdout


def through(url: str, port: int) -> str:
    """The same database by another port of 127.0.0.1."""
    parts = urlsplit(url)
    netloc = f"{parts.username}:{parts.password}@127.0.0.1:{port}"
    return urlunsplit(parts._replace(netloc=netloc))


class Province(_Held):
    """One run of the system on the ground: own databases, topics, mail sink, services. Clean at the start."""

    def __init__(
        self,
        ground: Ground,
        *,
        services: Mapping[str, int] | None = None,
        env: Mapping[str, str] | None = None,
        service_env: Mapping[str, Mapping[str, str]] | None = None,
        smtp_address: tuple[str, int] | None = None,
        business_start: str = people.BUSINESS_START,
    ) -> None:
        self.ground = ground
        self.name = f"f{uuid.uuid4().hex[:8]}"
        self.prefix = f"{self.name}."
        self.business_start = datetime.fromisoformat(business_start)
        self.database_urls: dict[str, str] = {}
        self.env: dict[str, str] = {**PACE, "LOG_LEVEL": "INFO", **(env or {})}
        self.service_env: dict[str, dict[str, str]] = {}
        self._given_env = {name: dict(values) for name, values in (service_env or {}).items()}
        self._wanted = dict(services) if services is not None else dict.fromkeys(SERVICES, 1)
        self._smtp_address = smtp_address
        self._stack: Stack | None = None

    def _start(self) -> None:
        admin = self.ground.stack.admin_database_url
        for service in SERVICES:
            name = f"{self.name}_{service}"
            self.database_urls[service] = create_database(
                admin, name, password="test-only", template=f"template_{service}"
            )
        proxied = {
            service: {f"{service.upper()}_DATABASE_URL": self.ground.database_url_for_services(url)}
            for service, url in self.database_urls.items()
        }
        self.service_env = {name: {**proxied.get(name, {}), **self._given_env.get(name, {})} for name in SERVICES}
        self.service_env |= {n: v for n, v in self._given_env.items() if n not in self.service_env}
        # earlier than needed: a business clock never goes behind its beginning, and a row may set it back
        begun = self.business_start - timedelta(seconds=BEGUN_BEFORE_SECONDS)
        started = f"{begun.isoformat()}@{time.time() - BEGUN_BEFORE_SECONDS:.3f}x1.0"
        self.env |= {"BUSINESS_CLOCK": started, "KAFKA_BOOTSTRAP_SERVERS": self.ground.kafka_proxied}
        self._stack = Stack(
            Options(
                directory=self.ground.directory / self.name,
                services={},
                infrastructure=frozenset({"mail"}),
                env=self.env,
                service_env=self.service_env,
                topic_prefix=self.prefix,
                kafka_bootstrap=self.ground.kafka_direct,
                kafka_idempotence=self.ground.stack.kafka_idempotence,
                admin_database_url=admin,
                database_urls=self.database_urls,
                migrate=False,
                smtp_address=self._smtp_address,
                service_command=COMMAND,
                minimum_free_bytes=64 * 1024 * 1024,
            )
        )
        self._stack.start()
        self._stack.add_services(self._wanted)

    def close(self) -> None:
        """Stop the services; keep only what FAULTS_KEEP asks for."""
        if self._stack is not None:
            self._stack.stop()
        if os.environ.get("FAULTS_KEEP"):
            logs = Path(os.environ["FAULTS_KEEP"]) / self.name
            with contextlib.suppress(OSError):
                shutil.copytree(self.ground.directory / self.name / "logs", logs)
        shutil.rmtree(self.ground.directory / self.name, ignore_errors=True)
        for service in SERVICES:
            with contextlib.suppress(OSError, asyncpg.PostgresError, asyncpg.InterfaceError, TimeoutError):
                drop_database(self.ground.stack.admin_database_url, f"{self.name}_{service}", role=False)

    @property
    def stack(self) -> Stack:
        assert self._stack is not None
        return self._stack

    def component(self, name: str) -> Component:
        """intake, intake-2, validator …"""
        return self.stack.component(name)

    def set_env(self, name: str, **values: str) -> None:
        """Environment of a service (or one instance) from its next start on; an empty value removes it."""
        env = self.service_env.setdefault(name, {})
        for key, value in values.items():
            if value:
                env[key] = value
            else:
                env.pop(key, None)

    def wait_exit(self, name: str, seconds: float = 60) -> None:
        """Wait until the component ends by itself. Raises TimeoutError if the failpoint is never reached."""
        component = self.component(name)
        if not poll_until(lambda: component.crashed, seconds):
            raise TimeoutError(f"{name} has not ended within {seconds} s: its failpoint was not reached")

    def revive(self, name: str, **env: str) -> None:
        """Start an ended component again without failpoints, and wait until it is ready."""
        self.set_env(name, FAILPOINTS="", **env)
        component = self.component(name)
        component.start()
        component.wait_ready()

    def log_lines(self, name: str, action: str) -> list[dict[str, Any]]:
        """The JSON log lines of a component with this action."""
        found = []
        for line in self.component(name).log_path.read_text(encoding="utf-8", errors="replace").splitlines():
            if action in line:
                with contextlib.suppress(ValueError):
                    document = json.loads(line)
                    if document.get("action") == action:
                        found.append(document)
        return found

    def reconcile(self, settle_seconds: float = 15) -> tuple[int, dict[str, Any]]:
        """`python -m deploy.reconcile` on this province: exit code and its JSON."""
        arguments = [f"--{service}={self.stack.database_url(service)}" for service in SERVICES]
        done = subprocess.run(
            [sys.executable, "-m", "deploy.reconcile", "--json", f"--settle-seconds={settle_seconds}",
             *arguments],
            env={**self.stack.service_env("scoring")}, cwd=ROOT, capture_output=True, text=True, timeout=180,
            check=False,
        )  # fmt: skip
        try:
            return done.returncode, dict(json.loads(done.stdout))
        except ValueError:
            return done.returncode, {"error": (done.stderr or done.stdout)[-2000:]}


def urls(province: Province, service: str = "intake") -> Sequence[str]:
    """Where the instances of a service listen."""
    return province.stack.urls(service)
