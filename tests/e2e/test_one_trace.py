"""One trace runs from a POST through verdict and score to the mail, over real Kafka and four service processes.

The services export their spans over OTLP/HTTP, as to any collector; the collector here keeps them in memory.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from shared.contract.events.base import OWNERS
from shared.runtime.clock import business_clock, scaled_specification
from tests.e2e.rig import COMMUNE, DEPARTMENT, HTTP, NOW, PERIOD, REGIME, Province, eventually
from tests.stack import Infra, unique

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]

NARRATIVE = {"N": "Kết quả trong tháng đạt kế hoạch đề ra."}
TRACE, CALLER = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"


@dataclass(frozen=True)
class Seen:
    """A span with the service that recorded it; ids in hexadecimal."""

    service: str
    name: str
    trace: str
    id: str
    parent: str
    key: str
    linked: frozenset[str]  # trace ids


@dataclass
class Collector:
    """Takes OTLP over HTTP and keeps every span."""

    spans: list[Seen] = field(default_factory=list)

    def take(self, body: bytes) -> None:
        for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
            names = {pair.key: pair.value.string_value for pair in resource.resource.attributes}
            for scope in resource.scope_spans:
                self.spans += [_seen(names["service.name"], span) for span in scope.spans]

    def of(self, trace: str) -> list[Seen]:
        return [span for span in list(self.spans) if span.trace == trace]

    @property
    def server(self) -> type[BaseHTTPRequestHandler]:
        collector = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                collector.take(self.rfile.read(int(self.headers["Content-Length"])))
                self.send_response(200)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *rest: object) -> None:
                pass

        return Handler


def _seen(service: str, span: Span) -> Seen:
    keys = [pair.value.string_value for pair in span.attributes if pair.key == "messaging.kafka.message.key"]
    linked = frozenset(link.trace_id.hex() for link in span.links)
    ids = span.trace_id.hex(), span.span_id.hex(), span.parent_span_id.hex()
    return Seen(service, span.name, *ids, keys[0] if keys else "", linked)


@pytest.fixture(scope="module")
def collector() -> Iterator[tuple[Collector, str]]:
    """The collector and its address."""
    kept = Collector()
    server = ThreadingHTTPServer(("127.0.0.1", 0), kept.server)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield kept, f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join(10)


@pytest.fixture(scope="module")
def province(
    collector: tuple[Collector, str], infra: Infra, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Province]:
    clock = scaled_specification(datetime.fromisoformat(NOW), 1)
    exporting = {"OTEL_EXPORTER_OTLP_ENDPOINT": collector[1], "OTEL_BSP_SCHEDULE_DELAY": "200"}
    with infra.stack(tmp_path_factory.mktemp("one-trace"), env={"BUSINESS_CLOCK": clock, **exporting}) as stack:
        yield Province(stack, tmp_path_factory.mktemp("registry"), business_clock(clock))


def post(province: Province, traceparent: str | None, **report: object) -> None:
    """A report whose sum is wrong: it is returned, and a mail says so."""
    headers = {"Authorization": f"Bearer {province.keys[DEPARTMENT]}", "Idempotency-Key": unique("k")}
    if traceparent:
        headers["traceparent"] = traceparent
    body = {"regime": REGIME, "period": PERIOD, "officer": "cb-05", "figures": {"A": 9, "A1": 1, "A2": 1, "B": 1}}
    answer = HTTP.post(province.stack.url("intake") + "/v1/submissions", headers=headers, json={**body, **report})
    assert answer.status_code == 201, answer.text


#: what a submission that is returned goes through, in its trace
STORY = {
    ("intake", "POST /v1/submissions"),
    ("validator", "validator.submissions submission.received.v1"),
    ("scoring", "scoring.follow submission.received.v1"),
    ("scoring", "scoring.follow verdict.reached.v1"),
    ("notifier", "notifier.verdicts verdict.reached.v1"),
    ("notifier", "mail returned"),
    ("intake", "intake.notices notification.recorded.v1"),
}
#: and one that is accepted
SCORED = {
    ("intake", "intake.follow verdict.reached.v1"),
    ("intake", "intake.follow obligation.changed.v1"),
}


def story(collector: Collector, trace: str) -> set[tuple[str, str]]:
    """Service and name, without what tools put before an event's type."""
    return {(span.service, span.name.replace("vn.thongsuot.", "")) for span in collector.of(trace)}


def told(collector: Collector, trace: str, steps: set[tuple[str, str]]) -> None:
    eventually(lambda: story(collector, trace) >= steps, f"{sorted(steps)} in trace {trace}")


def orphans(collector: Collector, trace: str) -> list[Seen]:
    """Spans that hang neither from the caller's nor from another one of the trace."""
    spans = collector.of(trace)
    ids = {CALLER, *(span.id for span in spans)}
    return [span for span in spans if span.parent not in ids]


def relays(collector: Collector, trace: str) -> set[str]:
    """Services whose relay says that it sent something of the trace."""
    return {span.service for span in list(collector.spans) if span.name == "send outbox" and trace in span.linked}


def test_one_trace_id_from_the_post_over_verdict_and_score_to_the_mail(
    province: Province, collector: tuple[Collector, str]
) -> None:
    kept, _ = collector
    post(province, f"00-{TRACE}-{CALLER}-01")
    told(kept, TRACE, STORY)
    post(province, f"00-{TRACE}-{CALLER}-01", figures={"A": 2, "A1": 1, "A2": 1, "B": 1}, narratives=NARRATIVE)
    told(kept, TRACE, SCORED)
    # the services export on their own, so a parent may arrive after its child
    eventually(lambda: not orphans(kept, TRACE), "a parent for every span of the trace")
    eventually(
        lambda: relays(kept, TRACE) == set(OWNERS.values()), "a span of each publisher's relay that links the trace"
    )
    assert province.mails_to("hanh@sonoivu.example")


def test_a_post_without_a_trace_begins_one_of_its_own(province: Province, collector: tuple[Collector, str]) -> None:
    """Negative control: what another POST causes is not in the caller's trace."""
    kept, _ = collector
    before = {span.trace for span in list(kept.spans)}
    post(province, None)

    def own() -> list[str]:
        return [trace for trace in {span.trace for span in list(kept.spans)} - before if story(kept, trace) >= STORY]

    (trace,) = eventually(own, "a trace of its own with the whole story")
    assert trace != TRACE
    assert not [span for span in kept.of(trace) if span.parent == CALLER]


def test_a_notice_of_the_deadline_sweep_begins_its_trace_there(
    province: Province, collector: tuple[Collector, str]
) -> None:
    """The commune has sent nothing; nobody's POST causes what it is told."""
    kept, _ = collector

    def swept() -> list[Seen]:
        return [span for span in list(kept.spans) if span.name == "deadline sweep" and COMMUNE in span.key]

    (root, *_) = eventually(swept, "the sweep's span")
    assert root.parent == ""
    eventually(lambda: ("notifier", "mail reminder") in story(kept, root.trace), "the mail in the sweep's trace")
    assert not [span for span in kept.of(root.trace) if span.name.startswith("POST")]
