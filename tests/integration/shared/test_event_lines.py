"""What is logged of one event carries its id, its key and its own trace, so that its whole story can be found."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator
from typing import Any

import pytest
from msgspec.structs import replace

from shared.consuming.applying import Seen
from shared.consuming.batch import Batch, Event, Record
from shared.consuming.parsing import Bad
from shared.contract.events import SubmissionReceived
from shared.postgres.database import Database, Transaction
from shared.telemetry import logging as logs
from shared.telemetry import tracing
from tests.integration.shared.rig import submission
from tests.integration.shared.test_dead_letter_replay import NOW, applier, received


@pytest.fixture
def stream() -> Iterator[io.StringIO]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    stream = io.StringIO()
    logs.configure("scoring", stream=stream)
    yield stream
    logs._set_up("unconfigured", "", logging.INFO, None)
    root.handlers[:], root.level = handlers, level
    logging.captureWarnings(False)


def lines(stream: io.StringIO, action: str) -> list[dict[str, Any]]:
    found = [json.loads(line) for line in stream.getvalue().splitlines()]
    return [line for line in found if line["action"] == action]


def traced(event: Event[Any], traceparent: str) -> Event[Any]:
    headers = [*event.record.headers, ("traceparent", traceparent.encode())]
    return replace(event, record=replace(event.record, headers=headers), traceparent=traceparent)


async def test_the_culprit_and_its_letter_are_told_with_its_own_trace(database: Database, stream: io.StringIO) -> None:
    traces = [tracing.traceparent(tracing.begin("cause")) or "" for _ in range(4)]
    events = [traced(received(submission(f"H99.{n:02}"), n), trace) for n, trace in enumerate(traces)]
    culprit = events[2]

    async def picky(batch: Batch[SubmissionReceived], tx: Transaction) -> None:
        if any(event.id == culprit.id for event in batch):
            raise KeyError("this one breaks us")

    async with database.transaction() as tx:
        await applier(picky).apply(tx, events, [], Seen(1, NOW), isolate=True)
    for action in ("consumer.culprit", "consumer.buried"):
        (line,) = lines(stream, action)
        assert (line["event_id"], line["key"]) == (str(culprit.id), culprit.key)
        _, trace_id, span_id, _ = traces[2].split("-")
        assert line["trace_id"] == trace_id
        assert line["span_id"] != span_id, "a span of its own"


async def test_a_record_without_id_and_trace_is_told_with_what_it_has(database: Database, stream: io.StringIO) -> None:
    headers = [("traceparent", b"\xff no trace")]
    bad = Bad(Record("submissions", 1, 7, b"\xff key", b"{", headers), "MissingType", "no type")
    async with database.transaction() as tx:
        await applier(_nothing).apply(tx, [], [bad], Seen(1, NOW))
    (line,) = lines(stream, "consumer.buried")
    assert (line["event_id"], line["key"], line["place"]) == (None, "\\xff key", "submissions-1@7")
    assert "trace_id" not in line


async def _nothing(batch: Batch[SubmissionReceived], tx: Transaction) -> None:
    """Applies all."""
