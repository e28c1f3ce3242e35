"""How large an event is as Kafka counts it: its record, key and headers in a batch of its own, uncompressed.

A broker holds a batch against the topic's `max.message.bytes`; a batch of one is the smallest that an event can be in.
"""

from __future__ import annotations

from collections.abc import Sequence

from aiokafka.producer.message_accumulator import BatchBuilder

from shared.contract.cloudevents import headers_of, source_of
from shared.contract.events import OWNERS, EventModel
from shared.contract.ids import new_id
from shared.runtime.clock import Clock, SystemClock

#: `max.message.bytes` that deploy/kafka/topics.yaml declares; the relay asks the cluster what is really set
EVENT_BYTES = 1_048_576
DEAD_LETTER_BYTES = 2_359_296

#: a batch of one takes any record, whatever its size
_NO_LIMIT = 2**31 - 1


def declared_limit(topic: str) -> int:
    """The largest batch that the declaration lets into the topic, bytes."""
    return DEAD_LETTER_BYTES if topic.endswith(".dlq") else EVENT_BYTES


def batch_bytes(key: bytes | None, value: bytes | None, headers: Sequence[tuple[str, bytes]]) -> int:
    """What a batch of this one record takes in Kafka."""
    builder = BatchBuilder(_NO_LIMIT, 0)
    builder.append(timestamp=0, key=key, value=value, headers=list(headers))
    return int(builder.size())


def event_bytes(event: EventModel, clock: Clock | None = None) -> int:
    """What the event will take in Kafka, all headers included. Compare it with `declared_limit(event.TOPIC)`."""
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
