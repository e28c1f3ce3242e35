"""Keys of people and operators: what they open follows from offices and scopes; how keys are made, rotated, ended."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from services.intake.access import keys
from services.intake.access.keys import ApiKey, KeyRefused
from shared.access import PrincipalKind, Scope
from shared.contract.events import KeyRegistered, PersonRegistered
from shared.postgres.database import Database
from shared.web.tokens import SigningKey
from tests.integration.intake.rig import (
    COMMUNE,
    DEPARTMENT,
    Intake,
    Province,
    intake,
    load,
    officer,
    report,
    rows,
)
from tests.integration.intake.test_access import sent
from tests.integration.intake.test_following import apply, opened
from tests.integration.intake.test_submitting import assert_problem

SINCE = date(2026, 1, 1)


def person(person_id: str, role: str, of: str, **office: Any) -> PersonRegistered:
    held = {"role": role, "agency": of, "since": SINCE, **office}
    record = {"person_id": person_id, "agency": DEPARTMENT, "name": "Trần Thị B", "offices": [held], "version": 0}
    return PersonRegistered.model_validate(record)


PEOPLE = [
    person("chu-tich", "chair", "H99"),
    person("duyet", "reviewer", "H99", regimes=("TUAN",)),
    person("cu", "chair", "H99", until=date(2026, 9, 30)),
    person("so", "reporting_officer", DEPARTMENT),
]


async def key_of(
    url: str, kind: PrincipalKind, principal_id: str, scopes: Iterable[Scope] | None = None, **how: Any
) -> str:
    database = Database(url, pool_size=1)
    try:
        async with database.transaction() as tx:
            owner = keys.owner(kind, principal_id, scopes)
            made, refused = await keys.issue(tx, [owner], datetime.now(UTC), **how)
        for reason in refused.values():
            raise reason
        return made[owner].secret_text
    finally:
        await database.close()


async def events_of(url: str, key_id: str) -> list[KeyRegistered]:
    query = "SELECT body FROM outbox WHERE key = :key ORDER BY id"
    return [KeyRegistered.model_validate_json(body) for (body,) in await rows(url, query, key=f"key/{key_id}")]


def get(client: Intake, key: str, path: str, **params: Any) -> Any:
    return client.client.get(path, params=params or None, headers={"Authorization": f"Bearer {key}"})


@pytest.fixture
async def people(province: Province) -> dict[str, str]:
    """Keys of people by id."""
    await load(province.url, PEOPLE)
    return {one.person_id: await key_of(province.url, "person", one.person_id) for one in PEOPLE}


async def test_a_person_reads_for_the_agencies_that_an_office_reaches(
    province: Province, people: dict[str, str]
) -> None:
    async with intake(province) as client:
        of_department, of_commune = await sent(client)
        await apply(province.url, [opened(COMMUNE), opened(DEPARTMENT)])
        chair = people["chu-tich"]
        for agency, submission in ((COMMUNE, of_commune), (DEPARTMENT, of_department)):
            listed = (await get(client, chair, "/v1/submissions", agency=agency)).json()["items"]
            assert [item["submission_id"] for item in listed] == [submission]
            for path in (f"/v1/submissions/{submission}", f"/v1/submissions/{submission}/timeline",
                         "/v1/obligations", "/v1/obligations/KTXH/2026-M10", "/v1/me", "/v1/regimes",
                         "/v1/regimes/KTXH"):  # fmt: skip
                answer = await get(client, chair, path, agency=agency)
                assert answer.status_code == 200, (path, answer.text)
        assert (await get(client, chair, "/v1/me")).json()["agency"]["code"] == DEPARTMENT, "where the person works"
        other = await get(client, chair, f"/v1/submissions/{of_commune}", agency=DEPARTMENT)
        unknown = await get(client, chair, "/v1/submissions", agency="H99.404")
        of_officer = await get(client, people["so"], "/v1/submissions", agency=COMMUNE)
        for answer in (other, unknown, of_officer):
            assert_problem(answer, 404, "not-found")


async def test_an_agencys_key_with_another_agency_finds_nothing(province: Province) -> None:
    async with intake(province) as client:
        await sent(client)
        assert (await client.get("/v1/submissions", agency=DEPARTMENT)).status_code == 200
        for path in ("/v1/submissions", "/v1/obligations", "/v1/me", "/v1/regimes"):
            assert_problem(await client.get(path, agency=COMMUNE), 404, "not-found")


async def test_an_office_for_some_regimes_opens_those_alone(province: Province, people: dict[str, str]) -> None:
    reviewer = people["duyet"]
    async with intake(province) as client:
        of_department, _ = await sent(client)
        for filters in ({}, {"regime": "KTXH"}):
            answer = await get(client, reviewer, "/v1/submissions", agency=DEPARTMENT, **filters)
            assert_problem(answer, 404, "not-found")
        answer = await get(client, reviewer, "/v1/submissions", agency=DEPARTMENT, regime="TUAN")
        assert (answer.status_code, answer.json()["items"]) == (200, [])
        for page in ("", "/timeline", "/receipt"):
            path = f"/v1/submissions/{of_department}{page}"
            assert_problem(await get(client, reviewer, path, agency=DEPARTMENT), 404, "not-found")


async def test_an_office_that_has_ended_and_a_key_without_the_scope_open_nothing(
    province: Province, people: dict[str, str]
) -> None:
    reading = await key_of(province.url, "agency", DEPARTMENT, ["read"])
    async with intake(province) as client:
        assert_problem(await get(client, people["cu"], "/v1/submissions", agency=COMMUNE), 403, "forbidden")
        assert (await get(client, reading, "/v1/submissions")).status_code == 200
        client.province.keys[DEPARTMENT] = reading
        assert_problem(await client.post(report()), 403, "forbidden")


async def test_a_person_decides_with_a_key_that_may_review_alone(province: Province, people: dict[str, str]) -> None:
    """A chair who is an officer too: a key made to send must not decide, though it takes steps."""
    await load(province.url, [person("kiem", "chair", "H99"), officer("kiem", DEPARTMENT, name="Trần Thị B")])
    sending = await key_of(province.url, "person", "kiem", ["read", "submit"])
    whole = await key_of(province.url, "person", "kiem")
    async with intake(province) as client:
        path = f"/v1/submissions/{(await sent(client))[0]}/review"

        async def ask(key: str) -> Any:
            headers = {"Authorization": f"Bearer {key}", "Idempotency-Key": "tra-lai"}
            return await client.client.post(
                path, json={"decision": "rework", "reason": "Thiếu số liệu"}, headers=headers
            )

        assert (await ask(sending)).status_code == 403
        assert (await ask(whole)).status_code == 409, "the control: only its state forbids it, for it has no verdict"


async def test_a_person_sends_for_the_agency_that_an_office_allows(province: Province, people: dict[str, str]) -> None:
    async with intake(province) as client:
        client.province.keys[DEPARTMENT] = people["so"]
        assert (await client.post(report())).status_code == 201
        client.province.keys[DEPARTMENT] = people["chu-tich"]
        assert_problem(await client.post(report(2)), 403, "forbidden")


async def test_an_officer_has_a_key_without_a_persons_record(province: Province) -> None:
    key = await key_of(province.url, "person", "cb-50")
    async with intake(province, registry_poll_seconds=0.05) as client:
        assert (await get(client, key, "/v1/me")).json()["agency"]["code"] == COMMUNE
        await load(province.url, [officer("cb-50", COMMUNE, active=False)])
        await client.service.backgrounds[0].refresh()
        assert_problem(await get(client, key, "/v1/me"), 403, "forbidden")


async def test_an_operators_key_opens_exports_and_no_agencys_reports(province: Province) -> None:
    key = await key_of(province.url, "operator", "van-hanh")
    async with intake(province) as client:
        assert (await get(client, key, "/v1/exports/submissions")).status_code == 200
        assert_problem(await get(client, key, "/v1/submissions", agency=DEPARTMENT), 403, "forbidden")


@pytest.mark.parametrize(
    ("kind", "principal_id", "scopes", "what"),
    [
        ("agency", DEPARTMENT, ["operate"], "may have the scopes submit, read"),
        ("operator", "a b", None, "operator's name"),
        ("operator", "van-hanh", ["read"], "may have the scopes operate"),
        ("person", "nobody", None, "no person"),
        ("agency", "H99.404", None, "no agency"),
    ],
)
async def test_a_key_that_could_open_nothing_or_too_much_is_not_made(
    province: Province, kind: PrincipalKind, principal_id: str, scopes: list[Scope] | None, what: str
) -> None:
    with pytest.raises(KeyRefused, match=what):
        await key_of(province.url, kind, principal_id, scopes)


async def test_a_rotated_key_opens_until_the_stated_time_and_every_change_is_published(province: Province) -> None:
    old = province.keys[COMMUNE]
    old_id = old.split("_")[1]
    database = Database(province.url, pool_size=1)
    async with intake(province, registry_poll_seconds=0.05) as client:
        now = datetime.now(UTC)
        async with database.transaction() as tx:
            rotated_key = await keys.rotate(tx, old_id, now, now + timedelta(hours=1))
        owner, new = rotated_key.before.owner, rotated_key.new
        assert (owner.id, sorted(owner.scopes)) == (COMMUNE, ["read", "submit"])
        with pytest.raises(KeyRefused, match="2 live keys"):
            async with database.transaction() as tx:
                await keys.rotate(tx, new.key_id, now, now + timedelta(hours=1))
        for key in (old, new.secret_text):
            assert (await get(client, key, "/v1/submissions")).status_code == 200
        async with database.transaction() as tx:
            await keys.revoke(tx, old_id, datetime.now(UTC))
    await database.close()
    made, rotated, revoked = await events_of(province.url, old_id)
    assert [event.version for event in (made, rotated, revoked)] == [1, 2, 3]
    assert (made.expires_at, rotated.expires_at) == (None, now + timedelta(hours=1))
    assert revoked.revoked_at is not None
    assert {event.principal_id for event in (made, rotated, revoked)} == {COMMUNE}
    [fresh] = await events_of(province.url, new.key_id)
    assert (fresh.sha256, fresh.scopes) == (new.sha256.hex(), ("submit", "read"))
    assert new.secret_text.rpartition("_")[2] not in fresh.model_dump_json()


async def test_a_token_opens_intake_for_whom_it_names_while_its_key_is_trusted(province: Province) -> None:
    """A key is trusted once, by one service, until it is revoked; and no more than two at a time."""
    sign, second, third = SigningKey.new(), SigningKey.new(), SigningKey.new()
    database, now = Database(province.url, pool_size=1), datetime.now(UTC)

    async def trust(key: SigningKey, issuer: str = "board") -> ApiKey | None:
        async with database.transaction() as tx:
            return await keys.trust(tx, issuer, key.public, now)

    def token(person_id: str = "cb-50", service: str = "intake", key: SigningKey = sign) -> str:
        return key.token("board", person_id, service, datetime.now(UTC))

    async with intake(province, registry_poll_seconds=0.05) as client:
        assert_problem(await get(client, token(), "/v1/me"), 401, "unauthorized")
        trusted = await trust(sign)
        assert trusted is not None
        assert (trusted.key_id, await trust(sign)) == (sign.key_id, None)
        await client.service.backgrounds[0].refresh()
        assert (await get(client, token(), "/v1/me")).json()["agency"]["code"] == COMMUNE
        for other in (token(service="notifier"), token("nobody"), token(key=second)):
            assert_problem(await get(client, other, "/v1/me"), 401, "unauthorized")
        assert_problem(await get(client, token(), "/v1/exports/submissions"), 403, "forbidden")
        with pytest.raises(KeyRefused, match="was registered before"):
            await trust(sign, "another")
        with pytest.raises(KeyRefused, match="The service makes the key"):
            async with database.transaction() as tx:
                await keys.rotate(tx, sign.key_id, now, now + timedelta(hours=1))
        await trust(second)
        with pytest.raises(KeyRefused, match="2 live keys"):
            await trust(third)
        async with database.transaction() as tx:
            await keys.revoke(tx, sign.key_id, datetime.now(UTC))
        await client.service.backgrounds[0].refresh()
        assert_problem(await get(client, token(), "/v1/me"), 401, "unauthorized")
        with pytest.raises(KeyRefused, match="was registered before"):
            await trust(sign)
    await database.close()
    made, revoked = await events_of(province.url, sign.key_id)
    assert (made.principal_kind, made.principal_id, made.public_key) == ("issuer", "board", sign.public.hex())
    assert (made.scopes, revoked.revoked_at is not None) == (("submit", "read", "review", "administer"), True)
