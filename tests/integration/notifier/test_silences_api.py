"""Silences over HTTP: who may, what is refused and why, made once for a key, ended once, and why it was is kept."""

from __future__ import annotations

import argparse
import asyncio
from collections.abc import AsyncIterator
from datetime import date, datetime, timedelta
from typing import Any

import httpx
import pytest

from services.notifier.mailing import api, commands, store
from services.notifier.main import build
from services.notifier.settings import NotifierSettings
from services.notifier.tables import metadata
from shared.contract.events import PersonRegistered
from shared.contract.events.registry import PersonsOffice
from shared.runtime.hidden_characters import HIDDEN
from shared.runtime.settings import CommonSettings, KafkaSettings
from tests.fakes.operators import OPERATOR, let_agency_in, let_operator_in, let_person_in
from tests.integration.notifier.rig import COMMUNE, DEPARTMENT, World, registry

REASON = "Lũ lớn, cả xã mất liên lạc đến hết tuần."


@pytest.fixture
async def client(world: World) -> AsyncIterator[httpx.AsyncClient]:
    await let_operator_in(world.database.url, metadata)
    service = build(
        settings=NotifierSettings.model_validate({"database_url": world.database.url}),
        common=CommonSettings(),
        kafka=KafkaSettings(),
        clock=world.business,
    )
    transport = httpx.ASGITransport(app=service.app)
    async with httpx.AsyncClient(transport=transport, base_url="http://notifier") as made:
        await world.feed("registry", *registry())
        yield made
    await service.database.close()


async def administrator(world: World, agency: str) -> dict[str, str]:
    office = PersonsOffice(role="administrator", agency=agency, since=date(2020, 1, 1))
    person = PersonRegistered(
        person_id=f"qt-{agency}", agency=agency, name="Quản Trị", offices=(office,), version=1, title="", contacts=()
    )
    return await let_person_in(world.database.url, metadata, person, "administer")


def order(world: World, **changes: Any) -> dict[str, Any]:
    until: datetime = world.business.now() + timedelta(days=2)
    return {"agency": COMMUNE, "until": until.isoformat(), "reason": REASON, **changes}


async def post(client: httpx.AsyncClient, who: dict[str, str], body: Any, key: str = "k", path: str = "") -> Any:
    return await client.post(f"/v1/silences{path}", json=body, headers={**who, "Idempotency-Key": key})


async def test_a_silence_is_made_once_for_a_key_listed_with_who_and_why_and_ended_once(
    world: World, client: httpx.AsyncClient
) -> None:
    made = await post(client, OPERATOR, order(world))
    assert made.status_code == 201, made.text
    again = await post(client, OPERATOR, order(world))
    assert (again.json(), again.headers["Idempotent-Replayed"]) == (made.json(), "true")
    world.business.advance(days=3)
    late = await post(client, OPERATOR, {**order(world), "until": made.json()["until"]})
    assert (late.json(), late.headers["Idempotent-Replayed"]) == (made.json(), "true"), "repeated after its end"
    fresh = await post(client, OPERATOR, {**order(world), "until": made.json()["until"]}, key="another")
    assert [error["pointer"] for error in fresh.json()["errors"]] == ["/until"], "negative control"
    world.business.advance(days=-3)
    secret = await post(client, OPERATOR, order(world, reason="MẬT. Kế hoạch"), key="secret")
    assert [error["pointer"] for error in secret.json()["errors"]] == ["/reason"], "classified content is not taken"
    other = await post(client, OPERATOR, order(world, kind="escalation"))
    assert other.status_code == 422
    assert "Idempotency-Key" in other.json()["detail"]
    listed = (await client.get("/v1/silences", headers=OPERATOR)).json()["items"]
    assert listed == [made.json()]
    assert (listed[0]["made_by"], listed[0]["reason"], listed[0]["holds"]) == ("operator/tests", REASON, 0)
    path = f"/{made.json()['id']}/end"
    ended = (await post(client, OPERATOR, {"reason": "Nước đã rút"}, path=path)).json()
    assert (ended["ended_by"], ended["end_reason"]) == ("operator/tests", "Nước đã rút")
    assert (await post(client, OPERATOR, {"reason": "Nước đã rút"}, path=path)).status_code == 409
    assert (await client.get("/v1/silences", headers=OPERATOR)).json()["items"] == []
    kept = (await client.get("/v1/silences?all=true&limit=1", headers=OPERATOR)).json()
    assert (kept["items"], kept["next"]) == ([ended], None)


async def test_everything_wrong_with_an_order_is_told_at_once(world: World, client: httpx.AsyncClient) -> None:
    until = (world.business.now() + timedelta(days=61)).isoformat()
    wrong = await post(client, OPERATOR, order(world, agency="H99.NONE", regime="X", person="ai", until=until))
    assert wrong.status_code == 422
    assert [error["pointer"] for error in wrong.json()["errors"]] == ["/agency", "/regime", "/person", "/until"]
    bare = await post(client, OPERATOR, {"until": world.business.now().isoformat(), "reason": REASON})
    assert [error["pointer"] for error in bare.json()["errors"]] == ["", "/until"]


async def test_an_administrator_silences_within_reach_and_nobody_else_may(
    world: World, client: httpx.AsyncClient
) -> None:
    department = await administrator(world, DEPARTMENT)
    assert (await post(client, OPERATOR, order(world))).status_code == 201
    assert (await post(client, department, order(world))).status_code == 404
    assert (await post(client, department, order(world, agency=None, kind="reminder"))).status_code == 403
    own = await post(client, department, order(world, agency=DEPARTMENT))
    assert own.status_code == 201, own.text
    assert (await client.get("/v1/silences", headers=department)).json()["items"] == [own.json()]
    province = await administrator(world, "H99")
    seen = (await client.get("/v1/silences", headers=province)).json()["items"]
    assert [silence["agency"] for silence in seen] == [DEPARTMENT, COMMUNE]
    foreign = seen[1]["id"]
    assert (await post(client, department, {"reason": REASON}, path=f"/{foreign}/end")).status_code == 404
    assert (await post(client, province, {"reason": REASON}, path=f"/{foreign}/end")).status_code == 200
    agency = await let_agency_in(world.database.url, metadata, DEPARTMENT)
    assert (await post(client, agency, order(world))).status_code == 403


@pytest.mark.parametrize("reason", ["\x1b[2Jmàn hình", "a\u202eb c", "ab\u200bcd", "hai\ndòng", "  a "])
async def test_a_reason_that_a_terminal_would_not_print_as_it_is_is_refused(
    world: World, client: httpx.AsyncClient, reason: str
) -> None:
    wrong = await post(client, OPERATOR, order(world, reason=reason))
    assert [error["pointer"] for error in wrong.json()["errors"]] == ["/reason"]
    made = await post(client, OPERATOR, order(world))
    ended = await post(client, OPERATOR, {"reason": reason}, path=f"/{made.json()['id']}/end")
    assert [error["pointer"] for error in ended.json()["errors"]] == ["/reason"]


async def test_an_agency_has_so_many_silences_in_force_however_many_ask_at_once(
    world: World, client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(api, "MAX_IN_FORCE", 3)
    who = await administrator(world, COMMUNE)
    answers = await asyncio.gather(*(post(client, who, order(world), key=f"k{number}") for number in range(6)))
    assert sorted(answer.status_code for answer in answers) == [201] * 3 + [409] * 3
    refused = next(answer.json() for answer in answers if answer.status_code == 409)
    assert (refused["type"], "POST /v1/silences/" in refused["detail_vi"]) == ("/problems/too-many-silences", True)
    assert (await post(client, OPERATOR, order(world), key="k")).status_code == 201, "an operator is not bound"
    for silence in (await client.get("/v1/silences", headers=who)).json()["items"][:2]:
        assert (await post(client, who, {"reason": REASON}, path=f"/{silence['id']}/end")).status_code == 200
    assert (await post(client, who, order(world), key="again")).status_code == 201, "there is room again"


async def test_the_list_of_a_terminal_prints_a_stored_reason_as_plain_text(
    world: World, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    async with world.database.transaction() as tx:
        made = store.new_silence(until=world.business.now() + timedelta(days=1), agency=COMMUNE)
        await store.silence(tx, made, by="x", reason="\x1b[2J\u202eđã lưu", at=world.business.now())
    monkeypatch.setattr(commands, "database_url", lambda _: world.database.url)
    given = argparse.Namespace(all=True)
    assert await asyncio.to_thread(commands._list, given, world.business.now()) == 0
    printed = capsys.readouterr().out
    assert "\\u001b[2J\\u202eđã lưu" in printed
    assert HIDDEN.search(printed.replace("\n", "")) is None
