"""Every change in intake leaves one entry in the audit trail, in the transaction that makes the change."""

from __future__ import annotations

import argparse
import csv
import io
import json
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from services.intake.access import commands as access
from services.intake.audit import trail
from services.intake.audit.domain import Author, Change
from services.intake.receipts import commands as receipts
from services.intake.receipts.signing import SigningKey
from shared.consuming import dead_letters
from shared.consuming.batch import Record
from shared.consuming.dead_letters import DeadLetter
from shared.consuming.dead_letters_tool import dead_letters as dead_letters_tool
from shared.postgres.database import Database
from tests.integration.intake import rig
from tests.integration.intake.rig import (
    DEPARTMENT,
    OPERATOR_KEY,
    Intake,
    Province,
    intake,
    keep_operator_key,
    load,
    report,
    rows,
)
from tests.integration.intake.test_registry import run
from tests.stack import as_owner

OPERATOR = {"Authorization": f"Bearer {OPERATOR_KEY.secret_text}"}


async def entries(url: str, **wanted: str) -> list[Any]:
    """The trail, the oldest entry first."""
    where = " AND ".join(f"{name} = :{name}" for name in wanted) or "true"
    return await rows(url, f"SELECT * FROM audit_trail WHERE {where} ORDER BY audit_id", **wanted)


async def written(url: str, *changes: Change, author: Author | None = None, at: datetime | None = None) -> None:
    database = Database(url, pool_size=1)
    try:
        async with database.transaction() as tx:
            await trail.append(tx, author or Author("an.nguyen", "thử"), changes, at or datetime.now(UTC))
    finally:
        await database.close()


async def test_a_load_says_of_each_record_what_changed(province: Province) -> None:
    created = await entries(province.url, action="created")
    assert len(created) == len(rig.records())
    assert all(entry.before is None for entry in created)
    await load(province.url, [rig.agency(DEPARTMENT, parent="H99", name="Sở mới"), rig.officer("cb-01", DEPARTMENT)])
    (entry,) = await entries(province.url, action="changed")
    assert (entry.kind, entry.key, entry.by, entry.why, entry.via) == (
        "agency", DEPARTMENT, rig.AUTHOR.by, rig.AUTHOR.why, "command",
    )  # fmt: skip
    assert (entry.before, entry.after) == ({"name": f"Cơ quan {DEPARTMENT}"}, {"name": "Sở mới"})


async def test_the_trail_shows_that_a_contact_changed_and_never_what_it_is(province: Province) -> None:
    await load(province.url, [rig.officer("cb-01", DEPARTMENT, email="moi@example.vn")])
    (entry,) = await entries(province.url, action="changed")
    assert set(entry.after) == {"email"}
    assert entry.before != entry.after
    everything = json.dumps([[entry.before, entry.after] for entry in await entries(province.url)])
    assert "@example.vn" not in everything
    assert "Nguyễn Văn A".encode("unicode_escape").decode() in everything, "the control: names are kept"


async def test_a_change_that_is_rolled_back_leaves_no_entry(province: Province) -> None:
    before = len(await entries(province.url))
    database = Database(province.url, pool_size=1)
    try:
        async with database.engine.connect() as tx, tx.begin() as transaction:
            await trail.append(tx, Author("an"), [Change("changed", "agency", "H99")], datetime.now(UTC))
            await transaction.rollback()
    finally:
        await database.close()
    assert len(await entries(province.url)) == before


@pytest.mark.parametrize(
    "statement", ["UPDATE audit_trail SET why = ''", "DELETE FROM audit_trail", "TRUNCATE audit_trail"]
)
async def test_the_trail_is_append_only_for_its_owner_too(province: Province, statement: str) -> None:
    for url, said in ((province.url, "permission denied"), (as_owner(province.url), "append-only")):
        database = Database(url, pool_size=1)
        try:
            with pytest.raises(DBAPIError, match=said):
                async with database.transaction() as tx:
                    await tx.execute(text(statement))
        finally:
            await database.close()


def test_keys_are_audited_with_who_and_why(
    database_of_intake: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    import asyncio

    asyncio.run(load(database_of_intake, rig.records()))
    monkeypatch.setenv("OPERATOR", "lan.tran")
    given = ("create", "--agency", DEPARTMENT, "--json")
    assert run(database_of_intake, access.api_keys, *given, monkeypatch=monkeypatch) == 0
    (key,) = json.loads(capsys.readouterr().out)["keys"]
    revoked = ("revoke", key["key_id"], "--why", "lộ khóa", "--by", "Trần Thị Lan")
    assert run(database_of_intake, access.api_keys, *revoked, monkeypatch=monkeypatch) == 0
    made, ended = asyncio.run(entries(database_of_intake, kind="key"))
    assert (made.action, made.key, made.by, made.after["agency"]) == ("created", key["key_id"], "lan.tran", DEPARTMENT)
    assert (ended.action, ended.by, ended.why) == ("revoked", "Trần Thị Lan", "lộ khóa")
    assert key["key"].split("_", 2)[2] not in str((made, ended)), "no secret is written down"
    with pytest.raises(SystemExit):
        run(database_of_intake, access.api_keys, "revoke", key["key_id"], monkeypatch=monkeypatch)
    assert "--why" in capsys.readouterr().err


def test_the_trail_shows_when_a_rotated_key_ends(
    database_of_intake: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A key with an end of its own does not live longer for being rotated, and the trail says so."""
    import asyncio

    asyncio.run(load(database_of_intake, rig.records()))

    def command(*arguments: str) -> Any:
        assert run(database_of_intake, access.api_keys, *arguments, "--json", monkeypatch=monkeypatch) == 0
        return json.loads(capsys.readouterr().out)["keys"][0]["key_id"]

    soon, later = "2090-01-01T00:00:00+07:00", "2090-01-02T00:00:00+07:00"
    ends_first = command("create", "--agency", DEPARTMENT, "--expires", soon)
    command("rotate", ends_first, "--old-ends", later)
    endless = command("create", "--person", "cb-01")
    command("rotate", endless, "--old-ends", later)
    ended, cut = asyncio.run(entries(database_of_intake, kind="key", action="changed"))
    assert (ended.key, ended.before, ended.after) == (ends_first, {"expires_at": soon}, {"expires_at": soon})
    assert (cut.key, cut.before, cut.after) == (endless, {"expires_at": None}, {"expires_at": later}), "the control"


async def test_a_signing_key_is_audited_once_and_its_withdrawal_too(province: Province, tmp_path: Path) -> None:
    key = SigningKey.generate()
    (tmp_path / "key.pem").write_bytes(key.pem())
    for _ in range(2):  # a second instance with the same file
        async with intake(province, receipt_key_file=tmp_path / "key.pem") as client:
            given = (await client.post(report(str(uuid4().int % 1000)))).json()
            assert (await client.get(f"/v1/submissions/{given['submission_id']}/receipt")).status_code == 200
    (made,) = await entries(province.url, kind="receipt_key")
    assert (made.action, made.key, made.by, made.via) == ("created", key.public.key_id, "intake", "service")
    database = Database(province.url, pool_size=1)
    try:
        async with database.transaction() as tx:
            assert await receipts._withdraw(tx, key.public.key_id, Author("lan", "lộ khóa")) == 0
        async with database.transaction() as tx:
            assert await receipts._withdraw(tx, key.public.key_id, Author("lan", "lần nữa")) == 1
    finally:
        await database.close()
    _, ended = await entries(province.url, kind="receipt_key")
    assert (ended.action, ended.by, ended.why) == ("withdrawn", "lan", "lộ khóa")


async def test_what_an_operator_decides_about_dead_letters_is_audited(
    province: Province, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPERATOR", "lan.tran")
    database = Database(province.url, pool_size=1)
    try:
        async with database.transaction() as tx:
            record = Record("verdicts", 0, 7, b"k", b"{}", ())
            letter = DeadLetter(record, uuid4(), "x", "Broken", "no", 1, datetime.now(UTC))
            await dead_letters.bury(tx, "intake", "intake.follow", [letter])
        assert not await entries(province.url, kind="dead_letter"), "what the service gives up is nobody's decision"
        (number,) = (row.id for row in await rows(province.url, "SELECT id FROM dead_letter"))
        for what, options in (("discard", {"reason": "gửi nhầm"}), ("restore", {}), ("replay", {"all": False})):
            given = argparse.Namespace(what=what, ids=[number], **options)
            assert await dead_letters_tool("intake", database.url, given) == 0
    finally:
        await database.close()
    found = await entries(province.url, kind="dead_letter")
    assert [(entry.action, entry.by, entry.why) for entry in found] == [
        ("discarded", "lan.tran", "gửi nhầm"), ("restored", "lan.tran", ""), ("replayed", "lan.tran", ""),
    ]  # fmt: skip
    assert found[0].after["consumer"] == "intake.follow"


@pytest.fixture
async def told(database_of_intake: str) -> Province:
    """An empty registry, and a trail of three people's changes at known hours."""
    start = datetime(2026, 10, 1, tzinfo=UTC)
    for hour, by in enumerate(("an", "bình", "=cmd|' /C calc'!A0")):
        changes = [Change("changed", "agency", f"H99.{number}", {"name": "cũ"}, {"name": "mới"}) for number in range(3)]
        author = Author(by, "@SUM(1)" if hour else "đổi tên, theo QĐ 12")
        await written(database_of_intake, *changes, author=author, at=start + timedelta(hours=hour))
    await keep_operator_key(database_of_intake)
    return Province(database_of_intake, {})


async def ask(client: Intake, accept: str = "*/*", **parameters: Any) -> Any:
    return await client.client.get("/v1/audit", params=parameters, headers={**OPERATOR, "Accept": accept})


async def test_the_trail_is_read_by_filters_and_pages(told: Province) -> None:
    async with intake(told) as client:
        everything = (await ask(client)).json()["items"]
        assert [entry["by"] for entry in everything[:3]] == ["=cmd|' /C calc'!A0"] * 3, "the newest first"
        assert [entry["key"] for entry in (await ask(client, by="bình")).json()["items"]] == [
            "H99.2", "H99.1", "H99.0",
        ]  # fmt: skip
        assert len((await ask(client, kind="agency", key="H99.1")).json()["items"]) == 3
        within = {"from": "2026-10-01T01:00:00Z", "to": "2026-10-01T02:00:00Z"}
        assert {entry["by"] for entry in (await ask(client, **within)).json()["items"]} == {"bình"}
        assert (await ask(client, action="revoked")).json() == {"items": [], "next": None}
        paged: list[Any] = []
        cursor: dict[str, Any] = {}
        while cursor is not None:
            page = (await ask(client, limit=4, **cursor)).json()
            paged += page["items"]
            cursor = {"after": page["next"]} if page["next"] else None  # type: ignore[assignment]
        assert paged == everything
        assert (await ask(client, **{"from": "yesterday"})).status_code == 400


async def test_a_spreadsheet_runs_nothing_of_the_csv(told: Province, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("services.intake.audit.api.CSV_PAGE", 2)  # several pages, the last one full
    async with intake(told) as client:
        answer = await ask(client, "text/csv")
        assert answer.headers["content-type"].startswith("text/csv")
        found = list(csv.DictReader(io.StringIO(answer.content.decode("utf-8-sig"))))
        as_json = (await ask(client, "application/json, text/csv;q=0.5")).json()["items"]
        assert [int(row["audit_id"]) for row in found] == [entry["audit_id"] for entry in as_json]
        assert (found[0]["by"], found[0]["why"]) == ("'=cmd|' /C calc'!A0", "'@SUM(1)")
        assert (found[-1]["by"], found[-1]["why"]) == ("an", "đổi tên, theo QĐ 12")
        assert json.loads(found[0]["before"]) == {"name": "cũ"}
        assert not [cell for row in found for cell in row.values() if cell[:1] in "=+-@\t\r" and cell]


@pytest.mark.parametrize("separator", [",", ";", "\t"])
async def test_no_spreadsheet_of_another_locale_computes_a_part_of_a_cell(
    database_of_intake: str, separator: str
) -> None:
    """Where the comma is the decimal sign, columns are separated by semicolons: each piece must be inert as well."""
    evil = [";=1+1;", "x; @SUM(1)", "\u00a0=1", "\t=1", "\r+1", "＝1", "\ufeff-1", "a\tb\t=1", 'q";=1;"']
    changes = [Change("changed", "agency", "H99", {"name": text}, {"name": [text]}) for text in evil]
    for change, why in zip(changes, evil, strict=True):
        await written(database_of_intake, change, author=Author("an", why))
    await keep_operator_key(database_of_intake)
    async with intake(Province(database_of_intake, {})) as client:
        answer = await ask(client, "text/csv")
    content = answer.content.decode("utf-8-sig")
    if separator == ",":
        pieces = [cell for row in csv.reader(io.StringIO(content)) for cell in row]
    else:  # a field that does not begin with a quote has none: lines and separators within it count
        pieces = re.split(f"[{separator}\r\n]", content)
    assert not [cell for cell in pieces if cell.strip(' \t\r\n\u00a0\ufeff"')[:1] in set("=+-@＝＋－＠")]
    found = list(csv.DictReader(io.StringIO(content)))
    assert [json.loads(row["before"]) for row in reversed(found)] == [change.before for change in changes]
    assert any("=1+1" in cell for cell in pieces), "the control: it is in there"


async def test_only_the_operator_reads_the_trail(province: Province) -> None:
    async with intake(province) as client:
        assert (await client.client.get("/v1/audit")).status_code == 401
        assert (await client.get("/v1/audit")).status_code == 403, "an agency's key"
        assert (await ask(client)).status_code == 200
