"""Receivers of webhooks in their own thread: each answers as ordered and notes whether a stock library verifies it.

A receiver takes what it can verify by its own clock, and answers the rest with 400, as a stock receiver does.
"""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections import Counter, deque
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self
from urllib.error import HTTPError
from urllib.request import Request, urlopen

from standardwebhooks import Webhook, WebhookVerificationError

from tests.programs.faults.stores import Hooked, Posted, Stores

EVENTS = ("submission.received", "verdict.reached", "obligation.due_soon", "obligation.overdue", "score.changed")


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer other than the receiver's own."""

    status: int
    headers: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Hang:
    """Silence, until the sender gives up."""


@dataclass(frozen=True, slots=True)
class Trickle:
    """500, whose body goes on byte by byte until the sender gives up."""


@dataclass(frozen=True, slots=True)
class Drop:
    """The message is read and the connection closed."""


@dataclass(frozen=True, slots=True)
class TakeThenDrop:
    """The message is taken; the answer is lost."""


Act = Answer | Hang | Trickle | Drop | TakeThenDrop


@dataclass
class Hook:
    """One webhook and its receiver."""

    agency: str
    port: int = 0
    webhook_id: str = ""
    secret: str = ""
    etag: str = ""
    acts: deque[Act] = field(default_factory=deque)
    played: Counter[str] = field(default_factory=Counter)
    posts: list[Posted] = field(default_factory=list)
    #: system time until which every message must arrive in time; 0: none must
    timed_until: float = 0.0
    server: asyncio.Server | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/nhan/{self.agency}"


class Receivers:
    """`with Receivers() as receivers: receivers.add(…)`; orders may come from any thread."""

    def __init__(self) -> None:
        self.hooks: list[Hook] = []
        self.internal: list[str] = []  # connections to an address that no webhook may reach
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="fault-receivers", daemon=True)
        self._servers: list[asyncio.Server] = []

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        async def end() -> None:
            for server in [*self._servers, *(hook.server for hook in self.hooks if hook.server is not None)]:
                server.close()
            for task in asyncio.all_tasks() - {asyncio.current_task()}:
                task.cancel()

        self._run(end())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)

    def add(self, agency: str) -> Hook:
        """A receiver of the agency's, listening."""
        hook = Hook(agency)
        self.hooks.append(hook)
        self.listen(hook)
        return hook

    def listen(self, hook: Hook) -> None:
        """Begin, or begin again on the same port."""

        async def start() -> None:
            hook.server = await asyncio.start_server(
                lambda reader, writer: self._serve(hook, reader, writer), "127.0.0.1", hook.port
            )
            hook.port = hook.server.sockets[0].getsockname()[1]

        self._run(start())

    def refuse(self, hook: Hook) -> None:
        """Refuse connections until `listen`."""

        async def stop() -> None:
            assert hook.server is not None
            hook.server.close()

        self._run(stop())

    def trap(self, address: str, port: int = 0) -> int:
        """Listen where nothing may be sent, and note every connection. Returns the port."""

        async def start() -> int:
            async def hit(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
                self.internal.append(f"{address}:{writer.get_extra_info('sockname')[1]}")
                writer.close()

            server = await asyncio.start_server(hit, address, port)
            self._servers.append(server)
            return int(server.sockets[0].getsockname()[1])

        return int(self._run(start()))

    def order(self, hook: Hook, *acts: Act) -> None:
        """Set its next answers."""
        self._loop.call_soon_threadsafe(hook.acts.extend, acts)

    def left(self) -> int:
        """Acts that have not been played yet."""
        return sum(len(hook.acts) for hook in self.hooks)

    def played(self) -> Counter[str]:
        """The acts that were played, by name."""
        return sum((hook.played for hook in self.hooks), Counter[str]())

    def show(self, stores: Stores) -> None:
        """Put what was received into a reading of the stores."""
        stores.hooks = [Hooked(hook.webhook_id, hook.agency, hook.timed_until) for hook in self.hooks]
        stores.posts = [post for hook in self.hooks for post in list(hook.posts)]
        stores.internal_hits = list(self.internal)

    def _run(self, coroutine: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(20)

    async def _serve(self, hook: Hook, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            with suppress(asyncio.IncompleteReadError, ConnectionError):
                head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
                headers = {
                    name.lower(): value for name, _, value in (line.partition(": ") for line in head.splitlines()[1:])
                }
                body = await reader.readexactly(int(headers.get("content-length", "0")))
                act = hook.acts.popleft() if hook.acts else None
                if act is not None:
                    hook.played[type(act).__name__ + (f" {act.status}" if isinstance(act, Answer) else "")] += 1
                await self._play(hook, act, headers, body, reader, writer)
        finally:
            writer.close()

    async def _play(
        self, hook: Hook, act: Act | None, headers: Mapping[str, str], body: bytes, reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
    ) -> None:  # fmt: skip
        verified = _verified(hook.secret, headers, body)
        taking = act is None or isinstance(act, TakeThenDrop)
        status = (200 if verified else 400) if taking else act.status if isinstance(act, Answer) else 0
        told = json.loads(body)
        hook.posts.append(
            Posted(
                hook.webhook_id, headers.get("webhook-id", ""), told["type"],
                str(told["data"].get("submission_id") or ""), told["data"]["agency"], verified, status, time.time(),
            )
        )  # fmt: skip
        match act:
            case Drop() | TakeThenDrop():
                return
            case Hang():
                await reader.read()
            case Trickle():
                writer.write(b"HTTP/1.1 500 X\r\ncontent-length: 4000\r\n\r\n")
                for _ in range(4000):
                    writer.write(b".")
                    await writer.drain()
                    await asyncio.sleep(0.1)
            case _:
                lines = act.headers if isinstance(act, Answer) else ()
                text = "".join(f"{line}\r\n" for line in lines)
                writer.write(f"HTTP/1.1 {status} X\r\n{text}content-length: 0\r\n\r\n".encode())
                await writer.drain()


def _verified(secret: str, headers: Mapping[str, str], body: bytes) -> bool:
    try:
        Webhook(secret).verify(body, dict(headers))
    except WebhookVerificationError:
        return False
    return True


def register(api: str, keys: Mapping[str, str], hook: Hook, *, url: str = "", events: Sequence[str] = EVENTS) -> None:
    """Add the webhook by its agency's own key, as docs/webhooks.md says."""
    body = {"url": url or hook.url, "events": list(events), "contact": "cntt@x99.example"}
    made, etag = _call(api, keys[hook.agency], "POST", "/v1/webhooks", body)
    hook.webhook_id, hook.secret, hook.etag = made["webhook_id"], made["secret"], etag


def state_of(api: str, keys: Mapping[str, str], hook: Hook) -> str:
    """`active`, `paused` or `stopped`; its ETag is kept for a change."""
    found, hook.etag = _call(api, keys[hook.agency], "GET", f"/v1/webhooks/{hook.webhook_id}")
    return str(found["state"]) if not found.get("stopped") else "stopped"


def resume(api: str, keys: Mapping[str, str], hook: Hook) -> None:
    """Ask for a test, which ends a stop."""
    _call(api, keys[hook.agency], "POST", f"/v1/webhooks/{hook.webhook_id}/test")


def delete(api: str, keys: Mapping[str, str], hook: Hook) -> None:
    """Delete the webhook: what was to be sent to it is not."""
    state_of(api, keys, hook)
    _call(api, keys[hook.agency], "DELETE", f"/v1/webhooks/{hook.webhook_id}", None, {"If-Match": hook.etag})


def _call(
    api: str, key: str, method: str, path: str, body: Any = None, more: Mapping[str, str] | None = None
) -> tuple[dict[str, Any], str]:
    headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json", **(more or {})}
    if method == "POST":
        headers["Idempotency-Key"] = f"wh-{time.monotonic_ns()}"
    data = None if body is None else json.dumps(body).encode()
    try:
        with urlopen(Request(api + path, data, headers, method=method), timeout=20) as answer:
            said = answer.read()
            return (json.loads(said) if said else {}), answer.headers.get("ETag", "")
    except HTTPError as error:
        raise RuntimeError(f"{method} {path}: {error.code} {error.read()[:600]!r}") from None
