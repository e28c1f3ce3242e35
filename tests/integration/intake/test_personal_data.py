"""What is kept of a person: contacts of those who have left go, in every place and for good; who asks gets a copy."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import text

from services.intake.audit.domain import Author
from services.intake.lifecycle.deciding import Wanted
from services.intake.lifecycle.handlers import TakenNow
from services.intake.personal_data import export, handlers, retention
from services.intake.personal_data.commands import personal_data
from services.intake.personal_data.export import Part
from services.intake.registry import store as registry
from services.intake.registry.load import RegistryRefused
from shared.contract.events import OfficerRegistered, PersonRegistered, RegistryEvent
from shared.contract.events.registry import Contact
from shared.postgres.database import Database, Transaction
from tests.integration.intake.rig import (
    COMMUNE,
    DEPARTMENT,
    NOW,
    Province,
    intake,
    load,
    officer,
    report,
    rows,
)
from tests.integration.intake.test_lifecycle import OFFICER, take
from tests.integration.intake.test_principals import get, key_of, person
from tests.integration.intake.test_submitting import assert_problem

KEPT = timedelta(days=90)
LATER = datetime.now(UTC) + KEPT + timedelta(days=1)
GONE = {"until": date(2026, 5, 1)}
CONTACTS = (Contact(channel="email", address="cu@example.vn"), Contact(channel="phone", address="+84912345678"))


def leaver(**changes: Any) -> PersonRegistered:
    return person("cu", "chair", "H99", **GONE).model_copy(update={"contacts": CONTACTS, **changes})


async def swept(url: str, now: datetime = NOW, system_now: datetime = LATER) -> int:
    database, count = Database(url, pool_size=1), 0
    try:
        while True:
            async with database.transaction() as tx:
                blanked = await handlers.sweep(tx, now, system_now, KEPT)
            count += blanked
            if not blanked:
                return count
    finally:
        await database.close()


async def addresses(url: str) -> list[str]:
    """Where any row of intake's database still holds a contact of the tests' leavers."""
    tables = ("registry", "outbox", "outbox_archive", "outbox_set_aside", "audit_trail", "notices", "steps")
    bodies = ("outbox", "outbox_archive", "outbox_set_aside")
    found = []
    for table in tables:
        whole = "convert_from(body, 'UTF8')" if table in bodies else "CAST(t.* AS text)"
        query = f"SELECT {whole} AS said FROM {table} AS t WHERE {whole} ~ '(cb-02|cu)@example.vn|912345678'"
        found += [table for _ in await rows(url, query)]
    return found


async def archived(url: str) -> None:
    """As if everything had been sent."""
    database = Database(url, pool_size=1)
    columns = "id, event_id, topic, key, type, traceparent, headers, body, created_at"
    try:
        async with database.transaction() as tx:
            await tx.execute(text(f"INSERT INTO outbox_archive ({columns}) SELECT {columns} FROM outbox"))
            await tx.execute(text("DELETE FROM outbox"))
    finally:
        await database.close()


async def test_contacts_of_those_who_left_go_from_every_place_and_names_stay(province: Province) -> None:
    await load(province.url, [leaver(), officer("cb-02", DEPARTMENT, active=False)])
    await archived(province.url)
    assert set(await addresses(province.url)) == {"registry", "outbox_archive"}
    assert await swept(province.url) == 2
    assert await addresses(province.url) == []
    (event,) = await rows(province.url, "SELECT body FROM outbox WHERE key = 'officer/cb-02'")
    told = OfficerRegistered.model_validate_json(event.body)
    assert (told.email, told.name, told.version) == ("", "Nguyễn Văn A", 2)
    (kept,) = await rows(province.url, "SELECT body FROM outbox_archive WHERE key = 'officer/cb-02'")
    assert OfficerRegistered.model_validate_json(kept.body) == told.model_copy(update={"version": 1})
    (entry,) = await rows(province.url, "SELECT * FROM audit_trail WHERE key = 'cu' AND action = 'changed'")
    assert (entry.by, entry.via, entry.after) == ("intake", "service", {"contacts": []})
    assert await swept(province.url) == 0, "and it is over"


@pytest.mark.parametrize(
    ("now", "system_now"), [(NOW, datetime.now(UTC)), (datetime(2026, 7, 1, tzinfo=UTC), LATER)], ids=["new", "recent"]
)
async def test_who_left_lately_keeps_the_contacts(province: Province, now: datetime, system_now: datetime) -> None:
    await load(province.url, [leaver()])
    await swept(province.url, now, system_now)
    (row,) = await rows(province.url, "SELECT record FROM registry WHERE key = 'person/cu'")
    assert len(row.record["contacts"]) == 2


async def test_who_still_serves_under_either_record_keeps_them(province: Province) -> None:
    same = person("cb-02", "head", DEPARTMENT).model_copy(update={"name": "Nguyễn Văn A"})
    await load(province.url, [same, leaver(), officer("cu", DEPARTMENT, name="Trần Thị B")])
    assert await swept(province.url) == 0
    control = retention.has_left(officer("cb-02", DEPARTMENT, active=False), None, date(2026, 10, 20))
    assert control, "the officer's record alone says that he has left"


@pytest.mark.parametrize("meanwhile", [True, False], ids=["takes up an office", "control: nothing"])
async def test_who_serves_again_while_the_sweep_looks_keeps_them(
    province: Province, monkeypatch: pytest.MonkeyPatch, meanwhile: bool
) -> None:
    await load(province.url, [leaver()])
    again = leaver(offices=person("cu", "chair", "H99").offices)
    lock, changes = registry.lock, [again] if meanwhile else []

    async def changed_before_the_lock(tx: Transaction) -> int:
        if changes:
            await load(province.url, [changes.pop()])
        return await lock(tx)

    monkeypatch.setattr(registry, "lock", changed_before_the_lock)
    await swept(province.url)
    (row,) = await rows(province.url, "SELECT record FROM registry WHERE key = 'person/cu'")
    assert len(row.record["contacts"]) == (2 if meanwhile else 0)


async def test_a_folder_that_still_holds_them_brings_them_back_to_nobody(province: Province) -> None:
    await load(province.url, [leaver()])
    await swept(province.url)
    again: list[RegistryEvent] = [leaver(), officer("cb-02", DEPARTMENT, active=False)]
    assert (await load(province.url, again)).published == 0
    assert await addresses(province.url) == []
    assert (await load(province.url, [officer("cb-02", DEPARTMENT)])).published == 1, "who is back is written to again"
    (row,) = await rows(province.url, "SELECT record FROM registry WHERE key = 'officer/cb-02'")
    assert row.record["email"] == "cb-02@example.vn"


async def test_the_control_without_that_rule_they_come_back(
    province: Province, monkeypatch: pytest.MonkeyPatch
) -> None:
    await load(province.url, [leaver()])
    await swept(province.url)
    monkeypatch.setattr("services.intake.registry.load.keeping_blank", lambda before, record, today: record)
    await load(province.url, [leaver()])
    assert "registry" in await addresses(province.url)


async def test_many_who_left_are_blanked_step_by_step(province: Province, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(handlers, "AT_ONCE", 2)
    serving = [officer(f"cb-a{number}", DEPARTMENT, active=False) for number in range(3)]
    named = {"name": "Nguyễn Văn A"}  # these still serve, and are looked past
    both = [person(f"cb-a{number}", "head", DEPARTMENT).model_copy(update=named) for number in range(3)]
    left = [officer(f"cb-b{number}", DEPARTMENT, active=False) for number in range(3)]
    await load(province.url, [*serving, *both, *left])
    assert await swept(province.url) == 4, "with cb-02"


async def test_an_officer_on_duty_needs_an_address_and_gets_it_back(province: Province) -> None:
    blank = officer("cb-01", DEPARTMENT).model_copy(update={"email": ""})
    with pytest.raises(RegistryRefused, match="An officer on duty needs a mail address"):
        await load(province.url, [blank])
    kept = retention.keeping_blank(blank, officer("cb-01", DEPARTMENT), NOW.date())
    assert kept == officer("cb-01", DEPARTMENT)


async def test_forgetting_on_request_is_at_once_and_not_while_serving(province: Province) -> None:
    await load(province.url, [leaver()])
    database = Database(province.url, pool_size=1)
    try:
        async with database.transaction() as tx:
            assert await handlers.forget(tx, "cu", NOW, datetime.now(UTC), Author("An", "cô ấy yêu cầu")) == 1
        with pytest.raises(handlers.StillServing):
            async with database.transaction() as tx:
                await handlers.forget(tx, "cb-01", NOW, datetime.now(UTC), Author("An", "x"))
        with pytest.raises(handlers.Unknown):
            async with database.transaction() as tx:
                await handlers.forget(tx, "nobody", NOW, datetime.now(UTC), Author("An", "x"))
    finally:
        await database.close()


def test_the_command_says_what_it_did(
    province: Province, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("INTAKE_DATABASE_URL", province.url)
    assert personal_data(["forget", "cb-02", "--why", "yêu cầu của người ấy"]) == 0
    assert "1 bản ghi" in capsys.readouterr().out
    assert personal_data(["forget", "cb-01", "--why", "x"]) == 1
    assert "còn giữ nhiệm vụ" in capsys.readouterr().err
    assert personal_data(["export", "cb-01"]) == 0
    assert json.loads(capsys.readouterr().out)[0]["data"]["email"] == "cb-01@example.vn"
    assert personal_data(["export", "nobody"]) == 1


async def test_the_export_tells_of_everything_and_of_nobody_else(
    province: Province, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(export, "PAGE_ROWS", 2)
    await load(province.url, [person("so", "reporting_officer", DEPARTMENT)])
    own = await key_of(province.url, "person", "so")
    async with intake(province) as client:
        names = []
        for value in range(3):
            sent = await client.post(report(value, officer="cb-01"))
            assert sent.status_code == 201, sent.text
            names.append(sent.json()["submission_id"])
            await client.post(report(value, officer="cb-50"), of=COMMUNE)
        operator = await key_of(province.url, "operator", "van-hanh")
        answer = await get(client, operator, "/v1/people/cb-01/personal-data")
        told = answer.json()
        assert told[0]["part"] == "officer"
        assert {line["data"]["submission_id"] for line in told if line["part"] == "submission"} == set(names)
        assert [line["part"] for line in told if line["part"].startswith("change")] == ["change_about"]
        assert all(COMMUNE not in json.dumps(line) for line in told)
        mine = await get(client, own, "/v1/people/so/personal-data")
        assert [line["part"] for line in mine.json()] == ["person", "key", "change_about"]
        for somebody in ("cb-01", "cb-50", "nobody", "x" * 300):
            assert_problem(await get(client, own, f"/v1/people/{somebody}/personal-data"), 404, "not-found")


async def test_it_tells_of_the_steps_and_decisions_that_the_person_took(province: Province) -> None:
    async with intake(province) as client:
        sent = await client.post(report())
        wanted = Wanted("withdrawn", UUID(sent.json()["submission_id"]), reason="nhầm kỳ")
        assert isinstance(await take(client, OFFICER, wanted), TakenNow)
        await load(province.url, [person(OFFICER.id, "reporting_officer", DEPARTMENT)])
        own = await key_of(province.url, "person", OFFICER.id)
        answer = await get(client, own, f"/v1/people/{OFFICER.id}/personal-data")
        told = {line["part"]: line["data"] for line in answer.json()}
    assert (told["step"]["kind"], told["step"]["reason"]) == ("withdrawn", "nhầm kỳ")
    assert told["change_by"]["action"]


@pytest.mark.parametrize("shown", [False, True], ids=["kept apart", "the control"])
async def test_what_an_agency_did_is_not_told_to_a_person_of_the_same_id(
    province: Province, monkeypatch: pytest.MonkeyPatch, shown: bool
) -> None:
    if shown:
        parts = [
            Part(part.name, text(part.statement.text.replace(export._THIS_PERSON, "true")), part.keys, part.first)
            for part in export._PARTS
        ]
        monkeypatch.setattr(export, "_PARTS", tuple(parts))
    await load(province.url, [person(DEPARTMENT, "chair", COMMUNE)])
    async with intake(province) as client:
        sent = await client.post(report())
        path = f"/v1/submissions/{sent.json()['submission_id']}/withdrawal"
        gone = await client.client.post(path, json={"reason": "nhầm kỳ"}, headers=client.headers(DEPARTMENT))
        assert gone.status_code == 201, gone.text
        own = await key_of(province.url, "person", DEPARTMENT)
        told = (await get(client, own, f"/v1/people/{DEPARTMENT}/personal-data")).json()
    assert ("step" in {line["part"] for line in told}) is shown
