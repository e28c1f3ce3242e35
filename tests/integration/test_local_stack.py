"""The supervisor on real processes: what it starts is ready, durable, separated, and under control."""

from __future__ import annotations

import asyncio
import json
import smtplib
import socket
import stat
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from email.message import EmailMessage
from pathlib import Path

import asyncpg
import psutil
import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import KafkaError

from deploy.kafka import provision
from deploy.local import Options, Stack, UsageError
from deploy.local.kafka import KafkaBroker
from deploy.local.postgres import with_database
from deploy.local.process import poll_until

# A service that needs nothing of the project: answers /readyz, and shows its environment at /env.
FAKE_SERVICE = """
import http.server, json, os, subprocess, sys
name, command = sys.argv[1:3]
if command == "migrate":
    print("migrated", name)
    sys.exit(0)
if os.environ.get("FAKE_CHILD"):
    subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        body = json.dumps(dict(os.environ)).encode()
        self.send_response(200)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    def log_message(self, *_):
        pass
    def do_POST(self):
        print("about to crash", flush=True)
        os._exit(3)
http.server.ThreadingHTTPServer(("127.0.0.1", int(os.environ[name.upper() + "_PORT"])), Handler).serve_forever()
"""


pytestmark = pytest.mark.timeout(240)  # a start on a busy machine


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    directory = tmp_path_factory.mktemp("stack with a space")
    script = directory / "fake service.py"
    script.write_text(FAKE_SERVICE, encoding="utf-8")
    options = Options(
        directory=directory,
        broker="kafka",
        services={"intake": 1, "scoring": 2},
        service_command=(sys.executable, str(script), "{name}"),
        env={"EXTRA": "everywhere"},
        service_env={"scoring-2": {"EXTRA": "only here"}},
        topic_prefix="own.",
        kafka_bootstrap=None,
        database_urls={},
    )
    with Stack(options) as running:
        yield running


def get(url: str, timeout_seconds: float = 5) -> bytes:
    with urllib.request.urlopen(url, timeout=timeout_seconds) as answer:
        return bytes(answer.read())


def test_every_component_is_ready_and_listens_on_loopback_only(stack: Stack) -> None:
    names = [component.name for component in stack.components]
    assert sorted(names) == ["intake", "kafka", "mail", "postgres", "scoring", "scoring-2"]
    for component in stack.components:
        assert component.running
        component.wait_ready(1)
        listening = [c for c in psutil.Process(component.pid).net_connections("tcp") if c.status == "LISTEN"]
        assert listening, component.name
        assert {c.laddr.ip.removeprefix("::ffff:") for c in listening} == {"127.0.0.1"}, component.name


def test_a_service_gets_exactly_its_contract(stack: Stack) -> None:
    env = json.loads(get(stack.url("intake") + "/env"))
    assert env["INTAKE_DATABASE_URL"] == stack.database_url("intake")
    assert stack.url("intake") == f"http://127.0.0.1:{env['INTAKE_PORT']}"
    assert env["INTAKE_HOST"] == "127.0.0.1"
    assert env["KAFKA_BOOTSTRAP_SERVERS"] == stack.kafka_bootstrap
    assert env["KAFKA_IDEMPOTENCE"] == "true"
    assert env["KAFKA_TOPIC_PREFIX"] == "own."
    assert not any("TOKEN" in name for name in env)
    assert "SCORING_DATABASE_URL" not in env
    assert "NOTIFIER_SMTP_PORT" not in env
    notifier = stack.service_env("notifier")
    assert (notifier["NOTIFIER_SMTP_HOST"], int(notifier["NOTIFIER_SMTP_PORT"])) == stack.smtp_address
    first, second = stack.urls("scoring")
    assert first != second
    assert json.loads(get(first + "/env"))["EXTRA"] == "everywhere"
    assert json.loads(get(second + "/env"))["EXTRA"] == "only here"


def test_secrets_are_kept_for_their_owner_alone(stack: Stack) -> None:
    path = stack.directory / "secrets.json"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    password = stack.database_url("intake").partition("@")[0].rpartition(":")[2]
    assert len(password) > 20
    assert password in path.read_text(encoding="utf-8")
    assert password not in (stack.directory / "stack.json").read_text(encoding="utf-8")


async def test_postgres_is_durable_and_speaks_scram(stack: Stack) -> None:
    connection = await asyncpg.connect(stack.admin_database_url)
    try:
        settings = {
            row["name"]: row["setting"] for row in await connection.fetch("SELECT name, setting FROM pg_settings")
        }
        hba = await connection.fetch("SELECT type, auth_method FROM pg_hba_file_rules")
        locale = await connection.fetchval("SELECT datctype FROM pg_database WHERE datname = 'intake'")
    finally:
        await connection.close()
    assert settings["fsync"] == settings["synchronous_commit"] == settings["full_page_writes"] == "on"
    assert settings["data_checksums"] == "on"
    assert int(settings["max_connections"]) >= 200
    assert {row["auth_method"] for row in hba} == {"scram-sha-256"}
    assert locale == "C.UTF-8"


async def test_a_role_reaches_its_own_database_and_no_other(stack: Stack) -> None:
    own = stack.create_database("settler")
    connection = await asyncpg.connect(own)
    try:
        await connection.execute("CREATE TABLE proof (n int)")
        assert await connection.fetchval("SELECT current_user") == "settler"
        assert not await connection.fetchval(
            "SELECT rolsuper OR rolcreatedb OR rolcreaterole FROM pg_roles WHERE rolname = current_user"
        )
    finally:
        await connection.close()
    for foreign in ("scoring", "postgres", "template1"):
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await asyncpg.connect(with_database(own, foreign))
    with pytest.raises(asyncpg.InvalidPasswordError):
        await asyncpg.connect(own.replace("settler:", "scoring:", 1))


async def test_postgres_killed_and_restarted_keeps_what_was_committed(stack: Stack) -> None:
    url = stack.create_database("survivor")
    connection = await asyncpg.connect(url)
    await connection.execute("CREATE TABLE kept (n int)")
    await connection.execute("INSERT INTO kept VALUES (7)")
    server = stack.component("postgres")
    old_pid = server.pid
    server.kill()
    assert not server.running
    assert not psutil.pid_exists(old_pid)
    with pytest.raises((OSError, asyncpg.PostgresError, asyncpg.InterfaceError)):
        await connection.fetchval("SELECT 1")
    server.start()
    server.wait_ready(90)
    assert server.pid != old_pid
    connection = await asyncpg.connect(url)
    try:
        assert await connection.fetchval("SELECT n FROM kept") == 7
    finally:
        await connection.close()
    stack.drop_database("survivor")


async def test_a_paused_component_hangs_and_a_resumed_one_goes_on(stack: Stack) -> None:
    server = stack.component("postgres")
    connection = await asyncpg.connect(stack.admin_database_url)
    try:
        server.pause()
        assert server.running
        assert server.paused
        with pytest.raises(TimeoutError):
            await connection.fetchval("SELECT 1", timeout=0.3)
        with pytest.raises((TimeoutError, OSError, asyncpg.PostgresError)):
            await asyncpg.connect(stack.admin_database_url, timeout=0.3)
    finally:
        server.resume()
        await connection.close(timeout=5)
    server.wait_ready(10)
    service = stack.component("intake")
    service.pause()
    with pytest.raises((TimeoutError, urllib.error.URLError)):
        get(stack.url("intake") + "/readyz", 0.3)
    service.resume()
    assert get(stack.url("intake") + "/readyz")


def test_a_crashed_child_is_told_from_a_stopped_one(stack: Stack) -> None:
    service = stack.component("intake")
    request = urllib.request.Request(stack.url("intake"), data=b"x", method="POST")
    with pytest.raises((OSError, urllib.error.URLError)):
        urllib.request.urlopen(request, timeout=5)
    assert poll_until(lambda: service.crashed, 5)
    assert stack.crashed() == [service]
    failure = service.failure()
    assert "exit code 3" in failure.en
    assert "about to crash" in failure.tail
    service.restart()
    assert stack.crashed() == []
    service.stop()
    assert stack.crashed() == []
    service.start()
    service.wait_ready()


def test_another_instance_joins_on_its_own_port(stack: Stack) -> None:
    added = stack.add_instance("intake")
    assert added.name == "intake-2"
    assert len(set(stack.urls("intake"))) == 2
    assert get(stack.urls("intake")[1] + "/readyz")
    with pytest.raises(UsageError):
        stack.component("intake-3")


async def shows(admin: AIOKafkaAdminClient, topic: str, wanted: dict[str, str]) -> dict[str, str]:
    """The topic's configuration as soon as it agrees; a broker follows its controller a moment later."""
    for _ in range(200):
        now = await configs_of(admin, topic)
        if wanted.items() <= now.items():
            return now
        await asyncio.sleep(0.1)
    raise AssertionError(f"{topic} never showed {wanted}")


async def configs_of(admin: AIOKafkaAdminClient, topic: str) -> dict[str, str]:
    (response,) = await admin.describe_configs([ConfigResource(ConfigResourceType.TOPIC, topic)])
    return {entry[0]: entry[1] for entry in response.resources[0][4]}


async def test_topics_are_as_declared_and_drift_is_put_right(stack: Stack) -> None:
    arguments = provision.connection({"KAFKA_BOOTSTRAP_SERVERS": stack.kafka_bootstrap})
    declared = {topic.name: topic for topic in provision.load()}
    admin = AIOKafkaAdminClient(bootstrap_servers=stack.kafka_bootstrap)
    await admin.start()
    try:
        described = {t["topic"]: len(t["partitions"]) for t in await admin.describe_topics()}
        assert {name: described["own." + name] for name in declared} == {n: t.partitions for n, t in declared.items()}
        assert (await configs_of(admin, "own.registry"))["cleanup.policy"] == "compact"
        assert (await configs_of(admin, "own.submissions"))["retention.ms"] == str(14 * 86_400_000)
        letters = await configs_of(admin, "own.intake.dlq")
        assert letters["retention.ms"] == str(90 * 86_400_000)
        assert int(letters["max.message.bytes"]) > 2 * 1024 * 1024

        again = await provision.provision(arguments, list(declared.values()), prefix="own.")
        assert (again.created, again.grown, again.altered) == ([], {}, {})

        # Somebody changes retention by hand, sets something of their own, and we want more partitions.
        drift = {"retention.ms": "1000", "segment.bytes": "104857600"}
        await admin.alter_configs([ConfigResource(ConfigResourceType.TOPIC, "own.verdicts", drift)])
        await shows(admin, "own.verdicts", drift)
        wanted = provision.Topic("verdicts", 14, declared["verdicts"].configs)
        report = await provision.provision(arguments, [wanted], prefix="own.")
        assert report.grown == {"own.verdicts": (12, 14)}
        assert report.altered["own.verdicts"]["retention.ms"] == str(14 * 86_400_000)
        await shows(admin, "own.verdicts", {"retention.ms": str(14 * 86_400_000), "segment.bytes": "104857600"})
        with pytest.raises(provision.ProvisionError, match="cannot be taken away"):
            await provision.provision(arguments, [declared["verdicts"]], prefix="own.")
    finally:
        await admin.close()


async def test_a_topic_nobody_declared_does_not_come_into_being(stack: Stack) -> None:
    producer = AIOKafkaProducer(bootstrap_servers=stack.kafka_bootstrap, request_timeout_ms=1500)
    await producer.start()
    try:
        with pytest.raises(KafkaError):
            await producer.send_and_wait("undeclared", b"x")
    finally:
        await producer.stop()
    admin = AIOKafkaAdminClient(bootstrap_servers=stack.kafka_bootstrap)
    await admin.start()
    try:
        assert "undeclared" not in await admin.list_topics()
    finally:
        await admin.close()


async def cluster_id(bootstrap: str) -> str:
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    try:
        return str((await admin.describe_cluster())["cluster_id"])
    finally:
        await admin.close()


async def test_kafka_killed_keeps_messages_and_wiped_is_another_cluster(stack: Stack) -> None:
    broker = stack.component("kafka")
    assert isinstance(broker, KafkaBroker)
    before = await cluster_id(stack.kafka_bootstrap)
    producer = AIOKafkaProducer(bootstrap_servers=stack.kafka_bootstrap, acks="all", enable_idempotence=True)
    await producer.start()
    await producer.send_and_wait("own.submissions", b"kept", partition=0)
    await producer.stop()
    broker.kill()
    broker.start()
    broker.wait_ready(90)
    consumer = AIOKafkaConsumer(bootstrap_servers=stack.kafka_bootstrap)
    await consumer.start()
    try:
        partition = TopicPartition("own.submissions", 0)
        consumer.assign([partition])
        await consumer.seek_to_beginning(partition)
        records = await consumer.getmany(timeout_ms=10_000)
        assert [record.value for record in records[partition]] == [b"kept"]
    finally:
        await consumer.stop()
    assert await cluster_id(stack.kafka_bootstrap) == before

    broker.wipe()
    broker.start()
    broker.wait_ready(90)
    assert await cluster_id(stack.kafka_bootstrap) != before
    assert len(stack.provision_topics().created) == len(provision.load())


def test_mails_are_kept_and_shown_also_after_the_sink_was_killed(stack: Stack) -> None:
    message = EmailMessage()
    message["From"], message["To"] = "nhac@baocao.example", "so-tai-chinh@h99.example"
    message["Subject"], message["Message-ID"] = "Nhắc hạn nộp báo cáo", "<one@baocao.example>"
    message.set_content("Kính gửi Sở Tài chính,\nhạn nộp là 15 giờ.")
    with smtplib.SMTP(*stack.smtp_address, timeout=10) as client:
        client.send_message(message, to_addrs=["so-tai-chinh@h99.example"])
    (mail,) = stack.mails()
    assert mail.to == ("so-tai-chinh@h99.example",)
    assert mail.subject == "Nhắc hạn nộp báo cáo"
    assert mail.message_id == "<one@baocao.example>"
    assert "hạn nộp là 15 giờ" in mail.text
    sink = stack.component("mail")
    sink.kill()
    sink.start()
    sink.wait_ready(10)
    assert stack.mails() == [mail]
    assert stack.mails(after=mail.serial) == []
    assert "Nhắc hạn nộp báo cáo" in get(stack.mail_url).decode()
    assert "Kính gửi" in get(f"{stack.mail_url}/mails/{mail.serial}").decode()


def test_a_port_stays_ours_while_its_component_is_down(stack: Stack) -> None:
    service = stack.component("scoring")
    port = int(stack.urls("scoring")[0].rpartition(":")[2])
    service.stop()
    with socket.socket() as stranger, pytest.raises(OSError, match="in use"):
        stranger.bind(("127.0.0.1", port))
    service.start()
    service.wait_ready()


def test_logs_of_every_component_are_in_the_directory(stack: Stack) -> None:
    names = {path.stem for path in Path(stack.directory / "logs").glob("*.log")}
    assert {"postgres", "kafka", "mail", "intake", "intake-migrate", "scoring", "scoring-2"} <= names
