"""A person administers the agencies below an office, and nothing beside them; an operator everything."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import date
from typing import Any

import httpx
import pytest

from services.intake.registry.records import content_of
from shared.contract.events import AgencyRegistered, PersonRegistered
from tests.integration.intake import rig
from tests.integration.intake.rig import COMMUNE, DEPARTMENT, Intake, Province, load
from tests.integration.intake.test_principals import key_of, person

UNIT = "H99.01.05"


@pytest.fixture
async def key(province: Province) -> str:
    """Of the administrator of the department, which has a unit."""
    await load(
        province.url, [rig.agency(UNIT, "office", parent=DEPARTMENT), person("quan-tri", "administrator", DEPARTMENT)]
    )
    return await key_of(province.url, "person", "quan-tri")


@asynccontextmanager
async def intake(province: Province) -> AsyncIterator[Intake]:
    async with rig.intake(province, neighbours=(), agency_burst_milliseconds=10_000_000) as client:
        yield client


async def put(client: Intake, key: str, record: Any, *, version: int = 0, path: str = "") -> httpx.Response:
    kind, _, name = record.key.partition("/")
    condition = {"If-Match": f'"{version}"'} if version else {"If-None-Match": "*"}
    return await client.client.put(
        f"/v1/registry/{path or kind + '/' + name.replace('/', '@')}",
        params={"why": "thử"},
        content=json.dumps(content_of(record)),
        headers={"Authorization": f"Bearer {key}", "Content-Type": "application/json", **condition},
    )


async def get(client: Intake, key: str, path: str, **parameters: Any) -> httpx.Response:
    return await client.client.get(path, params=parameters, headers={"Authorization": f"Bearer {key}"})


def unit(**others: Any) -> AgencyRegistered:
    return rig.agency(UNIT, "office", **{"parent": DEPARTMENT, **others})


async def test_what_lies_below_the_office_is_changed_in_the_persons_name(province: Province, key: str) -> None:
    async with intake(province) as client:
        assert (await put(client, key, unit(name="Phòng A"), version=1)).status_code == 200
        assert (await put(client, key, rig.agency("H99.01.06", "office", parent=DEPARTMENT))).status_code == 201
        assert (await put(client, key, rig.officer("cb-05", UNIT))).status_code == 201
        assert (await put(client, key, person("duyet-05", "reviewer", UNIT))).status_code == 201
        assert (await put(client, key, rig.request("DX-2026-009", agencies=(UNIT,)))).status_code == 201
        only = rig.regime("RIENG", submitter_kinds=(), submitters=(UNIT,))
        assert (await put(client, key, only)).status_code == 201
    found = await rig.rows(province.url, "SELECT DISTINCT by FROM audit_trail WHERE via = 'api'")
    assert found == [("quan-tri",)]


async def test_what_lies_outside_is_not_found_and_not_taken(province: Province, key: str) -> None:
    async with intake(province) as client:
        commune = rig.agency(COMMUNE, "commune", parent="H99")
        there: tuple[Any, ...] = (commune, rig.agency("H99", "province"), rig.officer("cb-50", COMMUNE))
        for record in there:
            kind, _, name = record.key.partition("/")
            assert (await get(client, key, f"/v1/registry/{kind}/{name}")).status_code == 404
            assert (await get(client, key, f"/v1/registry/{kind}/{name}/versions/1")).status_code == 404
            assert (
                await put(client, key, record.model_copy(update={"name": "Tên khác"}), version=1)
            ).status_code == 404
        outside: list[tuple[Any, int]] = [
            (unit(parent="H99"), 1),  # out of the department's reach
            (unit(parent=COMMUNE), 1),
            (rig.agency("H99.71", parent="H99"), 0),
            (rig.agency("H98", "province"), 0),
            (rig.officer("cb-71", COMMUNE), 0),
            (rig.officer("cb-01", COMMUNE), 1),
            (person("leo-thang", "administrator", "H99"), 0),  # more than one has oneself
            (person("van-hanh", "operator", DEPARTMENT), 0),
            (rig.regime("CHUNG"), 0),  # binds communes too
            (rig.request("DX-2026-008", regime="THIENTAI"), 0),
            (rig.request("DX-2026-008", agencies=(UNIT, COMMUNE)), 0),
        ]
        before = await rig.rows(province.url, "SELECT key, version FROM registry ORDER BY key")
        for record, version in outside:
            answer = await put(client, key, record, version=version)
            assert answer.status_code == 403, (record.key, answer.text)
        assert await rig.rows(province.url, "SELECT key, version FROM registry ORDER BY key") == before
        operator = await key_of(province.url, "operator", "van-hanh")
        for record, version in outside[:6]:  # the control
            answer = await put(client, operator, record, version=version)
            assert answer.status_code in (200, 201, 412), (record.key, answer.text)


async def test_lists_hold_what_is_within_reach(province: Province, key: str) -> None:
    async with intake(province) as client:
        first = (await get(client, key, "/v1/registry/agency", limit=1)).json()
        rest = (await get(client, key, "/v1/registry/agency", limit=1, after=first["next"])).json()
        assert [row["key"] for row in first["items"] + rest["items"]] == [DEPARTMENT, UNIT]
        assert rest["next"] is None
        listed = (await get(client, key, "/v1/registry/officer")).json()["items"]
        assert {row["record"]["agency"] for row in listed} == {DEPARTMENT}
        unstaffed = (await get(client, key, "/v1/agencies/without-officer")).json()["items"]
        assert [row["code"] for row in unstaffed] == [UNIT]
        for path in ("/v1/audit", "/v1/regimes/review-due"):
            assert (await get(client, key, path)).status_code == 403, path
        chair = person("chu-tich", "chair", "H99")
        await load(province.url, [chair])
        for other in (await key_of(province.url, "person", "chu-tich"), province.keys[DEPARTMENT]):
            assert (await get(client, other, "/v1/registry/agency")).status_code == 403


async def test_a_version_of_a_regime_that_binds_others_is_not_taken(province: Province, key: str) -> None:
    """A version ends the one before it: with one for the own part, all others would owe nothing any more."""
    own = rig.regime("KTXH", regime_version=2, submitter_kinds=(), submitters=(UNIT,), effective_from=date(2027, 1, 1))
    async with intake(province) as client:
        answer = await put(client, key, own)
        assert answer.status_code == 403, answer.text
        first = rig.regime("RIENG", submitter_kinds=(), submitters=(UNIT,))
        assert (await put(client, key, first)).status_code == 201
        second = own.model_copy(update={"code": "RIENG"})
        assert (await put(client, key, second)).status_code == 201, "the control"


async def test_a_person_from_elsewhere_has_no_past_here(province: Province, key: str) -> None:
    """What a record was while it belonged to another agency is that agency's, and never shows a contact."""
    contacts = [{"channel": "email", "address": "cu@example.vn"}]
    there = person("tran-b", "reviewer", COMMUNE).model_dump(mode="json") | {"contacts": contacts}
    here = person("tran-b", "reviewer", UNIT).model_dump(mode="json") | {"contacts": contacts}
    for record in (there, here, {**here, "contacts": [{"channel": "email", "address": "moi@example.vn"}]}):
        await load(province.url, [PersonRegistered.model_validate(record)])
    async with intake(province) as client:
        path = "/v1/registry/person/tran-b/versions"
        assert (await get(client, key, f"{path}/1")).status_code == 404
        seen = await get(client, key, f"{path}/2")
        assert seen.status_code == 200, "the control"
        assert "fingerprint:" in seen.text
        assert "@example.vn" not in seen.text


async def test_an_id_does_not_tell_who_has_it_elsewhere(province: Province, key: str) -> None:
    async with intake(province) as client:
        answer = await put(client, key, person("cb-50", "reviewer", UNIT))
        assert answer.status_code == 404, answer.text
        assert "Nguyễn Văn A" not in answer.text
        operator = await key_of(province.url, "operator", "van-hanh")
        told = await put(client, operator, person("cb-50", "reviewer", UNIT))
        assert told.status_code == 422
        assert "Nguyễn Văn A" in told.text, "the control: whoever may read it is told"


async def test_an_operators_key_reaches_everything(province: Province) -> None:
    async with intake(province) as client:
        secret = await key_of(province.url, "operator", "van-hanh")
        assert (await get(client, secret, "/v1/registry/agency/H99")).status_code == 200
        for wrong in ("x", secret + "x", ""):
            assert (await get(client, wrong, "/v1/registry/agency/H99")).status_code == 401


async def test_an_agency_that_has_just_left_is_not_changed_any_more(province: Province, key: str) -> None:
    """What may be changed follows from the records that the change is checked against, not from an older copy."""
    async with rig.intake(province, neighbours=(), registry_poll_seconds=60) as client:
        assert (await put(client, key, unit(name="Phòng A"), version=1)).status_code == 200, "the control"
        await load(province.url, [unit(name="Phòng A", parent="H99")])
        assert (await put(client, key, unit(name="Phòng B", parent="H99"), version=3)).status_code == 404
