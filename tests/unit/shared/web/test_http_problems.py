"""What is wrong with a request is told with its place and its remedy, in the language preferred, Vietnamese first."""

from __future__ import annotations

import json
from typing import Any

import pytest
import structlog
from structlog.testing import capture_logs

from shared.telemetry import logging as logs
from shared.web import app as http
from shared.web.app import problem_for
from shared.web.errors import KINDS, FieldError, unprocessable
from tests.unit.shared.web.asking import ask, bare_app
from tests.unit.shared.web.faulty import APP, GOOD, faulty_app, post, problem_of

PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


async def test_a_good_request_passes_with_a_request_id() -> None:
    answer = await post(GOOD)
    assert (answer.status_code, answer.json()) == (200, {"code": "AB"})
    assert len(answer.headers["x-request-id"]) == 32


@pytest.mark.parametrize(
    ("change", "where", "pointer", "message", "fix"),
    [
        ({"code": None}, "body", "/code", "This must be a text.", "Put the value in double quotes."),
        ({"code": "A"}, "body", "/code", "Too short: at least 2 characters are needed.", "Write more."),
        ({"code": "ABCDEF"}, "body", "/code", "Too long: at most 5 characters.", "Shorten it."),
        ({"code": "ab"}, "body", "/code", "It does not have the form ^[A-Z]+$.", "Write it in that form."),
        ({"amount": "x"}, "body", "/amount", "This must be an exact decimal.", 'Write it in quotes, such as "12.50".'),
        ({"amount": "-1"}, "body", "/amount", "It must be 0 or more.", "Correct the value."),
        ({"count": "x"}, "body", "/count", "This must be a whole number.", "Write a whole number."),
        ({"id": "x"}, "body", "/id", "This must be a UUID.", "Use the id as it was given."),
        (
            {"at": "2026-01-01T00:00:00"},
            "body",
            "/at",
            "The moment lacks its offset.",
            "Add an offset such as +07:00.",
        ),
        ({"a/b~c": 1}, "body", "/a~1b~0c", "This field is not part of the form.", "Remove it, or correct its name."),
        ({"lines": [{"x": "y"}]}, "body", "/lines/0/x", "This must be a whole number.", "Write a whole number."),
        ({"lines": [{}, {}, {}]}, "body", "/lines", "At most 2 items are allowed.", "Remove items."),
        ({"lines": "x"}, "body", "/lines", "This must be a JSON array.", "Write it in [ ]."),
        ({"lines": ["x"]}, "body", "/lines/0", "This must be a JSON object.", "Write it in { }."),
    ],
)
async def test_each_fault_is_told_with_its_place_and_its_remedy(
    change: dict[str, Any], where: str, pointer: str, message: str, fix: str
) -> None:
    answer = await post({**GOOD, **change}, **{"accept-language": "en"})
    (error,) = problem_of(answer, 422, "unprocessable")["errors"]
    assert (error["in"], error["pointer"], error["message"], error["fix"]) == (where, pointer, message, fix)
    assert error["message_vi"] != error["message_en"]
    assert error["fix_vi"]


async def test_all_faults_are_told_at_once_wherever_they_are() -> None:
    answer = await post({"code": "AB"}, "/v1/reports/x?dry=maybe")
    errors = problem_of(answer, 422, "unprocessable")["errors"]
    assert {(error["in"], error["pointer"]) for error in errors} == {
        ("path", "/report_id"),
        ("query", "/dry"),
        ("body", "/amount"),
        ("body", "/count"),
    }
    assert "Thiếu trường bắt buộc." in {error["message"] for error in errors}


async def test_the_list_of_faults_has_an_end() -> None:
    body = {**GOOD, **{f"x{number}": 1 for number in range(90)}, "lines": [{f"k{n}": "x" for n in range(40)}]}
    app = faulty_app()
    answer = await ask(app, "POST", "/v1/reports/1", json=body)
    assert len(problem_of(answer, 422, "unprocessable")["errors"]) == 100


@pytest.mark.parametrize("body", [b"{", b"", b"\xff\xfe", b'{"a":}', b"[" * 900])
async def test_what_is_no_json_is_told_as_such(body: bytes) -> None:
    answer = await post(body)
    assert answer.status_code in (400, 422)
    problem_of(answer, answer.status_code, "bad-request" if answer.status_code == 400 else "unprocessable")


@pytest.mark.parametrize("body", [b'{"code": "\\ud800B"}', b'{"\\ud800": 1}', b'{"lines": [{"\\ud800": "x"}]}'])
async def test_a_lone_surrogate_in_the_body_gets_an_answer(body: bytes) -> None:
    problem_of(await post(body), 422, "unprocessable")


async def test_a_problem_that_quotes_a_lone_surrogate_is_still_json() -> None:
    problem = unprocessable([FieldError("/\ud800", "Sai \udfff.", "Wrong \udfff.")])
    body = http.problem_response(problem, {"type": "http", "headers": []}).body
    assert json.loads(bytes(body))["errors"][0]["pointer"] == "/\ud800"


@pytest.mark.parametrize(
    ("path", "status", "slug", "header"),
    [
        ("/v1/fails/problem", 409, "conflict", ("retry-after", "2")),
        ("/v1/fails/busy", 429, "too-many-requests", ("retry-after", "9")),
        ("/v1/fails/refused", 503, "unavailable", ("retry-after", "1")),
        ("/v1/fails/waits", 503, "unavailable", ("retry-after", "1")),
        ("/v1/fails/anything", 500, "internal", ("cache-control", "no-store")),
        ("/v1/fails/teapot", 418, "http-418", ("cache-control", "no-store")),
        ("/v1/nowhere", 404, "not-found", ("cache-control", "no-store")),
        ("/healthz/", 404, "not-found", ("cache-control", "no-store")),
        ("/problems/none-such", 404, "not-found", ("cache-control", "no-store")),
        ("/v1/raw", 405, "method-not-allowed", ("allow", "POST")),
    ],
)
async def test_whatever_goes_wrong_is_aproblem_of(path: str, status: int, slug: str, header: tuple[str, str]) -> None:
    answer = await ask(APP, "GET", path)
    document = problem_of(answer, status, slug)
    assert document["instance"] == path
    assert answer.headers[header[0]] == header[1]
    page = await ask(APP, "GET", document["type"])
    assert page.status_code == 200
    assert KINDS[slug].title in page.text


async def test_the_inside_is_never_told() -> None:
    for path in ("/v1/fails/anything", "/v1/fails/refused"):
        text = (await ask(APP, "GET", path)).text
        assert "secret-detail" not in text
        assert "5432" not in text
        assert "Error" not in text.replace("Internal error", "")


def test_an_infrastructure_error_and_an_unknown_one_are_told_apart() -> None:
    assert problem_for(TimeoutError()).status == 503
    assert problem_for(ValueError("x")).status == 500


async def test_no_log_line_has_what_stood_in_the_path(monkeypatch: pytest.MonkeyPatch) -> None:
    """A path may hold the token of a link, so a line has the route's template."""
    monkeypatch.setattr(logs, "debug_enabled", lambda: True)
    monkeypatch.setattr(http, "log", structlog.wrap_logger(None, wrapper_class=structlog.BoundLogger))
    app, token = bare_app(), "0123456789abcdef.s3cret-s3cret"

    @app.get("/v1/answers/{token}")
    async def answer(token: str, how: str) -> None:
        raise ConnectionRefusedError("away") if how == "away" else ValueError("broken")

    for path, how, status in (
        ("/v1/answers", "away", 503),
        ("/v1/answers", "broken", 500),
        ("/v1/elsewhere", "", 404),
    ):
        with capture_logs() as lines:
            assert (await ask(app, "GET", f"{path}/{token}", params={"how": how} if how else {})).status_code == status
        told = [line["path"] for line in lines if "path" in line]
        assert len(told) == (1 if status == 404 else 2), "the problem's line, and debug's"
        if status == 404:
            assert told == [f"/v1/elsewhere/{token}"], "negative control: a path of no route is told"
        else:
            assert token not in str([{**line, "exc_info": ""} for line in lines])
            assert set(told) == {"/v1/answers/{token}"}
