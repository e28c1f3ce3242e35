"""Exports read every row once, in order, page by page, for the operator alone."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest
from fastapi import FastAPI
from sqlalchemy import MetaData, text

from shared.access import Principal
from shared.postgres.database import Database
from shared.postgres.tables import backbone_tables
from shared.runtime.clock import SystemClock
from shared.telemetry.readiness import Readiness
from shared.web import exports
from shared.web.allowance import Metered
from shared.web.app import create_app
from shared.web.authentication import Operators, new_key
from shared.web.exports import Export, backbone_exports, mount_exports
from tests.fakes.keyring import FakeKeyring
from tests.unit.shared.web.asking import plenty

KEY = new_key()
OPERATORS = Operators(
    FakeKeyring({KEY: Principal("operator", "tests", None, frozenset({"operate"}))}), SystemClock(), plenty()
)
FIGURES = Export("figures", "SELECT * FROM figures WHERE code > :after ORDER BY code LIMIT :limit", "code", str)


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    metadata = MetaData()
    backbone_tables(metadata)
    database = Database(database_url, pool_size=2)
    async with database.engine.begin() as connection:
        await connection.run_sync(metadata.create_all)
    yield database
    await database.close()


@pytest.fixture
def app(database: Database) -> FastAPI:
    async def readiness() -> Readiness:
        return Readiness.of({})

    app = create_app("test", title="Test", readiness=readiness)
    app.add_middleware(Metered)
    mount_exports(app, database, [*backbone_exports(), FIGURES], operators=OPERATORS)
    return app


async def _get(app: FastAPI, url: str, token: str = KEY.secret_text) -> httpx.Response:
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url="http://test") as client:
        return await client.get(url, headers={"Authorization": f"Bearer {token}"})


async def _read_all(app: FastAPI, name: str, limit: int) -> list[dict[str, Any]]:
    items: list[dict[str, Any]] = []
    url: str | None = f"/v1/exports/{name}?limit={limit}"
    while url is not None:
        answer = await _get(app, url)
        assert answer.status_code == 200, answer.text
        page = answer.json()
        assert len(page["items"]) <= limit
        items += page["items"]
        url = answer.links["next"]["url"] if "next" in answer.links else None
        assert (url is None) == (page["next"] is None)
    return items


async def _put(database: Database, statement: str, **parameters: Any) -> None:
    async with database.transaction() as tx:
        await tx.execute(text(statement), parameters)


@pytest.mark.parametrize("at_once", [exports.AT_ONCE, 100], ids=["as it is", "control: no bound"])
async def test_many_exports_at_once_take_turns(
    database: Database, monkeypatch: pytest.MonkeyPatch, at_once: int
) -> None:
    reading = most = 0

    async def read_page(*_: object) -> dict[str, Any]:
        nonlocal reading, most
        reading += 1
        most = max(most, reading)
        for _turn in range(10):
            await asyncio.sleep(0)
        reading -= 1
        return {"items": [], "next": None}

    async def readiness() -> Readiness:
        return Readiness.of({})

    monkeypatch.setattr(exports, "read_page", read_page)
    monkeypatch.setattr(exports, "AT_ONCE", at_once)
    crowded = create_app("test", title="Test", readiness=readiness)
    crowded.add_middleware(Metered)
    mount_exports(crowded, database, [FIGURES], operators=OPERATORS)
    answers = await asyncio.gather(*(_get(crowded, "/v1/exports/figures") for _ in range(20)))
    assert {answer.status_code for answer in answers} == {200}
    assert (most <= 2) is (at_once == 2), most


async def test_events_are_read_once_from_archive_and_outbox_in_order(app: FastAPI, database: Database) -> None:
    ids = [uuid4() for _ in range(25)]
    await _put(
        database,
        "INSERT INTO outbox (event_id, topic, key, type, body) SELECT id, 'registry', 'k', 't', 'x'"
        " FROM unnest(CAST(:ids AS uuid[])) WITH ORDINALITY AS row (id, place) ORDER BY place",
        ids=ids,
    )
    await _put(
        database,
        "WITH sent AS (DELETE FROM outbox WHERE id % 3 <> 0 RETURNING *)"
        " INSERT INTO outbox_archive (id, event_id, topic, key, type, body, created_at)"
        " SELECT id, event_id, topic, key, type, body, created_at FROM sent",
    )
    for limit in (1, 7, 25, 1000):
        items = await _read_all(app, "events", limit)
        assert [UUID(item["event_id"]) for item in items] == ids
        assert [item["published"] for item in items] == [item["id"] % 3 != 0 for item in items]
    assert {item["id"] % 3 for item in await _read_all(app, "outbox", 3)} == {0}


async def test_the_inbox_is_read_in_order_of_consumer_and_event(app: FastAPI, database: Database) -> None:
    pairs = sorted((consumer, uuid4()) for consumer in ("a.follow", "b.follow") for _ in range(6))
    await _put(
        database,
        "INSERT INTO inbox (consumer, event_id) SELECT * FROM unnest(CAST(:names AS text[]), CAST(:ids AS uuid[]))",
        names=[name for name, _ in pairs],
        ids=[event_id for _, event_id in pairs],
    )
    items = await _read_all(app, "inbox", 5)
    assert [(item["consumer"], UUID(item["event_id"])) for item in items] == pairs


async def test_what_waits_and_what_is_dead_is_shown_without_its_bytes(app: FastAPI, database: Database) -> None:
    await _put(
        database,
        'INSERT INTO deferred_events (consumer, key, awaits, event_id, topic, partition, "offset", headers, value)'
        " VALUES ('c', 'k', 'regime/X/1', gen_random_uuid(), 't', 0, 7, '[]', 'payload')",
    )
    await _put(
        database,
        'INSERT INTO dead_letter (dead_letter_id, consumer, topic, partition, "offset", key, value, headers,'
        " error_class, error_text, attempts, first_seen)"
        " VALUES (gen_random_uuid(), 'c', 't', 0, 8, 'k', 'payload', '[]', 'DataError', 'bad', 1, now())",
    )
    (waiting,) = await _read_all(app, "deferred-events", 10)
    assert (waiting["awaits"], waiting["offset"]) == ("regime/X/1", 7)
    (dead,) = await _read_all(app, "dead-letters", 10)
    assert (dead["error_class"], dead["event_id"], dead["replayed_at"]) == ("DataError", None, None)
    assert not {"value", "headers", "body"} & (set(waiting) | set(dead))


async def test_decimals_and_moments_lose_nothing(app: FastAPI, database: Database) -> None:
    await _put(database, 'CREATE TABLE figures (code text COLLATE "C" PRIMARY KEY, value numeric, at timestamptz)')
    await _put(
        database,
        "INSERT INTO figures VALUES ('A', 12345678901234567.890, '2026-01-02 03:04:05.678901+07'), ('B', 0.1, NULL),"
        " ('Ă', 1e20, NULL)",
    )
    items = await _read_all(app, "figures", 1)
    assert [item["value"] for item in items] == ["12345678901234567.890", "0.1", "100000000000000000000"]
    assert items[0]["at"] == "2026-01-02T03:04:05.678901+07:00"
    assert [item["code"] for item in items] == ["A", "B", "Ă"]


async def test_only_the_operator_reads_exports(app: FastAPI) -> None:
    for name in [*(export.name for export in backbone_exports()), "figures"]:
        assert (await _get(app, f"/v1/exports/{name}", token="wrong")).status_code == 401


@pytest.mark.parametrize("query", ["limit=10001", "limit=0"])
async def test_the_limit_is_bounded(app: FastAPI, query: str) -> None:
    assert (await _get(app, f"/v1/exports/inbox?{query}")).status_code == 422


async def test_a_cursor_of_another_export_is_refused(app: FastAPI, database: Database) -> None:
    await _put(
        database,
        "INSERT INTO outbox (event_id, topic, key, type)"
        " SELECT gen_random_uuid(), 't', 'k', 't' FROM generate_series(1, 3)",
    )
    cursor = (await _get(app, "/v1/exports/outbox?limit=1")).json()["next"]
    assert cursor is not None
    answer = await _get(app, f"/v1/exports/deferred-events?after={cursor}")
    assert (answer.status_code, answer.json()["type"]) == (400, "/problems/bad-request")


def test_an_export_with_a_cursor_that_cannot_sort_is_refused() -> None:
    with pytest.raises(ValueError, match="int, str or UUID"):
        Export("x", "SELECT 1", "at", float)
    with pytest.raises(ValueError, match="as many"):
        Export("x", "SELECT 1", ("a", "b"), (int,))
