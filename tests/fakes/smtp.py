"""A mail server that misbehaves on order: whatever it says or fails to say, it knows what it accepted.

Each verb has a queue of acts; an empty queue means the polite answer. `accepted` is filled before the answer is given,
as a real server does: an answer that is lost does not undo the acceptance.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import ssl
from collections import Counter, defaultdict, deque
from dataclasses import dataclass, field
from email import message_from_bytes, policy
from email.message import EmailMessage
from types import TracebackType
from typing import Literal, Self

Verb = Literal["CONNECT", "EHLO", "MAIL", "RCPT", "DATA", "BODY", "RSET", "QUIT"]


@dataclass(frozen=True)
class Answer:
    """Say this instead of the polite answer; a 4xx or 5xx to BODY means that the message is not taken."""

    code: int
    text: str = "as scripted"


@dataclass(frozen=True)
class Drop:
    """Close the connection instead of answering; to BODY: before the message has been read to its end."""


@dataclass(frozen=True)
class AcceptThenDrop:
    """BODY only: take the message, then close without a word."""


@dataclass(frozen=True)
class AcceptThenHang:
    """BODY only: take the message, then say nothing until the client gives up."""


@dataclass(frozen=True)
class Hang:
    """Say nothing until the client gives up; nothing is taken."""


@dataclass(frozen=True)
class Slow:
    """The polite answer, late."""

    seconds: float


@dataclass(frozen=True)
class Gate:
    """The polite answer once the test opens the gate (`gate.open.set()`); `reached` is set when the client waits."""

    open: asyncio.Event = field(default_factory=asyncio.Event)
    reached: asyncio.Event = field(default_factory=asyncio.Event)

    async def pass_through(self) -> None:
        self.reached.set()
        await self.open.wait()


@dataclass(frozen=True)
class Garbage:
    """Bytes that are no SMTP answer."""

    line: bytes = b"what?\r\n"


Act = Answer | Drop | AcceptThenDrop | AcceptThenHang | Hang | Slow | Gate | Garbage

_POLITE: dict[str, tuple[int, str]] = {
    "CONNECT": (220, "fake.example ESMTP"),
    "EHLO": (250, "fake.example"),
    "MAIL": (250, "2.1.0 OK"),
    "RCPT": (250, "2.1.5 OK"),
    "DATA": (354, "go ahead"),
    "BODY": (250, "2.0.0 OK"),
    "RSET": (250, "2.0.0 OK"),
    "QUIT": (221, "2.0.0 bye"),
}


class _Closed(Exception):
    pass


@dataclass(frozen=True)
class Taken:
    """A message the server has accepted."""

    sender: str
    recipient: str
    content: bytes
    encrypted: bool = False

    @property
    def message(self) -> EmailMessage:
        parsed = message_from_bytes(self.content, policy=policy.default)
        assert isinstance(parsed, EmailMessage)
        return parsed


@dataclass
class FakeSmtp:
    """`async with FakeSmtp() as server:` then `server.script["RCPT"].append(Answer(450))`."""

    script: dict[str, deque[Act]] = field(default_factory=lambda: defaultdict(deque))
    refused: dict[str, Answer | Hang] = field(default_factory=dict)  # recipient -> what RCPT always says
    accepted: list[Taken] = field(default_factory=list)
    log: list[str] = field(default_factory=list)  # every command line, in order of arrival
    connections: int = 0
    port: int = 0
    tls: Literal["none", "starttls", "tls"] = "none"
    context: ssl.SSLContext | None = None  # the certificate that it shows; None: STARTTLS is not offered
    login: tuple[str, str] | None = None  # user and password; None: AUTH is not offered
    _server: asyncio.Server | None = None
    _open: set[asyncio.StreamWriter] = field(default_factory=set)
    _tasks: set[asyncio.Task[None]] = field(default_factory=set)

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    async def start(self) -> None:
        """Listen; after a stop, on the same port."""
        context = self.context if self.tls == "tls" else None
        self._server = await asyncio.start_server(
            self._serve, "127.0.0.1", self.port, limit=64 * 1024 * 1024, ssl=context
        )
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        """Refuse new connections and drop the open ones."""
        if self._server is None:
            return
        self._server.close()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._server.wait_closed()
        self._server = None

    def hold(self, verb: Verb) -> Gate:
        """Hold up the next answer to the verb until the test opens the gate."""
        gate = Gate()
        self.script[verb].append(gate)
        return gate

    def drop_connections(self) -> None:
        """Close every open connection, as a server does with idle ones."""
        for writer in list(self._open):
            writer.close()

    def times_accepted(self) -> Counter[str]:
        """Message-ID -> how many copies were taken."""
        return Counter(str(taken.message["Message-ID"]) for taken in self.accepted)

    def recipients(self) -> list[str]:
        """Who was written to, in the order of acceptance."""
        return [taken.recipient for taken in self.accepted]

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self._open.add(writer)
        self.connections += 1
        try:
            await self._session(reader, writer)
        except (_Closed, ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass
        finally:
            self._tasks.discard(task)
            self._open.discard(writer)
            writer.close()
            with contextlib.suppress(OSError, asyncio.CancelledError):
                await writer.wait_closed()

    async def _session(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await self._answer("CONNECT", reader, writer)
        sender = recipient = ""
        while line := await reader.readline():
            text = line.decode("utf-8", "replace").strip()
            self.log.append(text)
            verb = text.split(" ", 1)[0].upper()
            match verb:
                case "EHLO" | "HELO":
                    for extension in self._extensions(writer):
                        writer.write(f"250-{extension}\r\n".encode())
                    await self._answer("EHLO", reader, writer)
                case "STARTTLS" if self._may_encrypt(writer):
                    self._say(writer, 220, "go ahead")
                    assert self.context is not None
                    await writer.start_tls(self.context)
                case "AUTH" if self.login is not None:
                    user, password = self.login
                    right = base64.b64encode(f"\0{user}\0{password}".encode()).decode()
                    self._say(writer, *((235, "welcome") if text == f"AUTH PLAIN {right}" else (535, "wrong password")))
                case "MAIL":
                    sender = text.partition("<")[2].partition(">")[0]
                    await self._answer("MAIL", reader, writer)
                case "RCPT":
                    recipient = text.partition("<")[2].partition(">")[0]
                    match self.refused.get(recipient):
                        case Answer(code=code, text=words):
                            self._say(writer, code, words)
                            if code == 421:
                                raise _Closed
                        case Hang():
                            await self._until_gone(reader)
                        case None:
                            await self._answer("RCPT", reader, writer)
                case "DATA":
                    if await self._answer("DATA", reader, writer) == 354:
                        await self._body(sender, recipient, reader, writer)
                case "RSET":
                    await self._answer("RSET", reader, writer)
                case "QUIT":
                    await self._answer("QUIT", reader, writer)
                    return
                case _:
                    self._say(writer, 502, "not implemented")

    def _may_encrypt(self, writer: asyncio.StreamWriter) -> bool:
        return self.tls == "starttls" and self.context is not None and not _encrypted(writer)

    def _extensions(self, writer: asyncio.StreamWriter) -> list[str]:
        """What EHLO says before its last line; the first of all lines is the server's name (RFC 5321 4.1.1.1)."""
        offered = {"STARTTLS": self._may_encrypt(writer), "AUTH PLAIN": self.login is not None}
        extensions = [extension for extension, given in offered.items() if given]
        return ["fake.example", *extensions] if extensions else []

    async def _body(
        self, sender: str, recipient: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        act = self.script["BODY"].popleft() if self.script["BODY"] else None
        if isinstance(act, Drop):
            await reader.read(64)
            raise _Closed
        content = (await reader.readuntil(b"\r\n.\r\n"))[: -len(b".\r\n")].replace(b"\r\n..", b"\r\n.")
        match act:
            case Answer(code=code) if code >= 400:
                self._say(writer, code, act.text)
                return
            case Hang():
                await self._until_gone(reader)
            case Slow(seconds=seconds):
                await asyncio.sleep(seconds)
            case Gate():
                await act.pass_through()
            case _:
                pass
        self.accepted.append(Taken(sender, recipient, content, _encrypted(writer)))
        match act:
            case AcceptThenDrop():
                raise _Closed
            case AcceptThenHang():
                await self._until_gone(reader)
            case Garbage():
                writer.write(act.line)
            case Answer():
                self._say(writer, act.code, act.text)
            case _:
                self._say(writer, *_POLITE["BODY"])

    async def _answer(self, verb: Verb, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> int:
        code, text = _POLITE[verb]
        act = self.script[verb].popleft() if self.script[verb] else None
        match act:
            case Answer():
                code, text = act.code, act.text
            case Drop():
                raise _Closed
            case Hang():
                await self._until_gone(reader)
            case Gate():
                await act.pass_through()
            case Slow(seconds=seconds):
                await asyncio.sleep(seconds)
            case Garbage(line=line):
                writer.write(line)
                return 0
            case _:
                pass
        self._say(writer, code, text)
        if code == 421:
            raise _Closed
        return code

    def _say(self, writer: asyncio.StreamWriter, code: int, text: str) -> None:
        writer.write(f"{code} {text}\r\n".encode())

    async def _until_gone(self, reader: asyncio.StreamReader) -> None:
        while await reader.read(4096):
            continue
        raise _Closed


def _encrypted(writer: asyncio.StreamWriter) -> bool:
    return writer.get_extra_info("ssl_object") is not None
