"""The operator's door: the ledger with filters and cursor, one notification with its attempts, exports."""

from __future__ import annotations

import asyncio
import csv
import hashlib
import io
import json
from collections.abc import AsyncIterator

import httpx
import pytest

from services.notifier import commands
from services.notifier.delivery.proving import row_sha256
from services.notifier.main import build
from services.notifier.settings import NotifierSettings
from services.notifier.tables import metadata
from shared.runtime.settings import CommonSettings, KafkaSettings
from tests.fakes.operators import OPERATOR, let_agency_in, let_operator_in
from tests.fakes.smtp import Answer, FakeSmtp
from tests.forged import try_every_paged_route
from tests.integration.notifier.rig import COMMUNE, DEPARTMENT, World, due_soon, overdue, registry
from tests.integration.notifier.test_webhooks import WEBHOOK, registered


@pytest.fixture
async def client(world: World) -> AsyncIterator[httpx.AsyncClient]:
    await let_operator_in(world.database.url, metadata)
    service = build(
        settings=NotifierSettings.model_validate({"database_url": world.database.url}),
        common=CommonSettings(),
        kafka=KafkaSettings(),
    )
    transport = httpx.ASGITransport(app=service.app)
    async with httpx.AsyncClient(transport=transport, base_url="http://notifier") as made:
        yield made
    await service.database.close()


async def _some(world: World, smtp: FakeSmtp) -> None:
    await world.tell_above_at_once()
    await world.feed("registry", *registry())
    await world.feed("compliance", overdue(), overdue(code=COMMUNE), due_soon(period="2026-M11"))
    smtp.script["RCPT"].append(Answer(450, "later"))
    await world.drain(world.dispatcher(smtp, connections=1))


@pytest.mark.parametrize(
    "path",
    ["/v1/notifications", "/v1/exports/notifications", "/v1/exports/attempts", "/v1/notifications/proof?obligation=x"],
)
async def test_the_ledger_is_for_the_operator_only(client: httpx.AsyncClient, path: str) -> None:
    assert (await client.get(path)).status_code == 401
    assert (await client.get(path, headers={"Authorization": "Bearer wrong"})).status_code == 401
    assert (await client.get(path, headers=OPERATOR)).status_code == 200


async def test_the_ledger_is_read_page_by_page_newest_first(
    world: World, smtp: FakeSmtp, client: httpx.AsyncClient
) -> None:
    await _some(world, smtp)
    seen: list[str] = []
    after = ""
    while True:
        answer = (await client.get("/v1/notifications", params={"limit": 2, "after": after}, headers=OPERATOR)).json()
        seen += [item["id"] for item in answer["items"]]
        after = answer["next"]
        if after is None:
            break
    assert len(seen) == len(set(seen)) == 6
    assert seen == sorted(seen, reverse=True)


@pytest.mark.parametrize(
    ("filters", "count"),
    [
        ({"agency": DEPARTMENT}, 3),
        ({"officer": "dept-named"}, 2),
        ({"kind": "escalation"}, 3),
        ({"state": "skipped"}, 1),
        ({"obligation": f"{DEPARTMENT}/BC-THANG/2026-M11"}, 1),
        ({"agency": COMMUNE, "state": "sent", "kind": "overdue"}, 1),
        ({"agency": "H99.NONE"}, 0),
    ],
)
async def test_the_ledger_is_filtered(
    world: World, smtp: FakeSmtp, client: httpx.AsyncClient, filters: dict[str, str], count: int
) -> None:
    await _some(world, smtp)
    answer = (await client.get("/v1/notifications", params=filters, headers=OPERATOR)).json()
    assert len(answer["items"]) == count


async def test_a_cursor_belongs_to_its_filters(world: World, smtp: FakeSmtp, client: httpx.AsyncClient) -> None:
    await _some(world, smtp)
    cursor = (await client.get("/v1/notifications?limit=1", headers=OPERATOR)).json()["next"]
    answer = await client.get("/v1/notifications", params={"after": cursor, "kind": "overdue"}, headers=OPERATOR)
    assert answer.status_code in (400, 422)


async def test_a_notification_shows_every_attempt_with_the_servers_answer(
    world: World, smtp: FakeSmtp, client: httpx.AsyncClient
) -> None:
    await _some(world, smtp)
    attempts = await world.rows("SELECT notification_id FROM attempts WHERE outcome = 'retry'")
    answer = (await client.get(f"/v1/notifications/{attempts[0]['notification_id']}", headers=OPERATOR)).json()
    assert answer["state"] == "sent"
    assert [(attempt["outcome"], attempt["smtp_code"]) for attempt in answer["attempts_made"]] == [
        ("retry", 450),
        ("sent", 250),
    ]
    assert answer["attempts_made"][0]["answer"] == "later"


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/v1/notifications/01990000-0000-7000-8000-000000000000", 404),
        ("/v1/notifications/nonsense", 422),
        ("/v1/notifications?kind=letter", 422),
        ("/v1/notifications?state=lost", 422),
        ("/v1/notifications?agency=%00", 422),
        ("/v1/notifications?limit=0", 422),
        ("/v1/notifications?after=nonsense", 400),
    ],
)
async def test_a_bad_question_is_answered_with_a_problem(client: httpx.AsyncClient, path: str, status: int) -> None:
    answer = await client.get(path, headers=OPERATOR)
    assert answer.status_code in ({400, 422} if status == 422 else {status, 422})
    assert answer.headers["content-type"].startswith("application/problem+json")
    assert answer.json()["title_vi"]


async def test_the_exports_hold_the_ledger_and_its_attempts(
    world: World, smtp: FakeSmtp, client: httpx.AsyncClient
) -> None:
    await _some(world, smtp)
    rows = (await client.get("/v1/exports/notifications", headers=OPERATOR)).json()["items"]
    assert {row["state"] for row in rows} == {"sent", "skipped"}
    attempts = (await client.get("/v1/exports/attempts", headers=OPERATOR)).json()["items"]
    assert len(attempts) == 6
    obligations = (await client.get("/v1/exports/obligations", headers=OPERATOR)).json()["items"]
    assert len(obligations) == 3


async def test_that_somebody_was_told_is_proved_by_one_question(
    world: World, smtp: FakeSmtp, client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    await _some(world, smtp)
    asked = {"obligation": f"{DEPARTMENT}/BC-THANG/2026-M10"}
    answer = (await client.get("/v1/notifications/proof", params=asked, headers=OPERATOR)).json()
    assert answer["next"] is None
    rows = {row["person"]: row for row in answer["items"]}
    assert {person: (row["kind"], row["state"], row["smtp_code"]) for person, row in rows.items()} == {
        "dept-named": ("overdue", "sent", 250), "dept-head": ("escalation", "sent", 250),
    }  # fmt: skip
    letters = {str(mail.message["Message-ID"]): mail.content for mail in smtp.accepted}
    for row in rows.values():
        assert row["message_sha256"] == hashlib.sha256(letters[row["message_id"]]).hexdigest()
        assert row["row_sha256"] == row_sha256(row)
        assert row_sha256({**row, "recipient": "x"}) != row["row_sha256"], "control: a row that was changed"
    by_csv = await client.get("/v1/notifications/proof", params=asked, headers={**OPERATOR, "Accept": "text/csv"})
    read = list(csv.DictReader(io.StringIO(by_csv.text.removeprefix("\ufeff"))))
    assert {row["person"]: row["row_sha256"] for row in read} == {
        person: row["row_sha256"] for person, row in rows.items()
    }
    assert (await client.get("/v1/notifications/proof", headers=OPERATOR)).status_code == 422
    one = (await client.get("/v1/notifications/proof?officer=chair&limit=1", headers=OPERATOR)).json()["items"]
    assert [row["person"] for row in one] == ["chair"]

    monkeypatch.setattr("services.notifier.commands.database_url", lambda _: world.database.url)
    arguments = ["prove", "--obligation", asked["obligation"], "--format", "json"]
    assert await asyncio.to_thread(commands.mail, arguments) == 0
    assert json.loads(capsys.readouterr().out) == answer["items"]
    assert await asyncio.to_thread(commands.mail, ["prove", "--person", "nobody"]) == 1


async def test_forged_cursors_are_bad_requests(world: World) -> None:
    await let_operator_in(world.database.url, metadata)
    service = build(
        settings=NotifierSettings.model_validate({"database_url": world.database.url}),
        common=CommonSettings(),
        kafka=KafkaSettings(),
    )
    await world.feed("registry", registered("https://bao-cao.h99.example/"))
    listings = {
        "/v1/notifications": ("notifications/*/*/*/*/*", ""),
        "/v1/notifications/proof": ("proof/x/*/*/*", "obligation=x"),
        "/v1/silences": ("silences/False", ""),
        "/v1/escalations": ("escalations", ""),
        "/v1/digests": ("digests", ""),
        "/v1/notices": (f"notices/agency/{COMMUNE}/*/*", ""),
        "/v1/webhooks/{webhook_id}/deliveries": (f"webhook-deliveries/*/*/*/*/{WEBHOOK}", ""),
    }
    commune = await let_agency_in(world.database.url, metadata, COMMUNE)
    told = {"/v1/escalations": commune, "/v1/digests": commune, "/v1/notices": commune}
    assert await try_every_paged_route(service.app, OPERATOR, listings, told) == []
    await service.database.close()
