"""A compressed batch is bounded by what it unpacks to: a consumer unpacks it whole, before it can look at it."""

from __future__ import annotations

import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.errors import MessageSizeTooLargeError

from deploy.kafka import provision
from deploy.local.calls import call
from tests.stack import Infra

RECORD_BYTES = 900_000
KEY = b"H99.01/BC/2026-M01"


def send_compressed(infra: Infra, topic: str, records: int) -> int:
    """Send one gzip batch of so many records, each of which the topic would take; returns the first's offset."""

    async def send() -> int:
        producer = AIOKafkaProducer(
            bootstrap_servers=infra.kafka_bootstrap,
            compression_type="gzip",
            max_batch_size=64 * 1024 * 1024,
            max_request_size=64 * 1024 * 1024,
        )
        await producer.start()
        try:
            batch = producer.create_batch()
            for _ in range(records):
                assert batch.append(key=KEY, value=b" " * RECORD_BYTES, timestamp=None) is not None
            batch.close()
            return int((await (await producer.send_batch(batch, topic, partition=0))).offset)
        finally:
            await producer.stop()

    return call(send)


def test_a_batch_that_unpacks_to_more_than_the_topic_takes_is_refused(infra: Infra, topics: str) -> None:
    if not infra.kafka_idempotence:
        pytest.skip("the stand-in takes any size")
    declared = {topic.name: topic for topic in provision.load()}
    for name, topic in declared.items():
        assert topic.configs["compression.type"] == "uncompressed", name
    submissions = f"{topics}submissions"
    first = send_compressed(infra, submissions, 1)
    with pytest.raises(MessageSizeTooLargeError):
        send_compressed(infra, submissions, 20)
    assert send_compressed(infra, submissions, 1) == first + 1, "nothing of the refused batch is in the log"

    as_sent = {**declared["submissions"].configs, "compression.type": "producer"}
    open_topic = provision.Topic("open", 1, as_sent)
    infra.provision(topics, [open_topic])
    assert send_compressed(infra, f"{topics}open", 20) == 0, "negative control: 18 MB come in as some 20 KB"
