"""A trace goes on from whoever asks to whatever follows, recorded or not, and no traceparent makes anything fail."""

from __future__ import annotations

import importlib
import io
import json
import threading
from collections.abc import Iterator
from types import ModuleType
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from msgspec.structs import replace
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode, format_trace_id, get_current_span
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from deploy.local.process import poll_until
from shared.consuming.batch import Batch
from shared.consuming.spans import following
from shared.outbox import cause_of, caused_by
from shared.service import command
from shared.telemetry import logging as logs
from shared.telemetry import tracing
from tests.fakes.spans import recorded_spans
from tests.integration.shared.rig import submission
from tests.unit.shared.web.asking import ask
from tests.unit.shared.web.faulty import APP

TRACE = "0af7651916cd43dd8448eb211c80319c"
PARENT = f"00-{TRACE}-b7ad6b7169203331-01"
MALFORMED = [
    "",
    "00",
    PARENT.upper(),
    PARENT + "-extra",
    PARENT.replace("00-", "ff-", 1),
    "00-" + "0" * 32 + "-b7ad6b7169203331-01",
    f"00-{TRACE}-" + "0" * 16 + "-01",
    PARENT + "\n",
    PARENT[:-1],
    "01" + PARENT[2:] + "-" + "x" * 600,
    "\x00" + PARENT,
    "\ud800" + PARENT,
]
#: what W3C's format is made of, so that chance meets its corners
NEAR = st.one_of(
    st.text(max_size=80),
    st.from_regex(r"[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}(-[a-z]*)?", fullmatch=True),
    st.from_regex(r"(00|01|ff)-(0{32}|[0-9a-f]{32})-(0{16}|[0-9a-f]{16})-[0-9a-f]{2}", fullmatch=True),
)


@pytest.fixture
def spans() -> Iterator[InMemorySpanExporter]:
    with recorded_spans() as spans:
        yield spans


def trace_of(span: ReadableSpan) -> str:
    assert span.context is not None
    return format_trace_id(span.context.trace_id)


@given(NEAR)
@example(PARENT)
@example(PARENT.replace("00-", "01-", 1) + "-more")
@example(PARENT[:-2] + "ff")
def test_the_quick_reading_finds_what_the_propagator_finds(text: str) -> None:
    extracted = get_current_span(TraceContextTextMapPropagator().extract({"traceparent": text.strip(" \t\n")}))
    judged = extracted.get_span_context()
    assert tracing.parse(text.strip(" \t\n")) == (judged if judged.is_valid else None)
    assert tracing.well_formed(text) == (tracing.parse(text) is not None)


@pytest.mark.parametrize("text", MALFORMED)
def test_a_malformed_traceparent_begins_a_new_trace(text: str) -> None:
    assert tracing.parse(text) is None
    for begun in (tracing.begin("work", tracing.parse(text)), _request(text)):
        written = tracing.traceparent(begun)
        assert written is not None
        assert tracing.well_formed(written)
        assert TRACE not in written


def _request(traceparent: str) -> tracing.Span:
    begun, token = tracing.begin_request("GET", traceparent)
    tracing.detach(token)
    return begun


@pytest.mark.parametrize("flags", ["00", "01", "03"])
def test_without_recording_a_trace_goes_on_under_spans_of_its_own(flags: str) -> None:
    cause = PARENT[:-2] + flags
    for begun in (tracing.begin("work", tracing.parse(cause)), _request(cause)):
        version, trace_id, span_id, its_flags = (tracing.traceparent(begun) or "").split("-")
        assert (version, trace_id, its_flags) == ("00", TRACE, flags)
        assert span_id not in ("b7ad6b7169203331", "0" * 16)
        assert not begun.is_recording()


def test_a_span_is_open_for_its_block_alone() -> None:
    assert tracing.traceparent() is None
    with tracing.span("work", tracing.parse(PARENT)) as begun:
        assert tracing.current() == begun.get_span_context()
        with tracing.span("other work"):
            assert TRACE not in (tracing.traceparent() or "")
        assert tracing.current() == begun.get_span_context()
    assert tracing.current() is None


def test_events_pass_a_consumer_unchanged_while_nothing_is_recorded() -> None:
    events = _events(PARENT, None, "malformed")
    with following("scoring.judge", events) as followed:
        assert followed is events
        assert tracing.current() is None


def test_effects_that_go_on_later_know_their_cause() -> None:
    with caused_by({"a": PARENT}):
        assert cause_of("a") == PARENT
        assert cause_of("b") is None
    assert cause_of("a") is None


def _events(*traceparents: str | None) -> list[Any]:
    batch = Batch.of([submission(f"H99.{place:02}") for place in range(len(traceparents))])
    return [replace(event, traceparent=cause) for event, cause in zip(batch.events, traceparents, strict=True)]


def test_each_event_has_a_span_in_its_own_trace_and_the_batch_a_link_to_it(spans: InMemorySpanExporter) -> None:
    other = PARENT.replace("0af7", "1af7")
    with following("scoring.judge", _events(PARENT, other, None, "malformed")) as followed:
        carried = [event.traceparent for event in followed]
    *own, batch = sorted(spans.get_finished_spans(), key=lambda span: span.name == "process scoring.judge")
    assert batch.name == "process scoring.judge"
    assert [format_trace_id(link.context.trace_id) for link in batch.links] == [TRACE, "1" + TRACE[1:]]
    assert {trace_of(span) for span in own} == {TRACE, "1" + TRACE[1:]}
    assert all(span.parent is not None and f"{span.parent.span_id:016x}" == "b7ad6b7169203331" for span in own)
    assert [text and text.split("-")[1] for text in carried[:3]] == [TRACE, "1" + TRACE[1:], None]
    assert carried[0] != PARENT, "what follows is a child of the event's handling, not of its sending"
    assert carried[3] == "malformed", "it is nobody's fault; the outbox leaves it out"


def test_a_batch_that_fails_ends_its_spans_with_the_error(spans: InMemorySpanExporter) -> None:
    with pytest.raises(RuntimeError, match="away"), following("scoring.judge", _events(PARENT)):
        raise RuntimeError("away")
    assert [span.status.status_code for span in spans.get_finished_spans()] == [StatusCode.ERROR] * 2


async def test_a_request_is_recorded_under_its_route(spans: InMemorySpanExporter) -> None:
    answer = await ask(APP, "GET", "/v1/whoami?", headers={"traceparent": PARENT})
    (span,) = spans.get_finished_spans()
    assert (span.name, span.kind) == ("GET /v1/whoami", SpanKind.SERVER)
    assert trace_of(span) == answer.json()["trace_id"] == TRACE
    assert dict(span.attributes or {}) == {
        "http.request.method": "GET",
        "http.route": "/v1/whoami",
        "http.response.status_code": 200,
    }


@pytest.mark.parametrize("text", [text for text in MALFORMED if text.isascii() and "\n" not in text])
async def test_a_malformed_traceparent_fails_no_request(spans: InMemorySpanExporter, text: str) -> None:
    answer = await ask(APP, "GET", "/v1/whoami", headers={"traceparent": text.encode()})
    assert answer.status_code == 200
    assert answer.json()["trace_id"] == trace_of(spans.get_finished_spans()[0]) != TRACE


def test_an_sdk_that_is_disabled_costs_no_ids(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_SDK_DISABLED", "true")
    tracing.record_with(TracerProvider(shutdown_on_exit=False))
    try:
        assert (tracing.traceparent(_request(PARENT)) or "").split("-")[1] == TRACE
    finally:
        tracing.record_with(None)


def test_without_the_packages_the_service_says_so_and_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    there = importlib.import_module

    def lost(name: str, package: str | None = None) -> ModuleType:
        if name.startswith("opentelemetry.exporter"):
            raise ModuleNotFoundError(f"No module named {name!r}")
        return there(name, package)

    monkeypatch.setattr(importlib, "import_module", lost)
    out = io.StringIO()
    logs.configure("intake", "i-1", stream=out)
    command._switch_tracing_on("intake", "i-1")
    line = json.loads(out.getvalue())
    assert (line["action"], line["level"]) == ("tracing.not_installed", "error")
    assert "requirements-tracing.txt" in line["message"]
    assert not tracing.recording()


#: the SDK's thread, and ours at a stop
EXPORTING = {"OtelBatchSpanRecordProcessor", "last spans"}


def test_with_the_packages_spans_are_exported_and_a_dead_collector_holds_nothing_up(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:9")
    tracing.switch_on("intake", "i-1")
    try:
        assert tracing.recording()
        with tracing.span("work", tracing.parse(PARENT)) as begun:
            assert begun.is_recording()
    finally:
        tracing.switch_off(0.2)
    assert not tracing.recording()
    # what goes on trying draws its pauses from the random numbers of whichever test runs then
    ended = poll_until(lambda: not [thread for thread in threading.enumerate() if thread.name in EXPORTING], 5)
    assert ended, threading.enumerate()
