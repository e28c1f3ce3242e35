"""The server builds on names of uvicorn that it does not promise: here it shows when they have moved."""

from __future__ import annotations

import inspect
from types import SimpleNamespace
from typing import Any

import httptools
import pytest
from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from shared.web import server
from shared.web.server import GuardedProtocol


def _names_set(cls: type) -> set[str]:
    """Attributes that __init__ sets."""
    source = inspect.getsource(cls.__init__)  # type: ignore[misc]
    return {line.strip().removeprefix("self.").split(":")[0].split(" ")[0] for line in source.splitlines()}


def test_the_protocol_has_the_methods_that_are_overridden_or_called() -> None:
    overridden = {
        *("connection_made", "connection_lost", "eof_received", "data_received", "shutdown"),
        *("on_message_begin", "on_url", "on_header", "on_headers_complete", "on_body", "on_message_complete"),
        "on_response_complete",
    }
    for name in overridden:
        assert name in vars(HttpToolsProtocol), name
        ours, theirs = (inspect.signature(getattr(cls, name)) for cls in (GuardedProtocol, HttpToolsProtocol))
        assert list(ours.parameters) == list(theirs.parameters), name
    assert list(inspect.signature(HttpToolsProtocol._start_asgi_task).parameters) == ["self", "cycle", "app"]


def test_the_protocol_and_its_cycle_have_the_attributes_that_are_used() -> None:
    protocol = {"cycle", "pipeline", "flow", "transport", "client", "url", "headers", "scope", "parser", "server_state"}
    assert protocol - {"url"} <= _names_set(HttpToolsProtocol)
    cycle = {"disconnected", "keep_alive", "message_event", "response_started", "response_complete", "more_body"}
    assert cycle <= _names_set(RequestResponseCycle)
    assert "read_paused" in _names_set(FlowControl)


def test_the_cycle_speaks_to_the_transport_only_by_what_is_wrapped() -> None:
    source = inspect.getsource(RequestResponseCycle)
    used = {part.split("(")[0] for part in source.split("self.transport.")[1:]}
    assert used <= {"write", "close", "is_closing"}


def test_newer_requests_wait_at_the_left_of_the_pipeline() -> None:
    assert "self.pipeline.appendleft((self.cycle, app))" in inspect.getsource(HttpToolsProtocol.on_headers_complete)
    assert "self.pipeline.pop()" in inspect.getsource(HttpToolsProtocol.on_response_complete)


def test_the_parser_says_where_an_upgrade_begins() -> None:
    class Nothing:
        pass

    request = b"GET / HTTP/1.1\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n"
    parser = httptools.HttpRequestParser(Nothing())
    with pytest.raises(httptools.HttpParserUpgrade) as raised:
        parser.feed_data(request + b"rest")
    assert raised.value.args[0] == len(request)


class _HungUp:
    """A transport whose client has gone, as uvloop has it: a write raises."""

    def __init__(self, *, closing: bool) -> None:
        self.is_closing = lambda: closing

    def write(self, data: bytes) -> None:
        raise RuntimeError("unable to perform operation on <TCPTransport closed=True>; the handler is closed")


def _transport(*, closing: bool) -> Any:
    protocol: Any = SimpleNamespace(close_gently=None, is_closing=lambda: closing)
    raw: Any = _HungUp(closing=closing)
    return server._Transport(raw, protocol)


def test_a_client_that_hangs_up_while_its_answer_is_written_is_no_error() -> None:
    _transport(closing=True).write(b"HTTP/1.1 200 OK\r\n")


def test_control_any_other_failure_to_write_is_told() -> None:
    with pytest.raises(RuntimeError):
        _transport(closing=False).write(b"HTTP/1.1 200 OK\r\n")
