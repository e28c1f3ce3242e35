"""A migrated database is what tables.py declares; whoever changes a table is told to write a migration."""

from __future__ import annotations

import importlib
from collections.abc import Callable

import pytest
from sqlalchemy import Column, MetaData, Table, Text
from sqlalchemy.ext.asyncio import create_async_engine

from shared.contract.services import SERVICES
from shared.postgres.database import driver_url
from shared.postgres.migrations import differences


async def drift(url: str, metadata: MetaData) -> list[str]:
    engine = create_async_engine(driver_url(url))
    try:
        async with engine.connect() as connection:
            return await connection.run_sync(differences, metadata)
    finally:
        await engine.dispose()


@pytest.mark.parametrize("service", SERVICES)
async def test_the_migrations_make_the_tables_that_the_service_declares(
    service: str, migrated_database: Callable[[str], str]
) -> None:
    metadata = importlib.import_module(f"services.{service}.tables").metadata
    found = await drift(migrated_database(service), metadata)
    assert not found, f"write a migration under services/{service}/migrations/versions for: {found}"


async def test_a_column_without_a_migration_is_noticed(migrated_database: Callable[[str], str]) -> None:
    """Negative control."""
    declared = importlib.import_module("services.validator.tables").metadata
    changed = MetaData()
    for table in declared.tables.values():
        table.to_metadata(changed)
    Table("verdicts", changed, Column("forgotten", Text), extend_existing=True)
    assert any("forgotten" in difference for difference in await drift(migrated_database("validator"), changed))
