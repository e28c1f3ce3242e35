"""The rights of docs/kafka-acls.md before a broker that enforces them: each service can do its work, and nothing else.

The broker is Kafka with its StandardAuthorizer and an account per service (SASL/PLAIN); what is not granted is refused.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import asyncpg
import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import (
    ClusterAuthorizationFailedError,
    GroupAuthorizationFailedError,
    KafkaError,
    TopicAuthorizationFailedError,
    for_code,
)
from aiokafka.protocol.admin import CreateAclsRequest
from pydantic import SecretStr

from deploy.kafka import provision
from deploy.kafka.acls import Grant, grants
from deploy.local import Options, Stack
from deploy.local.errors import MissingPrerequisite
from deploy.local.jars import find_kafka
from deploy.local.kafka import KafkaBroker
from deploy.local.ports import HOST
from shared.consuming.consumers_tool import _groups
from shared.contract.services import SERVICES
from shared.contract.subscriptions import FOLLOWS
from shared.kafka.clients import kept_offsets, topic_limits
from shared.outbox.relay import Relay, published_topics
from shared.postgres.database import Database
from shared.runtime.clock import SystemClock
from shared.runtime.settings import KafkaSettings
from tests.integration.shared.rig import count, eventually
from tests.programs.faults.proxy import Proxy

PASSWORD = "test-only"
#: numbers of Kafka's protocol
KINDS = {"topic": 2, "group": 3}
OPERATIONS = {"Read": 3, "Write": 4, "Describe": 8, "DescribeConfigs": 10}
LITERAL, PREFIXED, ALLOW = 3, 4, 3
TOPICS = sorted(topic.name for topic in provision.load())


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guarded]:
    """A broker that enforces rights; none is granted yet."""
    try:
        find_kafka(lambda _: None)
    except MissingPrerequisite:
        pytest.skip("no Java: Tansu has no authorizer")
    accounts = " ".join(f'user_{service}="{PASSWORD}"' for service in SERVICES)
    login = f"org.apache.kafka.common.security.plain.PlainLoginModule required {accounts};"
    with Proxy() as proxy:
        options = Options(
            directory=tmp_path_factory.mktemp("guarded"),
            broker="kafka",
            kafka_bootstrap=None,
            services={},
            infrastructure=frozenset({"kafka"}),
            kafka_advertised={"kafka": proxy.port},
            kafka_settings={
                "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
                "allow.everyone.if.no.acl.found": "false",
                "super.users": "User:ANONYMOUS",  # whoever comes to the other listener: the broker, and this test
                "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,PROXIED:SASL_PLAINTEXT",
                "sasl.enabled.mechanisms": "PLAIN",
                "listener.name.proxied.plain.sasl.jaas.config": login,
            },
        )
        with Stack(options) as stack:
            broker = stack.component("kafka")
            assert isinstance(broker, KafkaBroker)
            proxy.target = broker.node.proxied_port or 0
            yield Guarded(stack.kafka_bootstrap, f"{HOST}:{proxy.port}")


@dataclass(frozen=True)
class Guarded:
    """Where the administrator comes in, and where services do."""

    administrators: str
    services: str

    def settings(self, service: str) -> KafkaSettings:
        return KafkaSettings(
            bootstrap_servers=self.services,
            security_protocol="SASL_PLAINTEXT",
            sasl_mechanism="PLAIN",
            sasl_username=service,
            sasl_password=SecretStr(PASSWORD),
            topic_prefix="",
            idempotence=True,
        )

    def login(self, service: str) -> dict[str, Any]:
        return {
            "bootstrap_servers": self.services,
            "security_protocol": "SASL_PLAINTEXT",
            "sasl_mechanism": "PLAIN",
            "sasl_plain_username": service,
            "sasl_plain_password": PASSWORD,
            "request_timeout_ms": 10_000,
        }


async def grant(guarded: Guarded, wanted: Sequence[Grant]) -> None:
    """What the commands of `python -m deploy.kafka.acls` do."""
    admin = AIOKafkaAdminClient(bootstrap_servers=guarded.administrators)
    await admin.start()
    try:
        for rule in wanted:
            for operation in rule.operations:
                pattern = PREFIXED if rule.kind == "group" else LITERAL
                request = CreateAclsRequest(
                    KINDS[rule.kind], rule.name, pattern, f"User:{rule.service}", "*", OPERATIONS[operation], ALLOW
                )
                answer = await admin._send_request(request)
                assert all(code == 0 for code, *_ in answer.creation_responses), answer
    finally:
        await admin.close()


async def produce(guarded: Guarded, service: str, topic: str) -> str:
    """What the broker says to a produce: "" where it takes it."""
    producer = AIOKafkaProducer(acks="all", enable_idempotence=True, **guarded.login(service))
    try:
        await producer.start()
        await producer.send_and_wait(topic, b"{}", key=b"k")
    except KafkaError as error:
        return type(error).__name__
    finally:
        await producer.stop()
    return ""


async def consume(guarded: Guarded, service: str, topic: str, group: str) -> str:
    """What the broker says to a member of a group: "" where it hands a record over and takes the offset."""
    consumer = AIOKafkaConsumer(
        topic, group_id=group, auto_offset_reset="earliest", enable_auto_commit=False, **guarded.login(service)
    )
    try:
        async with asyncio.timeout(15):
            await consumer.start()
            await consumer.getone()
            await consumer.commit()
    except KafkaError as error:
        return type(error).__name__
    finally:
        await consumer.stop()
    return ""


async def create_topic(guarded: Guarded, service: str) -> str:
    admin = AIOKafkaAdminClient(**guarded.login(service))
    await admin.start()
    try:
        answer = await admin.create_topics([NewTopic("registry2", 1, 1)])
        return str(for_code(answer.topic_errors[0][1]).__name__)
    finally:
        await admin.close()


DENIED_TOPIC, DENIED_GROUP, DENIED_CLUSTER = (
    error.__name__
    for error in (TopicAuthorizationFailedError, GroupAuthorizationFailedError, ClusterAuthorizationFailedError)
)


async def test_each_service_can_do_its_work_and_nothing_else(guarded: Guarded, database: Database) -> None:
    await provision.provision({"bootstrap_servers": guarded.administrators}, provision.load())
    # the control: the broker refuses what no one has granted yet
    assert await produce(guarded, "intake", "submissions") in (DENIED_TOPIC, DENIED_CLUSTER)
    await grant(guarded, grants())

    for service in SERVICES:
        await _sends(guarded, service, database)
    for service, models in FOLLOWS.items():
        follows = sorted({model.TOPIC for model in models})
        for topic in follows:
            assert await consume(guarded, service, topic, f"{service}.work") == "", (service, topic)
        await _is_operated(guarded, service, follows)

    for service in SERVICES:
        writes = set(published_topics(service))
        reads = {model.TOPIC for model in FOLLOWS[service]}
        for topic in set(TOPICS) - writes:
            assert await produce(guarded, service, topic) == DENIED_TOPIC, (service, topic)
        for topic in set(TOPICS) - reads:
            assert await consume(guarded, service, topic, f"{service}.work") == DENIED_TOPIC, (service, topic)
        other = next(neighbour for neighbour in SERVICES if neighbour != service)
        assert await consume(guarded, service, min(reads), f"{other}.work") == DENIED_GROUP, service
        assert await create_topic(guarded, service) in (DENIED_TOPIC, DENIED_CLUSTER), service


async def _sends(guarded: Guarded, service: str, database: Database) -> None:
    """Its relay, as it is, sends to every topic of its own, and learns what the topics take."""
    settings = guarded.settings(service)
    topics = published_topics(service)
    connection = await asyncpg.connect(database.url)
    try:
        # each service has a database of its own: nothing in it speaks of another's topics
        await connection.execute("TRUNCATE relay_position, relay_state, outbox_archive")
        for topic in topics:
            await connection.execute(
                "INSERT INTO outbox (event_id, topic, key, type, body)"
                " VALUES (gen_random_uuid(), $1, 'k', 'vn.test', $2)",
                topic,
                b"{}",
            )
    finally:
        await connection.close()
    relay = Relay(service, database.url, settings, SystemClock())
    await relay.start()

    async def sent() -> bool:
        return await count(database, "outbox") == 0

    try:
        await eventually(sent, f"the relay of {service} sends")
    finally:
        await relay.stop()
    assert await count(database, "outbox_set_aside") == 0
    assert set(await topic_limits(settings, topics)) == set(topics)


async def _is_operated(guarded: Guarded, service: str, follows: Sequence[str]) -> None:
    """The operator's `consumers list` and `bury-to` look at groups and offsets under the service's account."""
    settings = guarded.settings(service)
    assert {topic for topic, _ in await kept_offsets(settings, follows)} == set(follows)
    with pytest.MonkeyPatch.context() as patch:
        for name, value in {
            "BOOTSTRAP_SERVERS": guarded.services, "SECURITY_PROTOCOL": "SASL_PLAINTEXT", "SASL_MECHANISM": "PLAIN",
            "SASL_USERNAME": service, "SASL_PASSWORD": PASSWORD, "TOPIC_PREFIX": "",
        }.items():  # fmt: skip
            patch.setenv(f"KAFKA_{name}", value)
        name = f"{service}.work"
        assert (await _groups({name: follows}))[name].lag >= 0
