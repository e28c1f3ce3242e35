"""What one was sent: a person's own notices, an agency's, page by page, and nobody else's address."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from sqlalchemy import text

from services.notifier.main import build
from services.notifier.settings import NotifierSettings
from services.notifier.tables import metadata
from shared.contract.events import PersonRegistered
from shared.runtime.settings import CommonSettings, KafkaSettings
from tests.fakes.operators import let_agency_in, let_person_in
from tests.fakes.smtp import Answer, FakeSmtp
from tests.integration.notifier.rig import COMMUNE, DEPARTMENT, PROVINCE, REGIME, World, due_soon, overdue, registry


@pytest.fixture
async def client(world: World) -> AsyncIterator[httpx.AsyncClient]:
    service = build(
        settings=NotifierSettings.model_validate({"database_url": world.database.url}),
        common=CommonSettings(),
        kafka=KafkaSettings(),
        clock=world.business,
    )
    transport = httpx.ASGITransport(app=service.app)
    async with httpx.AsyncClient(transport=transport, base_url="http://notifier") as made:
        yield made
    await service.database.close()


def holder(person_id: str, role: str, agency: str, *regimes: str) -> PersonRegistered:
    office = {"role": role, "agency": agency, "since": "2020-01-01", "regimes": regimes}
    return PersonRegistered.model_validate(
        {"person_id": person_id, "agency": agency, "name": person_id, "offices": (office,), "version": 1}
    )


async def told(world: World, smtp: FakeSmtp) -> None:
    """The department is reminded of one report and overdue with another, the commune overdue; one mail is refused."""
    await world.tell_above_at_once()
    await world.feed("registry", *registry())
    await world.feed("compliance", overdue(), overdue(code=COMMUNE), due_soon(period="2026-M11"))
    smtp.script["RCPT"].append(Answer(550, "no such user"))
    await world.drain(world.dispatcher(smtp, connections=1))


async def listed(client: httpx.AsyncClient, key: dict[str, str], **asked: Any) -> list[dict[str, Any]]:
    answer = await client.get("/v1/notices", params=asked, headers=key)
    assert answer.status_code == 200, answer.text
    return list(answer.json()["items"])


async def test_a_person_reads_the_own_notices_with_the_own_address(
    world: World, smtp: FakeSmtp, client: httpx.AsyncClient
) -> None:
    await told(world, smtp)
    key = await let_person_in(world.database.url, metadata, holder("dept-head", "head", DEPARTMENT), "read")
    mine = await listed(client, key)
    assert {row["person"] for row in mine} == {"dept-head"}
    assert all(row["address"] and "@" in row["address"] for row in mine)
    (row,) = [one for one in mine if one["kind"] == "escalation"]
    assert row["about"].startswith("Chuyển cấp: ") or "quá hạn" in row["about"].lower()
    assert (row["agency"], row["regime"], row["channel"]) == (DEPARTMENT, REGIME, "email")


async def test_a_head_reads_the_agencys_and_nobody_elses_address_or_agency(
    world: World, smtp: FakeSmtp, client: httpx.AsyncClient
) -> None:
    await told(world, smtp)
    key = await let_person_in(world.database.url, metadata, holder("other-head", "head", DEPARTMENT), "read")
    rows = await listed(client, key, agency=DEPARTMENT)
    assert len(rows) == 3
    assert ({row["agency"] for row in rows}, {row["address"] for row in rows}) == ({DEPARTMENT}, {None})
    assert {(row["state"], row["state_name"]) for row in rows} >= {("sent", "đã gửi"), ("failed", "không gửi được")}
    assert all((row["settled_at"] is not None) == (row["state"] in ("sent", "failed")) for row in rows)
    for other in (COMMUNE, PROVINCE, "H98"):
        assert (await client.get("/v1/notices", params={"agency": other}, headers=key)).status_code == 404, other
    chair = await let_person_in(world.database.url, metadata, holder("a-chair", "chair", PROVINCE), "read")
    assert {row["agency"] for row in await listed(client, chair, agency=COMMUNE)} == {COMMUNE}


async def test_who_reads_one_regime_reads_its_notices_alone(
    world: World, smtp: FakeSmtp, client: httpx.AsyncClient
) -> None:
    await told(world, smtp)
    of_it = holder("one", "reporting_officer", DEPARTMENT, REGIME)
    of_other = holder("two", "reporting_officer", DEPARTMENT, "KHAC")
    for who, many in ((of_it, 3), (of_other, 0)):
        key = await let_person_in(world.database.url, metadata, who, "read")
        assert len(await listed(client, key, agency=DEPARTMENT)) == many, who.person_id


async def test_an_agencys_system_reads_its_own_page_by_page(
    world: World, smtp: FakeSmtp, client: httpx.AsyncClient
) -> None:
    await told(world, smtp)
    key = await let_agency_in(world.database.url, metadata, DEPARTMENT, ("read",))
    everything = [row["notice"] for row in await listed(client, key)]
    assert everything == sorted(everything, reverse=True)
    seen: list[str] = []
    after: str | None = ""
    while after is not None:
        answer = (await client.get("/v1/notices", params={"limit": 2, "after": after}, headers=key)).json()
        seen += [row["notice"] for row in answer["items"]]
        after = answer["next"]
    assert (seen, len(seen)) == (everything, 3)
    (one,) = {row["obligation"] for row in await listed(client, key) if row["kind"] == "reminder"}
    assert {row["kind"] for row in await listed(client, key, obligation=one)} == {"reminder"}
    assert (await client.get("/v1/notices", params={"agency": COMMUNE}, headers=key)).status_code == 404
    blind = await let_agency_in(world.database.url, metadata, COMMUNE, ("submit",))
    assert (await client.get("/v1/notices", headers=blind)).status_code == 403


async def test_what_is_between_the_system_and_a_person_stays_there(world: World, client: httpx.AsyncClient) -> None:
    """Control: the person reads the digest that the agency does not."""
    await world.feed("registry", *registry())
    await world.feed("compliance", overdue())
    async with world.database.transaction() as tx:
        await tx.execute(text("UPDATE notifications SET kind = 'named' WHERE kind = 'overdue'"))
    key = await let_agency_in(world.database.url, metadata, DEPARTMENT, ("read",))
    assert "named" not in {row["kind"] for row in await listed(client, key)}
    [row] = await world.rows("SELECT officer_id FROM notifications WHERE kind = 'named'")
    person = holder(row["officer_id"], "reporting_officer", DEPARTMENT)
    mine = await let_person_in(world.database.url, metadata, person, "read")
    assert {row["kind"] for row in await listed(client, mine)} == {"named"}
