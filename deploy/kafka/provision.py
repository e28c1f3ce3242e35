"""Brings a cluster in line with topics.yaml: creates topics, adds partitions, sets configs; never deletes or shrinks.

    python -m deploy.kafka.provision [--bootstrap HOST:PORT,...] [--prefix P] [--dry-run]

Connects as the services do: KAFKA_BOOTSTRAP_SERVERS, KAFKA_SECURITY_PROTOCOL, KAFKA_SASL_*, KAFKA_SSL_CAFILE.
Running it twice changes nothing.
"""

from __future__ import annotations

import asyncio
import logging
import os
import ssl
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from aiokafka.admin import AIOKafkaAdminClient, NewPartitions, NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import KafkaError, TopicAlreadyExistsError, for_code

from shared.runtime.arguments import CommandParser, whole
from shared.runtime.strict_yaml import FileRefused, value_of

DECLARATION = Path(__file__).resolve().parent / "topics.yaml"
DYNAMIC_TOPIC_CONFIG = 1  # config_source in DescribeConfigs: set on the topic itself


@dataclass(frozen=True, slots=True)
class Topic:
    """One declared topic; config values as Kafka spells them."""

    name: str
    partitions: int
    configs: Mapping[str, str]

    @property
    def compacted(self) -> bool:
        """Whether Kafka may keep only the newest event of each key."""
        return "compact" in self.configs.get("cleanup.policy", "")


@dataclass(slots=True)
class Report:
    """The changes made, or in a dry run the changes it would make, by topic name."""

    created: list[str] = field(default_factory=list)
    grown: dict[str, tuple[int, int]] = field(default_factory=dict)
    altered: dict[str, dict[str, str]] = field(default_factory=dict)
    unchanged: list[str] = field(default_factory=list)


class ProvisionError(Exception):
    """The cluster refused a change, or cannot be made to fit the declaration."""


def load(path: Path = DECLARATION) -> list[Topic]:
    """The declared topics, with defaults filled in. Raises FileRefused."""
    document = value_of(path.read_bytes(), path.name)
    defaults = document["defaults"]
    topics = []
    for name, declared in document["topics"].items():
        configs = {**defaults["configs"], **(declared.get("configs") or {})}
        topics.append(
            Topic(
                name=name,
                partitions=int(declared.get("partitions", defaults["partitions"])),
                configs={key: str(value) for key, value in configs.items()},
            )
        )
    return topics


def connection(env: Mapping[str, str], bootstrap: str | None = None) -> dict[str, Any]:
    """Arguments of an aiokafka client from the environment contract of the services."""
    protocol = env.get("KAFKA_SECURITY_PROTOCOL") or "PLAINTEXT"
    arguments: dict[str, Any] = {
        "bootstrap_servers": (bootstrap or env["KAFKA_BOOTSTRAP_SERVERS"]).split(","),
        "security_protocol": protocol,
    }
    if protocol.startswith("SASL"):
        arguments |= {
            "sasl_mechanism": env.get("KAFKA_SASL_MECHANISM") or "SCRAM-SHA-512",
            "sasl_plain_username": env.get("KAFKA_SASL_USERNAME"),
            "sasl_plain_password": env.get("KAFKA_SASL_PASSWORD"),
        }
    if protocol.endswith("SSL"):
        context = ssl.create_default_context(cafile=env.get("KAFKA_SSL_CAFILE") or None)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        arguments["ssl_context"] = context
    return arguments


async def provision(
    arguments: Mapping[str, Any],
    topics: Sequence[Topic],
    *,
    prefix: str = "",
    replication: int | None = None,
    alter: bool = True,
    dry_run: bool = False,
    timeout_seconds: float = 30.0,
) -> Report:
    """Bring the cluster in line; returns once every partition has a leader.

    `replication` None: 3 where there are three brokers or more, else 1; at 3, min.insync.replicas is 2.
    `alter` False leaves the configs of existing topics alone (a broker without that request).
    Raises ProvisionError, or KafkaError when the cluster cannot be reached.
    """
    admin = AIOKafkaAdminClient(**arguments)
    try:
        await admin.start()
        return await _provision(admin, topics, prefix, replication, alter, dry_run, timeout_seconds)
    finally:
        await admin.close()


async def _provision(
    admin: AIOKafkaAdminClient,
    topics: Sequence[Topic],
    prefix: str,
    replication: int | None,
    alter: bool,
    dry_run: bool,
    timeout_seconds: float,
) -> Report:
    report = Report()
    if replication is None:
        brokers = len((await admin.describe_cluster())["brokers"])
        replication = 3 if brokers >= 3 else 1
    wanted: dict[str, Topic] = {}
    for topic in topics:
        durable = {"min.insync.replicas": "2"} if replication >= 3 else {}
        configs = {**topic.configs, **durable}
        wanted[prefix + topic.name] = Topic(prefix + topic.name, topic.partitions, configs)
    existing = await _partition_counts(admin, list(wanted))

    for name, topic in wanted.items():
        match existing.get(name):
            case None:
                report.created.append(name)
            case count if count < topic.partitions:
                report.grown[name] = (count, topic.partitions)
            case count if count > topic.partitions:
                raise ProvisionError(
                    f"{name} has {count} partitions, {topic.partitions} are declared: partitions cannot be taken away; "
                    "declare at least as many (a key's partition depends on the count)"
                )
    if alter:
        changed = await _config_changes(admin, [wanted[name] for name in existing])
        report.altered = {name: difference for name, (difference, _) in changed.items()}
    report.unchanged = [name for name in existing if name not in report.grown and name not in report.altered]
    if dry_run:
        return report

    if report.created:
        await _create(admin, [wanted[name] for name in report.created], replication)
    if report.grown:
        await admin.create_partitions({name: NewPartitions(total) for name, (_, total) in report.grown.items()})
    if alter and changed:
        await _alter(admin, {name: full for name, (_, full) in changed.items()})
    await _wait_for_leaders(admin, wanted, timeout_seconds)
    return report


async def _partition_counts(admin: AIOKafkaAdminClient, names: list[str]) -> dict[str, int]:
    present = set(await admin.list_topics())
    described = await admin.describe_topics([name for name in names if name in present]) if present else []
    return {t["topic"]: len(t["partitions"]) for t in described if t["topic"] in set(names) and t["partitions"]}


async def _create(admin: AIOKafkaAdminClient, topics: Sequence[Topic], replication: int) -> None:
    new = [
        NewTopic(t.name, num_partitions=t.partitions, replication_factor=replication, topic_configs=dict(t.configs))
        for t in topics
    ]
    response = await admin.create_topics(new)
    for name, code, *message in response.topic_errors:
        if code not in (0, TopicAlreadyExistsError.errno):
            raise ProvisionError(f"cannot create {name}: {for_code(code).__name__} {message[0] if message else ''}")


async def _config_changes(
    admin: AIOKafkaAdminClient, topics: Sequence[Topic]
) -> dict[str, tuple[dict[str, str], dict[str, str]]]:
    """By topic: the differences, and the full set to send, since AlterConfigs replaces all settings of a topic."""
    if not topics:
        return {}
    resources = [ConfigResource(ConfigResourceType.TOPIC, topic.name) for topic in topics]
    set_on_topic: dict[str, dict[str, str]] = {}
    effective: dict[str, dict[str, str]] = {}
    for response in await admin.describe_configs(resources):
        for code, message, _, name, entries in response.resources:
            if code:
                raise ProvisionError(f"cannot read the configuration of {name}: {for_code(code).__name__} {message}")
            effective[name] = {entry[0]: entry[1] for entry in entries}
            set_on_topic[name] = {entry[0]: entry[1] for entry in entries if entry[3] == DYNAMIC_TOPIC_CONFIG}
    changes = {}
    for topic in topics:
        now = effective.get(topic.name, {})
        difference = {key: value for key, value in topic.configs.items() if now.get(key) != value}
        if difference:
            changes[topic.name] = (difference, {**set_on_topic.get(topic.name, {}), **topic.configs})
    return changes


async def _alter(admin: AIOKafkaAdminClient, configs: Mapping[str, dict[str, str]]) -> None:
    resources = [ConfigResource(ConfigResourceType.TOPIC, name, dict(full)) for name, full in configs.items()]
    for response in await admin.alter_configs(resources):
        for code, message, _, name in response.resources:
            if code:
                raise ProvisionError(f"cannot configure {name}: {for_code(code).__name__} {message}")


async def _wait_for_leaders(admin: AIOKafkaAdminClient, topics: Mapping[str, Topic], timeout_seconds: float) -> None:
    """Wait until every partition has a leader: a produce to one without a leader fails."""
    deadline = time.monotonic() + timeout_seconds
    while True:
        described = {topic["topic"]: topic["partitions"] for topic in await admin.describe_topics(list(topics))}
        missing = [
            name
            for name, topic in topics.items()
            if sum(1 for partition in described.get(name, ()) if partition["leader"] >= 0) < topic.partitions
        ]
        if not missing:
            return
        if time.monotonic() > deadline:
            raise ProvisionError(f"no leader after {timeout_seconds:.0f} s for partitions of: {', '.join(missing)}")
        await asyncio.sleep(0.05)


def main(argv: Sequence[str] | None = None) -> int:
    parser = CommandParser(prog="python -m deploy.kafka.provision", description=__doc__)
    parser.add_argument("--bootstrap", help="host:port[,...]; default: KAFKA_BOOTSTRAP_SERVERS")
    parser.add_argument("--prefix", default=os.environ.get("KAFKA_TOPIC_PREFIX", ""), help="before every topic name")
    parser.add_argument("--replication", type=whole(1, 32_767), help="default: 3 with three brokers or more, else 1")
    parser.add_argument("--dry-run", action="store_true", help="say what would change")
    options = parser.parse_args(argv)
    if not options.bootstrap and not os.environ.get("KAFKA_BOOTSTRAP_SERVERS"):
        parser.error("Thiếu địa chỉ cụm Kafka / no cluster: give --bootstrap or set KAFKA_BOOTSTRAP_SERVERS")
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)
    try:
        report = asyncio.run(
            provision(
                connection(os.environ, options.bootstrap),
                load(),
                prefix=options.prefix,
                replication=options.replication,
                dry_run=options.dry_run,
            )
        )
    except (KafkaError, ProvisionError, FileRefused, OSError) as error:
        print(f"Không chuẩn bị được các topic / cannot provision the topics: {error}", file=sys.stderr)
        return 1
    for name in report.created:
        print(f"tạo / created     {name}")
    for name, (before, after) in report.grown.items():
        print(f"thêm phân vùng / grown  {name}: {before} → {after}")
    for name, difference in report.altered.items():
        print(f"cấu hình / configured  {name}: {difference}")
    for name in report.unchanged:
        print(f"giữ nguyên / unchanged {name}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
