"""Who keeps a webhook reads what was sent to it, attempt by attempt, and has it sent again; nobody else does."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import date, datetime, timedelta
from typing import Any
from uuid import uuid4

import httpx
import pytest
from sqlalchemy import text

from services.notifier.channels.webhook import replaying
from services.notifier.channels.webhook.states import DELAYS
from services.notifier.main import build
from services.notifier.settings import NotifierSettings
from services.notifier.tables import metadata
from shared.contract.events import PersonRegistered
from shared.contract.events.registry import PersonsOffice
from shared.runtime.settings import CommonSettings, KafkaSettings
from tests.fakes.operators import OPERATOR, let_agency_in, let_operator_in, let_person_in
from tests.fakes.webhook import Receiver
from tests.integration.intake.test_submitting import assert_problem
from tests.integration.notifier.rig import COMMUNE, DEPARTMENT, PROVINCE, World, registry
from tests.integration.notifier.test_webhooks import (
    WEBHOOK,
    deliveries,
    dispatcher,
    hook,
    key_file,
    one_message,
    registered,
    submission,
)

__all__ = ["hook", "key_file"]

PATH = f"/v1/webhooks/{WEBHOOK}"


class Asking:
    """The service's HTTP edge, with a key of the agency that keeps the webhook."""

    def __init__(self, client: httpx.AsyncClient, own: dict[str, str]) -> None:
        self.client, self.own = client, own

    async def get(self, path: str = "/deliveries", **query: Any) -> httpx.Response:
        return await self.client.get(f"{PATH}{path}", params=query, headers=self.own)

    async def post(self, path: str, body: Any = None, key: str = "", **headers: str) -> httpx.Response:
        headers = {**self.own, "Idempotency-Key": key or uuid4().hex, **headers}
        return await self.client.post(f"{PATH}{path}", json=body, headers=headers)


@pytest.fixture
async def owner(world: World, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Asking]:
    monkeypatch.setattr("services.notifier.main.SystemClock", lambda: world.system)
    await let_operator_in(world.database.url, metadata)
    service = build(
        settings=NotifierSettings.model_validate({"database_url": world.database.url}),
        common=CommonSettings(),
        kafka=KafkaSettings(),
        clock=world.business,
    )
    transport = httpx.ASGITransport(app=service.app)
    async with httpx.AsyncClient(transport=transport, base_url="http://notifier") as client:
        yield Asking(client, await let_agency_in(world.database.url, metadata, DEPARTMENT))
    await service.database.close()


async def test_messages_are_listed_newest_first_each_with_its_attempts(
    world: World, hook: Receiver, key_file: Any, owner: Asking
) -> None:
    await one_message(world, hook.url)
    hook.answer(503, body="bảo trì\r\n")
    made = dispatcher(world, key_file)
    await made.drain()
    world.system.advance(seconds=600)
    await world.feed("steps", submission())
    await made.drain()
    answer = await owner.get(limit=1)
    assert answer.status_code == 200, answer.text
    (newest,) = answer.json()["items"]
    (oldest,) = (await owner.get(limit=1, after=answer.json()["next"])).json()["items"]
    assert [one.headers["webhook-id"] for one in hook.received[-2:]] == [oldest["message_id"], newest["message_id"]]
    assert (oldest["state"], oldest["attempts"], newest["attempts"]) == ("delivered", 2, 1)
    assert [(one["number"], one["outcome"], one["status"]) for one in oldest["attempts_made"]] == [
        (1, "away", 503),
        (2, "delivered", 200),
    ]
    assert oldest["attempts_made"][0]["answer"] == "bảo trì  "
    assert all(one["milliseconds"] >= 0 for one in oldest["attempts_made"])
    shown = (await owner.get(f"/deliveries/{oldest['message_id']}")).json()
    assert shown.pop("body").encode() == hook.received[0].body
    assert shown == oldest


async def test_they_are_filtered(world: World, hook: Receiver, key_file: Any, owner: Asking) -> None:
    await one_message(world, hook.url)
    world.system.advance(seconds=600)
    later = world.system.now().isoformat()
    await world.feed("steps", submission())
    await dispatcher(world, key_file).drain()
    queries: list[tuple[dict[str, str], int]] = [
        ({"state": "delivered"}, 2),
        ({"state": "failed"}, 0),
        ({"event": "submission.received"}, 2),
        ({"event": "verdict.reached"}, 0),
        ({"since": later}, 1),
        ({"until": later}, 1),
        ({"since": later, "until": later}, 0),
    ]
    for query, count in queries:
        answer = await owner.get(**query)
        assert len(answer.json()["items"]) == count, query
    cursor = (await owner.get(limit=1)).json()["next"]
    assert_problem(await owner.get(after=cursor, state="delivered"), 400, "bad-request")


async def test_a_replay_sends_the_same_message_under_its_id_and_is_kept(
    world: World, hook: Receiver, key_file: Any, owner: Asking
) -> None:
    await one_message(world, hook.url)
    made = dispatcher(world, key_file)
    await made.drain()
    (first,) = hook.received
    path = f"/deliveries/{first.headers['webhook-id']}/replay"
    for _ in range(2):  # the answer was lost
        ordered = await owner.post(path, key="one")
        assert (ordered.status_code, ordered.json()["messages"]) == (202, 1), ordered.text
    assert ordered.headers["idempotent-replayed"] == "true"
    await made.drain()
    assert [(one.headers["webhook-id"], one.body) for one in hook.received] == [
        (first.headers["webhook-id"], first.body)
    ] * 2
    (shown,) = (await owner.get()).json()["items"]
    assert (shown["state"], shown["attempts"], shown["replays"]) == ("delivered", 2, 1)
    assert [one["number"] for one in shown["attempts_made"]] == [1, 2]
    (kept,) = await world.rows("SELECT made_by, messages FROM webhook_replays")
    assert kept == {"made_by": f"agency/{DEPARTMENT}", "messages": 1}
    assert_problem(
        await owner.post("/replay", {"since": "2026-10-01T00:00:00Z"}, key="one"), 422, "idempotency-key-reused"
    )
    soon = await owner.post(path, key="two")
    assert_problem(soon, 429, "too-many-requests")
    assert 1 <= int(soon.headers["retry-after"]) <= 11
    world.system.advance(seconds=10)
    assert (await owner.post(path, key="two")).json()["messages"] == 1
    # what is on its way is left alone
    world.system.advance(seconds=10)
    async with world.database.transaction() as tx:
        await tx.execute(text("UPDATE webhook_deliveries SET state = 'pending'"))
    assert (await owner.post(path, key="three")).json()["messages"] == 0


async def test_a_span_of_failed_messages_has_its_ten_attempts_anew(
    world: World, hook: Receiver, key_file: Any, owner: Asking
) -> None:
    await one_message(world, hook.url)
    made = dispatcher(world, key_file)
    for _ in range(len(DELAYS) + 1):
        hook.answer(404)
        await made.drain()
        (row,) = await deliveries(world)
        if row["due_at"] is not None:
            world.system.set(row["due_at"] + timedelta(hours=1))
    begun = world.system.now()
    await world.feed("steps", submission())
    hook.answer(404)
    await made.drain()
    span = {"since": (begun - timedelta(days=10)).isoformat(), "until": begun.isoformat(), "states": ["failed"]}
    assert (await owner.post("/replay", span)).json()["messages"] == 1
    hook.answer(500)
    await made.drain()
    row = (await deliveries(world))[0]
    assert (row["state"], row["attempts"], row["attempts_before"]) == ("retry", len(DELAYS) + 2, len(DELAYS) + 1)
    assert row["due_at"] - world.system.now() < timedelta(seconds=7)  # the first wait, not the last
    shown = (await owner.get(f"/deliveries/msg_{row['delivery_id'].hex}")).json()
    assert [one["number"] for one in shown["attempts_made"]] == list(range(1, len(DELAYS) + 3))


async def test_a_span_is_of_what_was_queued_in_it_and_not_too_large(
    world: World, hook: Receiver, key_file: Any, owner: Asking, monkeypatch: pytest.MonkeyPatch
) -> None:
    await one_message(world, hook.url)
    world.system.advance(seconds=60)
    await world.feed("steps", submission(), submission())
    await dispatcher(world, key_file).drain()
    since = world.system.now().isoformat()
    monkeypatch.setattr(replaying, "MAX_MESSAGES", 1)
    refused = await owner.post("/replay", {"since": since})
    assert_problem(refused, 422, "unprocessable")
    monkeypatch.setattr(replaying, "MAX_MESSAGES", 2)
    for body, count in (
        ({"since": since, "events": ["verdict.reached"]}, 0),
        ({"since": since, "states": ["failed"]}, 0),
        ({"since": since}, 2),
    ):
        assert (await owner.post("/replay", body)).json()["messages"] == count
        world.system.advance(seconds=10)
    assert_problem(await owner.post("/replay", {"since": since, "until": since}), 422, "unprocessable")
    assert_problem(await owner.post("/replay", {"since": "0001-01-01T00:00:00+14:00"}), 422, "unprocessable")
    assert_problem(
        await owner.post("/replay", {"since": since}, **{"Idempotency-Key": ""}), 400, "idempotency-key-missing"
    )


async def test_a_replay_to_a_webhook_that_takes_nothing_is_refused_until_it_is_resumed(
    world: World, hook: Receiver, key_file: Any, owner: Asking
) -> None:
    await one_message(world, hook.url)
    hook.answer(410)
    made = dispatcher(world, key_file)
    await made.drain()
    (message,) = (await owner.get()).json()["items"]
    path = f"/deliveries/{message['message_id']}/replay"
    stopped = await owner.post(path)
    assert_problem(stopped, 409, "webhook-not-active")
    assert stopped.json()["state"] == "stopped"
    await world.feed("registry", registered(hook.url, version=2, state="paused"))
    assert (await owner.post(path)).json()["state"] == "paused"
    await world.feed("registry", registered(hook.url, version=3))
    assert (await owner.post(path)).json()["messages"] == 1
    await made.drain()
    assert [row["state"] for row in await deliveries(world)] == ["delivered"]


async def test_health_says_since_when_it_fails_and_when_it_took_a_message_last(
    world: World, hook: Receiver, key_file: Any, owner: Asking
) -> None:
    await one_message(world, hook.url)
    made = dispatcher(world, key_file)
    await made.drain()
    taken = world.system.now()
    well = (await owner.get("/health")).json()
    assert datetime.fromisoformat(well.pop("delivered_at")) == taken
    assert well == {"state": "active", "failing_since": None, "failures": 0, "rest_until": None, "waiting": 0}
    world.system.advance(seconds=60)
    failed = world.system.now()
    await world.feed("steps", submission())
    for count in (1, 2):
        hook.answer(500)
        await made.drain()
        ill = (await owner.get("/health")).json()
        assert (ill["failures"], ill["waiting"]) == (count, 1)
        assert datetime.fromisoformat(ill["failing_since"]) == failed
        assert datetime.fromisoformat(ill["rest_until"]) > world.system.now()
        world.system.advance(seconds=600)
    hook.answer(410)
    await made.drain()
    assert (await owner.get("/health")).json()["state"] == "stopped"
    await world.feed("registry", registered(hook.url, version=2))
    again = (await owner.get("/health")).json()
    assert (again["state"], again["failing_since"], again["failures"]) == ("active", None, 0)
    assert datetime.fromisoformat(again["delivered_at"]) == taken


async def test_intake_is_told_at_once_of_trouble_and_its_end_and_else_seldom(
    world: World, hook: Receiver, key_file: Any
) -> None:
    async def told() -> list[tuple[int | None, bool, datetime]]:
        found = await world.recorded()
        assert {one["agency"] for one in found} == {DEPARTMENT}
        return [(one["status"], one["failing_since"] is not None, one["attempted_at"]) for one in found]

    made = dispatcher(world, key_file)
    await one_message(world, hook.url)
    await made.drain()
    expected = [(200, False, world.system.now())]
    assert await told() == expected
    world.system.advance(seconds=60)
    await world.feed("steps", submission())
    await made.drain()
    assert await told() == expected, "it fares as it was told a minute ago"
    last = world.system.now()
    world.system.advance(seconds=600)
    await made.step()
    expected.append((200, False, last))
    assert await told() == expected, "ten minutes later the last attempt is told too, though none was made since"
    await made.step()
    assert await told() == expected
    for answer, failing in ((503, True), (200, False)):
        world.system.advance(seconds=30)
        hook.answer(answer)
        if failing:
            await world.feed("steps", submission())
        await made.drain()
        expected.append((answer, failing, world.system.now()))
        assert await told() == expected
    await world.feed("registry", registered(hook.url, version=2))
    await made.step()
    assert await told() == expected, "nothing was sent under the new registration yet"
    await world.feed("steps", submission())
    await made.drain()
    assert [one["version"] for one in await world.recorded()] == [1, 1, 1, 1, 2]


async def test_another_agencys_webhook_is_not_there(world: World, hook: Receiver, key_file: Any, owner: Asking) -> None:
    await one_message(world, hook.url)
    await dispatcher(world, key_file).drain()
    message = f"/deliveries/msg_{(await deliveries(world))[0]['delivery_id'].hex}"
    url = world.database.url

    async def answers(headers: dict[str, str]) -> list[httpx.Response]:
        order = {**headers, "Idempotency-Key": uuid4().hex}
        ask, since = owner.client, {"since": "2026-10-01T00:00:00Z"}
        return [
            await ask.get(f"{PATH}/health", headers=headers),
            await ask.get(f"{PATH}/deliveries", headers=headers),
            await ask.get(f"{PATH}{message}", headers=headers),
            await ask.post(f"{PATH}{message}/replay", headers={**order, "Idempotency-Key": uuid4().hex}),
            await ask.post(f"{PATH}/replay", json=since, headers=order),
        ]

    below = await person(world, "qt-duoi", COMMUNE)
    for headers in (await let_agency_in(url, metadata, COMMUNE), below):
        for answer in await answers(headers):
            assert_problem(answer, 404, "not-found")
    reading = await let_agency_in(url, metadata, DEPARTMENT, ["read"])
    for answer in await answers(reading):
        assert_problem(answer, 403, "forbidden")
    # who keeps it from above, and an operator
    for headers in (await person(world, "qt-tren", PROVINCE), OPERATOR):
        assert [answer.status_code for answer in (await answers(headers))[:4]] == [200, 200, 200, 202]
        world.system.advance(seconds=10)
    for missing in ("msg_x", f"msg_{uuid4().hex}"):
        assert_problem(await owner.get(f"/deliveries/{missing}"), 404, "not-found")
        assert_problem(await owner.post(f"/deliveries/{missing}/replay"), 404, "not-found")
    await world.feed("registry", registered(hook.url, version=2, state="deleted"))
    assert_problem(await owner.get(), 404, "not-found")


async def person(world: World, person_id: str, agency: str) -> dict[str, str]:
    """The headers of a key of a person who administers this agency and those below it."""
    office = PersonsOffice(role="administrator", agency=agency, since=date(2020, 1, 1))
    held = PersonRegistered(person_id=person_id, agency=agency, name="Nguyễn Văn A", offices=(office,), version=1)
    return await let_person_in(world.database.url, metadata, held, "administer")


async def test_a_list_costs_the_same_however_much_lies_behind_it(world: World, hook: Receiver) -> None:
    """The plan of each listing reads an index from its end; the negative control sorts by what has none."""
    await world.feed("registry", *registry(), registered(hook.url))
    plans = {}
    async with world.database.transaction() as tx:
        await tx.execute(
            text("""
            INSERT INTO webhook_deliveries
                   (delivery_id, webhook_id, event, cause, occurred_at, body, agency, obligation, created_at, state)
            SELECT gen_random_uuid(), :id, 'verdict.reached', n::text, now(), '', '', '', now() + n * interval '1 s',
                   'delivered'
              FROM generate_series(1, 3000) n
        """),
            {"id": WEBHOOK},
        )
        await tx.execute(text("ANALYZE webhook_deliveries"))
        for name, condition, order in (
            ("all", "", "created_at DESC, number DESC"),
            ("failed", "AND state = 'failed'", "created_at DESC, number DESC"),
            ("control", "", "occurred_at DESC"),
        ):
            rows = await tx.execute(
                text(
                    f"EXPLAIN SELECT * FROM webhook_deliveries WHERE webhook_id = '{WEBHOOK}' {condition}"
                    f" ORDER BY {order} LIMIT 10"
                )
            )
            plans[name] = "\n".join(rows.scalars())
    assert "Index Scan" in plans["all"]
    assert "Sort" not in plans["all"]
    assert "webhook_deliveries_failed" in plans["failed"]
    assert "Sort" in plans["control"]
