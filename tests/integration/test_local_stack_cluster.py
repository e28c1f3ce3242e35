"""Three brokers form one cluster that survives the loss of any one of them and refuses writes after the loss of two."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import KafkaError

from deploy.local import Options, Stack
from deploy.local.kafka import reachable_brokers

pytestmark = [pytest.mark.slow, pytest.mark.whole, pytest.mark.timeout(300)]


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    options = Options(
        directory=tmp_path_factory.mktemp("cluster"),
        broker="kafka",
        brokers=3,
        services={},
        infrastructure=frozenset({"kafka"}),
        kafka_bootstrap=None,
    )
    with Stack(options) as stack:
        yield stack


async def test_topics_have_three_replicas_of_which_two_must_be_in_sync(cluster: Stack) -> None:
    assert len(cluster.kafka_bootstrap.split(",")) == 3
    assert reachable_brokers(cluster.kafka_bootstrap.split(",")[0]) == set(cluster.kafka_bootstrap.split(","))
    admin = AIOKafkaAdminClient(bootstrap_servers=cluster.kafka_bootstrap)
    await admin.start()
    try:
        for topic in await admin.describe_topics(["submissions", "registry", "intake.dlq"]):
            assert {len(partition["replicas"]) for partition in topic["partitions"]} == {3}, topic["topic"]
        (response,) = await admin.describe_configs([ConfigResource(ConfigResourceType.TOPIC, "submissions")])
        configs = {entry[0]: entry[1] for entry in response.resources[0][4]}
        assert configs["min.insync.replicas"] == "2"
    finally:
        await admin.close()


async def test_one_broker_lost_loses_nothing_and_two_lost_refuse_writes(cluster: Stack) -> None:
    producer = AIOKafkaProducer(
        bootstrap_servers=cluster.kafka_bootstrap,
        acks="all",
        enable_idempotence=True,
        request_timeout_ms=20_000,
        metadata_max_age_ms=1_000,
    )
    await producer.start()
    try:
        await producer.send_and_wait("submissions", b"all three", partition=0)
        cluster.component("kafka-3").kill()
        for partition in range(12):  # every partition found a leader among the other two
            await producer.send_and_wait("submissions", b"two of three", partition=partition)
    finally:
        await producer.stop()
    cluster.component("kafka-2").kill()
    with pytest.raises(KafkaError):
        await write(cluster.kafka_bootstrap, b"one of three")
    for name in ("kafka-2", "kafka-3"):
        cluster.component(name).start()
    for name in ("kafka-2", "kafka-3"):
        cluster.component(name).wait_ready()
    await write(cluster.kafka_bootstrap, b"three again", request_timeout_ms=20_000)


async def write(bootstrap: str, value: bytes, request_timeout_ms: int = 3_000) -> None:
    producer = AIOKafkaProducer(bootstrap_servers=bootstrap, acks="all", request_timeout_ms=request_timeout_ms)
    try:
        await producer.start()
        await producer.send_and_wait("submissions", value, partition=0)
    finally:
        await producer.stop()
