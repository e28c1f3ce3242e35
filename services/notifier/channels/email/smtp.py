"""One reused SMTP connection, one recipient per transaction; says of every result whether it is certain.

The server accepts nothing before the body, so a failure before it is certain; once the first byte of the body is
written, only an answer is. Source: RFC 5321 3.3, 4.1.1.4, 4.2.1, 4.5.3.2 (timeouts).
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Literal

from aiosmtplib import SMTP
from aiosmtplib.errors import SMTPException, SMTPServerDisconnected, SMTPTimeoutError
from aiosmtplib.protocol import SMTPProtocol

from services.notifier.channels.seam import Outage
from services.notifier.delivery.states import MailAccepted, MailDeferred, MailRefused, MailUncertain, SendResult, Stage
from shared.runtime.tls import tls_context

TlsMode = Literal["none", "starttls", "tls"]
_LOST = (OSError, SMTPServerDisconnected, SMTPTimeoutError, TimeoutError)


class _Lost(Exception):
    """The connection was lost while an answer was awaited; `stage`: to which command."""

    def __init__(self, stage: Stage, answer: str) -> None:
        super().__init__(answer)
        self.stage = stage


@dataclass(frozen=True, slots=True)
class Server:
    """The mail server and how to talk to it."""

    host: str
    port: int
    tls: TlsMode = "none"
    username: str = ""
    password: str = ""
    timeout_seconds: float = 30.0  # for one answer
    data_timeout_seconds: float = 120.0  # for the answer to the body, which may take a scanner's time
    messages_per_connection: int = 200
    local_hostname: str = "localhost"
    ca_file: str = ""


class Connection:
    """One connection to the server, opened again when it is lost or has carried its number of messages."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._client: SMTP | None = None
        self._carried = 0
        self._fresh = False

    @property
    def is_open(self) -> bool:
        """Whether the connection looks usable; a dead peer shows only at the next command."""
        return self._client is not None and self._client.is_connected

    async def open(self) -> None:
        """Connect, TLS, EHLO, login, as needed. Raises Outage."""
        if self.is_open and self._carried < self._server.messages_per_connection:
            return
        await self.close()
        server = self._server
        client: SMTP | None = None
        try:
            client = SMTP(
                hostname=server.host,
                port=server.port,
                username=server.username or None,
                password=server.password or None,
                use_tls=server.tls == "tls",
                start_tls=server.tls == "starttls",
                tls_context=tls_context(server.ca_file) if server.tls != "none" else None,
                timeout=server.timeout_seconds,
                local_hostname=server.local_hostname,
            )
            await client.connect()
            if client.is_ehlo_or_helo_needed:
                await client.ehlo()
        except (SMTPException, OSError, TimeoutError, ValueError) as error:
            if client is not None:
                client.close()
            raise Outage(f"{server.host}:{server.port}: {type(error).__name__}: {error}") from error
        self._client, self._carried, self._fresh = client, 0, True

    async def send(
        self,
        sender: str,
        recipient: str,
        message: bytes,
        before_data: Callable[[], Awaitable[bool]],
        *,
        message_id: str = "",  # stands in the message
    ) -> SendResult | None:
        """One transaction: MAIL, RCPT, `before_data`, DATA, body.

        message: RFC 5322 bytes. `before_data` commits that DATA begins and says whether it may; if not, nothing is
        sent and the result is None. Raises Outage only before anything was sent.
        """
        await self.open()
        reused = not self._fresh
        self._fresh = False
        try:
            try:
                early = await self._envelope(sender, recipient)
            except _Lost:
                if not reused:
                    raise
                # a server may drop an idle connection at any time; that says nothing about this mail
                await self.close()
                await self.open()
                self._fresh = False
                early = await self._envelope(sender, recipient)
        except _Lost as error:
            await self.close()
            return MailDeferred(error.stage, None, str(error))
        if early is not None:
            await self._reset()
            return early
        if not await before_data():
            await self._reset()
            return None
        self._carried += 1
        return await self._data(message)

    async def close(self) -> None:
        """QUIT and drop the connection; a bad answer to QUIT changes no recorded outcome."""
        client, self._client = self._client, None
        if client is None:
            return
        try:
            if client.is_connected:
                await client.quit(timeout=min(5.0, self._server.timeout_seconds))
        except (SMTPException, OSError, TimeoutError):
            pass
        finally:
            client.close()

    def abandon(self) -> None:
        """Drop the connection without QUIT, as a dying process would."""
        client, self._client = self._client, None
        if client is not None:
            client.close()

    async def _envelope(self, sender: str, recipient: str) -> SendResult | None:
        code, answer = await self._command("mail", "MAIL", f"FROM:<{sender}>")
        if code == 421:
            raise _Lost("mail", f"421 {answer}")
        if code != 250:
            # the server refuses our own address: a fault of the set-up, not of this mail, so never final
            return MailDeferred("mail", code, answer)
        code, answer = await self._command("rcpt", "RCPT", f"TO:<{recipient}>")
        if code == 421:
            raise _Lost("rcpt", f"421 {answer}")
        if code not in (250, 251):
            return _negative("rcpt", code, answer)
        return None

    async def _data(self, message: bytes) -> SendResult:
        try:
            code, answer = await self._command("data", "DATA")
        except _Lost as error:  # not one byte of the body has left
            await self.close()
            return MailDeferred("data", None, str(error))
        if code != 354:
            await self._reset()
            return _negative("data", code, answer)
        protocol = self._protocol()
        try:
            # an answer is expected from here on: aiosmtplib drops bytes that it does not expect
            protocol._response_pending = True
            protocol.write(dot_stuffed(message))
            code, answer = await protocol.read_response(timeout=self._server.data_timeout_seconds)
        except (*_LOST, SMTPException) as error:
            self.abandon()
            return MailUncertain(f"{type(error).__name__}: {error}")
        if 200 <= code < 300:
            return MailAccepted(code, answer)
        if not 400 <= code < 600:  # neither yes nor no (RFC 5321 4.2.1), so the message may have been taken
            self.abandon()
            return MailUncertain(f"{code} {answer}")
        if code == 421:
            self.abandon()
        return _negative("body", code, answer)

    async def _command(self, stage: Stage, *words: str) -> tuple[int, str]:
        try:
            protocol = self._protocol()
            response = await protocol.execute_command(
                *(word.encode("ascii") for word in words), timeout=self._server.timeout_seconds
            )
        except (*_LOST, SMTPException) as error:
            self.abandon()
            raise _Lost(stage, f"{type(error).__name__}: {error}") from error
        return response.code, response.message

    async def _reset(self) -> None:
        try:
            code, _ = await self._command("mail", "RSET")
        except _Lost:
            return
        if code != 250:
            await self.close()

    def _protocol(self) -> SMTPProtocol:
        if self._client is None or self._client.protocol is None:
            raise SMTPServerDisconnected("not connected")
        return self._client.protocol


def dot_stuffed(message: bytes) -> bytes:
    """The message as DATA carries it: CRLF line ends, leading dots doubled, the final dot (RFC 5321 4.5.2)."""
    body = message.replace(b"\r\n", b"\n").replace(b"\r", b"\n").replace(b"\n", b"\r\n")
    if not body.endswith(b"\r\n"):
        body += b"\r\n"
    if body.startswith(b"."):
        body = b"." + body
    return body.replace(b"\r\n.", b"\r\n..") + b".\r\n"


def _negative(stage: Stage, code: int, answer: str) -> SendResult:
    return MailRefused(stage, code, answer) if 500 <= code < 600 else MailDeferred(stage, code, answer)
