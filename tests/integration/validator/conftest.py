"""A validator on a fresh migrated database."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable

import pytest

from shared.postgres.database import Database
from tests.integration.validator.rig import Rig


@pytest.fixture
def validator_url(migrated_database: Callable[[str], str]) -> str:
    """Not async: the migration runs an event loop of its own."""
    return migrated_database("validator")


@pytest.fixture
async def rig(validator_url: str) -> AsyncIterator[Rig]:
    database = Database(validator_url, pool_size=4)
    rig = Rig(database)
    yield rig
    await rig.judging.stop()
    await database.close()
