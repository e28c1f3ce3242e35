"""An agency's webhooks: added, shown, changed, rotated, tested and deleted by those who may, and by nobody else."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from services.intake import consumer
from services.intake.registry import load as loading
from services.intake.webhooks import commands, store
from services.intake.webhooks.domain import MAX_WEBHOOKS
from shared.consuming.batch import Batch
from shared.contract.events import WebhookHealth, WebhookRegistered, WebhookStopped
from shared.contract.webhook_secrets import MasterKeys, line_of, read_master_keys, shown
from shared.postgres.database import Database
from tests.integration.intake import rig
from tests.integration.intake.rig import COMMUNE, DEPARTMENT, OPERATOR_KEY, Intake, Province, load, rows
from tests.integration.intake.test_principals import key_of, person
from tests.integration.intake.test_submitting import assert_problem

PATH = "/v1/webhooks"
BODY: dict[str, Any] = {
    "url": "https://bao-cao.h99.example/thong-bao",
    "events": ["submission.received", "verdict.reached"],
    "contact": "cntt@h99.example",
}
EDIT = {**BODY, "state": "active"}


@pytest.fixture
def key_file(tmp_path: Path) -> Path:
    path = tmp_path / "webhook_keys"
    path.write_text(line_of("0000000a", b"\1" * 32))
    return path


@asynccontextmanager
async def intake(province: Province, key_file: Path | None, **settings: Any) -> AsyncIterator[Intake]:
    async with rig.intake(
        province, webhook_key_file=key_file, agency_burst_milliseconds=10_000_000, **settings
    ) as client:
        yield client


async def call(
    client: Intake, method: str, path: str = "", body: Any = None, *, of: str = DEPARTMENT, key: str = "", **more: str
) -> httpx.Response:
    headers = client.headers(of, more.pop("idempotency", None))
    headers |= {name.replace("_", "-"): value for name, value in more.items()}
    if key:
        headers["Authorization"] = f"Bearer {key}"
    return await client.client.request(method, f"{PATH}{path}", json=body, headers=headers)


async def added(client: Intake, of: str = DEPARTMENT, **others: Any) -> dict[str, Any]:
    answer = await call(client, "POST", body={**BODY, **others}, of=of)
    assert answer.status_code == 201, answer.text
    return answer.json()  # type: ignore[no-any-return]


async def told(url: str, *said: WebhookHealth | WebhookStopped) -> None:
    database = Database(url, pool_size=1)
    try:
        async with database.transaction() as tx:
            await consumer.notices(Batch.of(said), tx)
    finally:
        await database.close()


def master_keys(path: Path) -> MasterKeys:
    return read_master_keys(path.read_bytes())


def mode(path: Path) -> int:
    return path.stat().st_mode & 0o777


async def events_of(url: str) -> list[WebhookRegistered]:
    found = await rows(url, "SELECT body FROM outbox WHERE key LIKE 'webhook/%' ORDER BY id")
    return [WebhookRegistered.model_validate_json(bytes(body)) for (body,) in found]


async def test_a_webhook_is_added_and_its_secret_is_shown_once_and_lies_nowhere(
    province: Province, key_file: Path
) -> None:
    async with intake(province, key_file) as client:
        answer = await call(client, "POST", body=BODY, idempotency="one")
        assert answer.status_code == 201, answer.text
        made = answer.json()
        assert answer.headers["cache-control"] == "no-store"
        assert answer.headers["location"] == f"{PATH}/{made['webhook_id']}"
        shown_one = await call(client, "GET", f"/{made['webhook_id']}")
        assert shown_one.headers["etag"] == answer.headers["etag"] == '"1"'
        secret = made.pop("secret")
        assert shown_one.json() == made
        assert made["secrets"] == [{"generation": 1, "ends_at": None}]
        # the answer was lost: the same call gives it again, and adds nothing
        again = await call(client, "POST", body=BODY, idempotency="one")
        assert (again.status_code, again.headers["idempotent-replayed"], again.json()["secret"]) == (
            200,
            "true",
            secret,
        )
        other = await call(client, "POST", body={**BODY, "contact": "x@h99.example"}, idempotency="one")
        assert_problem(other, 422, "idempotency-key-reused")
        listed = (await call(client, "GET")).json()["items"]
        assert listed == [made]
    (event,) = await events_of(province.url)
    assert secret == shown(
        master_keys(key_file).secret(event.secrets[0].master_key, event.webhook_id, event.secrets[0].generation)
    )
    assert (event.agency, event.url, event.state, event.version) == (DEPARTMENT, BODY["url"], "active", 1)
    assert "contact" not in event.model_dump()
    everything = await rows(
        province.url,
        "SELECT CAST(webhook_endpoints AS text) FROM webhook_endpoints UNION ALL SELECT CAST(o AS text) FROM outbox o"
        " UNION ALL SELECT CAST(a AS text) FROM audit_trail a UNION ALL SELECT CAST(w AS text) FROM webhook_orders w",
    )
    assert not any(secret.removeprefix("whsec_") in text for (text,) in everything)


async def test_everything_that_is_wrong_is_said_at_once(province: Province, key_file: Path) -> None:
    async with intake(province, key_file) as client:
        events = ["submission.received", "submission.received"]
        body = {"url": "https://10.0.0.1/", "events": events, "contact": "nobody"}
        for answer in (
            await call(client, "POST", body=body),
            await call(
                client, "PUT", f"/{(await added(client))['webhook_id']}", {**body, "state": "paused"}, If_Match='"1"'
            ),
        ):
            assert_problem(answer, 422, "unprocessable")
            assert {error["pointer"] for error in answer.json()["errors"]} == {"/url", "/events", "/contact"}
        unknown = await call(client, "POST", body={**BODY, "events": ["everything"]})
        assert_problem(unknown, 422, "unprocessable")


async def test_a_change_needs_the_version_that_was_read(province: Province, key_file: Path) -> None:
    async with intake(province, key_file) as client:
        path = f"/{(await added(client))['webhook_id']}"
        assert_problem(await call(client, "PUT", path, EDIT), 428, "precondition-required")
        assert_problem(await call(client, "PUT", path, EDIT, If_Match="x"), 400, "bad-request")
        paused = await call(client, "PUT", path, {**EDIT, "state": "paused"}, If_Match='"1"')
        assert (paused.status_code, paused.headers["etag"], paused.json()["state"]) == (200, '"2"', "paused")
        stale = await call(client, "PUT", path, EDIT, If_Match='"1"')
        assert_problem(stale, 412, "precondition-failed")
        assert stale.headers["etag"] == '"2"'
        same = await call(client, "PUT", path, {**EDIT, "state": "paused"}, If_Match='"2"')
        assert same.headers["etag"] == '"2"'
        assert_problem(await call(client, "DELETE", path, If_Match='"1"'), 412, "precondition-failed")
        assert (await call(client, "DELETE", path, If_Match='"2"')).status_code == 204
        for gone in (
            await call(client, "GET", path),
            await call(client, "PUT", path, EDIT, If_Match='"3"'),
            await call(client, "DELETE", path, If_Match='"3"'),
            await call(client, "POST", f"{path}/test"),
            await call(client, "POST", f"{path}/resumption"),
            await call(client, "POST", f"{path}/rotation", {}),
        ):
            assert_problem(gone, 404, "not-found")
        assert (await call(client, "GET")).json()["items"] == []
    assert [event.state for event in await events_of(province.url)] == ["active", "paused", "deleted"]
    assert await rows(province.url, "SELECT DISTINCT contact FROM webhook_endpoints") == [("",)]
    trail = await rows(province.url, "SELECT action, via, by FROM audit_trail WHERE kind = 'webhook' ORDER BY audit_id")
    assert trail == [(action, "api", DEPARTMENT) for action in ("created", "changed", "deleted")]
    audited = await rows(province.url, "SELECT CAST(audit_trail AS text) FROM audit_trail WHERE kind = 'webhook'")
    assert not any(BODY["contact"] in text for (text,) in audited)


async def test_two_secrets_sign_for_a_while_and_never_three(province: Province, key_file: Path) -> None:
    async with intake(province, key_file) as client:
        made = await added(client)
        path = f"/{made['webhook_id']}/rotation"
        rotated = await call(client, "POST", path, {"old_ends_after_hours": 2}, idempotency="r1")
        assert rotated.status_code == 201, rotated.text
        new = rotated.json()
        assert new["secret"] != made["secret"]
        assert [one["generation"] for one in new["secrets"]] == [2, 1]
        assert new["secrets"][1]["ends_at"] is not None
        again = await call(client, "POST", path, {"old_ends_after_hours": 2}, idempotency="r1")
        assert (again.status_code, again.json()["secret"]) == (200, new["secret"])
        assert_problem(await call(client, "POST", path, {}, idempotency="r2"), 409, "two-webhook-secrets")
        # a refused call leaves its key free
        leaked = await call(client, "POST", path, {"old_ends_after_hours": 0}, idempotency="r2")
        assert leaked.status_code == 201, leaked.text
        assert [one["generation"] for one in leaked.json()["secrets"]] == [3]
        late = await call(client, "POST", path, {"old_ends_after_hours": 2}, idempotency="r1")
        assert (late.status_code, late.json()["secret"]) == (200, None)
        # the master key changes: what was derived goes on, what is new comes of the new one
        assert commands.webhook_keys(["new", str(key_file)]) == 0
        assert mode(key_file) == 0o600
        newest = await call(client, "POST", path, {"old_ends_after_hours": 2}, idempotency="r3")
        assert newest.status_code == 201, newest.text
    first = master_keys(key_file).first
    last = (await events_of(province.url))[-1]
    assert [one.master_key for one in last.secrets] == [first, "0000000a"]
    assert [one.until is None for one in last.secrets] == [True, False]


async def test_a_webhook_whose_receiver_is_gone_shows_it_until_it_is_changed(
    province: Province, key_file: Path
) -> None:
    async with intake(province, key_file) as client:
        path = f"/{(await added(client))['webhook_id']}"
        (event,) = await events_of(province.url)
        stop = WebhookStopped(
            webhook_id=event.webhook_id, agency=event.agency, at=rig.NOW, reason="gone", version=event.version
        )
        await told(province.url, stop)
        assert (await call(client, "PUT", path, EDIT, If_Match='"1"')).json()["stopped"]["reason"] == "gone"
        shown_one = (await call(client, "GET", path)).json()
        assert shown_one["stopped"]["reason"] == "gone"
        assert (await call(client, "GET")).json()["items"] == [shown_one]
        changed = await call(client, "PUT", path, {**EDIT, "url": "https://moi.h99.example/"}, If_Match='"1"')
        assert changed.json()["stopped"] is None
        assert (await call(client, "GET", path)).json()["stopped"] is None


async def test_how_a_receiver_fares_is_shown_until_the_webhook_is_changed(province: Province, key_file: Path) -> None:
    async with intake(province, key_file) as client:
        path = f"/{(await added(client))['webhook_id']}"
        (event,) = await events_of(province.url)
        (standing,) = (await client.get("/v1/me")).json()["webhooks"]
        assert standing == {
            "webhook_id": str(event.webhook_id), "covers": "own", "state": "active", "stopped": None, "health": None,
        }  # fmt: skip
        first = {"webhook_id": event.webhook_id, "agency": event.agency, "version": event.version}
        well = WebhookHealth(**first, attempted_at=rig.NOW, status=200, delivered_at=rig.NOW)
        ill = WebhookHealth(
            **first, attempted_at=rig.NOW + timedelta(minutes=1), delivered_at=rig.NOW,
            failing_since=rig.NOW + timedelta(seconds=30),
        )  # fmt: skip
        await told(province.url, ill, well)
        await told(province.url, well)
        shown = (await call(client, "GET", path)).json()["health"]
        assert {name: moment and datetime.fromisoformat(moment) for name, moment in shown.items()} == {
            "attempted_at": ill.attempted_at, "status": None, "delivered_at": rig.NOW,
            "failing_since": ill.failing_since,
        }  # fmt: skip
        (standing,) = (await client.get("/v1/me")).json()["webhooks"]
        assert standing["health"] == shown
        assert "url" not in standing
        assert (await client.get("/v1/me", of=rig.COMMUNE)).json()["webhooks"] == []
        changed = await call(client, "PUT", path, {**EDIT, "url": "https://moi.h99.example/"}, If_Match='"1"')
        assert changed.json()["health"] is None, "what was met concerns the older registration"
        stop = WebhookStopped(**first | {"version": event.version + 1}, at=rig.NOW, reason="gone")
        await told(province.url, stop)
        (standing,) = (await client.get("/v1/me")).json()["webhooks"]
        assert (standing["stopped"]["reason"], standing["health"]) == ("gone", None)


@pytest.mark.parametrize("why", ["gone", "paused", "active"])
async def test_a_resumption_sends_again_whatever_stopped_it(province: Province, key_file: Path, why: str) -> None:
    """Also where notifier's word of a 410 has not arrived: the new version is what starts it again."""
    async with intake(province, key_file) as client:
        path = f"/{(await added(client))['webhook_id']}"
        (event,) = await events_of(province.url)
        if why == "gone":
            stop = WebhookStopped(
                webhook_id=event.webhook_id, agency=event.agency, at=rig.NOW, reason="gone", version=event.version
            )
            await told(province.url, stop)
        elif why == "paused":
            await call(client, "PUT", path, {**EDIT, "state": "paused"}, If_Match='"1"')
        before = (await events_of(province.url))[-1].version
        resumed = await call(client, "POST", f"{path}/resumption")
        assert resumed.status_code == 200, resumed.text
        assert (resumed.json()["state"], resumed.json()["stopped"]) == ("active", None)
        assert resumed.headers["etag"] == f'"{before + 1}"'
    last = (await events_of(province.url))[-1]
    assert (last.version, last.state) == (before + 1, "active")
    (action,) = await rows(
        province.url, "SELECT action FROM audit_trail WHERE kind = 'webhook' ORDER BY audit_id DESC LIMIT 1"
    )
    assert action == ("resumed",)


async def test_a_test_is_ordered_once_and_not_too_often(province: Province, key_file: Path) -> None:
    async with intake(province, key_file) as client:
        path = f"/{(await added(client))['webhook_id']}/test"
        ordered = await call(client, "POST", path, idempotency="t1")
        assert ordered.status_code == 202, ordered.text
        again = await call(client, "POST", path, idempotency="t1")
        assert (again.json(), again.headers["idempotent-replayed"]) == (ordered.json(), "true")
        soon = await call(client, "POST", path, idempotency="t2")
        assert_problem(soon, 429, "too-many-requests")
        assert 1 <= int(soon.headers["retry-after"]) <= 11
    events = await events_of(province.url)
    assert [str(event.test_id) for event in events] == ["None", ordered.json()["test_id"]]


async def test_a_foreign_webhook_is_not_there(province: Province, key_file: Path) -> None:
    await load(province.url, [person("qt", "administrator", DEPARTMENT), person("qt-2", "administrator", "H99")])
    async with intake(province, key_file) as client:
        one = f"/{(await added(client))['webhook_id']}"
        for who in ({"of": COMMUNE}, {"key": await key_of(province.url, "person", "qt")}):
            other = f"/{(await added(client, of=COMMUNE))['webhook_id']}"
            for path in (one if "of" in who else other,):
                for answer in (
                    await call(client, "GET", path, **who),
                    await call(client, "PUT", path, EDIT, If_Match='"1"', **who),
                    await call(client, "DELETE", path, If_Match='"1"', **who),
                    await call(client, "POST", f"{path}/test", **who),
                    await call(client, "POST", f"{path}/resumption", **who),
                    await call(client, "POST", f"{path}/rotation", {}, **who),
                ):
                    assert_problem(answer, 404, "not-found")
        foreign = await call(client, "POST", body={**BODY, "agency": COMMUNE})
        assert_problem(foreign, 404, "not-found")
        # an administrator keeps those within reach, an operator all
        above, operator = await key_of(province.url, "person", "qt-2"), OPERATOR_KEY.secret_text
        for key in (above, operator):
            made = await call(client, "POST", body={**BODY, "agency": COMMUNE}, key=key)
            assert made.status_code == 201, made.text
            assert len((await call(client, "GET", key=key)).json()["items"]) >= 4
            only = (await call(client, "GET", f"?agency={DEPARTMENT}", key=key)).json()["items"]
            assert [item["agency"] for item in only] == [DEPARTMENT]
            nowhere = await call(client, "POST", body={**BODY, "agency": "H99.77"}, key=key)
            assert_problem(nowhere, 404, "not-found")
        assert (await call(client, "GET", f"?agency={COMMUNE}")).json()["items"] == []
        reading = await key_of(province.url, "agency", DEPARTMENT, ["read"])
        assert_problem(await call(client, "GET", key=reading), 403, "forbidden")


async def test_of_those_below_who_reviews_there_registers_and_the_agencys_own_key_does_not(
    province: Province, key_file: Path
) -> None:
    people = [person("chu-tich", "chair", "H99"), person("duyet", "reviewer", COMMUNE), person("dm", "head", "H99")]
    await load(province.url, people)
    body = {**BODY, "agency": "H99", "covers": "below", "events": ["obligation.overdue", "obligation.escalated"]}
    async with intake(province, key_file) as client:
        chair = await key_of(province.url, "person", "chu-tich")
        made = await call(client, "POST", body=body, key=chair)
        assert made.status_code == 201, made.text
        assert made.json()["covers"] == "below"
        path = f"/{made.json()['webhook_id']}"
        receipts = await call(client, "POST", body={**body, "events": ["submission.received"]}, key=chair)
        assert_problem(receipts, 422, "unprocessable")
        edit = {**EDIT, "events": ["submission.received"]}
        assert_problem(await call(client, "PUT", path, edit, If_Match='"1"', key=chair), 422, "unprocessable")
        own = await call(client, "POST", body={**body, "covers": "own"}, key=chair)
        assert_problem(own, 404, "not-found")  # a chair sends no reports
        for other in ("duyet", "dm"):
            key = await key_of(province.url, "person", other)
            assert_problem(await call(client, "POST", body=body, key=key), 404, "not-found")
            assert_problem(await call(client, "GET", path, key=key), 404, "not-found")
            assert_problem(await call(client, "POST", f"{path}/rotation", {}, key=key), 404, "not-found")
            assert (await call(client, "GET", key=key)).json()["items"] == []
        assert_problem(await call(client, "POST", body={**body, "agency": DEPARTMENT}), 404, "not-found")
        assert len((await call(client, "GET", key=chair)).json()["items"]) == 1
    (event,) = await events_of(province.url)
    assert (event.agency, event.covers) == ("H99", "below")


async def test_an_agency_has_so_many_and_no_more_however_they_are_sent(province: Province, key_file: Path) -> None:
    async with intake(province, key_file) as client:
        answers = await asyncio.gather(*(call(client, "POST", body=BODY) for _ in range(MAX_WEBHOOKS + 3)))
        assert sorted(answer.status_code for answer in answers) == [201] * MAX_WEBHOOKS + [409] * 3
        page = (await call(client, "GET", "?limit=7")).json()
        rest = (await call(client, "GET", f"?limit=7&after={page['next']}")).json()
        assert (len(page["items"]), len(rest["items"]), rest["next"]) == (7, MAX_WEBHOOKS - 7, None)


async def test_without_master_keys_nothing_is_added(province: Province, tmp_path: Path) -> None:
    for path in (None, tmp_path / "none"):
        async with intake(province, path) as client:
            assert_problem(await call(client, "POST", body=BODY), 503, "unavailable")
    assert await events_of(province.url) == []


async def test_a_private_target_is_for_machines_that_say_so(province: Province, key_file: Path) -> None:
    url = "http://127.0.0.1:9000/hook"
    async with intake(province, key_file) as client:
        assert_problem(await call(client, "POST", body={**BODY, "url": url}), 422, "unprocessable")
    async with intake(province, key_file, webhook_private_networks="127.0.0.0/8") as client:
        await added(client, url=url)


async def test_all_are_published_again_with_the_registry(
    province: Province, key_file: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    async with intake(province, key_file) as client:
        await added(client)
    database = Database(province.url, pool_size=1)
    try:
        async with database.transaction() as tx:
            await loading.republish(tx)
        async with database.transaction() as tx:
            assert [webhook.version for webhook in await store.everything(tx)] == [1]
    finally:
        await database.close()
    first, second = await events_of(province.url)
    assert first == second
    monkeypatch.setenv("INTAKE_DATABASE_URL", province.url)
    await asyncio.to_thread(commands.webhook_keys, ["list"])
    assert capsys.readouterr().out.splitlines()[-1] == "0000000a\t1"
