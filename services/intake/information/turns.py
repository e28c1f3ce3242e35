"""Whoever changes the registry by asking has a turn: one agency's many requests keep nobody else's waiting."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager


class Turns:
    """One change at a time, since each starts processes of the neighbours; of each agency at most one waits for it."""

    def __init__(self, patience_seconds: float) -> None:
        self._patience_seconds = patience_seconds
        self._all = asyncio.Lock()
        self._own: dict[str, asyncio.Lock] = {}  # as many as agencies have asked

    @asynccontextmanager
    async def of(self, agency: str) -> AsyncIterator[None]:
        """Raises TimeoutError where the turn does not come in time."""
        async with AsyncExitStack() as held:
            async with asyncio.timeout(self._patience_seconds):
                await held.enter_async_context(self._own.setdefault(agency, asyncio.Lock()))
                await held.enter_async_context(self._all)
            yield
