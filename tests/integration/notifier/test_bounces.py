"""A mail that came back has told nobody: its notices fail, whoever is above hears sooner, and it is taken once."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from services.notifier import commands
from services.notifier.delivery import bounces
from services.notifier.delivery.bounces import Bounce
from tests.fakes.operators import OPERATOR
from tests.fakes.smtp import FakeSmtp
from tests.integration.notifier.rig import DEADLINE, World, overdue, registry
from tests.integration.notifier.test_escalations import CALENDAR, at
from tests.integration.notifier.test_ledger_api import client
from tests.integration.notifier.test_mailing import MORNING, sweep, three_late
from tests.unit.notifier.test_bounces import dsn

__all__ = ["client"]


async def take(world: World, message_id: str) -> Any:
    async with world.database.transaction() as tx:
        return await bounces.take(tx, Bounce(message_id, "5.1.1 unknown"), by="mx", at=world.business.now())


async def test_an_escalation_that_bounced_goes_on_to_the_next_rung_at_once(world: World, smtp: FakeSmtp) -> None:
    await world.feed("registry", *registry())
    await world.feed("compliance", CALENDAR, overdue())
    await at(world, DEADLINE)
    await world.drain(world.dispatcher(smtp))
    before = (await world.rows("SELECT next_at FROM escalations"))[0]["next_at"]
    assert before > DEADLINE
    mail = next(row for row in await world.ledger() if row["officer_id"] == "dept-head")
    taken = await take(world, mail["message_id"])
    assert taken is not None
    assert taken[0] == [mail["id"]]
    [row] = await world.rows("SELECT state, reason FROM notifications WHERE officer_id = 'dept-head'")
    assert row == {"state": "failed", "reason": "bounced: 5.1.1 unknown"}
    assert (await world.rows("SELECT next_at FROM escalations"))[0]["next_at"] == DEADLINE
    assert [(event["outcome"], event["officer_id"]) for event in await world.recorded()][-1] == ("failed", "dept-head")
    assert await take(world, mail["message_id"]) == ([], []), "once"
    assert len(await world.rows("SELECT FROM bounces")) == 1
    assert await take(world, "<nobody@elsewhere.example>") is None
    others = [row["state"] for row in await world.ledger() if row["officer_id"] == "dept-named"]
    assert others == ["sent"], "the officer's mail arrived"


async def test_every_matter_of_a_mail_that_bounced_has_failed(world: World, smtp: FakeSmtp) -> None:
    await three_late(world)
    await sweep(world, MORNING)
    await world.drain(world.dispatcher(smtp))
    rows = [row for row in await world.ledger() if row["officer_id"] == "dept-head"]
    carrier = next(row for row in rows if row["id"] == row["mail_id"])
    await take(world, carrier["message_id"])
    states = [row["state"] for row in await world.ledger() if row["officer_id"] == "dept-head"]
    assert states == ["failed"] * 3


async def test_a_mail_server_posts_what_came_back_and_an_operator_may_give_the_file(
    world: World, smtp: FakeSmtp, client: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    await world.reminder()
    await world.drain(world.dispatcher(smtp))
    sent = (await world.one())["message_id"]
    url, kind = "/v1/bounces", {"Content-Type": "message/rfc822", "Idempotency-Key": "first"}
    keyless = await client.post(url, content=dsn(message_id=sent), headers=OPERATOR)
    assert (keyless.status_code, keyless.json()["type"]) == (400, "/problems/idempotency-key-missing")
    assert (await client.post(url, content=dsn(message_id=sent), headers=kind)).status_code == 401
    assert (await client.post(url, content=b"hello", headers={**OPERATOR, **kind})).status_code == 422
    assert (await client.post(url, content=dsn(), headers={**OPERATOR, **kind})).status_code == 404
    answer = await client.post(url, content=dsn(message_id=sent), headers={**OPERATOR, **kind})
    assert (answer.status_code, len(answer.json()["notices"])) == (200, 1)
    assert (await world.one())["reason"] == "bounced: 5.1.1 smtp; 550 5.1.1 <…>: user unknown"
    again = await client.post(url, content=dsn(message_id=sent), headers={**OPERATOR, **kind})
    assert (again.json(), again.headers["idempotent-replayed"]) == (answer.json(), "true")
    other = await client.post(url, content=dsn(message_id=sent, diagnostic="x"), headers={**OPERATOR, **kind})
    assert (other.status_code, other.json()["type"]) == (422, "/problems/idempotency-key-reused")
    second = {**OPERATOR, **kind, "Idempotency-Key": "second"}
    known = [await client.post(url, content=dsn(message_id=sent), headers=second) for _ in range(2)]
    assert [one.json()["notices"] for one in known] == [[], []], "the same bounce under another key is no news"
    assert ["idempotent-replayed" in one.headers for one in known] == [False, True]
    monkeypatch.setattr("services.notifier.commands.database_url", lambda _: world.database.url)
    file = tmp_path / "bounce.eml"
    file.write_bytes(dsn(message_id=sent))
    assert await asyncio.to_thread(commands.mail, ["bounced", str(file), "--by", "an"]) == 0
    file.write_bytes(b"hello")
    assert await asyncio.to_thread(commands.mail, ["bounced", str(file)]) == 1


async def test_a_bounce_that_is_reported_twice_at_once_under_one_key_is_taken_once(
    world: World, smtp: FakeSmtp, client: Any
) -> None:
    await world.reminder()
    await world.drain(world.dispatcher(smtp))
    content = dsn(message_id=(await world.one())["message_id"])
    headers = {**OPERATOR, "Content-Type": "message/rfc822", "Idempotency-Key": "once"}
    answers = await asyncio.gather(*(client.post("/v1/bounces", content=content, headers=headers) for _ in range(4)))
    assert {answer.status_code for answer in answers} == {200}
    assert len({answer.text for answer in answers}) == 1
    assert sum("idempotent-replayed" in answer.headers for answer in answers) == 3
    assert len(await world.rows("SELECT FROM bounces")) == 1
    failed = [event for event in await world.recorded() if event["outcome"] == "failed"]
    assert len(failed) == 1
