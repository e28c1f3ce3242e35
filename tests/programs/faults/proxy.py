"""A TCP proxy that misbehaves on command: cut, silent, slow, resetting, or losing the answer to one request.

It runs in its own thread; commands may come from any thread and apply from the next bytes on.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
import threading
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from types import TracebackType
from typing import Literal, Self

HOST = "127.0.0.1"
CHUNK_BYTES = 256 * 1024
Mode = Literal["pass", "cut", "silent", "swallow_answers"]
Request = Callable[[bytes], bool]


def is_commit(data: bytes) -> bool:
    """A PostgreSQL simple query COMMIT (protocol 3.0, message Q)."""
    return data[:1] == b"Q" and b"COMMIT" in data[:64].upper()


def is_produce(data: bytes) -> bool:
    """A Kafka produce request: api key 0 behind the four bytes of length, correlation id and client id following."""
    return len(data) > 64 and data[4:6] == b"\x00\x00"


def refuse_produce(answer: bytes, code: int) -> bytes:
    """A produce answer (versions 0 to 8) whose first partition carries this error code instead of its own."""
    place = 8 + 4  # size, correlation id, number of topics
    (length,) = struct.unpack_from(">h", answer, place)
    place += 2 + length + 4 + 4  # name, number of partitions, partition
    return answer[:place] + struct.pack(">h", code) + answer[place + 2 :]


@dataclass(eq=False)
class _Link:
    """One proxied connection."""

    client: asyncio.StreamWriter
    server: asyncio.StreamWriter
    doomed: bool = False  # the next answer is lost, and the connection with it
    refused: dict[bytes, int] = field(default_factory=dict)  # Kafka correlation id -> error code its answer shall carry
    tasks: list[asyncio.Task[None]] = field(default_factory=list)

    def reset(self) -> None:
        """Send RST to both ends: pending bytes are lost."""
        for writer in (self.client, self.server):
            raw = writer.get_extra_info("socket")
            if raw is not None:
                with contextlib.suppress(OSError):
                    raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            writer.transport.abort()


class Proxy:
    """`with Proxy() as proxy: proxy.target = port`, then let the victim connect to `proxy.port`."""

    def __init__(self, target: int = 0) -> None:
        self.target = target
        self.port = 0
        self.lost_answers = 0
        self._mode: Mode = "pass"
        self._delay_seconds = 0.0
        self._doom: Request | None = None
        self._doom_times = 0
        self._refusals: list[int] = []
        self.refused: Counter[int] = Counter()  # error code -> produce answers that have carried it to the client
        self._links: set[_Link] = set()
        self._loop = asyncio.new_event_loop()
        self._changed = asyncio.Event()
        self._thread = threading.Thread(target=self._run, name="fault-proxy", daemon=True)
        self._up = threading.Event()
        self._server: asyncio.Server | None = None

    def __enter__(self) -> Self:
        self._thread.start()
        self._up.wait(10)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Drop every connection and stop listening."""
        if self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join(10)

    # ------------------------------------------------------------------ orders

    def restore(self) -> None:
        """Pass everything again, also the bytes that were held back."""
        self._delay_seconds, self._doom, self._doom_times, self._refusals = 0.0, None, 0, []
        self._set("pass")

    def cut(self) -> None:
        """Reset every connection, refuse new ones."""
        self._set("cut")
        self.reset()

    def silence(self) -> None:
        """Half-open: connections stay, no byte passes either way, new ones are accepted and stay mute."""
        self._set("silent")

    def swallow_answers(self) -> None:
        """Pass requests, drop answers."""
        self._set("swallow_answers")

    def delay(self, seconds: float) -> None:
        """Hold every chunk, both ways, for so long."""
        self._delay_seconds = seconds

    def lose_answer(self, request: Request, times: int = 1) -> None:
        """Let the next `times` matching requests through, and reset the connection instead of passing the answer."""
        self._doom, self._doom_times = request, times

    def refuse_produces(self, codes: list[int]) -> None:
        """Kafka: let the next produce requests through, one for each code, and tell the client this error instead."""
        self._refusals = list(codes)

    def reset(self) -> None:
        """RST on every connection; new ones are welcome (unless cut)."""

        def all_of_them() -> None:
            for link in list(self._links):
                link.reset()

        self._call(all_of_them)

    # ------------------------------------------------------------------ the thread

    def _call(self, do: Callable[[], object]) -> None:
        done = threading.Event()

        def run() -> None:
            do()
            done.set()

        self._loop.call_soon_threadsafe(run)
        done.wait(5)

    def _set(self, mode: Mode) -> None:
        def change() -> None:
            self._mode = mode
            self._changed.set()
            self._changed = asyncio.Event()

        self._call(change)

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_until_complete(self._listen())
        self._up.set()
        try:
            self._loop.run_forever()
        finally:
            for link in list(self._links):
                link.reset()
            if self._server is not None:
                self._server.close()
            tasks = asyncio.all_tasks(self._loop)
            for task in tasks:
                task.cancel()
            self._loop.run_until_complete(asyncio.gather(*tasks, return_exceptions=True))
            self._loop.close()

    async def _listen(self) -> None:
        self._server = await asyncio.start_server(self._serve, HOST, 0)
        self.port = self._server.sockets[0].getsockname()[1]

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while self._mode == "silent":
            await self._changed.wait()
        if self._mode == "cut":
            writer.transport.abort()
            return
        try:
            server_reader, server_writer = await asyncio.open_connection(HOST, self.target)
        except OSError:
            writer.transport.abort()
            return
        link = _Link(writer, server_writer)
        self._links.add(link)
        there = asyncio.create_task(self._pump(link, reader, server_writer, answers=False))
        back = asyncio.create_task(self._pump(link, server_reader, writer, answers=True))
        link.tasks = [there, back]
        try:
            await asyncio.wait(link.tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in link.tasks:
                task.cancel()
            await asyncio.gather(*link.tasks, return_exceptions=True)
            self._links.discard(link)
            for end in (writer, server_writer):
                end.close()

    async def _pump(
        self, link: _Link, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, answers: bool
    ) -> None:
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            while data := await reader.read(CHUNK_BYTES):
                if self._delay_seconds:
                    await asyncio.sleep(self._delay_seconds)
                while self._mode == "silent":
                    await self._changed.wait()
                if answers:
                    if link.doomed:
                        self.lost_answers += 1
                        link.reset()
                        return
                    if (code := link.refused.pop(data[4:8], None)) is not None:
                        self.refused[code] += 1
                        data = refuse_produce(data, code)
                    if self._mode == "swallow_answers":
                        self.lost_answers += 1
                        continue
                elif self._doom_times and self._doom is not None and self._doom(data):
                    self._doom_times -= 1
                    link.doomed = True
                elif self._refusals and is_produce(data):
                    link.refused[data[8:12]] = self._refusals.pop(0)
                writer.write(data)
                await writer.drain()
