"""Pages and following have connections of their own: neither keeps the other waiting."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from sqlalchemy import text

from services.board import main
from services.board.consumer import inbounds
from services.board.settings import BoardSettings
from shared.consuming.batch import Batch
from shared.postgres.database import Database
from shared.service.service import Service
from tests.integration.board.rig import ORIGIN, PROVINCE, agency

#: for what is to succeed; nothing waits so long
PATIENCE_SECONDS = 60


def service_of(url: str) -> Service:
    return main.build(
        settings=BoardSettings(database_url=url, database_pool_size=1, pages_pool_size=1, public_url=ORIGIN)
    )


async def closed(service: Service) -> None:
    for pool in {service.database, *service.further}:
        await pool.close()


async def follow(service: Service, version: int) -> None:
    """What a consumer does with a batch."""
    inbound = next(one for one in inbounds() if one.name == "registry")
    batch: Batch[Any] = Batch.of([agency(PROVINCE, version=version)])
    async with service.database.transaction() as tx:
        await inbound.handle(batch, tx)


async def page(service: Service) -> int:
    """A page that asks the database who is signed in; the answer's status."""
    transport = httpx.ASGITransport(service.app)
    async with httpx.AsyncClient(transport=transport, base_url=ORIGIN, cookies={"__Host-board": "x"}) as browser:
        return (await browser.get("/")).status_code


async def test_pages_that_hold_all_their_connections_do_not_hold_up_following(
    migrated_database: Callable[[str], str],
) -> None:
    service = service_of(migrated_database("board"))
    [pages] = service.further
    assert service.consumers is not None
    assert {subscription._database for subscription in service.consumers.subscriptions} == {service.database}
    try:
        async with pages.transaction() as reader:
            await reader.execute(text("SELECT 1"))
            waiting = asyncio.create_task(page(service))
            async with asyncio.timeout(PATIENCE_SECONDS):
                await follow(service, 1)
            assert not waiting.done(), "the control: a page waits for the connection"
        assert await waiting == 303
        async with service.database.transaction() as consumer, asyncio.timeout(PATIENCE_SECONDS):
            await consumer.execute(text("SELECT 1"))
            assert await page(service) == 303
    finally:
        await closed(service)


async def test_with_one_pool_for_both_following_waits_for_pages(
    migrated_database: Callable[[str], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Negative control."""
    shared = Database(migrated_database("board"), pool_size=1)
    monkeypatch.setattr(main, "Database", lambda *_, **__: shared)
    service = service_of(shared.url)
    try:
        async with service.further[0].transaction() as reader:
            await reader.execute(text("SELECT 1"))
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.2):
                    await follow(service, 1)
    finally:
        await closed(service)
