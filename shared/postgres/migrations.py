"""Each service migrates its own database with Alembic, under a lock: instances that start together do not race."""

from __future__ import annotations

import asyncio
import importlib
from collections.abc import Mapping
from pathlib import Path

from alembic import command, context, op
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from sqlalchemy import Connection, MetaData, text
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.pool import NullPool

from shared.postgres.database import driver_url
from shared.postgres.ledgers import ledgers, role_of, settle_owners

#: the SQL of the backbone's migrations; each service's chain runs them by name, at its own revision
BACKBONE = Path(__file__).parent / "backbone"

_LOCK = text("SELECT pg_advisory_lock(7468)")
_UNLOCK = text("SELECT pg_advisory_unlock(7468)")


def migrate(service: str, database_url: str, owner_url: str | None = None) -> None:
    """Bring the service's database to its newest schema. Blocks; call it outside a running event loop.

    owner_url: as whom, where the ledgers belong to another role than the service's (shared/postgres/ledgers.py).
    """
    package = importlib.import_module(f"services.{service}")
    config = Config()
    config.set_main_option("script_location", str(Path(str(package.__file__)).parent / "migrations"))

    def upgrade(connection: Connection) -> None:
        connection.execute(_LOCK)
        connection.commit()
        config.attributes["connection"] = connection
        try:
            command.upgrade(config, "head")
            connection.commit()
            if owner_url is not None:
                declared = importlib.import_module(f"services.{service}.tables").metadata
                settle_owners(connection, ledgers(declared), role_of(database_url))
                connection.commit()
        finally:
            connection.execute(_UNLOCK)
            connection.commit()

    async def run() -> None:
        engine = create_async_engine(
            driver_url(owner_url or database_url), poolclass=NullPool, connect_args={"timeout": 10}
        )
        try:
            async with engine.connect() as connection:
                await connection.run_sync(upgrade)
        finally:
            await engine.dispose()

    asyncio.run(run())


def run_env(service: str, metadata: MetaData) -> None:
    """The whole of a service's Alembic environment; `migrations/env.py` calls it."""
    connection = context.config.attributes.get("connection")
    if connection is None:
        raise SystemExit(f"run migrations with: python -m services.{service} migrate")
    context.configure(connection=connection, target_metadata=metadata, transaction_per_migration=True)
    with context.begin_transaction():
        context.run_migrations()


def run_sql(migration: str) -> None:
    """Run the statements of the .sql file beside a migration: `run_sql(__file__)`.

    The file is what was released, whatever tables.py has become since; statements end with `;` and an empty line.
    """
    _run(Path(migration).with_suffix(".sql"))


def run_backbone(name: str) -> None:
    """Run `backbone/<name>.sql`: a step of the tables that every service's database has, released once for all."""
    _run(BACKBONE / f"{name}.sql")


def _run(script: Path) -> None:
    for statement in script.read_text(encoding="utf-8").split(";\n\n"):
        if statement.strip(" ;\n"):
            op.get_bind().exec_driver_sql(statement.rstrip(" ;\n"))


def differences(connection: Connection, metadata: MetaData) -> list[str]:
    """How the migrated database differs from what tables.py declares; empty when a migration was written for all."""

    def declared(name: str | None, kind: str, parents: Mapping[str, str | None]) -> bool:
        # the archive's partitions come and go
        return not (kind == "table" and str(name).startswith("outbox_archive_"))

    context = MigrationContext.configure(connection, opts={"include_name": declared})
    return [str(difference) for difference in compare_metadata(context, metadata)]
