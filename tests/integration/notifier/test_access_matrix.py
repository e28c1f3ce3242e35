"""Who is shown what an agency has at notifier: its webhooks and their messages, its escalations, its silences."""

from __future__ import annotations

from datetime import timedelta
from uuid import uuid4

import httpx
import pytest

from services.notifier.channels.webhook import callers as webhook_callers
from services.notifier.main import build
from services.notifier.settings import NotifierSettings
from services.notifier.tables import metadata
from shared.runtime.settings import CommonSettings, KafkaSettings
from tests.fakes.operators import OPERATOR
from tests.integration.callers import callers
from tests.integration.matrix import Thing, asking, trespasses, unlimited
from tests.integration.notifier.rig import COMMUNE, DEADLINE, DEPARTMENT, PROVINCE, World, officer, overdue, registry
from tests.integration.notifier.test_escalations import CALENDAR, at
from tests.integration.notifier.test_webhooks import registered, submission

KEEPS_WEBHOOKS = frozenset({"submit", "administer", "operate"})


async def things_of(world: World, client: httpx.AsyncClient) -> list[Thing]:
    """Webhooks with a message, an escalation and a silence of each of the two agencies."""
    hooks = {code: uuid4() for code in (DEPARTMENT, COMMUNE)}
    await world.feed(
        "registry",
        *registry(),
        officer("commune-head", COMMUNE, "head"),
        *(registered("https://h.example/", webhook_id=hook, agency=code) for code, hook in hooks.items()),
    )
    await world.feed("steps", *(submission(code) for code in hooks))
    await world.feed("compliance", CALENDAR, *(overdue(code=code) for code in hooks))
    await at(world, DEADLINE)
    messages = {
        row["webhook_id"]: str(row["delivery_id"])
        for row in await world.rows("SELECT webhook_id, delivery_id FROM webhook_deliveries")
    }
    notices = await world.rows("SELECT id, agency, kind FROM notifications")
    escalated = [row for row in notices if row["kind"] == "escalation"]
    things = [
        Thing("/v1/webhooks/{webhook_id}", code, str(hook), KEEPS_WEBHOOKS, (("message_id", messages[hook]),))
        for code, hook in hooks.items()
    ]
    things += [
        Thing("/v1/escalations/{notification_id}", row["agency"], str(row["id"]), frozenset({"submit"}))
        for row in escalated
    ]
    things += [Thing("/v1/notifications/{notification_id}", row["agency"], str(row["id"])) for row in notices]
    until = (world.business.now() + timedelta(days=2)).isoformat()
    for code in hooks:
        order = {"agency": code, "until": until, "reason": "Lũ lớn, cả xã mất liên lạc."}
        made = await client.post("/v1/silences", json=order, headers={**OPERATOR, "Idempotency-Key": code})
        things.append(Thing("/v1/silences/{silence_id}", code, made.json()["id"]))
    return things


async def test_what_an_agency_has_is_found_by_those_alone_who_reach_it(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    service = build(
        settings=NotifierSettings.model_validate(
            {"database_url": world.database.url, "agency_burst_milliseconds": 1e9}
        ),
        common=CommonSettings(),
        kafka=KafkaSettings(),
        clock=world.business,
    )
    async with unlimited(service.app) as client:
        who = await callers(world.database, metadata, DEPARTMENT, COMMUNE, PROVINCE)
        things = await things_of(world, client)
        assert await trespasses(service.app, who, things, asking(client), {}) == []
        # negative control: webhooks that everybody keeps
        monkeypatch.setattr(webhook_callers, "keeps_webhooks", lambda *_, **__: True)
        other = [caller for caller in who if caller.name == "other agency"]
        found = await trespasses(service.app, other, things[:1], asking(client), {})
    await service.database.close()
    assert f"other agency: get /v1/webhooks/{things[0].id}/health of {DEPARTMENT}: 200, not reached" in found
