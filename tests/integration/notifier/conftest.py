"""Fixtures of the notifier's integration tests."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable

import pytest

from tests.fakes.smtp import FakeSmtp
from tests.integration.notifier.rig import World, world_of


@pytest.fixture
async def world(migrated_database: Callable[[str], str]) -> AsyncIterator[World]:
    async with world_of(migrated_database("notifier")) as made:
        yield made


@pytest.fixture
async def smtp() -> AsyncIterator[FakeSmtp]:
    async with FakeSmtp() as server:
        yield server
