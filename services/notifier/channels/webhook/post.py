"""Posts one message: resolves the name, checks the address, connects to that very address, follows no redirect.

Whoever controls a name may have it stand for another address a moment later (DNS rebinding); nothing is resolved twice.
The whole exchange has one deadline, and of the answer so much is read and no more.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Awaitable, Callable, Mapping, Sequence

import httpx

from services.notifier.channels.webhook.names import Names
from services.notifier.channels.webhook.states import Away, Delivered, Gone, Refused, Result, retry_after_of
from shared.contract.webhook_targets import Networks, Target, is_reachable, read_target
from shared.runtime.clock import Clock

MAX_ANSWER_BYTES = 16 * 1024
#: answers that concern the receiver rather than the message
_AWAY = frozenset({408, 425, 429})

#: the addresses of a name. Raises OSError
Resolve = Callable[[str, int], Awaitable[Sequence[str]]]


class Poster:
    """Posts to whatever `private` allows beside public addresses."""

    def __init__(
        self,
        system_clock: Clock,
        tls: ssl.SSLContext,
        *,
        private: Networks = (),
        timeout_seconds: float = 15.0,
        resolver: Resolve | None = None,
    ) -> None:
        self._clock = system_clock
        self._tls = tls
        self._private = private
        self._timeout_seconds = timeout_seconds
        self._resolve = resolver or Names().resolve

    async def post(self, url: str, body: bytes, headers: Mapping[str, str]) -> Result:
        """One attempt. Never raises for what the receiver does."""
        try:
            async with asyncio.timeout(self._timeout_seconds):
                target = read_target(url, self._private)
                if not isinstance(target, Target):
                    return Away(None, f"not sent: {target.message_en}")
                addresses = await self._resolve(target.host, target.port)
                allowed = [address for address in addresses if is_reachable(address, self._private)]
                if not allowed:
                    return Away(None, "not sent: the name stands for no public address")
                return await self._exchange(target, allowed[0], body, headers)
        except TimeoutError:
            return Away(None, f"no answer within {self._timeout_seconds:g} s")
        except (OSError, httpx.HTTPError) as error:
            return Away(None, f"{type(error).__name__}: {error}"[:500])

    async def _exchange(self, target: Target, address: str, body: bytes, headers: Mapping[str, str]) -> Result:
        place = f"[{address}]" if ":" in address else address
        # no connection is kept: the next name may stand for the same address and have another certificate
        async with (
            httpx.AsyncClient(
                verify=self._tls, trust_env=False, timeout=self._timeout_seconds, follow_redirects=False
            ) as client,
            client.stream(
                "POST",
                f"{target.scheme}://{place}:{target.port}{target.path}",
                content=body,
                headers={
                    **headers,
                    "host": target.authority,
                    "content-type": "application/json",
                    "user-agent": "ThongSuot-Webhooks/1",
                    "accept-encoding": "identity",
                    "connection": "close",
                },
                extensions={"sni_hostname": target.host},
            ) as response,
        ):
            answer = await _first_bytes(response)
            return self._result(response, answer)

    def _result(self, response: httpx.Response, answer: str) -> Result:
        status = response.status_code
        if 200 <= status < 300:
            return Delivered(status, answer)
        if status == 410:
            return Gone(answer=answer)
        if status in _AWAY or status >= 500:
            return Away(status, answer, retry_after_of(response.headers.get("retry-after"), self._clock.now()))
        return Refused(status, answer)


async def _first_bytes(response: httpx.Response) -> str:
    """The beginning of the answer, fit to be shown; the rest is not read."""
    content = b""
    async for chunk in response.aiter_raw():
        content += chunk
        if len(content) >= MAX_ANSWER_BYTES:
            break
    text = content[:300].decode("utf-8", "replace")
    return "".join(character if character.isprintable() else " " for character in text)
