"""A producer that knows no manners: any bytes, any headers, any order; and a reader that keeps all of them."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition


@dataclass(frozen=True, slots=True)
class Raw:
    """A message as bytes. `partition` None lets the key decide."""

    topic: str
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes], ...] = ()
    partition: int | None = None


async def produce(bootstrap: str, messages: Sequence[Raw]) -> None:
    """Send them one after the other, in this order, each acknowledged by all."""
    producer = AIOKafkaProducer(bootstrap_servers=bootstrap, acks="all", max_request_size=2 * 1024 * 1024)
    await producer.start()
    try:
        sent = [
            await producer.send(m.topic, m.value, key=m.key, headers=list(m.headers), partition=m.partition)
            for m in messages
        ]
        await asyncio.gather(*sent)
    finally:
        await producer.stop()


async def read(bootstrap: str, topics: Sequence[str]) -> list[Raw]:
    """Everything that lies in the topics now, with its bytes and its partition."""
    consumer = AIOKafkaConsumer(bootstrap_servers=bootstrap, enable_auto_commit=False)
    await consumer.start()
    found: list[Raw] = []
    try:
        for topic in topics:
            await consumer._client.add_topic(topic)
        await consumer._client.force_metadata_update()
        places = [TopicPartition(t, number) for t in topics for number in consumer.partitions_for_topic(t) or ()]
        consumer.assign(places)
        await consumer.seek_to_beginning(*places)
        ends: dict[Any, int] = {place: end for place, end in (await consumer.end_offsets(places)).items() if end}
        while ends:
            for place, records in (await consumer.getmany(timeout_ms=300)).items():
                found += [
                    Raw(place.topic, record.key, record.value, tuple(record.headers), place.partition)
                    for record in records
                ]
            for place in list(ends):
                if await consumer.position(place) >= ends[place]:
                    del ends[place]
    finally:
        await consumer.stop()
    return found
