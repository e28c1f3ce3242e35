"""A server on a real socket, in a thread with the loop of production, and a client that says what it is told."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

import uvicorn
from fastapi import Request
from prometheus_client import REGISTRY

from shared.runtime.clock import Clock, monotonic_seconds
from shared.web.app import Application, read_body
from shared.web.limits import HttpSettings
from shared.web.server import GuardedProtocol, server_config
from tests.unit.shared.web.asking import bare_app

SECONDS = 15.0


def echo_app(stored: list[bytes] | None = None) -> Application:
    """Tells what of a request reached the application; /v1/store keeps the body; /v1/large answers with many bytes."""
    app = bare_app()

    @app.post("/v1/store", status_code=201)
    async def store(request: Request) -> dict[str, Any]:
        body = await read_body(request, 1_000_000)
        if stored is not None:
            stored.append(body)
        return {"bytes": len(body), "headers": [name.decode() for name, _ in request.scope["headers"]]}

    @app.get("/v1/echo")
    async def echo(request: Request) -> dict[str, Any]:
        return {"client": request.scope["client"][0], "path": request.scope["path"]}

    @app.get("/v1/large")
    async def large() -> dict[str, str]:
        return {"text": "x" * 30_000_000}

    assert isinstance(app, Application)
    return app


@dataclass(frozen=True)
class Served:
    """Where it listens, and its connections."""

    port: int
    protocol: type[GuardedProtocol]

    @contextmanager
    def connected(self, address: str = "127.0.0.1", receive_buffer_bytes: int | None = None) -> Iterator[Talk]:
        """A connection from this address of the machine's own network."""
        with socket.socket() as connection:
            if receive_buffer_bytes:
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer_bytes)
            connection.bind((address, 0))
            connection.settimeout(SECONDS)
            connection.connect(("127.0.0.1", self.port))
            yield Talk(connection)

    def ask(self, request: bytes, **options: Any) -> Answer:
        """One connection, one request, one answer."""
        with self.connected(**options) as talk:
            talk.say(request)
            return talk.answer()

    def hold(self, count: int, say: bytes = b"", address: str = "127.0.0.1") -> list[socket.socket]:
        """So many connections, left as they are."""
        held = []
        for _ in range(count):
            connection = socket.socket()
            connection.bind((address, 0))
            connection.settimeout(SECONDS)
            connection.connect(("127.0.0.1", self.port))
            if say:
                connection.sendall(say)
            held.append(connection)
        return held


@dataclass(frozen=True)
class Answer:
    """One answer, read whole."""

    status: int
    headers: dict[str, str]
    body: bytes

    def problem(self, status: int, slug: str) -> dict[str, Any]:
        """The problem it must be, in both languages, as every problem is sent."""
        assert self.status == status, (self.status, self.body[:300])
        assert self.headers["content-type"] == "application/problem+json"
        document: dict[str, Any] = json.loads(self.body)
        assert document["type"] == f"/problems/{slug}"
        assert document["status"] == status
        assert document["detail_vi"]
        assert document["detail_en"]
        assert self.headers["cache-control"] == "no-store"
        assert self.headers["x-content-type-options"] == "nosniff"
        assert "frame-ancestors 'none'" in self.headers["content-security-policy"]
        return document

    def json(self) -> Any:
        return json.loads(self.body)


class Talk:
    """One connection, byte by byte."""

    def __init__(self, connection: socket.socket) -> None:
        self.socket = connection
        self._read = bytearray()  # grows in place: an answer of 30 MB is not copied at each read

    def say(self, data: bytes) -> None:
        """Send; a server that has closed meanwhile is no failure of the client's."""
        with suppress(BrokenPipeError, ConnectionResetError):
            self.socket.sendall(data)

    def answer(self) -> Answer:
        """The next answer on it."""
        while (end := self._read.find(b"\r\n\r\n")) < 0:
            assert self._more(), f"closed before an answer, after {bytes(self._read)!r}"
        first, *lines = self._read[:end].decode("latin-1").split("\r\n")
        begin = end + 4
        headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
        length = int(headers["content-length"])
        while len(self._read) - begin < length:
            assert self._more(), f"closed within an answer of {length} bytes, after {len(self._read) - begin}"
        body = bytes(self._read[begin : begin + length])
        del self._read[: begin + length]
        return Answer(int(first.split(" ")[1]), headers, body)

    def closed(self) -> bool:
        """Whether the server closes without another word. Waits for it."""
        return not self._more() and not self._read

    def _more(self) -> bool:
        try:
            data = self.socket.recv(262_144)
        except ConnectionResetError:
            return False
        self._read += data
        return bool(data)


@contextmanager
def serving(app: Any, *, protocol: Any = None, clock: Clock | None = None, **settings: Any) -> Iterator[Served]:
    """The application, served as a service is; `protocol` another protocol, to show what ours prevents."""
    config = server_config(app, host="127.0.0.1", port=0, settings=HttpSettings(**settings), clock=clock)
    guarded: Any = config.http
    if protocol is not None:
        config.http = protocol
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    deadline = monotonic_seconds() + SECONDS
    stop = threading.Event()
    while not server.started:
        assert thread.is_alive()
        assert monotonic_seconds() < deadline
        stop.wait(0.005)
    try:
        yield Served(server.servers[0].sockets[0].getsockname()[1], guarded)
    finally:
        server.should_exit = True
        thread.join(SECONDS)
        assert not thread.is_alive()


def refused(reason: str) -> float:
    """How often the server has refused for this reason."""
    return REGISTRY.get_sample_value("thongsuot_http_refused_total", {"reason": reason}) or 0.0
