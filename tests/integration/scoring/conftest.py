"""A scoring on a fresh migrated database, with its calendar loaded."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable

import pytest

from shared.postgres.database import Database
from tests.integration.scoring.rig import Rig


@pytest.fixture
def scoring_url(migrated_database: Callable[[str], str]) -> str:
    """Not async: the migration runs an event loop of its own."""
    return migrated_database("scoring")


@pytest.fixture
async def rig(scoring_url: str) -> AsyncIterator[Rig]:
    database = Database(scoring_url, pool_size=6)
    yield await Rig.ready(database)
    await database.close()
