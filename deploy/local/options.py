"""The plan of a stack, made once; no other module of the stack reads the environment for it."""

from __future__ import annotations

import os
import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, get_args

from deploy.local.errors import UsageError
from shared.contract.services import SERVICES

ROOT = Path(__file__).resolve().parents[2]
LOCAL = ROOT / ".local"
DEFAULT_DIRECTORY = LOCAL / "stack"
Broker = Literal["auto", "kafka", "tansu"]
Infrastructure = Literal["postgres", "kafka", "mail"]

# The documented ports (docs/local-stack.md) lie below Linux's ephemeral range, so no outgoing connection takes one.
FIXED_PORTS: Mapping[str, int] = {
    "postgres": 25432,
    "kafka": 29092,
    "kafka-2": 29093,
    "kafka-3": 29094,
    "kafka-controller": 29192,
    "kafka-2-controller": 29193,
    "kafka-3-controller": 29194,
    "mail": 21025,
    "mail-http": 28025,
    "intake": 28081,
    "validator": 28082,
    "scoring": 28083,
    "notifier": 28084,
    "board": 28085,
}
#: whose append-only tables belong to a role of their own (shared/postgres/ledgers.py)
LEDGER_SERVICES = frozenset({"intake", "scoring"})
#: how the brokers' Java collects garbage and compiles, for a load that lasts
LASTING_JAVA = ("-XX:+UseG1GC", "-XX:MaxGCPauseMillis=20")
FIXED_INSTANCE_STEP = 10  # intake-2 is 28091, intake-3 is 28101


def _silent(text: str) -> None:
    """Drop progress messages."""


def default_broker() -> Broker:
    """The broker by LOCAL_BROKER, or `auto`."""
    value = os.environ.get("LOCAL_BROKER") or "auto"
    for broker in get_args(Broker):
        if value == broker:
            return broker  # type: ignore[no-any-return]
    raise UsageError(
        f"LOCAL_BROKER={value!r} không hợp lệ: dùng auto, kafka hoặc tansu.",
        f"LOCAL_BROKER={value!r} is not one of auto, kafka, tansu",
    )


@dataclass(frozen=True, kw_only=True)
class Options:
    """The plan of one stack.

    directory: data, logs, secrets and state of this stack; created if missing, one supervisor at a time.
    fixed_ports: the documented ports (make up, make demo); otherwise free ports.
    broker, brokers: which broker, and how many of them (3: replication 3, min.insync.replicas 2).
    services: instances of each service to start; {} is infrastructure only.
    infrastructure: what the stack runs itself; the rest must come from the outside settings below.
    env: extra environment of every service process. service_env: the same, by service or instance name.
    topic_prefix, database_prefix: put before every topic, database and role, to share one broker or server.
    kafka_bootstrap: an outside cluster (default: KAFKA_BOOTSTRAP_SERVERS); KAFKA_SASL_* and so on are passed through.
    kafka_idempotence: whether an outside cluster supports idempotent producers.
    postgres_settings, kafka_settings: of our own server and brokers, beside what the stack needs.
    kafka_java: the brokers' garbage collector and compiler (default: LOCAL_KAFKA_JAVA, or those of a lasting load).
    kafka_advertised: by broker's name, the port under which a second listener presents it to clients (a proxy's).
    migrate: whether start() brings databases up to date; False where they are copies of migrated ones.
    admin_database_url: an outside PostgreSQL where we may create roles and databases.
    owner_database_urls: the same as the roles that own their append-only tables (default: <NAME>_OWNER_DATABASE_URL).
    database_urls: outside databases by service (default: <NAME>_DATABASE_URL), used as they are.
    service_command: the command of a service up to its subcommand; `{name}` is replaced.
    progress: called with one line of text for a human, from any thread.
    """

    directory: Path
    fixed_ports: bool = False
    broker: Broker = field(default_factory=default_broker)
    brokers: int = 1
    services: Mapping[str, int] = field(default_factory=lambda: dict.fromkeys(SERVICES, 1))
    infrastructure: frozenset[str] = frozenset({"postgres", "kafka", "mail"})
    env: Mapping[str, str] = field(default_factory=dict)
    service_env: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    topic_prefix: str = ""
    database_prefix: str = ""
    kafka_bootstrap: str | None = field(default_factory=lambda: os.environ.get("KAFKA_BOOTSTRAP_SERVERS") or None)
    kafka_idempotence: bool = field(default_factory=lambda: os.environ.get("KAFKA_IDEMPOTENCE", "true") != "false")
    kafka_advertised: Mapping[str, int] = field(default_factory=dict)
    migrate: bool = True
    admin_database_url: str | None = None
    database_urls: Mapping[str, str] = field(
        default_factory=lambda: {
            name: os.environ[f"{name.upper()}_DATABASE_URL"]
            for name in SERVICES
            if os.environ.get(f"{name.upper()}_DATABASE_URL")
        }
    )
    owner_database_urls: Mapping[str, str] = field(
        default_factory=lambda: {
            name: os.environ[f"{name.upper()}_OWNER_DATABASE_URL"]
            for name in SERVICES
            if os.environ.get(f"{name.upper()}_OWNER_DATABASE_URL")
        }
    )
    smtp_address: tuple[str, int] | None = None
    service_command: Sequence[str] = ("{python}", "-m", "services.{name}")
    ready_timeout_seconds: float = 120.0
    minimum_free_bytes: int = 512 * 1024 * 1024
    postgres_settings: Mapping[str, str] = field(default_factory=dict)
    kafka_settings: Mapping[str, str] = field(default_factory=dict)
    kafka_java: Sequence[str] = field(
        default_factory=lambda: shlex.split(os.environ.get("LOCAL_KAFKA_JAVA") or "") or LASTING_JAVA
    )
    progress: Callable[[str], None] = _silent

    def __post_init__(self) -> None:
        if self.brokers not in (1, 3):
            raise UsageError("Số broker phải là 1 hoặc 3.", f"brokers is {self.brokers}: use 1 or 3")
        if self.brokers > 1 and self.broker == "tansu":
            raise UsageError("Tansu chỉ chạy một broker.", "Tansu runs as one broker only; use kafka for three")
        unknown = self.infrastructure - {"postgres", "kafka", "mail"}
        if unknown:
            raise UsageError(f"Thành phần lạ: {sorted(unknown)}.", f"unknown infrastructure: {sorted(unknown)}")
        for name, count in self.services.items():
            if not name.isidentifier() or count < 0:
                raise UsageError(f"Dịch vụ không hợp lệ: {name}={count}.", f"bad service entry: {name}={count}")


def typed(directory: Path, *words: str) -> str:
    """The command that reaches the supervisor of this directory."""
    place = () if directory.absolute() == DEFAULT_DIRECTORY else ("--directory", str(directory))
    return shlex.join(["python", "-m", "deploy.local", *words, *place])
