"""Intake's fixtures: a migrated database with a small province in it."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.integration.intake.rig import Province, make_province


@pytest.fixture
def database_of_intake(migrated_database: Callable[[str], str]) -> str:
    """Its URL. Not async: migrating needs a moment without a running loop."""
    return migrated_database("intake")


@pytest.fixture
async def province(database_of_intake: str) -> Province:
    return await make_province(database_of_intake)
