"""Password hashes: argon2id with the library's current parameters, worked out in a thread, few at a time; a crowd is
turned away instead of holding what pages need. A crowd of strangers keeps nobody back whose device is known.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TypeVar

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

#: hashes worked out at once: each takes 64 MiB and a tenth of a second of a core
AT_ONCE = 2
#: that may wait for their turn, half a second at most
MOST_WAITING = 6
#: the same for those whose device or link is known
KNOWN_AT_ONCE, MOST_KNOWN_WAITING = 1, 5

T = TypeVar("T")


class Crowded(Exception):
    """So many passwords wait to be looked at that this one has to come again."""


class _Line:
    """So many work at once, and so many wait for their turn."""

    def __init__(self, at_once: int, waiting: int) -> None:
        self._turn = asyncio.Semaphore(at_once)
        self._most = at_once + waiting
        self._inside = 0

    async def work(self, work: Callable[[], T]) -> T:
        """What the work returns. Raises Crowded where too many wait already."""
        if self._inside >= self._most:
            raise Crowded
        self._inside += 1
        try:
            async with self._turn:
                return await asyncio.to_thread(work)
        finally:
            self._inside -= 1


class Passwords:
    """Makes and checks password hashes (PHC strings)."""

    def __init__(self, hasher: PasswordHasher | None = None) -> None:
        self._hasher = hasher or PasswordHasher()
        self._strangers = _Line(AT_ONCE, MOST_WAITING)
        self._known = _Line(KNOWN_AT_ONCE, MOST_KNOWN_WAITING)
        self._nobodys = self._hasher.hash("nobody's password, so that an unknown account costs the same")

    async def hash(self, password: str) -> str:
        """The hash to store, of somebody who has shown a right password or link. Raises Crowded."""
        return await self._known.work(lambda: self._hasher.hash(password))

    async def matches(self, stored: str | None, password: str, *, known: bool = False) -> bool:
        """Whether the password is the stored one. Without one it is False after as much work. Raises Crowded.

        known: of a device on which this person has signed in.
        """
        line = self._known if known else self._strangers
        return await line.work(lambda: self._verify(stored, password))

    def is_outdated(self, stored: str) -> bool:
        """Whether the hash was made with weaker parameters than today's."""
        return self._hasher.check_needs_rehash(stored)

    def _verify(self, stored: str | None, password: str) -> bool:
        try:
            return self._hasher.verify(stored or self._nobodys, password) and stored is not None
        except (VerificationError, InvalidHashError):
            return False
