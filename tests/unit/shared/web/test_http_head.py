"""A head that two readers would read differently reaches no route; every answer says what a browser must not do."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

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
