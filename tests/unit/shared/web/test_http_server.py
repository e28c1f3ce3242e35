"""On a raw socket: what is too large, too slow or no HTTP is a problem; what was stored is answered as stored."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from shared.runtime.clock import monotonic_seconds
from tests.unit.shared.web.served import SECONDS, Served, echo_app, refused, serving

GET = b"GET /v1/echo HTTP/1.1\r\nHost: x\r\n\r\n"
POST = b"POST /v1/store HTTP/1.1\r\nHost: x\r\n"
CHUNKED = POST + b"Transfer-Encoding: chunked\r\n\r\n"
HASTE: dict[str, Any] = {
    "first_byte_timeout_seconds": 0.4,
    "head_timeout_seconds": 0.4,
    "body_timeout_seconds": 1.2,
    "stall_timeout_seconds": 0.4,
    "answer_timeout_seconds": 5,
}


@pytest.fixture(scope="module")
def server() -> Iterator[Served]:
    with serving(echo_app()) as served:
        yield served


@pytest.fixture(scope="module")
def hasty() -> Iterator[Served]:
    with serving(echo_app(), **HASTE) as served:
        yield served


@pytest.mark.parametrize(
    ("request_bytes", "status", "slug", "reason"),
    [
        (GET[:-2] + b"A: " + b"a" * 20_000, 431, "head-too-large", "head_too_large"),
        (GET[:-2] + b"A: " + b"a" * 4_000 + b"\r\nB: " + b"b" * 13_000 + b"\r\n\r\n", 431, "head-too-large", None),
        (GET[:-2] + b"A: b\r\n" * 101 + b"\r\n", 431, "head-too-large", "head_too_large"),
        (b"GET /" + b"a" * 9_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n", 414, "url-too-long", "url_too_long"),
        (b"GET /" + b"a" * 900_000, 414, "url-too-long", "url_too_long"),
        (b"what is this\r\n\r\n", 400, "bad-request", "malformed"),
        (b"GET / HTTP/1.1\r\nHost x\r\n\r\n", 400, "bad-request", "malformed"),
        (b"GET / HTTP/1.1\r\nHost: x\r\nA: b\0c\r\n\r\n", 400, "bad-request", "malformed"),
        (b"GET / HTTP/1.1\r\nHost: x\r\nA: b\r\n c\r\n\r\n", 400, "bad-request", "malformed"),
        (b"GET / HTTP/1.1\nHost: x\n\n", 400, "bad-request", "malformed"),
        (POST + b"Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400, "bad-request", "malformed"),
        (POST + b"Content-Length: 3\r\nContent-Length: 4\r\n\r\nabcd", 400, "bad-request", "malformed"),
        (POST + b"Content-Length: +3\r\n\r\nabc", 400, "bad-request", "malformed"),
        (POST + b"Transfer-Encoding: chunked, gzip\r\n\r\n0\r\n\r\n", 400, "bad-request", "malformed"),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400, "bad-request", "malformed"),
        (b"GET / HTTP/2.0\r\nHost: x\r\n\r\n", 505, "http-version-not-supported", None),
        (b"GET / HTTP/0.9\r\nHost: x\r\n\r\n", 505, "http-version-not-supported", None),
        (b"CONNECT a:80 HTTP/1.1\r\nHost: a:80\r\n\r\n", 400, "bad-request", "malformed"),
        (b"GET http://h HTTP/1.1\r\nHost: h\r\n\r\n", 400, "bad-request", "malformed"),
        (
            POST + b"Connection: Upgrade\r\nUpgrade: h2c\r\nContent-Length: 3\r\n\r\nabc",
            400,
            "bad-request",
            "upgrade",
        ),
        (
            POST + b"Transfer-Encoding: gzip, chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
            501,
            "transfer-coding-not-supported",
            "coded_body",
        ),
        (CHUNKED + b"3\r\nabc\r\n0\r\nA: " + b"a" * 900_000, 400, "bad-request", "wasteful_body"),
        (CHUNKED + b"3\r\nabc\r\n0\r\n" + b"A: b\r\n" * 9_000 + b"\r\n", 400, "bad-request", "wasteful_body"),
        (CHUNKED + b"3;a=" + b"b" * 900_000, 400, "bad-request", "wasteful_body"),
        (CHUNKED + b"1\r\na\r\n" * 150_000, 400, "bad-request", "wasteful_body"),
        (CHUNKED + b"zz\r\n", 400, "bad-request", "malformed"),
    ],
)
def test_what_cannot_be_taken_is_a_problem_and_the_end(
    server: Served, request_bytes: bytes, status: int, slug: str, reason: str | None
) -> None:
    before = refused(reason) if reason else 0
    with server.connected() as talk:
        talk.say(request_bytes)
        answer = talk.answer()
        assert talk.closed()
    answer.problem(status, slug)
    assert answer.headers["connection"] == "close"
    assert reason is None or refused(reason) == before + 1


def test_a_refusal_speaks_the_language_that_was_asked_for(server: Served) -> None:
    head = b"GET / HTTP/1.1\r\nHost: x\r\nAccept-Language: en\r\n"
    answer = server.ask(head + b"A: b\r\n" * 101 + b"\r\n")
    document = answer.problem(431, "head-too-large")
    assert document["title"] == document["title_en"]
    assert document["request_id"] == answer.headers["x-request-id"]


@pytest.mark.parametrize(("megabytes", "protocol"), [(64, None), (8, HttpToolsProtocol)], ids=["ours", "control"])
def test_a_giant_header_costs_the_neighbours_nothing(megabytes: int, protocol: type | None) -> None:
    """The control has an eighth of the bytes: uvicorn's parser copies what it has at every read."""
    giant = GET[:-2] + b"A: " + b"a" * (megabytes * 1_000_000)
    with serving(echo_app(), protocol=protocol) as served, served.connected() as talk:
        talk.socket.settimeout(SECONDS)
        talk.say(giant)
        if protocol is None:
            talk.answer().problem(431, "head-too-large")
            return
        # taken in whole, and waited on
        assert served.ask(GET).status == 200
        talk.say(b"\r\n\r\n")
        assert talk.answer().status == 200


def test_a_head_at_the_limit_passes(server: Served) -> None:
    assert server.ask(GET[:-2] + b"A: " + b"a" * 16_000 + b"\r\n\r\n").status == 200
    assert server.ask(GET[:-2] + b"A: b\r\n" * 99 + b"\r\n").status == 200


def test_requests_in_one_breath_are_answered_in_order_however_many(server: Served) -> None:
    with server.connected() as talk:
        talk.say(b"".join(GET.replace(b"echo", b"echo?n=%d" % n) for n in range(3)) + GET * 3_000)
        assert {talk.answer().status for _ in range(3_003)} <= {200, 400}


def test_heads_in_one_breath_are_each_measured_by_themselves(server: Served) -> None:
    request = GET[:-2] + b"A: " + b"a" * 9_000 + b"\r\n\r\n"
    with server.connected() as talk:
        talk.say(request * 40)
        assert [talk.answer().status for _ in range(40)] == [200] * 40


def test_a_head_that_comes_byte_by_byte_is_a_head(server: Served) -> None:
    with server.connected() as talk:
        talk.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for at in range(len(GET)):
            talk.say(GET[at : at + 1])
        assert talk.answer().status == 200


def test_a_large_body_arrives_whole_beside_a_paused_reader(server: Served) -> None:
    body = bytes(range(256)) * 3_900
    with server.connected() as talk:
        talk.say(POST + b"Content-Length: %d\r\n\r\n" % len(body) + body + GET)
        assert talk.answer().json()["bytes"] == len(body)
        assert talk.answer().status == 200


@pytest.mark.parametrize("protocol", [None, HttpToolsProtocol], ids=["ours", "control"])
def test_what_was_stored_is_answered_so_whatever_comes_behind_it(protocol: type | None) -> None:
    stored: list[bytes] = []
    with serving(echo_app(stored), protocol=protocol) as served, served.connected() as talk:
        talk.say(POST + b"Content-Length: 3\r\n\r\nabc" + b"surplus surplus\r\n\r\n")
        answer = talk.answer()
        if protocol is None:
            assert (answer.status, stored) == (201, [b"abc"])
            assert answer.headers["connection"] == "close"
            assert talk.closed()
        else:
            assert answer.status == 400


def test_a_bad_second_request_does_not_take_the_first_ones_answer(server: Served) -> None:
    with server.connected() as talk:
        talk.say(GET + CHUNKED + b"zz\r\n")
        assert talk.answer().status == 200
        assert talk.closed()


@pytest.mark.parametrize("protocol", [None, HttpToolsProtocol], ids=["ours", "control"])
def test_a_trailer_is_no_header(protocol: type | None) -> None:
    with serving(echo_app(), protocol=protocol) as served, served.connected() as talk:
        talk.say(CHUNKED + b"3\r\nabc\r\n0\r\nAuthorization: Bearer x\r\nX-Forwarded-For: 10.9.8.7\r\n\r\n")
        reached = talk.answer().json()["headers"]
    assert ("authorization" in reached) == (protocol is not None)


def test_who_offers_an_upgrade_is_answered_over_http_1(server: Served) -> None:
    with server.connected() as talk:
        talk.say(GET[:-2] + b"Connection: Upgrade\r\nUpgrade: h2c\r\n\r\n" + GET)
        assert [talk.answer().status, talk.answer().status] == [200, 200]


def test_who_closes_only_its_own_side_is_answered(server: Served) -> None:
    with server.connected() as talk:
        talk.say(GET)
        talk.socket.shutdown(socket.SHUT_WR)
        assert talk.answer().status == 200
        assert talk.closed()


@pytest.mark.parametrize(
    ("said", "reason"),
    [(b"", "silent"), (b"\r\n\r\n", "silent"), (b"GET /v1/ec", "slow_head"), (POST, "slow_head")],
)
def test_who_does_not_go_on_is_let_go(hasty: Served, said: bytes, reason: str) -> None:
    before = refused(reason)
    with hasty.connected() as talk:
        talk.say(said)
        if reason == "slow_head":
            talk.answer().problem(408, "request-timeout")
        assert talk.closed()
    assert refused(reason) == before + 1


def test_a_head_has_one_deadline_however_it_trickles(hasty: Served) -> None:
    _trickles(hasty, b"GET /v1/echo HTTP/1.1\r\nA: ", "slow_head")


@pytest.mark.parametrize("said", [b"Content-Length: 300\r\n\r\nabc", b"Transfer-Encoding: chunked\r\n\r\n3\r\nabc"])
def test_a_body_that_stops_coming_is_given_up(hasty: Served, said: bytes) -> None:
    before = refused("slow_body")
    with hasty.connected() as talk:
        talk.say(POST + said)
        talk.answer().problem(408, "request-timeout")
        assert talk.closed()
    assert refused("slow_body") == before + 1


def test_a_body_has_a_deadline_however_it_trickles(hasty: Served) -> None:
    _trickles(hasty, POST + b"Content-Length: 3000\r\n\r\n", "slow_body")


def _trickles(served: Served, begin: bytes, reason: str) -> None:
    before = refused(reason)
    with served.connected() as talk:
        talk.say(begin)
        talk.socket.settimeout(0.05)
        deadline = monotonic_seconds() + SECONDS
        while refused(reason) == before:
            assert monotonic_seconds() < deadline
            try:
                talk.say(b"a")
                if not talk.socket.recv(1, socket.MSG_PEEK):
                    break
            except TimeoutError:
                continue
        talk.socket.settimeout(SECONDS)
        talk.answer().problem(408, "request-timeout")


def test_an_answer_that_nobody_reads_is_not_kept_for_ever(hasty: Served) -> None:
    before = refused("slow_reader")
    with hasty.connected(receive_buffer_bytes=4_096) as talk:
        talk.say(b"GET /v1/large HTTP/1.1\r\nHost: x\r\n\r\n")
        _until(lambda: refused("slow_reader") > before and not len(hasty.protocol.guard))


def test_an_answer_that_is_read_is_whole(hasty: Served) -> None:
    with hasty.connected(receive_buffer_bytes=65_536) as talk:
        talk.say(b"GET /v1/large HTTP/1.1\r\nHost: x\r\n\r\n")
        assert len(talk.answer().json()["text"]) == 30_000_000


def test_a_connection_between_requests_has_its_own_patience() -> None:
    with serving(echo_app(), first_byte_timeout_seconds=0.2, keep_alive_timeout_seconds=0.4) as served:
        with served.connected() as talk:
            talk.say(GET)
            assert talk.answer().status == 200
            talk.say(b"\r\n")  # says nothing
            assert talk.closed()
        with served.connected() as talk:  # answered before its body was whole
            talk.say(b"POST /v1/nowhere HTTP/1.1\r\nHost: x\r\nContent-Length: 6\r\n\r\nabc")
            assert talk.answer().status == 404
            talk.say(b"def")
            assert talk.closed()


def _until(condition: Callable[[], bool]) -> None:
    deadline = monotonic_seconds() + SECONDS
    pause = threading.Event()
    while not condition():
        assert monotonic_seconds() < deadline
        pause.wait(0.02)
