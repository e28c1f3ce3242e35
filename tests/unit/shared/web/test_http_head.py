"""A head that two readers would read differently reaches no route; every answer says what a browser must not do."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from shared.web import app
from tests.unit.shared.web.asking import ask, bare_app
from tests.unit.shared.web.served import Served, echo_app, serving


@pytest.fixture(scope="module")
def server() -> Iterator[Served]:
    with serving(echo_app()) as served:
        yield served


@pytest.mark.parametrize(
    ("headers", "pointers"),
    [
        ([], ["/Host"]),
        (["Host: a", "Host: b"], ["/Host"]),
        (["Host: a", "Host: a"], ["/Host"]),
        (["Host: a b"], ["/Host"]),
        (["Host: a/b"], ["/Host"]),
        (["Host: a@b"], ["/Host"]),
        (["Host: a", "Authorization: Bearer x", "Authorization: Bearer y"], ["/Authorization"]),
        (["Host: a", "authorization: Bearer x", "AUTHORIZATION: Bearer x"], ["/Authorization"]),
        (["Authorization: Bearer x", "Authorization: Basic y"], ["/Host", "/Authorization"]),
    ],
)
def test_an_unclear_head_is_refused_with_all_that_is_wrong(
    server: Served, headers: list[str], pointers: list[str]
) -> None:
    answer = server.ask("\r\n".join(["GET /v1/echo HTTP/1.1", *headers, "", ""]).encode())
    document = answer.problem(400, "bad-request")
    assert [error["pointer"] for error in document["errors"]] == pointers
    assert {error["in"] for error in document["errors"]} == {"header"}


@pytest.mark.parametrize("host", ["a", "a:80", "127.0.0.1:28081", "[::1]:80", "[2001:db8::1]", "a_b.example", ""])
def test_a_good_host_passes(server: Served, host: str) -> None:
    assert server.ask(f"GET /v1/echo HTTP/1.1\r\nHost: {host}\r\n\r\n".encode()).status == 200


def test_http_1_0_needs_no_host(server: Served) -> None:
    assert server.ask(b"GET /v1/echo HTTP/1.0\r\n\r\n").status == 200


def test_a_nul_in_the_path_reaches_no_route(server: Served) -> None:
    server.ask(b"GET /v1/echo%00 HTTP/1.1\r\nHost: x\r\n\r\n").problem(400, "bad-request")


@pytest.mark.parametrize(
    "path", ["/v1%2Fecho", "/v1%2fecho", "/%2Fv1/echo", "/v1/echo%2F", "/v1%2Fnowhere", "/v1%2Fstore"]
)
def test_an_encoded_slash_reaches_no_route(server: Served, path: str) -> None:
    method, body = ("POST", "\r\nContent-Length: 0") if path.endswith("store") else ("GET", "")
    answer = server.ask(f"{method} {path} HTTP/1.1\r\nHost: x{body}\r\n\r\n".encode())
    assert "%2F" in answer.problem(404, "not-found")["detail_en"]


@pytest.mark.parametrize("path", ["/v1/echo", "/v1/ech%6F", "/v1%2Fecho"])
def test_the_server_itself_reads_an_encoded_slash_as_a_slash(
    server: Served, path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Negative control: without the look at the head all three are answered; two of them always."""
    monkeypatch.setattr(app, "must_be_clear", lambda *_: None)
    assert server.ask(f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode()).json()["path"] == "/v1/echo"


@pytest.mark.parametrize("path", ["/v1/ech%6F", "/v1/echo?at=a%2Fb"])
def test_other_encodings_and_slashes_in_the_query_pass(path: str) -> None:
    known = bare_app()

    @known.get("/v1/echo")
    async def echo(at: str = "") -> str:
        return at

    with serving(known) as served:
        assert served.ask(f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode()).status == 200


def test_an_address_in_absolute_form_is_that_of_its_path(server: Served) -> None:
    answer = server.ask(b"GET http://elsewhere/v1/echo HTTP/1.1\r\nHost: x\r\n\r\n")
    assert answer.json()["path"] == "/v1/echo"


@pytest.mark.parametrize(
    "path",
    ["/healthz", "/readyz", "/metrics", "/openapi.json", "/docs", "/problems", "/problems/not-found", "/nowhere"],
)
async def test_every_answer_is_kept_by_nobody_and_shown_inside_nothing(path: str) -> None:
    headers = (await ask(bare_app(), "GET", path)).headers
    assert headers.get_list("cache-control") == ["no-store"]
    assert headers.get_list("x-content-type-options") == ["nosniff"]
    (policy,) = headers.get_list("content-security-policy")
    assert "frame-ancestors 'none'" in policy
    assert "default-src 'none'" in policy
