"""A crowd that asks a silent database for the registry is answered together, not one timeout after the other."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, cast

from services.intake.registry.cache import RegistryCache
from shared.postgres.database import Database
from shared.runtime.clock import SystemClock, monotonic_seconds

MAX_AGE_SECONDS = 0.3
CROWD = 12


class _Silent:
    """A database that takes a connection and says nothing."""

    @asynccontextmanager
    async def read_transaction(self) -> AsyncIterator[Any]:
        await asyncio.sleep(3600)
        yield None


async def test_a_poll_ends_where_the_database_is_silent() -> None:
    cache = RegistryCache(cast(Database, _Silent()), SystemClock(), poll_seconds=0, max_age_seconds=MAX_AGE_SECONDS)
    await cache.start()
    deadline = monotonic_seconds() + 30
    while cache.pulses[0].failures < 2:
        assert monotonic_seconds() < deadline
        await asyncio.sleep(0.01)
    await cache.stop()


async def test_a_crowd_waits_for_one_timeout_not_for_all_of_them() -> None:
    cache = RegistryCache(cast(Database, _Silent()), SystemClock(), max_age_seconds=MAX_AGE_SECONDS)
    began = monotonic_seconds()
    answers = await asyncio.gather(*(cache.refresh() for _ in range(CROWD)), return_exceptions=True)
    assert all(isinstance(answer, TimeoutError) for answer in answers)
    assert monotonic_seconds() - began < MAX_AGE_SECONDS * CROWD / 2
