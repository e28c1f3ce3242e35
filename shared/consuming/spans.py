"""Traces a batch: one span for the batch with links to its events' spans, and one span in each event's trace.

While tracing is off, events pass through unchanged and keep their own traceparent.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from msgspec.structs import replace

from shared.consuming.batch import Event
from shared.telemetry import tracing
from shared.telemetry.tracing import SpanKind


@contextmanager
def following(consumer: str, events: Sequence[Event[Any]]) -> Iterator[Sequence[Event[Any]]]:
    """Within the block: the events, each with the traceparent that its effects carry."""
    if not tracing.recording():
        yield events
        return
    links = tracing.links_to(event.traceparent for event in events)
    attributes = {
        "messaging.system": "kafka",
        "messaging.operation.type": "process",
        "messaging.consumer.group.name": consumer,
        "messaging.batch.message_count": len(events),
    }
    begun: list[tracing.Span] = []
    try:
        with tracing.span(f"process {consumer}", kind=SpanKind.CONSUMER, links=links, attributes=attributes):
            yield [_followed(consumer, event, begun) for event in events]
    except BaseException as error:
        for span in begun:
            tracing.ended_with(span, error)
        raise
    finally:
        for span in begun:
            span.end()


def _followed(consumer: str, event: Event[Any], begun: list[tracing.Span]) -> Event[Any]:
    cause = tracing.parse(event.traceparent)
    if cause is None:
        return event
    attributes = {
        "messaging.consumer.group.name": consumer,
        "messaging.destination.name": event.topic,
        "messaging.message.id": str(event.id),
        "messaging.kafka.message.key": event.key,
    }
    begun.append(tracing.begin(f"{consumer} {event.type}", cause, SpanKind.CONSUMER, attributes=attributes))
    return replace(event, traceparent=tracing.traceparent(begun[-1]))
