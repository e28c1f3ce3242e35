"""Reads records from topics as bytes with all headers, and writes any bytes to topics, without the services."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType

from deploy.local.calls import call

READ_SECONDS = 60.0
#: above the limit of any topic, so that only the broker refuses
REQUEST_BYTES = 4 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Raw:
    """One message. `topic` is without the province's prefix; `partition` -1: the key's; `offset` -1: not sent yet."""

    topic: str
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes], ...]
    partition: int = -1
    offset: int = -1

    def header(self, name: str) -> str:
        return dict(self.headers).get(name, b"").decode("utf-8", "replace")

    @property
    def place(self) -> tuple[str, int, int]:
        return self.topic, self.partition, self.offset


def send(bootstrap: str, prefix: str, messages: Sequence[Raw]) -> list[Raw]:
    """Produce in order and wait for every acknowledgement. Returns the messages with their places."""
    return call(lambda: _send(bootstrap, prefix, messages))


async def _send(bootstrap: str, prefix: str, messages: Sequence[Raw]) -> list[Raw]:
    producer = AIOKafkaProducer(bootstrap_servers=bootstrap, acks="all", max_request_size=REQUEST_BYTES)
    await producer.start()
    try:
        pending = [
            await producer.send(
                prefix + message.topic,
                message.value,
                key=message.key,
                partition=message.partition if message.partition >= 0 else None,
                headers=list(message.headers),
            )
            for message in messages
        ]
        told = await asyncio.wait_for(asyncio.gather(*pending), READ_SECONDS)
    finally:
        await producer.stop()
    return [
        replace(message, partition=place.partition, offset=place.offset)
        for message, place in zip(messages, told, strict=True)
    ]


def read(bootstrap: str, prefix: str, topics: Iterable[str]) -> list[Raw]:
    """Every message of the topics up to their present ends, by partition and offset."""
    return call(lambda: _read(bootstrap, prefix, list(topics)))


async def _read(bootstrap: str, prefix: str, topics: list[str]) -> list[Raw]:
    consumer = AIOKafkaConsumer(
        bootstrap_servers=bootstrap,
        enable_auto_commit=False,
        auto_offset_reset="earliest",
        max_partition_fetch_bytes=REQUEST_BYTES,
    )
    await consumer.start()
    found: list[Raw] = []
    try:
        for topic in topics:
            await consumer._client.add_topic(prefix + topic)
        await consumer._client.force_metadata_update()
        places = [
            TopicPartition(prefix + topic, number)
            for topic in topics
            for number in consumer.partitions_for_topic(prefix + topic) or ()
        ]
        consumer.assign(places)
        await consumer.seek_to_beginning(*places)
        ends = {place: end for place, end in (await consumer.end_offsets(places)).items() if end}
        async with asyncio.timeout(READ_SECONDS):
            while ends:
                for place, records in (await consumer.getmany(timeout_ms=300)).items():
                    topic = place.topic.removeprefix(prefix)
                    found += [
                        Raw(topic, record.key, record.value, tuple(record.headers), record.partition, record.offset)
                        for record in records
                    ]
                for place in list(ends):
                    if await consumer.position(place) >= ends[place]:
                        del ends[place]
    finally:
        await consumer.stop()
    return sorted(found, key=lambda message: message.place)


async def configure(bootstrap: str, topics: Sequence[str], configs: Mapping[str, str]) -> None:
    """Set these on the topics; reset all earlier settings to the cluster's own."""
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    try:
        wanted = [ConfigResource(ConfigResourceType.TOPIC, topic, dict(configs)) for topic in topics]
        for response in await admin.alter_configs(wanted):
            if failed := [(code, message) for code, message, *_ in response.resources if code]:
                raise RuntimeError(f"cannot configure the topics: {failed}")
    finally:
        await admin.close()
