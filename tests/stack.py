"""What the tests stand on: one PostgreSQL and one broker per test session, shared by all xdist workers.

They are started by the pytest process that owns the session when the first test asks, and end with it. A test gets its
own database and its own topic prefix, so tests never see each other's rows or messages.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import shutil
import tempfile
import threading
import time
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit

import psutil
from aiokafka.admin import AIOKafkaAdminClient
from aiosmtpd.smtp import SMTP

from deploy.kafka import provision
from deploy.local import Mail, Options, Stack, StackError
from deploy.local.calls import call, in_thread
from deploy.local.mail_sink import Handler, MailStore
from deploy.local.options import LEDGER_SERVICES
from deploy.local.ports import HOST, Ports
from deploy.local.postgres import OWNER_SUFFIX, create_database, create_owner, drop_database
from deploy.local.process import poll_until
from shared.contract.services import SERVICES

MARK = "LOCAL_STACK_MARK"  # in the environment of every process a test session starts
TEST_PASSWORD = "test-only"  # of roles that live as long as one test session on 127.0.0.1
#: of the session's brokers: compiling for a long life costs a short one more than half of its CPU
SHORT_LIVED_JAVA = "-XX:+UseSerialGC -XX:TieredStopAtLevel=1"
START_TIMEOUT_SECONDS = 240.0
PREFIX = "thong-suot-tests-"
MEMORY = Path("/dev/shm")
NEW_SECONDS = 60.0
MEMORY_NEEDED_BYTES = 6 * 1024**3


def session_directory() -> Path:
    """A folder for one session, in memory where there is room: every database made or dropped is a checkpoint.

    PostgreSQL keeps fsync on there too. What sessions that were killed left in memory is removed first; the lock on
    each folder tells them from living ones.
    """
    bases = [Path(tempfile.gettempdir())]
    if MEMORY.is_dir() and os.access(MEMORY, os.W_OK) and shutil.disk_usage(MEMORY).free > MEMORY_NEEDED_BYTES:
        bases.insert(0, MEMORY)
    for left in (folder for base in bases for folder in base.glob(f"{PREFIX}*")):
        status = left.stat()
        if status.st_uid != os.getuid() or time.time() - status.st_mtime < NEW_SECONDS:
            continue  # a stranger's, or one that has yet to take its lock
        with contextlib.suppress(OSError), (left / "owner").open("a") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(left, ignore_errors=True)
    directory = Path(tempfile.mkdtemp(prefix=PREFIX, dir=bases[0]))
    descriptor = os.open(directory / "owner", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    fcntl.flock(descriptor, fcntl.LOCK_EX)  # held until this process ends
    return directory


@dataclass(frozen=True)
class Infra:
    """Where the session's PostgreSQL and broker are. Picklable, the same in every worker."""

    directory: Path
    broker: str
    kafka_bootstrap: str
    kafka_idempotence: bool
    admin_database_url: str

    def create_database(self, name: str) -> str:
        """An empty database with a role of its own; its URL."""
        return create_database(self.admin_database_url, name, password=TEST_PASSWORD)

    def drop_database(self, name: str, *, role: bool = True) -> None:
        """Ends its sessions too."""
        drop_database(self.admin_database_url, name, role=role)

    def migrated_database(self, service: str, name: str) -> str:
        """A copy of a service's migrated, empty database; the first caller of the session migrates the template."""
        template = f"template_{service}"
        with self._lock(template):
            done = self.directory / f"{template}.done"
            if not done.exists():
                from shared.postgres.migrations import migrate

                url = self.create_database(template)
                owner = None
                if service in LEDGER_SERVICES:
                    owner = create_owner(self.admin_database_url, template, password=TEST_PASSWORD)
                in_thread(lambda: migrate(service, url, owner))
                done.touch()
            return create_database(self.admin_database_url, name, password=TEST_PASSWORD, template=template)

    def provision(self, prefix: str, topics: Sequence[provision.Topic] | None = None) -> None:
        """The declared topics (or those given) under a prefix."""
        arguments = provision.connection({**os.environ, "KAFKA_BOOTSTRAP_SERVERS": self.kafka_bootstrap})
        declared = provision.load() if topics is None else topics
        call(
            lambda: provision.provision(arguments, declared, prefix=prefix, replication=1, alter=self.kafka_idempotence)
        )

    def drop_topics(self, prefix: str) -> None:
        """Every topic under a prefix."""

        async def drop() -> None:
            admin = AIOKafkaAdminClient(bootstrap_servers=self.kafka_bootstrap)
            try:
                await admin.start()
                if names := [name for name in await admin.list_topics() if name.startswith(prefix)]:
                    await admin.delete_topics(names)
            finally:
                await admin.close()

        call(drop)

    def options(self, directory: Path, prefix: str, **others: object) -> Options:
        """A stack with its own services and mail sink on the session's PostgreSQL and broker."""
        shared: dict[str, object] = {
            "directory": directory,
            "infrastructure": frozenset({"mail"}),
            "kafka_bootstrap": self.kafka_bootstrap,
            "kafka_idempotence": self.kafka_idempotence,
            "admin_database_url": self.admin_database_url,
            "database_urls": {},
            "database_prefix": f"{prefix}_",
            "topic_prefix": f"{prefix}.",
        }
        return Options(**{**shared, **others})  # type: ignore[arg-type]

    @contextmanager
    def stack(self, directory: Path, *, migrating: bool = False, **others: object) -> Iterator[Stack]:
        """A running stack, as options() plans it, whose databases and topics are dropped afterwards.

        Its databases are copies of the session's migrated ones: a `migrate` command costs 2 s of CPU.
        `migrating`: as `make up` does it, with empty databases that each service migrates.
        """
        prefix = unique("s")
        options = self.options(directory, prefix, **others)
        try:
            if not migrating:
                copies = {service: self.migrated_database(service, f"{prefix}_{service}") for service in SERVICES}
                options = replace(options, database_urls=copies, migrate=False)
            with Stack(options) as stack:
                yield stack
        finally:
            for service in SERVICES:
                self.drop_database(f"{prefix}_{service}")
            self.drop_topics(f"{prefix}.")

    @contextmanager
    def _lock(self, name: str) -> Iterator[None]:
        with (self.directory / f"{name}.lock").open("w") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield


class InfraOwner:
    """In the process that owns the session: starts the infrastructure when a request file appears, answers by file."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self._stack: Stack | None = None
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._serve, name="test-infrastructure", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End what was started."""
        self._ended.set()
        if self._stack is not None:
            self._stack.abort()
        self._thread.join()
        if self._stack is not None:
            self._stack.stop()

    def _serve(self) -> None:
        while not (self.directory / "wanted").exists():
            if self._ended.wait(0.05):
                return
        answer: dict[str, object]
        try:
            self._stack = Stack(
                Options(
                    directory=self.directory / "stack",
                    services={},
                    infrastructure=frozenset({"postgres", "kafka"}),
                    postgres_settings={"max_connections": "400"},
                )
            )
            self._stack.start()
            infra = Infra(
                directory=self.directory,
                broker=self._stack.broker,
                kafka_bootstrap=self._stack.kafka_bootstrap,
                kafka_idempotence=self._stack.kafka_idempotence,
                admin_database_url=self._stack.admin_database_url,
            )
            answer = {**asdict(infra), "directory": str(self.directory)}
        except (StackError, OSError) as error:
            answer = {"error": str(error)}
        fresh = self.directory / "infra.new"
        fresh.write_text(json.dumps(answer), encoding="utf-8")
        fresh.rename(self.directory / "infra.json")


def request_infra(directory: Path) -> Infra:
    """Ask the session's owner, from any worker. Raises StackError with its reason when it could not start."""
    (directory / "wanted").touch()
    answer_path = directory / "infra.json"
    if not poll_until(answer_path.exists, START_TIMEOUT_SECONDS):
        raise StackError("Hạ tầng kiểm thử chưa chạy.", f"no test infrastructure after {START_TIMEOUT_SECONDS:.0f} s")
    answer = json.loads(answer_path.read_text(encoding="utf-8"))
    if "error" in answer:
        raise StackError("Hạ tầng kiểm thử không chạy được.", answer["error"])
    return Infra(**{**answer, "directory": Path(answer["directory"])})


class LocalMailSink:
    """A mail sink inside the test's own process: an SMTP server and what it accepted."""

    def __init__(self, directory: Path) -> None:
        from aiosmtpd.controller import Controller

        self._store = MailStore(directory / "mails.jsonl")

        class Sink(Controller):
            def factory(self) -> SMTP:
                return SMTP(self.handler, enable_SMTPUTF8=True, hostname="localhost", loop=self.loop)

        self._ports = Ports()
        self._port = self._ports.free()
        self._controller = Sink(Handler(self._store), hostname=HOST, port=self._port)

    def __enter__(self) -> Self:
        self._controller.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._controller.stop()
        self._store.close()
        self._ports.close()

    @property
    def address(self) -> tuple[str, int]:
        """(host, port)"""
        return HOST, self._port

    def mails(self, after: int = 0) -> list[Mail]:
        """What was accepted, oldest first."""
        return [Mail.from_json(mail) for mail in self._store.select(after)]


def as_owner(url: str) -> str:
    """A service's database as the role that its append-only tables belong to."""
    role = str(urlsplit(url).username)
    return url.replace(f"//{role}:", f"//{role}{OWNER_SUFFIX}:", 1)


def unique(kind: str) -> str:
    """A name nobody else in the session uses; fit for a database and a topic prefix."""
    return f"{kind}{uuid.uuid4().hex[:10]}"


def marked_processes(mark: str) -> list[psutil.Process]:
    """Live processes that some test of this session started, wherever they were re-parented; not ourselves."""
    wanted = f"{MARK}={mark}".encode()
    ours = {os.getpid(), os.getppid()}
    found = []
    for folder in Path("/proc").iterdir():
        if not folder.name.isdigit() or int(folder.name) in ours:
            continue
        try:
            if wanted in (folder / "environ").read_bytes().split(b"\0"):
                process = psutil.Process(int(folder.name))
                if process.status() != psutil.STATUS_ZOMBIE:
                    found.append(process)
        except (OSError, psutil.NoSuchProcess):
            continue
    return found
