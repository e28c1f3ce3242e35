"""Password hashes: argon2id with the library's current parameters, worked out in a thread, few at a time; a crowd is
turned away instead of holding what pages need.
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

T = TypeVar("T")


class Crowded(Exception):
    """So many passwords wait to be looked at that this one has to come again."""


class Passwords:
    """Makes and checks password hashes (PHC strings)."""

    def __init__(self, hasher: PasswordHasher | None = None) -> None:
        self._hasher = hasher or PasswordHasher()
        self._turn = asyncio.Semaphore(AT_ONCE)
        self._inside = 0
        self._nobodys = self._hasher.hash("nobody's password, so that an unknown account costs the same")

    async def hash(self, password: str) -> str:
        """The hash to store. Raises Crowded."""
        return await self._in_turn(lambda: self._hasher.hash(password))

    async def matches(self, stored: str | None, password: str) -> bool:
        """Whether the password is the stored one. Without one it is False after as much work. Raises Crowded."""
        return await self._in_turn(lambda: self._verify(stored, password))

    def is_outdated(self, stored: str) -> bool:
        """Whether the hash was made with weaker parameters than today's."""
        return self._hasher.check_needs_rehash(stored)

    async def _in_turn(self, work: Callable[[], T]) -> T:
        if self._inside >= AT_ONCE + MOST_WAITING:
            raise Crowded
        self._inside += 1
        try:
            async with self._turn:
                return await asyncio.to_thread(work)
        finally:
            self._inside -= 1

    def _verify(self, stored: str | None, password: str) -> bool:
        try:
            return self._hasher.verify(stored or self._nobodys, password) and stored is not None
        except (VerificationError, InvalidHashError):
            return False
