"""A TCP proxy before PostgreSQL that can swallow what the server answers from a chosen moment on."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from urllib.parse import urlsplit, urlunsplit


class Proxy:
    """`deaf_when` looks at what a client sends; once it is true, that connection's answers never come back."""

    def __init__(self, host: str, port: int) -> None:
        self._target = host, port
        self.deaf_when: Callable[[bytes], bool] = lambda _: False
        self.only = b""  # connections whose first words hold this, such as their application_name
        self.swallowed = 0
        self.cut_after_seconds: float | None = 0.2
        self.port = 0
        self._tasks: set[asyncio.Task[None]] = set()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        upstream_reader, upstream_writer = await asyncio.open_connection(*self._target)
        deaf = asyncio.Event()

        async def upward() -> None:
            first_words = b""
            while data := await reader.read(65536):
                if len(first_words) < 1024:
                    first_words += data
                if not deaf.is_set() and self.only in first_words and self.deaf_when(data):
                    self.swallowed += 1
                    deaf.set()
                upstream_writer.write(data)
                await upstream_writer.drain()
            upstream_writer.close()

        async def downward() -> None:
            while data := await upstream_reader.read(65536):
                if deaf.is_set():
                    # the server has done its work and said so; nobody hears it
                    if self.cut_after_seconds is None:
                        continue
                    break
                writer.write(data)
                await writer.drain()
            writer.transport.abort()

        with suppress(OSError):
            await asyncio.gather(upward(), downward(), return_exceptions=True)
        upstream_writer.transport.abort()
        writer.transport.abort()

    def accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.get_running_loop().create_task(self.serve(reader, writer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def close(self) -> None:
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)


@asynccontextmanager
async def proxied(url: str) -> AsyncIterator[tuple[Proxy, str]]:
    """A proxy before the database of `url`, and the URL that goes through it."""
    parts = urlsplit(url)
    assert parts.hostname
    proxy = Proxy(parts.hostname, parts.port or 5432)
    server = await asyncio.start_server(proxy.accept, "127.0.0.1", 0)
    proxy.port = server.sockets[0].getsockname()[1]
    credentials = parts.netloc.rpartition("@")[0]
    try:
        yield proxy, urlunsplit(parts._replace(netloc=f"{credentials}@127.0.0.1:{proxy.port}"))
    finally:
        server.close()
        await proxy.close()
