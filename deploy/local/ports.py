"""Reserves ports on 127.0.0.1 for the life of a stack, even while the component that uses one is down.

A reservation is a bound socket with SO_REUSEADDR that never listens: Linux lets the component bind and listen beside
it, but gives the port to no other program that looks for a free one and to no outgoing connection.
"""

from __future__ import annotations

import contextlib
import errno
import random
import socket

import psutil

from deploy.local.errors import PortInUse, StackError

HOST = "127.0.0.1"
FREE_RANGE = range(12000, 20000)  # below Linux's ephemeral range and the fixed block
_random = random.SystemRandom()


class Ports:
    """The ports of one stack."""

    def __init__(self) -> None:
        self._held: dict[int, socket.socket] = {}

    def free(self) -> int:
        """A free port, reserved until close()."""
        for _ in range(2000):
            port = _random.choice(FREE_RANGE)
            held = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
            try:
                held.bind((HOST, port))
            except OSError:
                held.close()
                continue
            held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            self._held[port] = held
            return port
        raise StackError("Không còn cổng trống trên 127.0.0.1.", "no free port on 127.0.0.1")

    def claim(self, port: int, purpose: str) -> int:
        """Reserve this port. Raises PortInUse, which names the holder if it is visible."""
        with contextlib.closing(socket.socket(socket.AF_INET, socket.SOCK_STREAM)) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((HOST, port))
                probe.listen(1)
            except OSError as error:
                if error.errno != errno.EADDRINUSE:
                    raise
                raise PortInUse(port, purpose, holder(port)) from None
        held = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        held.bind((HOST, port))
        self._held[port] = held
        return port

    def close(self) -> None:
        """Release all ports."""
        for held in self._held.values():
            held.close()
        self._held.clear()


def holder(port: int) -> str | None:
    """`name (pid N)` of the process that listens on a port; None if it is not visible to us."""
    with contextlib.suppress(psutil.Error, OSError):
        for connection in psutil.net_connections("tcp"):
            if connection.laddr and connection.laddr.port == port and connection.status == psutil.CONN_LISTEN:
                if connection.pid is None:
                    return None
                return f"{psutil.Process(connection.pid).name()} (pid {connection.pid})"
    return None
