"""Who is shown what an agency has at notifier: its webhooks and their messages, its escalations, its silences."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import uuid4

import httpx
import pytest

from services.notifier.channels.webhook import callers as webhook_callers
from services.notifier.main import build
from services.notifier.settings import NotifierSettings
from services.notifier.tables import metadata
from shared.access import Scope
from shared.consuming.batch import Batch
from shared.contract.events import KeyRegistered, PersonRegistered
from shared.contract.events.registry import PersonsOffice
from shared.postgres.database import Database
from shared.projection.keyring import access_copy
from shared.runtime.settings import CommonSettings, KafkaSettings
from shared.web.authentication import new_key
from tests.fakes.operators import OPERATOR, let_operator_in
from tests.integration.matrix import NOBODY, Caller, Thing, asking, trespasses
from tests.integration.notifier.rig import COMMUNE, DEADLINE, DEPARTMENT, PROVINCE, World, overdue, registry
from tests.integration.notifier.test_escalations import CALENDAR, at
from tests.integration.notifier.test_webhooks import registered, submission

OWN, OTHER, EVERY = frozenset({DEPARTMENT}), frozenset({COMMUNE}), frozenset({DEPARTMENT, COMMUNE, PROVINCE})
KEEPS_WEBHOOKS = frozenset({"submit", "administer", "operate"})


async def let_in(database: Database, *, person: tuple[str, str] | None = None, **key: Any) -> str:
    """A new key in the copy; `person`: its owner's role, and where."""
    made = new_key()
    principal = key.pop("agency", None) or f"nguoi-{uuid4().hex[:8]}"
    record = KeyRegistered(
        key_id=made.key_id, sha256=made.sha256.hex(), principal_kind="person" if person else "agency",
        principal_id=principal, created_at=datetime.now(UTC), version=1, **key,
    )  # fmt: skip
    events: list[KeyRegistered | PersonRegistered] = [record]
    if person:
        office = PersonsOffice(role=person[0], agency=person[1], since=date(2020, 1, 1))
        fields: dict[str, Any] = {"person_id": principal, "agency": person[1], "name": "Trần Thị B", "title": ""}
        events.append(PersonRegistered(**fields, offices=(office,), contacts=(), version=1))
    async with database.transaction() as tx:
        await access_copy(metadata)(Batch.of(events), tx)
    return made.secret_text


async def callers(database: Database) -> Sequence[Caller]:
    all_of: tuple[Scope, ...] = ("submit", "read", "review", "administer")
    sends: tuple[Scope, ...] = ("submit", "read")
    ended = datetime.now(UTC) - timedelta(seconds=1)

    async def agency(code: str, **more: Any) -> str:
        return await let_in(database, agency=code, **{"scopes": sends, **more})

    async def person(role: str, of: str) -> str:
        return await let_in(database, person=(role, of), scopes=all_of)

    await let_operator_in(database.url, metadata)
    return [
        NOBODY,
        Caller("agency", await agency(DEPARTMENT), DEPARTMENT, {"submit": OWN, "read": OWN}),
        Caller("other agency", await agency(COMMUNE), COMMUNE, {"submit": OTHER, "read": OTHER}),
        Caller("reading key", await agency(DEPARTMENT, scopes=("read",)), DEPARTMENT, {"read": OWN}),
        Caller("revoked key", await agency(DEPARTMENT, revoked_at=ended), DEPARTMENT, {"submit": OWN}, dead=True),
        Caller("expired key", await agency(DEPARTMENT, expires_at=ended), DEPARTMENT, {"submit": OWN}, dead=True),
        Caller("reviewer", await person("reviewer", PROVINCE), PROVINCE, {"read": EVERY, "review": EVERY}),
        Caller("reviewer of one", await person("reviewer", DEPARTMENT), DEPARTMENT, {"read": OWN, "review": OWN}),
        Caller(
            "administrator", await person("administrator", PROVINCE), PROVINCE,
            {"read": EVERY, "administer": EVERY},
        ),
        Caller(
            "administrator of one", await person("administrator", DEPARTMENT), DEPARTMENT,
            {"read": OWN, "administer": OWN},
        ),
        Caller("operator", OPERATOR["Authorization"].partition(" ")[2], None, {"operate": frozenset({"*"})}),
    ]  # fmt: skip


async def things_of(world: World, client: httpx.AsyncClient) -> list[Thing]:
    """Webhooks with a message, an escalation and a silence of each of the two agencies."""
    hooks = {code: uuid4() for code in (DEPARTMENT, COMMUNE)}
    await world.feed(
        "registry",
        *registry(),
        *(registered("https://h.example/", webhook_id=hook, agency=code) for code, hook in hooks.items()),
    )
    await world.feed("steps", *(submission(code) for code in hooks))
    await world.feed("compliance", CALENDAR, *(overdue(code=code) for code in hooks))
    await at(world, DEADLINE)
    messages = {
        row["webhook_id"]: str(row["delivery_id"])
        for row in await world.rows("SELECT webhook_id, delivery_id FROM webhook_deliveries")
    }
    escalated = await world.rows("SELECT id, agency FROM notifications WHERE kind = 'escalation'")
    assert DEPARTMENT in {row["agency"] for row in escalated}
    things = [
        Thing("/v1/webhooks/{webhook_id}", code, str(hook), KEEPS_WEBHOOKS, (("message_id", messages[hook]),))
        for code, hook in hooks.items()
    ]
    things += [
        Thing("/v1/escalations/{notification_id}", row["agency"], str(row["id"]), frozenset({"submit"}))
        for row in escalated
    ]
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
    service.app.state.strangers._burst = 10_000.0
    transport = httpx.ASGITransport(app=service.app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://notifier") as client:
        who = await callers(world.database)
        things = await things_of(world, client)
        assert await trespasses(service.app, who, things, asking(client), {}) == []
        # negative control: webhooks that everybody keeps
        monkeypatch.setattr(webhook_callers, "keeps_webhooks", lambda *_, **__: True)
        other = [caller for caller in who if caller.name == "other agency"]
        found = await trespasses(service.app, other, things[:1], asking(client), {})
    await service.database.close()
    assert f"other agency: get /v1/webhooks/{things[0].id}/health of {DEPARTMENT}: 200, not reached" in found
