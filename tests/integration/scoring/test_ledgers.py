"""What is only ever appended to belongs to a role that scoring is not: no slip and no stolen password undoes it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import asyncpg
import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from services.scoring import metrics, tables
from services.scoring.main import build
from services.scoring.settings import ScoringSettings
from shared.postgres.database import Database
from shared.postgres.ledgers import alterable, ledgers
from shared.postgres.migrations import migrate
from tests.integration.scoring.rig import Rig, agency, local, regime
from tests.stack import Infra, as_owner, unique
from tests.unit.scoring.samples import verdict

LEDGERS = ledgers(tables.metadata)
REFUSED = (
    "UPDATE {table} SET ctid = ctid", "DELETE FROM {table}", "TRUNCATE {table} CASCADE",
    "ALTER TABLE {table} DISABLE TRIGGER ALL", "ALTER TABLE {table} ADD COLUMN more text", "DROP TABLE {table} CASCADE",
    "ALTER TABLE {table} OWNER TO CURRENT_USER", "CREATE TRIGGER t BEFORE INSERT ON {table} EXECUTE FUNCTION now()",
    "CREATE RULE r AS ON INSERT TO {table} DO INSTEAD NOTHING", "GRANT UPDATE ON {table} TO CURRENT_USER",
    "CREATE OR REPLACE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END'",
    "DROP SCHEMA public CASCADE", "SET session_replication_role = replica",
)  # fmt: skip


async def outcome(url: str, statement: str) -> str:
    """The SQLSTATE of a statement that is rolled back in any case, or of its warning; else an empty text."""
    connection = await asyncpg.connect(url)
    told: list[str] = []
    connection.add_log_listener(lambda _, message: told.append(str(message.sqlstate)))
    transaction = connection.transaction()
    await transaction.start()
    try:
        await connection.execute(statement)
        await connection.fetchval("SELECT 1")
        return told[0] if told else ""
    except asyncpg.PostgresError as error:
        return str(error.sqlstate)
    finally:
        await transaction.rollback()
        await connection.close()


def test_the_ledgers_are_named() -> None:
    assert LEDGERS == [
        "calendar_days", "calendar_versions", "calendar_years", "policies", "relief_decisions", "score_lines",
    ]  # fmt: skip


@pytest.mark.parametrize("table", LEDGERS)
async def test_the_services_role_may_read_and_append_and_nothing_else(rig: Rig, scoring_url: str, table: str) -> None:
    for statement in REFUSED:
        said = await outcome(scoring_url, statement.format(table=table).replace("SET ctid = ctid", _some_column(table)))
        assert said in ("42501", "01007"), f"{statement} on {table}: {said!r}"
    assert (
        await rig.rows(
            "SELECT has_table_privilege(CAST(:table AS text), 'SELECT') AND"
            " has_table_privilege(CAST(:table AS text), 'INSERT') AS granted",
            table=table,
        )
    )[0]["granted"]
    assert await outcome(scoring_url, f'SET ROLE "{await _owner(rig, table)}"') == "42501"


async def _owner(rig: Rig, table: str) -> str:
    found = await rig.rows(
        "SELECT pg_get_userbyid(relowner) AS owner FROM pg_class WHERE oid = CAST(CAST(:table AS text) AS regclass)",
        table=table,
    )
    return str(found[0]["owner"])


def _some_column(table: str) -> str:
    column = next(iter(tables.metadata.tables[table].columns)).name
    return f"SET {column} = {column}"


async def test_score_lines_are_append_only_for_their_owner_too(rig: Rig, scoring_url: str) -> None:
    await rig.registry(agency(), regime())
    await rig.follow(verdict())
    owner = Database(as_owner(scoring_url), pool_size=1)
    for statement in ("UPDATE score_lines SET points = 1", "DELETE FROM score_lines", "TRUNCATE score_lines"):
        with pytest.raises(DBAPIError, match="append-only"):
            async with owner.transaction() as tx:
                await tx.execute(text(statement))
    await owner.close()


async def test_an_obligation_lives_its_whole_life_under_these_rights(rig: Rig) -> None:
    await rig.registry(agency(), regime())
    await rig.generate()
    await rig.at(local(2026, 10, 21))
    await rig.follow(verdict(received_at=local(2026, 10, 21, 9)))
    await rig.check_scores()
    assert len(await rig.rows("SELECT seq FROM score_lines")) == 5  # overdue, its reversal, two for time, completeness


def test_a_database_that_was_the_services_own_is_handed_over(infra: Infra) -> None:
    """Also the control: without the owner everything can be altered, and readiness says so."""
    from deploy.local.postgres import create_owner
    from tests.stack import TEST_PASSWORD

    name = unique("t_handed_")
    url = infra.create_database(name)
    try:
        migrate("scoring", url)
        assert asyncio.run(outcome(url, "ALTER TABLE score_lines DISABLE TRIGGER ALL")) == ""
        assert asyncio.run(_told(url)) == (LEDGERS, True, len(LEDGERS))
        owner = create_owner(infra.admin_database_url, name, password=TEST_PASSWORD)
        for _ in range(2):
            migrate("scoring", url, owner)
            assert asyncio.run(outcome(url, "ALTER TABLE score_lines DISABLE TRIGGER ALL")) == "42501"
            assert asyncio.run(outcome(url, "DROP TABLE outbox_archive CASCADE")) == "", (
                "what it must manage is its own"
            )
            assert asyncio.run(_told(url)) == ([], False, 0)
    finally:
        infra.drop_database(name)


async def _told(url: str) -> tuple[list[str], bool, float]:
    """What could be altered, whether readiness warns, and the gauge."""
    service = build(settings=ScoringSettings(database_url=url, port=0))
    try:
        async with service.database.read_transaction() as tx:
            check = await service.looks["ledgers"](tx)
            found = await alterable(tx, LEDGERS)
    finally:
        await service.database.close()
    assert check.ok
    return found, check.detail.startswith("WARNING"), metrics.ALTERABLE_LEDGERS._value.get()


def test_the_services_own_role_cannot_be_the_owner(migrated_database: Callable[[str], str]) -> None:
    url = migrated_database("scoring")
    with pytest.raises(ValueError, match="another role"):
        migrate("scoring", url, url)
