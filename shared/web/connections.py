"""Bounds the connections of a server in total and per address, and checks their deadlines at short intervals.

When the server is full, the connection idle for longest is closed, else one whose body has stopped growing. Only when
all connections are busy is a new one refused.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from typing import Protocol

from shared.telemetry import metrics
from shared.web.limits import HttpSettings, address_key, is_in, networks
from shared.web.refusals import ADDRESS_FULL, FULL, Refusal

#: a connection whose body has not grown for this long may be closed for a new one
STOPPED_SECONDS = 1.0


class Connection(Protocol):
    """What this module needs of a connection."""

    quiet_since: float
    progressed_at: float

    def look(self, now: float) -> None:
        """Close it if a deadline has passed."""

    def give_way(self) -> None:
        """Close it at once to make room."""


class _Address:
    """The connections of one address; `quiet` holds the idle ones, the one idle for longest first."""

    __slots__ = ("open", "quiet")

    def __init__(self) -> None:
        self.open: set[Connection] = set()
        self.quiet: OrderedDict[Connection, None] = OrderedDict()


class Connections:
    """The connections of one server."""

    def __init__(self, settings: HttpSettings) -> None:
        self.settings = settings
        self.trusted = networks(settings.trusted_proxies)
        self.most = settings.connections_in_all()
        self._open: set[Connection] = set()
        self._by_address: dict[str, _Address] = {}
        #: for the connections that count against an address
        self._address_of: dict[Connection, _Address] = {}
        self._quiet: OrderedDict[Connection, None] = OrderedDict()
        self._sending: OrderedDict[Connection, None] = OrderedDict()
        self._loop: asyncio.AbstractEventLoop | None = None
        shortest = min(
            settings.first_byte_timeout_seconds,
            settings.head_timeout_seconds,
            settings.body_timeout_seconds,
            settings.stall_timeout_seconds,
            settings.answer_timeout_seconds,
            settings.keep_alive_timeout_seconds,
        )
        self._sweep_seconds = max(0.02, min(1.0, shortest / 4))

    def __len__(self) -> int:
        return len(self._open)

    def from_proxy(self, address: str) -> bool:
        """Whether the address is a trusted proxy."""
        return bool(self.trusted) and is_in(address, self.trusted)

    def admit(self, connection: Connection, address: str, loop: asyncio.AbstractEventLoop) -> Refusal | None:
        """Admit the connection, closing idle ones if needed, or return the reason to refuse it."""
        if address and not self.from_proxy(address):
            key = address_key(address)
            neighbours = self._by_address.get(key)
            if neighbours is not None and len(neighbours.open) >= self.settings.max_connections_per_address:
                if not neighbours.quiet:
                    return ADDRESS_FULL
                self._send_away(next(iter(neighbours.quiet)))
            # again: closing the address's only connection above has removed its entry
            neighbours = self._by_address.setdefault(key, _Address())
            neighbours.open.add(connection)
            self._address_of[connection] = neighbours
        if len(self._open) >= self.most and not self._make_room(loop.time()):
            self._forget_address(connection, address)
            return FULL
        self._open.add(connection)
        self.quiet(connection)
        metrics.HTTP_CONNECTIONS.set(len(self._open))
        if self._loop is None:
            self._loop = loop
            loop.call_later(self._sweep_seconds, self._sweep)
        return None

    def leave(self, connection: Connection, address: str) -> None:
        """Forget a closed connection."""
        self._open.discard(connection)
        self.busy(connection)
        self._sending.pop(connection, None)
        self._forget_address(connection, address)
        metrics.HTTP_CONNECTIONS.set(len(self._open))

    def quiet(self, connection: Connection) -> None:
        """Mark it as idle."""
        if connection in self._open and connection not in self._quiet:
            self._quiet[connection] = None
            if neighbours := self._address_of.get(connection):
                neighbours.quiet[connection] = None

    def busy(self, connection: Connection) -> None:
        """Mark it as serving a request."""
        self._quiet.pop(connection, None)
        if neighbours := self._address_of.get(connection):
            neighbours.quiet.pop(connection, None)

    def sending(self, connection: Connection) -> None:
        """Record that more of its body has arrived."""
        if connection in self._open:
            self._sending[connection] = None
            self._sending.move_to_end(connection)

    def sent(self, connection: Connection) -> None:
        """Record that its body is complete."""
        self._sending.pop(connection, None)

    def _make_room(self, now: float) -> bool:
        for waiting in (self._quiet, self._sending):
            for oldest in waiting:
                if waiting is self._quiet or now - oldest.progressed_at > STOPPED_SECONDS:
                    self._send_away(oldest)
                    return True
                break
        return False

    @staticmethod
    def _send_away(connection: Connection) -> None:
        connection.give_way()  # which calls leave()

    def _forget_address(self, connection: Connection, address: str) -> None:
        neighbours = self._address_of.pop(connection, None)
        if neighbours is not None:
            neighbours.open.discard(connection)
            neighbours.quiet.pop(connection, None)
            if not neighbours.open:
                del self._by_address[address_key(address)]

    def _sweep(self) -> None:
        assert self._loop is not None
        now = self._loop.time()
        for connection in tuple(self._open):
            connection.look(now)
        if self._open:
            self._loop.call_later(self._sweep_seconds, self._sweep)
        else:
            self._loop = None
