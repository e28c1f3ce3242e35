"""A webhook's receiver on a socket: it answers as scripted, and keeps what it was sent."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Received:
    """One request."""

    path: str
    headers: dict[str, str]
    body: bytes


@dataclass(slots=True)
class Receiver:
    """answers: raw responses, the first one first, then 200 for ever. `hang`: the answer is silence."""

    port: int = 0
    received: list[Received] = field(default_factory=list)
    answers: deque[bytes] = field(default_factory=deque)
    connections: int = 0
    _writers: list[asyncio.StreamWriter] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/hook?from=thongsuot"

    def answer(self, status: int, *headers: str, body: str = "") -> None:
        head = "".join(f"{line}\r\n" for line in headers)
        length = len(body.encode())
        self.answers.append(f"HTTP/1.1 {status} X\r\n{head}content-length: {length}\r\n\r\n{body}".encode())

    def hang(self) -> None:
        self.answers.append(b"")

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self._writers.append(writer)
        with suppress(asyncio.IncompleteReadError, ConnectionError):
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
            first, *lines = head.split("\r\n")
            headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines if line)}
            body = await reader.readexactly(int(headers.get("content-length", "0")))
            self.received.append(Received(first.split(" ")[1], headers, body))
            answer = self.answers.popleft() if self.answers else b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"
            if answer:
                writer.write(answer)
                await writer.drain()
            else:
                await reader.read()  # until the other side gives up
        writer.close()


@asynccontextmanager
async def receiver() -> AsyncIterator[Receiver]:
    made = Receiver()
    server = await asyncio.start_server(made._serve, "127.0.0.1", 0)
    made.port = server.sockets[0].getsockname()[1]
    try:
        yield made
    finally:
        server.close()
        for writer in made._writers:
            writer.close()
            with suppress(ConnectionError):
                await writer.wait_closed()
