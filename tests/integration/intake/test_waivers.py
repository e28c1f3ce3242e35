"""An agency asks for a waiver, another person above it decides; what is granted is a record of the registry."""

from __future__ import annotations

import asyncio
import json
from datetime import timedelta
from typing import Any

import httpx

from tests.integration.intake import rig
from tests.integration.intake.rig import COMMUNE, DEPARTMENT, NOW, Intake, Province, intake, load, rows
from tests.integration.intake.test_principals import key_of, person
from tests.integration.intake.test_submitting import assert_problem

TODAY = NOW.date()
TOMORROW, LAST = TODAY + timedelta(days=1), TODAY + timedelta(days=30)
PEOPLE = [
    person("vp", "provincial_office", "H99"),
    person("quan-tri", "administrator", "H99"),
    person("duyet", "reviewer", "H99"),
    person("rieng", "chair", COMMUNE),
    person("so", "reporting_officer", DEPARTMENT),
]


def asked(**others: Any) -> dict[str, Any]:
    body = {
        "regime": "KTXH", "rule": "K01", "reason": "Biểu mẫu chưa tách số liệu", "since": TOMORROW.isoformat(),
        "until": LAST.isoformat(), "asked_by": "cb-01",
    }  # fmt: skip
    return body | others


async def call(client: Intake, key: str, path: str, body: Any = None, *, once: str = "") -> httpx.Response:
    headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
    if once:
        headers["Idempotency-Key"] = once
    if body is None:
        return await client.client.get(path, headers=headers)
    return await client.client.post(path, content=json.dumps(body), headers=headers)


async def keys_of(province: Province, *people: str) -> list[str]:
    await load(province.url, PEOPLE)
    return [await key_of(province.url, "person", one) for one in people]


async def test_what_another_person_grants_is_in_the_registry_and_the_audit_trail(province: Province) -> None:
    office, reviewer = await keys_of(province, "vp", "duyet")
    own, other = province.keys[DEPARTMENT], province.keys[COMMUNE]
    async with intake(province) as client:
        made = await call(client, own, "/v1/waivers", asked(), once="a")
        again = await call(client, own, "/v1/waivers", asked(), once="a")
        assert (made.status_code, again.status_code) == (201, 200), made.text
        assert made.json() == again.json()
        assert (made.json()["state"], made.json()["agencies"]) == ("open", [DEPARTMENT])
        assert_problem(
            await call(client, own, "/v1/waivers", asked(rule="H01"), once="a"), 422, "idempotency-key-reused"
        )
        assert await rows(province.url, "SELECT key FROM registry WHERE kind = 'waiver'") == []
        waiver_id = made.json()["waiver_id"]
        path = f"/v1/waivers/{waiver_id}"
        for key, found in ((own, 200), (other, 404), (office, 200), (reviewer, 200)):
            assert (await call(client, key, path)).status_code == found
            listed = (await call(client, key, "/v1/waivers?state=open")).json()["items"]
            assert len(listed) == (found == 200)
        decision = {"decision": "grant", "reason": "Đồng ý", "until": (LAST - timedelta(days=3)).isoformat()}
        assert_problem(await call(client, reviewer, f"{path}/decision", decision), 403, "forbidden")
        for _ in range(2):
            granted = await call(client, office, f"{path}/decision", decision)
            assert granted.status_code == 200, granted.text
        assert_problem(
            await call(client, office, f"{path}/decision", {"decision": "refuse", "reason": "Không"}),
            409,
            "waiver-decided",
        )
        shown = (await call(client, own, path)).json()
        assert (shown["state"], shown["decided_by"], shown["granted_until"]) == ("granted", "vp", decision["until"])
    (record,) = await rows(province.url, "SELECT record FROM registry WHERE key = :key", key=f"waiver/{waiver_id}")
    names = ("rule", "agencies", "asked_by", "approved_by", "since", "until")
    assert {name: record[0][name] for name in names} == {
        "rule": "K01", "agencies": [DEPARTMENT], "asked_by": "cb-01", "approved_by": "vp",
        "since": TOMORROW.isoformat(), "until": decision["until"],
    }  # fmt: skip
    trail = await rows(
        province.url,
        "SELECT by, kind, action FROM audit_trail WHERE key = :key AND via = 'api' ORDER BY audit_id",
        key=waiver_id,
    )
    assert trail == [
        (DEPARTMENT, "waiver_request", "requested"), ("vp", "waiver", "created"), ("vp", "waiver_request", "granted"),
    ]  # fmt: skip
    published = await rows(province.url, "SELECT key FROM outbox WHERE key = :key", key=f"waiver/{waiver_id}")
    assert len(published) == 1


async def test_nobody_decides_an_own_request_or_one_from_outside_the_reach(province: Province) -> None:
    office, administrator, beside, officer = await keys_of(province, "vp", "quan-tri", "rieng", "so")
    await load(province.url, [rig.officer("vp", DEPARTMENT, name="Trần Thị B")])  # the same human being, as an officer
    async with intake(province) as client:
        made = await call(client, province.keys[DEPARTMENT], "/v1/waivers", asked(asked_by="vp"), once="a")
        path = f"/v1/waivers/{made.json()['waiver_id']}/decision"
        assert_problem(await call(client, office, path, {"decision": "grant"}), 403, "forbidden")
        assert_problem(await call(client, beside, path, {"decision": "grant"}), 404, "not-found")
        assert_problem(await call(client, officer, path, {"decision": "grant"}), 403, "forbidden")
        assert_problem(await call(client, province.keys[DEPARTMENT], path, {"decision": "grant"}), 403, "forbidden")
        assert_problem(await call(client, administrator, path, {"decision": "refuse"}), 422, "unprocessable")
        assert await rows(province.url, "SELECT decision FROM waiver_requests") == [(None,)]
        control = await call(client, administrator, path, {"decision": "refuse", "reason": "Biểu mẫu đã sửa"})
        assert (control.status_code, control.json()["state"]) == (200, "refused")
    assert await rows(province.url, "SELECT key FROM registry WHERE kind = 'waiver'") == []


async def test_a_request_that_does_not_fit_is_told_everything_at_once_and_not_stored(province: Province) -> None:
    (officer,) = await keys_of(province, "so")
    own = province.keys[DEPARTMENT]
    async with intake(province) as client:
        bad = asked(rule="V01", asked_by="cb-50", agencies=[COMMUNE], since=TODAY.isoformat(), reason="TUYỆT MẬT: x")
        found = await call(client, own, "/v1/waivers", bad, once="a")
        assert_problem(found, 422, "unprocessable")
        places = {error["pointer"] for error in found.json()["errors"]}
        assert places >= {"/rule", "/asked_by", "/agencies/0", "/since", "/reason"}
        for key, body in ((own, asked(asked_by=None)), (officer, asked()), (own, asked(regime="NONE"))):
            assert_problem(await call(client, key, "/v1/waivers", body, once="b"), 422, "unprocessable")
        assert await rows(province.url, "SELECT waiver_id FROM waiver_requests") == []
        control = await call(client, officer, "/v1/waivers", asked(asked_by=None), once="b")
        assert (control.status_code, control.json()["asked_by"]) == (201, "so")


async def test_of_two_decisions_at_once_one_stands(province: Province) -> None:
    office, administrator = await keys_of(province, "vp", "quan-tri")
    async with intake(province) as client:
        made = await call(client, province.keys[DEPARTMENT], "/v1/waivers", asked(), once="a")
        path = f"/v1/waivers/{made.json()['waiver_id']}/decision"
        found = await asyncio.gather(
            call(client, office, path, {"decision": "grant"}),
            call(client, administrator, path, {"decision": "refuse", "reason": "Không"}),
        )
        assert sorted(one.status_code for one in found) == [200, 409]


async def test_a_grant_begins_tomorrow_and_none_is_given_once_the_days_are_over(province: Province) -> None:
    (office,) = await keys_of(province, "vp")
    async with intake(province) as client:
        paths = []
        for once, until in (("a", LAST), ("b", TODAY + timedelta(days=3))):
            body = asked(until=until.isoformat())
            made = await call(client, province.keys[DEPARTMENT], "/v1/waivers", body, once=once)
            paths.append(f"/v1/waivers/{made.json()['waiver_id']}/decision")
        client.clock.advance(days=5)
        granted = await call(client, office, paths[0], {"decision": "grant"})
        assert (granted.status_code, granted.json()["granted_since"]) == (200, (TODAY + timedelta(days=6)).isoformat())
        assert_problem(await call(client, office, paths[1], {"decision": "grant"}), 422, "unprocessable")


async def test_an_administrator_records_a_waiver_in_no_other_name(province: Province) -> None:
    (administrator,) = await keys_of(province, "quan-tri")
    record = {
        "waiver_id": "MN-1", "regime": "KTXH", "rule": "K01", "agencies": [DEPARTMENT], "asked_by": "cb-01",
        "approved_by": "vp", "reason": "Biểu mẫu", "since": TOMORROW.isoformat(), "until": LAST.isoformat(),
    }  # fmt: skip

    async def put(client: Intake, by: str) -> httpx.Response:
        headers = {"Authorization": f"Bearer {administrator}", "Content-Type": "application/json", "If-None-Match": "*"}
        return await client.client.put(
            "/v1/registry/waiver/MN-1?why=x", content=json.dumps(record | {"approved_by": by}), headers=headers
        )

    async with intake(province, neighbours=(), agency_burst_milliseconds=10_000_000) as client:
        assert (await put(client, "vp")).status_code == 403
        assert (await put(client, "quan-tri")).status_code == 201, "the control"
