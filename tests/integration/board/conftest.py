"""A board on a fresh migrated database, with the registry of a small province."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable

import pytest

from tests.integration.board.rig import World, registry, world_of


@pytest.fixture
async def world(migrated_database: Callable[[str], str]) -> AsyncIterator[World]:
    async with world_of(migrated_database("board")) as made:
        await made.feed(*registry())
        yield made
