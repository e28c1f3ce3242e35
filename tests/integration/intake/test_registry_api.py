"""/v1/registry: one record is read and changed by what was read, through the checks that files pass."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import date
from typing import Any
from uuid import uuid4

import httpx
import pytest
from sqlalchemy import text

from services.intake.registry import load as loading
from services.intake.registry.records import content_of
from shared.postgres.database import Database
from tests.integration.intake import rig
from tests.integration.intake.rig import DEPARTMENT, NOW, OPERATOR_KEY, Intake, Province, load, report, rows

OPERATOR = {"Authorization": f"Bearer {OPERATOR_KEY.secret_text}"}


@asynccontextmanager
async def intake(province: Province) -> AsyncIterator[Intake]:
    """Without the neighbours' processes, which have tests of their own."""
    async with rig.intake(province, neighbours=()) as client:
        yield client


async def get(client: Intake, path: str, **parameters: Any) -> httpx.Response:
    return await client.client.get(path, params=parameters, headers=OPERATOR)


async def put(client: Intake, path: str, record: Any, *, headers: dict[str, str], **parameters: Any) -> httpx.Response:
    return await client.client.put(
        path,
        content=record if isinstance(record, bytes) else json.dumps(record),
        params=parameters,
        headers={**OPERATOR, "Content-Type": "application/json", **headers},
    )


async def test_a_record_is_changed_by_the_version_that_was_read(province: Province) -> None:
    path = f"/v1/registry/agency/{DEPARTMENT}"
    async with intake(province) as client:
        read = await get(client, path)
        assert (read.status_code, read.headers["etag"], read.json()["version"]) == (200, '"1"', 1)
        record = {**read.json()["record"], "name": "Sở mới"}
        tried = await put(client, path, record, headers={"If-Match": '"1"'}, dry_run=True)
        assert (tried.status_code, tried.json()["stored"], tried.json()["changed"]) == (200, False, True)
        assert '    name: "Cơ quan H99.01" → "Sở mới"' in tried.json()["description"]
        assert (await get(client, path)).json()["version"] == 1, "a dry run stores nothing"
        made = await put(client, path, record, headers={"If-Match": '"1"'}, why="đổi tên")
        assert (made.status_code, made.headers["etag"], made.json()["version"]) == (200, '"2"', 2)
        stale = await put(client, path, {**record, "name": "Sở khác"}, headers={"If-Match": '"1"'}, why="đổi tên")
        assert (stale.status_code, stale.json()["type"], stale.json()["version"]) == (
            412, "/problems/precondition-failed", 2,
        )  # fmt: skip
        again = await put(client, path, record, headers={"If-Match": '"2"'}, why="lần nữa")
        assert (again.status_code, again.json()["changed"], again.headers["etag"]) == (200, False, '"2"')
        assert (await get(client, path)).json()["record"]["name"] == "Sở mới"
    sent = await rows(province.url, "SELECT body FROM outbox WHERE key = :key ORDER BY id", key=f"agency/{DEPARTMENT}")
    assert [json.loads(body)["version"] for (body,) in sent] == [1, 2]
    (entry,) = await rows(province.url, "SELECT by, via, why, after FROM audit_trail WHERE action = 'changed'")
    assert entry == ("operator", "api", "đổi tên", {"name": "Sở mới"})


async def test_a_record_is_added_once_and_shows_its_versions(province: Province) -> None:
    path = "/v1/registry/agency/H99.70"
    new = {"code": "H99.70", "name": "Sở A", "kind": "department", "parent": "H99", "opened_on": "2026-01-01"}
    async with intake(province) as client:
        assert (await get(client, path)).status_code == 404
        made = await put(client, path, new, headers={"If-None-Match": "*"}, why="lập mới")
        assert (made.status_code, made.headers["etag"], made.json()["before"]) == (201, '"1"', None)
        assert any("H99.70: 3 chế độ báo cáo" in line for line in made.json()["description"])
        twice = await put(client, path, new, headers={"If-None-Match": "*"}, why="lập mới")
        assert twice.status_code == 412
        for etag, name in (('"1"', "Sở B"), ('"2"', "Sở C")):
            answer = await put(client, path, {**new, "name": name}, headers={"If-Match": etag}, why=name)
            assert answer.status_code == 200, answer.text
        seen = [(await get(client, f"{path}/versions/{number}")).json() for number in (1, 2, 3)]
        assert [(one["record"]["name"], one["why"]) for one in seen] == [
            ("Sở A", "lập mới"), ("Sở B", "Sở B"), ("Sở C", "Sở C"),
        ]  # fmt: skip
        for number in ("0", "4", "x", "99999999999"):
            assert (await get(client, f"{path}/versions/{number}")).status_code == 404


async def test_every_error_comes_at_once_with_its_pointer(province: Province) -> None:
    path = f"/v1/registry/agency/{DEPARTMENT}"
    wrong = {"code": DEPARTMENT, "name": "", "kind": "planet", "parent": "H99", "opened_on": "2026-13-01", "x": 1}
    async with intake(province) as client:
        answer = await put(client, path, wrong, headers={"If-Match": '"1"'}, why="x")
        assert (answer.status_code, answer.json()["type"]) == (422, "/problems/unprocessable")
        errors = answer.json()["errors"]
        assert {error["pointer"] for error in errors} == {"/name", "/kind", "/opened_on", "/x"}
        assert all(error["fix"] for error in errors)
        unknown = {"code": DEPARTMENT, "name": "A", "kind": "department", "parent": "H77", "opened_on": "2020-01-01"}
        answer = await put(client, path, unknown, headers={"If-Match": '"1"'}, why="x")
        assert [error["pointer"] for error in answer.json()["errors"]] == ["/parent"]
        other = {**unknown, "code": "H99.71", "parent": "H99"}
        assert (await put(client, path, other, headers={"If-Match": '"1"'}, why="x")).status_code == 422
        assert (await get(client, "/v1/registry/agency/H99.71")).status_code == 404
        for body in (b"{", b"", b"\xff", b'{"name": NaN}', b"[" * 100_000):
            assert (await put(client, path, body, headers={"If-Match": '"1"'}, why="x")).status_code == 400
        for body in (b"[]", b"null", b"1.5", b'"x"'):
            assert (await put(client, path, body, headers={"If-Match": '"1"'}, why="x")).status_code == 422


@pytest.mark.parametrize(
    ("headers", "parameters", "status"),
    [
        ({}, {"why": "x"}, 428),
        ({"If-Match": '"1"'}, {}, 422),
        ({"If-Match": "1"}, {"why": "x"}, 400),
        ({"If-Match": '"1"', "If-None-Match": "*"}, {"why": "x"}, 400),
        ({"If-Match": '"1"', "Content-Type": "text/plain"}, {"why": "x"}, 415),
        ({"If-Match": '"1"', "Authorization": "Bearer no"}, {"why": "x"}, 401),
    ],
)
async def test_what_a_change_must_say(
    province: Province, headers: dict[str, str], parameters: dict[str, str], status: int
) -> None:
    path = f"/v1/registry/agency/{DEPARTMENT}"
    async with intake(province) as client:
        record = {**(await get(client, path)).json()["record"], "name": "Sở mới"}
        answer = await put(client, path, record, headers=headers, **parameters)
        assert (answer.status_code, answer.headers["content-type"]) == (status, "application/problem+json")
        assert (await get(client, path)).json()["version"] == 1


async def test_records_are_listed_in_pages_and_regimes_are_named_with_their_version(province: Province) -> None:
    async with intake(province) as client:
        listed = (await get(client, "/v1/registry/agency", limit=3)).json()
        rest = (await get(client, "/v1/registry/agency", limit=3, after=listed["next"])).json()
        assert [row["key"] for row in listed["items"] + rest["items"]] == [
            "H99",
            "H99.01",
            "H99.02",
            "H99.50",
            "H99.90",
        ]
        assert (await get(client, "/v1/registry/regime/KTXH@1")).json()["record"]["code"] == "KTXH"
        for path in ("regime/KTXH", "regime/KTXH@2", "agency/%2E%2E", "agency/a b", "agency/" + "x" * 200):
            assert (await get(client, f"/v1/registry/{path}")).status_code == 404, path
        assert (await get(client, "/v1/registry/planet")).status_code == 422
        second = {**content_of(rig.regime(regime_version=2)), "effective_from": "2030-01-01"}
        made = await put(client, "/v1/registry/regime/KTXH@2", second, headers={"If-None-Match": "*"}, why="QĐ 12")
        assert made.status_code == 201, made.text
        changed = {**second, "name": "Tên khác"}
        answer = await put(client, "/v1/registry/regime/KTXH@2", changed, headers={"If-Match": '"1"'}, why="QĐ 13")
        assert (answer.status_code, answer.json()["errors"][0]["pointer"]) == (422, "/name"), "a version never changes"


async def test_a_reference_table_is_published_and_read_by_version_and_by_day(province: Province) -> None:
    table = {"code": "LV", "table_version": 1, "name": "Lĩnh vực", "effective_from": "2026-01-01",
             "columns": [{"code": "MA", "label": "Mã"}, {"code": "SO", "label": "Số", "type": "number"}],
             "rows": [["a", "1.50"], ["b", None]]}  # fmt: skip
    new = {"If-None-Match": "*"}
    async with intake(province) as client:
        for number, since in ((1, "2026-01-01"), (2, "2026-11-01")):
            record = table | {"table_version": number, "effective_from": since}
            made = await put(client, f"/v1/registry/reference/LV@{number}", record, headers=new, why="ban hành")
            assert made.status_code == 201, made.text
        changed = await put(
            client, "/v1/registry/reference/LV@1", table | {"rows": [["a", 2]]}, headers={"If-Match": '"1"'}, why="sửa"
        )
        assert (changed.status_code, changed.json()["errors"][0]["pointer"]) == (422, "/rows")
        listed = (await client.get("/v1/reference-tables", limit=1)).json()
        assert [(one["table_version"], one["row_count"]) for one in listed["items"]] == [(1, 2)]
        listed = (await client.get("/v1/reference-tables", limit=1, after=listed["next"])).json()
        assert ([one["table_version"] for one in listed["items"]], listed["next"]) == ([2], None)
        shown = (await client.get("/v1/reference-tables/LV")).json()  # in force today
        assert (shown["table_version"], shown["rows"]) == (1, table["rows"])
        assert len(shown["checksum"]) == 64
        for asked, number in (({"version": 2}, 2), ({"on": "2026-11-01"}, 2), ({"on": "2026-10-31"}, 1)):
            assert (await client.get("/v1/reference-tables/LV", **asked)).json()["table_version"] == number
        for path in ("LV?on=2025-12-31", "LV?version=3", "XX", "a%20b"):
            assert (await client.get(f"/v1/reference-tables/{path}")).status_code == 404
    sent = await rows(province.url, "SELECT key FROM outbox WHERE key LIKE 'reference/%' ORDER BY id")
    assert sent == [("reference/LV/1",), ("reference/LV/2",)]


async def test_an_agency_is_known_by_the_older_form_of_its_code_too(province: Province) -> None:
    new = {"code": "000.00.70.H99", "name": "Sở A", "kind": "department", "parent": "000.00.00.H99"}
    new["opened_on"] = "2026-01-01"
    async with intake(province) as client:
        made = await put(client, "/v1/registry/agency/000.00.70.H99", new, headers={"If-None-Match": "*"}, why="mới")
        assert (made.status_code, made.json()["after"]["code"], made.json()["after"]["parent"]) == (
            201,
            "H99.70",
            "H99",
        )
        for code in ("H99.70", "000.00.70.H99"):
            found = (await get(client, f"/v1/registry/agency/{code}")).json()
            assert (found["key"], found["older_code"]) == ("H99.70", "000.00.70.H99")
        assert (await client.get("/v1/me")).json()["agency"]["older_code"] == "000.00.01.H99"


async def test_what_the_neighbours_refuse_is_not_stored(province: Province) -> None:
    """With their processes: a deadline before the cut-off is for scoring to find."""
    early = {**content_of(rig.regime("SOM")), "deadline": {"rule": "day_of_month", "day": 3}}
    async with rig.intake(province, neighbours=("scoring",)) as client:
        answer = await put(client, "/v1/registry/regime/SOM@1", early, headers={"If-None-Match": "*"}, why="x")
        assert (answer.status_code, answer.json()["errors"][0]["pointer"]) == (422, "/deadline")
    async with intake(province) as client:  # the control
        answer = await put(client, "/v1/registry/regime/SOM@1", early, headers={"If-None-Match": "*"}, why="x")
        assert answer.status_code == 201


async def test_agencies_without_a_reporting_officer_are_listed_and_counted(province: Province) -> None:
    from services.intake import metrics

    await load(
        province.url,
        [rig.officer("truong-01", DEPARTMENT, role="head"), rig.officer("cb-50", rig.COMMUNE, active=False)],
    )
    async with intake(province) as client:
        listed = (await get(client, "/v1/agencies/without-officer")).json()
        assert [(row["code"], row["regimes"]) for row in listed["items"]] == [("H99", 0), ("H99.02", 0), ("H99.50", 2)]
        first = (await get(client, "/v1/agencies/without-officer", limit=2)).json()
        rest = (await get(client, "/v1/agencies/without-officer", limit=2, after=first["next"])).json()
        assert [*first["items"], *rest["items"]] == listed["items"]
        assert metrics.AGENCIES_WITHOUT_OFFICER._value.get() == 3
        await load(province.url, [rig.officer("cb-50", rig.COMMUNE), rig.officer("cb-01", DEPARTMENT, active=False)])
        await client.service.backgrounds[0].refresh()
        codes = [row["code"] for row in (await get(client, "/v1/agencies/without-officer")).json()["items"]]
        assert codes == ["H99", "H99.01", "H99.02"], "a head alone is no reporting officer"


async def test_regimes_to_be_reviewed_are_past_their_date_or_have_rules_that_many_break(province: Province) -> None:
    await load(
        province.url,
        [
            rig.regime("CU", review_by=date(2026, 10, 19)),
            rig.regime("MOI", review_by=date(2026, 10, 20)),
            rig.regime("HET", review_by=date(2025, 1, 1), effective_to=date(2025, 12, 31)),
        ],
    )
    async with intake(province) as client:
        due = (await get(client, "/v1/regimes/review-due")).json()["items"]
        assert [(row["code"], row["past_review"]) for row in due] == [("CU", True)]
        await _judged(client, reports=20, failing=4)
        due = (await get(client, "/v1/regimes/review-due")).json()["items"]
        assert [row["code"] for row in due] == ["CU"], "a fifth of the reports is not unusual"
        await _judged(client, reports=4, failing=4)
        due = (await get(client, "/v1/regimes/review-due")).json()["items"]
        assert [row["code"] for row in due] == ["CU", "KTXH"]
        assert due[1]["failing_rules"] == [{"code": "SUM", "path": "/figures/A01", "failed": 8, "reports": 24}]
        client.clock.advance(days=91)
        assert "KTXH" not in [row["code"] for row in (await get(client, "/v1/regimes/review-due")).json()["items"]]


async def _judged(client: Intake, *, reports: int, failing: int) -> None:
    """Reports with verdicts, of which some break one rule twice."""
    broken = {"code": "SUM", "path": "/figures/A01", "severity": "error"}
    database = Database(client.province.url, pool_size=1)
    try:
        for number in range(reports):
            sent = (await client.post(report(uuid4().int % 10**9))).json()
            findings = [broken, broken] if number < failing else [{**broken, "severity": "warning"}]
            async with database.transaction() as tx:
                await tx.execute(
                    text("""
                        INSERT INTO verdicts (submission_id, verdict_id, outcome, decided_at, errors, warnings,
                                              findings, findings_truncated, agency)
                        VALUES (:id, :id, 'returned', :now, 2, 0, CAST(:findings AS jsonb), false, :agency)
                    """),
                    {"id": sent["submission_id"], "now": NOW, "findings": json.dumps(findings), "agency": DEPARTMENT},
                )
    finally:
        await database.close()


async def test_other_requests_are_answered_while_a_change_is_checked(
    province: Province, monkeypatch: pytest.MonkeyPatch
) -> None:
    answered, checking, drafted = threading.Event(), threading.Event(), loading.drafted

    def long(*arguments: Any, **options: Any) -> loading.Draft:
        checking.set()
        assert answered.wait(60), "the event loop stood still"
        return drafted(*arguments, **options)

    monkeypatch.setattr(loading, "drafted", long)
    path = f"/v1/registry/agency/{DEPARTMENT}"
    async with intake(province) as client:
        record = {**(await get(client, path)).json()["record"], "name": "Sở mới"}
        change = asyncio.create_task(put(client, path, record, headers={"If-Match": '"1"'}, dry_run=True))
        assert await asyncio.to_thread(checking.wait, 60)
        assert (await client.get("/v1/me")).status_code == 200
        answered.set()
        assert (await change).status_code == 200
