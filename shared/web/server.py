"""The HTTP server protocol: one client costs bounded memory for a bounded time, whatever it sends or fails to read.

The protocol limits a request's head before the parser sees all of it. Sending a head, sending a body and reading a
response each have a deadline. A refusal is a problem+json response. A bad request does not spoil the response to the
request before it on the same connection.

This module extends uvicorn's protocol and uses its private names; tests/unit/shared/web/test_http_server_uvicorn.py
fails when an upgrade moves them.
"""

from __future__ import annotations

import asyncio
from enum import Enum, auto
from math import inf
from typing import Any, cast

import httptools
import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

from shared.runtime.clock import Clock
from shared.web import arrival
from shared.web.connections import Connections
from shared.web.limits import HttpSettings, forwarded_client
from shared.web.refusals import (
    CODED_BODY,
    GAVE_WAY,
    LARGE_HEAD,
    LONG_URL,
    MALFORMED,
    SILENT,
    SLOW_BODY,
    SLOW_HEAD,
    SLOW_READER,
    UPGRADE,
    WASTEFUL,
    Refusal,
)

#: how much to read and drop after a refusal: closing while the client still sends resets the connection, and the
#: client then loses the response
LINGER_BYTES = 1_048_576
LINGER_SECONDS = 2.0
#: headers that announce a body; the parser ignores the body of a request that offers an upgrade
_FRAMING = frozenset({b"content-length", b"transfer-encoding"})


class _Stage(Enum):
    """Which part of a request the client is sending."""

    BETWEEN = auto()
    HEAD = auto()
    BODY = auto()


def _size(url: bytes, headers: list[tuple[bytes, bytes]]) -> int:
    return len(url) + sum(len(name) + len(value) + 4 for name, value in headers)


class _Stop(Exception):
    """Stops the parser; `GuardedProtocol._refusal` holds the reason."""


class _Transport:
    """The transport that uvicorn sees: its close() lets the client read the response first."""

    __slots__ = ("_raw", "close", "is_closing")

    def __init__(self, transport: asyncio.Transport, protocol: GuardedProtocol) -> None:
        self._raw = transport
        self.close = protocol.close_gently
        self.is_closing = protocol.is_closing

    def write(self, data: bytes) -> None:
        """Ignore a write after the client has hung up, as asyncio's transports do; uvloop raises RuntimeError."""
        try:
            self._raw.write(data)
        except RuntimeError:
            if not self._raw.is_closing():
                raise


class _Flow(FlowControl):
    """Flow control that parses the bytes held back before it resumes reading."""

    def __init__(self, transport: asyncio.Transport, protocol: GuardedProtocol) -> None:
        super().__init__(transport)
        self._protocol: GuardedProtocol | None = protocol

    def resume_reading(self) -> None:
        protocol = self._protocol
        if not self.read_paused:
            return
        if protocol is not None and protocol.holds_bytes:
            self.read_paused = False
            protocol.loop.call_soon(protocol.parse_held)
        else:
            super().resume_reading()

    def release(self) -> None:
        """Drop the reference to the protocol once the connection is gone."""
        self._protocol = None


class GuardedProtocol(HttpToolsProtocol):
    """One connection. `guard` and `clock` are set by `protocol_class`."""

    guard: Connections
    #: business clock, where the application needs a request's time of arrival
    clock: Clock | None

    def __init__(
        self,
        config: uvicorn.Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self._limits = self.guard.settings
        self._address = ""
        self._from_proxy = False
        #: the request whose head was complete last, and whether its body is too; `_stage` derives from both
        self._taken: Any = None
        self._whole = True
        self._refusal: Refusal | None = None
        #: whether further bytes are dropped unparsed
        self._deaf = False
        self._closing = False
        self._close_when_answered = False
        self._held = b""
        #: bytes read of the current head; bytes read with the body's framing; bytes of the body itself
        self._head_bytes = self._fed_bytes = self._body_bytes = 0
        self._dropped_bytes = 0
        self._due = inf
        self.quiet_since = self.progressed_at = 0.0
        self._window_from = 0.0
        self._window_bytes = 0
        self._unsent_since: float | None = None
        self._unsent_from = 0.0
        self._unsent_bytes = 0

    # --- the connection ---

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._raw = transport
        self.transport = cast(asyncio.Transport, _Transport(transport, self))
        self.flow = _Flow(transport, self)
        self._address = self.client[0] if self.client else ""
        now = self.loop.time()
        self.quiet_since = self.progressed_at = now
        refusal = self.guard.admit(self, self._address, self.loop)
        if refusal is not None:
            refusal.count()
            self._deaf = self._closing = True
            transport.write(refusal.answer([]))
            transport.close()
            return
        self._from_proxy = self.guard.from_proxy(self._address)
        self._due = now + self._limits.first_byte_timeout_seconds

    def connection_lost(self, exc: Exception | None) -> None:
        self.guard.leave(self, self._address)
        self._deaf = self._closing = True
        self._held = b""
        super().connection_lost(exc)
        self.pipeline.clear()
        # both hold bound methods of this object: without this only the garbage collector would free the connection
        self.transport = self._raw
        cast(_Flow, self.flow).release()

    def eof_received(self) -> bool | None:  # type: ignore[override]
        """The client stops sending but may still read: finish the current response, then close."""
        if self._answering() and self._stage is _Stage.BETWEEN and not self._held and not self._closing:
            self._finish_then_close()
            return True
        return None

    def is_closing(self) -> bool:
        """Whether the connection takes no further response."""
        return self._closing or self._raw.is_closing()

    def close_gently(self) -> None:
        """Close at once between requests; otherwise give the client time to read the response."""
        if self._closing:
            return
        self._closing = self._deaf = True
        self._held = b""
        self.guard.sent(self)
        self.guard.quiet(self)
        if self._raw.is_closing():
            return
        if self._stage is _Stage.BETWEEN and self._refusal is None:
            self._raw.close()
            return
        self._due = self.loop.time() + LINGER_SECONDS
        self._raw.write_eof()
        self.flow.resume_reading()

    def shutdown(self) -> None:
        """Finish the current response; close at once where there is none."""
        if self.cycle is None or self.cycle.response_complete:
            self._closing = self._deaf = True
            self._raw.close()
        else:
            self._finish_then_close()

    def give_way(self) -> None:
        """Close to make room for another connection."""
        GAVE_WAY.count()
        self._end_request()
        self._abort()

    def _abort(self) -> None:
        self._closing = self._deaf = True
        self.guard.leave(self, self._address)
        self._raw.abort()

    # --- what comes in ---

    def data_received(self, data: bytes) -> None:
        if self._deaf or self._held or len(data) > self._limits.max_head_bytes:
            self._receive_slowly(data)
        else:
            self._parse(data)

    def _receive_slowly(self, data: bytes) -> None:
        if self._deaf:
            self._drop(len(data))
        elif self._held:
            self._held += data  # these bytes were under way when reading paused
        else:
            self._parse_in_pieces(data)

    @property
    def holds_bytes(self) -> bool:
        """Whether bytes wait that were read but not parsed."""
        return bool(self._held)

    def parse_held(self) -> None:
        """Parse the bytes that were read before reading paused."""
        data, self._held = self._held, b""
        if data and not self._deaf:
            self._parse_in_pieces(data)
        if not self.flow.read_paused and not self._raw.is_closing():
            self._raw.resume_reading()

    def _parse_in_pieces(self, data: bytes) -> None:
        step = self._limits.max_head_bytes
        for at in range(0, len(data), step):
            if self._deaf:
                self._drop(len(data) - at)
                return
            if self.flow.read_paused:
                self._held = data[at:]
                return
            self._parse(data[at : at + step])

    def _parse(self, data: bytes) -> None:
        """Feed the parser at most `max_head_bytes`, then set the deadline for the part that is still incomplete."""
        message, taken, whole = self.scope, self._taken, self._whole
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            # a server may ignore an offered upgrade and respond in HTTP/1.1 (RFC 9110 §7.8)
            if not self._parse_after(data[upgrade.args[0] :]):
                return
        except httptools.HttpParserError:
            self._fail(self._refusal or MALFORMED)
            return
        if self._whole and self.scope is self._taken:
            if not whole:
                self.guard.sent(self)
            if not whole or self.scope is not message:
                self._due = inf
                if self.cycle.response_complete:
                    self._rest()  # the response was complete before the body was
        elif self.scope is not self._taken:
            if self.scope is message:
                self._head_bytes += len(data)
            else:
                self._due = self.loop.time() + self._limits.head_timeout_seconds
                # where the same bytes also end another request, the head's share is unknown: do not count them
                self._head_bytes = len(data) if whole and self._taken is taken else 0
            if self._head_bytes > self._limits.max_head_bytes:
                self._fail(LONG_URL if len(self.url) > self._limits.max_url_bytes else LARGE_HEAD)
        else:
            self._measure_body(len(data), begins=self._taken is not taken)

    def _parse_after(self, rest: bytes) -> bool:
        while rest:
            try:
                self.parser.feed_data(rest)
            except httptools.HttpParserUpgrade as upgrade:
                rest = rest[upgrade.args[0] :]
            except httptools.HttpParserError:
                self._fail(self._refusal or MALFORMED)
                return False
            else:
                break
        return True

    def _measure_body(self, size: int, *, begins: bool) -> None:
        limits = self._limits
        self.progressed_at = now = self.loop.time()
        if begins:
            self._due = now + limits.body_timeout_seconds
            self._window_from, self._window_bytes = now, self._body_bytes
            self._fed_bytes = self._body_bytes
        else:
            self._fed_bytes += size
        self.guard.sending(self)
        wasted_bytes = self._fed_bytes - self._body_bytes
        if wasted_bytes > limits.max_head_bytes + self._body_bytes or len(self.headers) > limits.max_headers:
            self._fail(WASTEFUL)
        elif self.cycle.response_complete and self._body_bytes > LINGER_BYTES:
            self.close_gently()  # the response is complete; the client still sends its body

    def _drop(self, size: int) -> None:
        self._dropped_bytes += size
        if self._dropped_bytes > LINGER_BYTES and self._closing and not self._raw.is_closing():
            self._raw.close()

    # --- what the parser says ---

    def on_headers_complete(self) -> None:
        limits = self._limits
        if len(self.url) > limits.max_url_bytes:
            self._stop(LONG_URL)
        if len(self.headers) > limits.max_headers or (
            # a head that arrived in one piece is at most max_head_bytes, the size of a piece
            self._head_bytes and _size(self.url, self.headers) > limits.max_head_bytes
        ):
            self._stop(LARGE_HEAD)
        if self.parser.should_upgrade() and any(name in _FRAMING for name, _ in self.headers):
            self._stop(UPGRADE)
        # the application would take a compressed body for the body itself (RFC 9112 §6.1)
        if any(name == b"transfer-encoding" and value.strip().lower() != b"chunked" for name, value in self.headers):
            self._stop(CODED_BODY)
        if self._from_proxy:
            client = forwarded_client(self.headers, self._address, self.guard.trusted)
            if client is not None:
                self.scope["client"] = (client, 0)
        if self.clock is not None:
            # note it here: behind a slow request on the same connection the application starts later
            arrival.note(cast(Any, self.scope), self.clock, limits.body_timeout_seconds)
        super().on_headers_complete()
        self._taken = self.scope
        self._whole = False
        self._body_bytes = 0
        # from here on the parser adds trailers, which come after all checks of the head; nothing reads them
        # (RFC 9110 §6.5.1)
        self.headers = []
        self.guard.busy(self)

    def on_body(self, body: bytes) -> None:
        self._body_bytes += len(body)
        super().on_body(body)

    def on_message_complete(self) -> None:
        self._whole = True
        cycle = self.cycle
        if not cycle.response_complete:
            cycle.more_body = False
            cycle.message_event.set()

    @property
    def _stage(self) -> _Stage:
        if self.scope is not self._taken:
            return _Stage.HEAD
        return _Stage.BETWEEN if self._whole else _Stage.BODY

    def _stop(self, refusal: Refusal) -> None:
        self._refusal = refusal
        raise _Stop

    # --- refusing ---

    def _answering(self) -> bool:
        return self.cycle is not None and not self.cycle.response_complete

    def _fail(self, refusal: Refusal) -> None:
        """Refuse the current request, after the responses to complete requests before it."""
        refusal.count()
        self._refusal = refusal
        self._deaf = True
        if self._stage is not _Stage.BODY:
            if self._answering():
                self._finish_then_close()
            else:
                self._answer(refusal)
        elif self.pipeline:  # the refused request is the newest in the pipeline
            self.pipeline.popleft()
            self._close_when_answered = True
            self.flow.resume_reading()
        elif self.cycle.response_started:
            self._finish_then_close()
        else:
            self._end_request()
            self._answer(refusal)

    def _answer(self, refusal: Refusal) -> None:
        self.transport.write(refusal.answer(list(self.scope["headers"]) if self.scope else []))
        self.close_gently()

    def _end_request(self) -> None:
        """Signal the application that its client is gone, so that it stops responding."""
        if self._answering():
            self.cycle.disconnected = True
            self.cycle.message_event.set()

    def _finish_then_close(self) -> None:
        self._close_when_answered = True
        if self._answering():
            self.cycle.keep_alive = False
        else:
            self.close_gently()

    def on_response_complete(self) -> None:
        self.server_state.total_requests += 1
        if self.is_closing():
            return
        self.flow.resume_reading()
        if self.pipeline:
            cycle, app = self.pipeline.pop()
            self._start_asgi_task(cycle, app)
        elif self._close_when_answered:
            self.close_gently()
        elif self._stage is not _Stage.BODY:
            self._rest()

    def _rest(self) -> None:
        """Mark the connection as idle and start the keep-alive deadline."""
        self.quiet_since = now = self.loop.time()
        self.guard.quiet(self)
        if self._stage is _Stage.BETWEEN:
            self._due = now + self._limits.keep_alive_timeout_seconds

    # --- time ---

    def look(self, now: float) -> None:
        """Close the connection if a deadline has passed or a transfer is too slow."""
        if self._raw.is_closing() and not self._raw.get_write_buffer_size():
            return
        if self._reads_too_slowly(now):
            SLOW_READER.count()
            self._end_request()
            self._abort()
        elif self._stage is _Stage.BODY and not self._deaf and self.flow.read_paused:
            # the application paused reading, so a stalled body is not the client's fault
            self._due = max(self._due, now + self._limits.stall_timeout_seconds)
            self._window_from, self._window_bytes = now, self._body_bytes
        elif now >= self._due or self._sends_too_slowly(now):
            self._due = inf
            self._time_out()

    def _time_out(self) -> None:
        if self._closing:
            self._abort()
        elif self._stage is _Stage.BODY:
            self._fail(SLOW_BODY)
        elif self._stage is _Stage.HEAD:
            self._fail(SLOW_HEAD)
        else:
            if self.cycle is None:
                SILENT.count()
            self.close_gently()

    def _sends_too_slowly(self, now: float) -> bool:
        span = self._limits.stall_timeout_seconds
        if self._stage is not _Stage.BODY or self._deaf or now - self._window_from < span:
            return False
        came = self._body_bytes - self._window_bytes
        self._window_from, self._window_bytes = now, self._body_bytes
        return came < self._limits.min_bytes_per_second * span

    def _reads_too_slowly(self, now: float) -> bool:
        unsent = self._raw.get_write_buffer_size()
        if not unsent:
            self._unsent_since = None
            return False
        if self._unsent_since is None:
            self._unsent_since = self._unsent_from = now
            self._unsent_bytes = unsent
            return False
        if now - self._unsent_since > self._limits.answer_timeout_seconds:
            return True
        span = self._limits.stall_timeout_seconds
        if now - self._unsent_from < span:
            return False
        went = self._unsent_bytes - unsent
        self._unsent_from, self._unsent_bytes = now, unsent
        return 0 <= went < self._limits.min_bytes_per_second * span


def protocol_class(settings: HttpSettings, clock: Clock | None = None) -> type[GuardedProtocol]:
    """The protocol of one server, with its own connections."""
    return type("ServerProtocol", (GuardedProtocol,), {"guard": Connections(settings), "clock": clock})


def server_config(
    app: ASGIApp,
    *,
    host: str,
    port: int,
    settings: HttpSettings,
    clock: Clock | None = None,
    graceful_seconds: int = 5,
) -> uvicorn.Config:
    """The uvicorn settings of every service. `clock`: the business clock that stamps a request's arrival."""
    return uvicorn.Config(
        cast(Any, app),
        host=host,
        port=port,
        loop="uvloop",
        http=protocol_class(settings, clock),
        ws="none",
        access_log=False,
        log_config=None,
        proxy_headers=False,  # uvicorn would trust X-Forwarded-For from 127.0.0.1; limits.forwarded_client decides here
        server_header=False,
        date_header=False,
        backlog=2048,
        timeout_graceful_shutdown=graceful_seconds,
    )
