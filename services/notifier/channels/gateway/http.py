"""Sends one text by one HTTP request, and says of every result whether it is certain.

Resolved and connected before anything is marked while the gateway is not known to answer: an outage touches no row.
The name is resolved once and the connection goes to the address that was checked; no redirect is followed. Once the
request may have left, only an answer is certain. A gateway that keeps silent rests, and one text at a time tries it.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Awaitable, Callable
from datetime import timedelta

import httpx

from services.notifier.channels.gateway.file import Gateway
from services.notifier.channels.gateway.judging import judge, rests
from services.notifier.channels.gateway.numbers import number_of
from services.notifier.channels.seam import Outage
from services.notifier.channels.webhook.names import Names
from services.notifier.channels.webhook.post import Resolve
from services.notifier.channels.webhook.states import retry_after_of
from services.notifier.delivery.states import MailRefused, MailUncertain, SendResult
from shared.contract.webhook_targets import is_reachable
from shared.runtime.clock import Clock, monotonic_seconds
from shared.runtime.retry import Backoff
from shared.runtime.tls import tls_context

MAX_ANSWER_BYTES = 16 * 1024
#: silences in a row after which the gateway rests
SILENCES = 2
FIRST_REST_SECONDS, LONGEST_REST_SECONDS = 30.0, 1800.0
#: the longest rest that Retry-After may ask for
MAX_RETRY_AFTER = timedelta(hours=24)


class Line:
    """What all connections of a process to one gateway share: whether it answers, its rest, and its pace."""

    def __init__(self, gateway: Gateway, system: Clock, *, resolve: Resolve | None = None) -> None:
        self.gateway = gateway
        self.answers = False  # until the first answer one text alone tries
        self._system = system
        self._resolve = resolve or Names().resolve
        self._tls: ssl.SSLContext = tls_context(gateway.part.ca_file)
        self._rest_until = float("-inf")
        self._silences = 0
        self._rest = Backoff(FIRST_REST_SECONDS, LONGEST_REST_SECONDS)
        self._next_turn = 0.0

    def resting_seconds(self) -> float:
        """For how long nothing is sent now; 0: it is."""
        return max(0.0, self._rest_until - monotonic_seconds())

    async def turn(self) -> None:
        """Wait for this text's turn, so that no more than the gateway's rate go out."""
        now = monotonic_seconds()
        mine = max(now, self._next_turn)
        self._next_turn = mine + 1.0 / self.gateway.part.limits.per_second
        if mine > now:
            await asyncio.sleep(mine - now)

    async def address(self) -> str:
        """The address to connect to, checked. Raises Outage."""
        target = self.gateway.target
        try:
            found = await self._resolve(target.host, target.port)
        except OSError as error:
            raise Outage(f"{target.host}: {error}") from error
        allowed = [address for address in found if is_reachable(address, self.gateway.networks)]
        if not allowed:
            raise Outage(f"{target.host}: the name stands for no address that is allowed")
        return allowed[0]

    async def probe(self, address: str) -> None:
        """Connect and hang up. Raises Outage."""
        target = self.gateway.target
        encrypted = target.scheme == "https"
        try:
            async with asyncio.timeout(self.gateway.part.timeout_seconds):
                _, writer = await asyncio.open_connection(
                    address,
                    target.port,
                    ssl=self._tls if encrypted else None,
                    server_hostname=target.host if encrypted else None,
                )
        except (OSError, TimeoutError) as error:
            raise Outage(f"{target.authority}: {type(error).__name__}: {error}") from error
        writer.close()

    async def exchange(self, address: str, number: str, text: str, message_id: str) -> SendResult:
        """Post the text and judge the answer. Raises Outage where certainly nothing left."""
        part, target = self.gateway.part, self.gateway.target
        request = self.gateway.request(number, text, message_id)
        place = f"[{address}]" if ":" in address else address
        timeout = httpx.Timeout(part.timeout_seconds, connect=part.timeout_seconds / 2)
        try:
            async with (
                asyncio.timeout(part.timeout_seconds),
                # no connection is kept: one that was dropped meanwhile would leave a text uncertain
                httpx.AsyncClient(verify=self._tls, trust_env=False, timeout=timeout, follow_redirects=False) as client,
                client.stream(
                    part.method,
                    f"{target.scheme}://{place}:{target.port}{target.path}",
                    content=request.body,
                    headers={
                        "accept": "application/json",
                        "user-agent": "ThongSuot-Gateway/1",
                        **request.headers,
                        "host": target.authority,
                        "accept-encoding": "identity",
                        "connection": "close",
                    },
                    extensions={"sni_hostname": target.host},
                ) as response,
            ):
                answer = await _beginning(response)
        except (httpx.ConnectError, httpx.ConnectTimeout) as error:
            self.answers = False
            raise Outage(f"{target.authority}: {type(error).__name__}: {error}") from error
        except TimeoutError:
            return self._silent(f"no answer within {part.timeout_seconds:g} s")
        except (OSError, httpx.HTTPError) as error:
            return self._silent(f"{type(error).__name__}: {error}"[:300])
        result = judge(part, response.status_code, answer)
        if isinstance(result, MailUncertain):
            return self._silent(result.answer)
        self._silences = 0
        if rests(result):
            self.answers = False
            asked = retry_after_of(response.headers.get("retry-after"), self._system.now())
            seconds = self._rest.next_seconds() if asked is None else min(asked, MAX_RETRY_AFTER).total_seconds()
            self._rest_until = monotonic_seconds() + seconds
        else:
            self.answers = True
            self._rest.reset()
        return result

    def _silent(self, said: str) -> MailUncertain:
        """Each text that is tried now would be left uncertain too: after a few the gateway rests."""
        self._silences += 1
        if self._silences >= SILENCES:
            self.answers = False
            self._rest_until = monotonic_seconds() + self._rest.next_seconds()
        return MailUncertain(said)


class GatewayConnection:
    """One of the few texts at a time; the four functions of a channel: open, send, close, abandon."""

    def __init__(self, line: Line) -> None:
        self._line = line

    @property
    def is_open(self) -> bool:
        """Whether the gateway answered last."""
        return self._line.answers

    async def open(self) -> None:
        """Make sure that the gateway can be reached, where it did not answer last. Raises Outage."""
        if (seconds := self._line.resting_seconds()) > 0:
            raise Outage(f"{self._line.gateway.target.authority} rests for {seconds:.0f} s more")
        if not self._line.answers:
            await self._line.probe(await self._line.address())

    async def send(
        self,
        sender: str,
        recipient: str,
        message: bytes,
        before_data: Callable[[], Awaitable[bool]],
        *,
        message_id: str = "",
    ) -> SendResult | None:
        """One text. `before_data` commits that it begins and says whether it may; if not, nothing is sent: None.

        message: UTF-8. Raises Outage only where certainly nothing left.
        """
        number = number_of(recipient)
        if number is None:
            return MailRefused("rcpt", 0, "not a telephone number")
        address = await self._line.address()
        await self._line.turn()
        if not await before_data():
            return None
        return await self._line.exchange(address, number, message.decode(), message_id)

    async def close(self) -> None:
        """Nothing is kept open."""

    def abandon(self) -> None:
        """Nothing is kept open."""


async def _beginning(response: httpx.Response) -> str:
    """The beginning of the answer; the rest is not read."""
    content = b""
    async for chunk in response.aiter_raw():
        content += chunk
        if len(content) >= MAX_ANSWER_BYTES:
            break
    return content[:MAX_ANSWER_BYTES].decode("utf-8", "replace")
