"""Looks names up in threads of its own, so many at once: a name server that is silent delays its own names alone.

The system's lookup cannot be cancelled: whoever waits no longer leaves its thread behind until the system gives up. In
asyncio's few common threads such lookups would keep the database, the mail server and every other receiver waiting.
"""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from ipaddress import ip_address

#: how long a name may take
SECONDS = 5.0
#: threads of one process
AT_ONCE = 64
#: names that are remembered because their last lookup took too long
MAX_SLOW = 10_000

LookUp = Callable[[str, int], Sequence[str]]


def system_lookup(host: str, port: int) -> Sequence[str]:
    """The addresses of the name, as the system's resolver says. Raises OSError."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(address[0]) for *_, address in found))


class Names:
    """Of one process. Names whose last lookup took too long have at most half of the threads."""

    def __init__(self, look_up: LookUp = system_lookup, *, at_once: int = AT_ONCE, seconds: float = SECONDS) -> None:
        self._look_up = look_up
        self._at_once = at_once
        self._seconds = seconds
        self._running: dict[tuple[str, int], asyncio.Future[Sequence[str]]] = {}
        self._slow: dict[str, None] = {}  # the oldest first

    async def resolve(self, host: str, port: int) -> Sequence[str]:
        """The addresses of the name; an address is its own. Raises OSError, also where it takes too long."""
        if _is_address(host):
            return [host]
        running = self._running.get((host, port)) or self._start(host, port)
        try:
            async with asyncio.timeout(self._seconds):
                found = await asyncio.shield(running)
        except TimeoutError:
            self._slow.pop(host, None)
            self._slow[host] = None
            if len(self._slow) > MAX_SLOW:
                del self._slow[next(iter(self._slow))]
            raise OSError(f"the name was not resolved within {self._seconds:g} s") from None
        self._slow.pop(host, None)
        return found

    def _start(self, host: str, port: int) -> asyncio.Future[Sequence[str]]:
        limit = self._at_once // 2 if host in self._slow else self._at_once
        if len(self._running) >= limit:
            raise OSError("not resolved: too many names are being looked up")
        loop, key = asyncio.get_running_loop(), (host, port)
        future: asyncio.Future[Sequence[str]] = loop.create_future()
        self._running[key] = future

        def end(found: Sequence[str] | OSError) -> None:
            del self._running[key]
            if isinstance(found, OSError):
                future.set_exception(found)
                future.exception()  # perhaps nobody waits for it any more
            else:
                future.set_result(found)

        def work() -> None:
            try:
                found: Sequence[str] | OSError = self._look_up(host, port)
            except OSError as error:
                found = error
            except Exception as error:  # such as a label that IDNA refuses
                found = OSError(str(error))
            with suppress(RuntimeError):  # the loop has ended meanwhile
                loop.call_soon_threadsafe(end, found)

        # a daemon: a process that ends does not wait for it
        threading.Thread(target=work, name=f"resolve {host[:80]}", daemon=True).start()
        return future


def _is_address(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True
