"""The application: problems come in two languages, bodies are bounded, and every answer can be traced."""

from __future__ import annotations

import asyncio
import gc
import json
import weakref
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from prometheus_client import REGISTRY
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from shared.telemetry import tracing
from shared.telemetry.logging import current_id
from shared.telemetry.readiness import Check, Readiness
from shared.web import app as http
from shared.web.app import preferred_language, read_body
from shared.web.errors import Problem, too_large
from tests.unit.shared.web.asking import ask, bare_app
from tests.unit.shared.web.faulty import APP, GOOD, Breakdown, post, problem_of

PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


async def test_a_body_over_the_limit_is_refused_before_it_is_read() -> None:
    read = 0

    async def chunks() -> AsyncIterator[bytes]:
        nonlocal read
        for _ in range(100):
            read += 1
            yield b" " * 400

    answer = await ask(APP, "POST", "/v1/reports/1", content=chunks(), headers={"content-type": "application/json"})
    document = problem_of(answer, 413, "too-large")
    assert document["limit_bytes"] == 1_000
    assert answer.headers["connection"] == "close"
    assert read <= 3

    declared = await post(b" " * 1_001)
    problem_of(declared, 413, "too-large")


async def test_a_body_at_the_limit_passes() -> None:
    body = json.dumps(GOOD).encode()
    assert (await post(body + b" " * (1_000 - len(body)))).status_code == 200


@pytest.mark.parametrize(("size", "status"), [(2_000, 200), (2_001, 413)])
async def test_a_route_may_have_a_limit_of_its_own_above_the_general_one(size: int, status: int) -> None:
    assert (await post(b"x" * size, "/v1/raw")).status_code == status


async def test_a_lying_content_length_does_not_pass_the_limit() -> None:
    messages: list[Message] = [
        {"type": "http.request", "body": b"x" * 1_500, "more_body": True},
        {"type": "http.request", "body": b"x" * 1_500, "more_body": False},
    ]

    async def receive() -> Message:
        return messages.pop(0)

    with pytest.raises(Problem) as raised:
        await read_body(receive, 2_000)
    assert raised.value.status == 413


async def test_a_client_that_goes_away_midway_is_no_failure() -> None:
    async def receive() -> Message:
        return {"type": "http.disconnect"}

    with pytest.raises(ClientDisconnect):
        await read_body(receive, 10)


async def test_an_answer_that_breaks_off_is_not_turned_into_a_whole_one() -> None:
    transport = httpx.ASGITransport(app=APP, raise_app_exceptions=True)
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
        with pytest.raises(Breakdown):
            await client.get("/v1/fails/midway")


@pytest.mark.parametrize(
    ("header", "language"),
    [
        ("", "vi"),
        ("en", "en"),
        ("en-GB,en;q=0.9", "en"),
        ("vi,en;q=0.9", "vi"),
        ("en,vi", "vi"),
        ("vi;q=0.2, en;q=0.8", "en"),
        ("fr", "vi"),
        ("fr, en;q=0.3", "en"),
        ("*", "vi"),
        ("en;q=0", "vi"),
        ("en;q=x", "vi"),
        (";;;,,,=", "vi"),
    ],
)
async def test_the_answer_speaks_the_preferred_language_vietnamese_first(header: str, language: str) -> None:
    assert preferred_language(header) == language
    answer = await ask(APP, "GET", "/v1/nowhere", headers={"accept-language": header})
    document = answer.json()
    assert answer.headers["content-language"] == language
    assert document["title"] == document[f"title_{language}"]
    assert document["detail"] == document[f"detail_{language}"]


async def test_a_well_formed_request_id_is_kept_and_bound() -> None:
    answer = await ask(APP, "GET", "/v1/whoami", headers={"x-request-id": "client-0001"})
    assert answer.headers["x-request-id"] == answer.json()["request_id"] == "client-0001"


@pytest.mark.parametrize("given", ["short", "x" * 65, "has space", 'quote"quote', "đường-dẫn-xa"])
async def test_a_malformed_request_id_is_replaced(given: str) -> None:
    answer = await ask(APP, "GET", "/v1/whoami", headers={"x-request-id": given.encode()})
    assert answer.headers["x-request-id"] == answer.json()["request_id"] == answer.json()["trace_id"]


async def test_a_trace_is_continued_and_does_not_leak_out_of_the_request() -> None:
    answer = await ask(APP, "GET", "/v1/whoami", headers={"traceparent": PARENT})
    assert answer.json()["trace_id"] == "0af7651916cd43dd8448eb211c80319c"
    assert answer.json()["span_id"] != "b7ad6b7169203331"
    assert tracing.current() is None
    assert current_id("request_id") is None


async def test_health_says_that_the_process_lives() -> None:
    assert (await ask(APP, "GET", "/healthz")).json() == {"service": "test", "alive": True}


async def _readyz(state: Readiness | Exception | None) -> httpx.Response:
    async def readiness() -> Readiness:
        if state is None:
            await asyncio.Event().wait()
        if isinstance(state, Exception):
            raise state
        assert state is not None
        return state

    return await ask(bare_app(readiness=readiness), "GET", "/readyz")


async def test_readiness_names_each_check() -> None:
    good = await _readyz(Readiness.of({"database": Check(True, "answers")}))
    assert good.status_code == 200
    assert good.json()["checks"] == {"database": {"ok": True, "detail": "answers"}}
    bad = await _readyz(Readiness.of({"database": Check(True), "consumer": Check(False, "stalled")}))
    assert (bad.status_code, bad.headers["retry-after"], bad.json()["ready"]) == (503, "1", False)
    assert bad.json()["checks"]["consumer"] == {"ok": False, "detail": "stalled"}


async def test_readiness_that_fails_or_hangs_is_not_ready(monkeypatch: pytest.MonkeyPatch) -> None:
    failed = await _readyz(OSError("no route to postgresql://intake:s3cret@db/intake"))
    assert failed.status_code == 503
    assert "s3cret" not in failed.text
    monkeypatch.setattr(http, "READINESS_DEADLINE_SECONDS", 0.05)
    hung = await _readyz(None)
    assert hung.status_code == 503
    assert "TimeoutError" in hung.text


def _requests(method: str, route: str, status: str) -> float:
    labels = {"method": method, "route": route, "status": status}
    counted = REGISTRY.get_sample_value("thongsuot_http_requests_total", labels) or 0
    observed = REGISTRY.get_sample_value("thongsuot_http_request_duration_seconds_count", labels) or 0
    assert counted == observed
    return counted


@pytest.mark.parametrize(
    ("method", "path", "route", "status"),
    [
        ("POST", "/v1/reports/7", "/v1/reports/{report_id}", "4xx"),
        ("GET", "/v1/fails/anything", "/v1/fails/{how}", "5xx"),
        ("GET", "/v1/fails/disconnect", "/v1/fails/{how}", "4xx"),
        ("GET", "/v1/whoami", "/v1/whoami", "2xx"),
        ("GET", "/healthz", "/healthz", "2xx"),
        ("GET", "/some/path/nobody/knows", "unmatched", "4xx"),
        ("BREW", "/some/path/nobody/knows", "unmatched", "4xx"),
    ],
)
async def test_requests_are_counted_by_route_template(method: str, path: str, route: str, status: str) -> None:
    label = method if method != "BREW" else "OTHER"
    before = _requests(label, route, status)
    if "disconnect" in path:
        with pytest.raises(AssertionError):  # the transport misses the answer that nobody waits for
            await ask(APP, method, path)
    else:
        await ask(APP, method, path)
    assert _requests(label, route, status) == before + 1


async def test_metrics_are_served_as_prometheus_text() -> None:
    answer = await ask(APP, "GET", "/metrics")
    assert answer.headers["content-type"].startswith("text/plain")
    assert "# TYPE thongsuot_http_requests_total counter" in answer.text


@pytest.mark.parametrize(
    ("at_once", "fewest", "most"), [(http.MADE_AT_ONCE, 1, 30), (10_000, 300, 300)], ids=["shipped", "control"]
)
async def test_whoever_asks_for_readiness_too_often_shares_the_last(
    at_once: int, fewest: int, most: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = 0

    async def readiness() -> Readiness:
        nonlocal made
        made += 1
        return Readiness.of({"made": Check(True, str(made))})

    monkeypatch.setattr(http, "MADE_AT_ONCE", at_once)
    monkeypatch.setattr(http, "MADE_PER_SECOND", 0.1)
    app = bare_app(readiness=readiness)
    answers = [await ask(app, "GET", "/readyz") for _ in range(300)]
    assert {answer.status_code for answer in answers} == {200}
    assert fewest <= made <= most
    assert answers[0].json()["checks"]["made"]["detail"] == "1"
    assert answers[-1].json()["checks"]["made"]["detail"] == str(made)


async def test_metrics_asked_for_now_and_then_are_those_of_now() -> None:
    app, before = bare_app(), None
    for count in range(1, 4):
        await ask(app, "GET", "/healthz")
        lines = (await ask(app, "GET", "/metrics")).text.splitlines()
        # of every service and status that other tests of this process have asked with
        counts = [line for line in lines if line.startswith("thongsuot_http_requests_total") and "/healthz" in line]
        now = sum(float(line.rpartition(" ")[2]) for line in counts)
        before = now - 1 if before is None else before
        assert now >= before + 1, count
        before = now


async def test_the_pages_fetch_nothing_from_outside() -> None:
    for path in ("/problems", "/problems/internal"):
        page = await ask(APP, "GET", path)
        assert page.status_code == 200
        assert "://" not in page.text.replace("http://test", "")
        assert "<script" not in page.text
        assert page.headers["content-security-policy"].startswith("default-src 'none'")


async def test_openapi_describes_problems_as_they_are() -> None:
    document = (await ask(APP, "GET", "/openapi.json")).json()
    responses = document["paths"]["/v1/reports/{report_id}"]["post"]["responses"]
    assert set(responses) == {"200", "default"}
    assert list(responses["default"]["content"]) == ["application/problem+json"]
    schema = document["components"]["schemas"]["ProblemDetails"]
    problem = (await post(b"{")).json()
    assert set(schema["required"]) <= set(problem)
    assert set(problem) <= set(schema["properties"])
    assert set(problem["errors"][0]) == set(schema["properties"]["errors"]["items"]["properties"])


class _Connection:
    """As a server's: it holds the scope, and its methods are what the application gets."""

    def __init__(self) -> None:
        self.scope: dict[str, Any] = {
            "type": "http",
            "http_version": "1.1",
            "method": "GET",
            "path": "/",
            "headers": [(b"host", b"x")],
        }

    async def receive(self) -> Message:
        return {"type": "http.request", "body": b"{}", "more_body": False}

    async def send(self, message: Message) -> None:
        """To nobody."""


async def _outlives_its_answer(app: ASGIApp) -> bool:
    connection = _Connection()
    alive = weakref.ref(connection)
    gc.disable()
    try:
        await http.RequestMiddleware(app)(connection.scope, connection.receive, connection.send)
        del connection
        return alive() is not None
    finally:
        gc.enable()


async def test_a_request_leaves_nothing_for_the_collector() -> None:
    async def reads(scope: Scope, receive: Receive, send: Send) -> None:
        await read_body(receive, 1_000)
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    async def fails(scope: Scope, receive: Receive, send: Send) -> None:
        raise too_large(1)

    async def keeps(scope: Scope, receive: Receive, send: Send) -> None:
        scope["kept"] = receive
        await reads(scope, receive, send)

    assert not await _outlives_its_answer(reads)
    assert not await _outlives_its_answer(fails)
    # negative control: what stays in the scope keeps all of the request until the collector comes by
    assert await _outlives_its_answer(keeps)
