"""Asks each service how it fares: all at once, each with a deadline, and once in some seconds however many look.

A service that does not answer delays nobody and is shown as one that does not answer.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import httpx

from shared.runtime.clock import Clock, monotonic_seconds

#: for both answers of one instance
DEADLINE_SECONDS = 1.0
#: an answer so young is shown again
FRESH_SECONDS = 5.0
#: of /metrics; ours have some hundred KB
MAX_ANSWER_BYTES = 4 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Said:
    """What one instance said of itself. `trouble`: why it said nothing; empty where it did."""

    service: str
    url: str
    readiness: bytes = b""
    metrics: str = ""
    trouble: str = ""


@dataclass(frozen=True, slots=True)
class Look:
    """What all instances said, and when (system time)."""

    at: datetime
    said: Sequence[Said]


class Watch:
    """Looks at the instances at these addresses, by service."""

    def __init__(
        self,
        addresses: Mapping[str, Sequence[str]],
        system: Clock,
        *,
        deadline_seconds: float = DEADLINE_SECONDS,
        fresh_seconds: float = FRESH_SECONDS,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        self._addresses = [(service, url) for service, urls in addresses.items() for url in urls]
        self._clock = system
        self._deadline_seconds = deadline_seconds
        self._fresh_seconds = fresh_seconds
        self._transport = transport
        self._tls = ssl.create_default_context()
        self._looking: asyncio.Task[Look] | None = None
        self._looked_at = 0.0  # monotonic

    async def look(self) -> Look:
        """The latest look, or a new one once that is old. Returns within the deadline, and a little."""
        is_old = monotonic_seconds() - self._looked_at > self._fresh_seconds
        if self._looking is None or (self._looking.done() and is_old):
            self._looking = asyncio.create_task(self._look(), name="a look at the services")
        # who goes away meanwhile ends the look of nobody else
        return await asyncio.shield(self._looking)

    async def _look(self) -> Look:
        at = self._clock.now()
        async with httpx.AsyncClient(
            verify=self._tls, trust_env=False, timeout=self._deadline_seconds, transport=self._transport
        ) as client:
            said = await asyncio.gather(*(self._ask(client, *address) for address in self._addresses))
        self._looked_at = monotonic_seconds()
        return Look(at, said)

    async def _ask(self, client: httpx.AsyncClient, service: str, url: str) -> Said:
        try:
            async with asyncio.timeout(self._deadline_seconds):
                readiness, metrics = await asyncio.gather(_get(client, f"{url}/readyz"), _get(client, f"{url}/metrics"))
        except TimeoutError:
            return Said(service, url, trouble=f"no answer within {self._deadline_seconds:g} s")
        except (OSError, httpx.HTTPError, httpx.InvalidURL, ValueError) as error:
            return Said(service, url, trouble=f"{type(error).__name__}: {error}"[:200])
        return Said(service, url, readiness, metrics.decode("utf-8", "replace"))


async def _get(client: httpx.AsyncClient, url: str) -> bytes:
    """The body, whatever its status: /readyz says 503 and why. Raises httpx.HTTPError."""
    content = bytearray()
    async with client.stream("GET", url) as response:
        async for chunk in response.aiter_bytes():
            content += chunk
            if len(content) > MAX_ANSWER_BYTES:
                raise httpx.DecodingError(f"more than {MAX_ANSWER_BYTES} bytes")
    return bytes(content)
