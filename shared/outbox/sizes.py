"""The size of an event as Kafka measures it: an uncompressed batch of one record with its key and headers.

A broker compares a batch with the topic's `max.message.bytes`; a batch of one is the smallest an event fits in.
"""

from __future__ import annotations

from collections.abc import Sequence

from aiokafka.producer.message_accumulator import BatchBuilder

from shared.contract.cloudevents import headers_of, source_of
from shared.contract.events import OWNERS, EventModel
from shared.contract.ids import new_id
from shared.runtime.clock import Clock, SystemClock

#: `max.message.bytes` as deploy/kafka/topics.yaml declares it; the relay reads the real value from the cluster
EVENT_BYTES = 1_048_576
DEAD_LETTER_BYTES = 2_359_296

#: a batch of one takes any record, whatever its size
_NO_LIMIT = 2**31 - 1


def declared_limit(topic: str) -> int:
    """The largest batch that the topic takes by its declaration, bytes."""
    return DEAD_LETTER_BYTES if topic.endswith(".dlq") else EVENT_BYTES


def batch_bytes(key: bytes | None, value: bytes | None, headers: Sequence[tuple[str, bytes]]) -> int:
    """The size of a batch of this one record, bytes."""
    builder = BatchBuilder(_NO_LIMIT, 0)
    builder.append(timestamp=0, key=key, value=value, headers=list(headers))
    return int(builder.size())


def event_bytes(event: EventModel, clock: Clock | None = None) -> int:
    """The event's size in Kafka with all headers, bytes. Compare it with `declared_limit(event.TOPIC)`."""
    row = {
        "event_id": new_id(),
        "type": event.TYPE,
        "key": event.key,
        "created_at": (clock or SystemClock()).now(),
        "traceparent": "0" * 55,  # the longest there is
        "headers": None,
    }
    headers = headers_of(row, source_of(OWNERS[event.TOPIC]))
    return batch_bytes(event.key.encode(), event.encode(), headers)
