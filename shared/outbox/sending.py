"""Rows become one batch per partition, in row order, and count as sent only when every batch is acknowledged.

The producer's own batches cost a future and two waits per message; these cost one per partition.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from typing import Any
from zlib import crc32

from aiokafka import AIOKafkaProducer
from aiokafka.errors import MessageSizeTooLargeError
from aiokafka.producer.message_accumulator import BatchBuilder

from shared.kafka import MAX_REQUEST_BYTES
from shared.outbox.wire import headers_of

#: what headers, key and framing of one message may take beside its body
ENVELOPE_BYTES = 256 * 1024

Place = tuple[str, int]


def partition_of(key: bytes, partitions: Sequence[int]) -> int:
    """The partition of a key: CRC-32, librdkafka's `consistent`. Only the relay sends, so it alone has to agree."""
    return partitions[crc32(key) % len(partitions)]


async def send_rows(
    producer: AIOKafkaProducer,
    rows: Iterable[Mapping[str, Any]],
    *,
    prefix: str,
    source: bytes,
    timeout_seconds: float,
) -> dict[Place, int]:
    """Send rows of `outbox` or its archive; topics get `prefix`. Returns the offset of each partition's last batch.

    The offset is that of the batch's first record: a log that ends behind it has all of the batch, for batches are
    whole; and Tansu tells no more, it counts a batch as one when it says where a log ends.

    Raises KafkaError or TimeoutError; then any part may have been sent, and the caller sends all of it again.
    Raises MessageSizeTooLargeError where a row can never be sent.
    """
    partitions: dict[str, Sequence[int]] = {}
    building: dict[Place, BatchBuilder] = {}
    sent: list[tuple[Place, asyncio.Future[Any]]] = []

    async def submit(place: Place) -> None:
        builder = building.pop(place)
        builder.close()  # it is complete: nothing is gained by lingering
        future = await producer.send_batch(builder, prefix + place[0], partition=place[1])
        sent.append((place, future))

    async def send_all() -> list[Any]:
        for row in rows:
            topic, key, body = row["topic"], row["key"].encode(), row["body"]
            if body is not None and len(body) > MAX_REQUEST_BYTES - ENVELOPE_BYTES:
                raise MessageSizeTooLargeError(f"a body of {len(body)} bytes; {MAX_REQUEST_BYTES} fit into a request")
            if topic not in partitions:
                partitions[topic] = sorted(await producer.partitions_for(prefix + topic))
            place = topic, partition_of(key, partitions[topic])
            headers = headers_of(row, source)
            builder = building.get(place)
            if builder is None or builder.append(timestamp=None, key=key, value=body, headers=headers) is None:
                if builder is not None:  # full: in order, so before what comes next of the partition
                    await submit(place)
                builder = building[place] = producer.create_batch()
                builder.append(timestamp=None, key=key, value=body, headers=headers)  # the first always fits
        for place in list(building):
            await submit(place)
        return await asyncio.gather(*(future for _, future in sent))

    try:
        acknowledgements = await asyncio.wait_for(send_all(), timeout_seconds)
    except BaseException:
        for _, future in sent:
            future.cancel()
        raise
    positions: dict[Place, int] = {}
    for (place, _), acknowledged in zip(sent, acknowledgements, strict=True):
        positions[place] = max(acknowledged.offset, positions.get(place, -1))
    return positions
