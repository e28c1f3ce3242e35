"""Reads topics again from what Kafka keeps of them, without a group: nothing is committed, claimed or applied."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from aiokafka.structs import ConsumerRecord, TopicPartition

from shared.consuming.batch import Record
from shared.kafka import aiokafka_internals
from shared.kafka.clients import STOP_SECONDS, make_reader
from shared.runtime.settings import KafkaSettings

#: (topic on the cluster, partition)
Place = tuple[str, int]


async def reread(kafka: KafkaSettings, kept: Mapping[Place, range], take: Callable[[Record], None]) -> None:
    """Give `take` every record of these offsets, those of a partition in their order; topics without their prefix."""
    left = {TopicPartition(*place): offsets.stop for place, offsets in kept.items() if len(offsets)}
    if not left:
        return
    reader = make_reader(kafka, "thongsuot-reread")

    def hand(raw: ConsumerRecord) -> None:
        topic = raw.topic.removeprefix(kafka.topic_prefix)
        take(Record(topic, raw.partition, raw.offset, raw.key, raw.value, raw.headers))

    async def read() -> None:
        await reader.start()
        reader.assign(list(left))
        for place in left:
            reader.seek(place, kept[place.topic, place.partition].start)
        while left:
            for place, records in (await reader.getmany(timeout_ms=300, max_records=2_000)).items():
                for raw in records:
                    if place in left and raw.offset < left[place]:
                        hand(raw)
            for place in list(left):
                if await reader.position(place) >= left[place]:
                    del left[place]

    try:
        await aiokafka_internals.while_alive(reader, read())
    finally:
        await aiokafka_internals.close(reader, reader.stop, STOP_SECONDS)
