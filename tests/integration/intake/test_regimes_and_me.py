"""An agency reads the regimes that bind it, itself, and what it owes next; every example it is shown is accepted."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from deploy.sample import generate
from services.intake.registry import files
from services.intake.registry.gate import admit
from services.validator.domain import judge
from services.validator.rules.forms import compile_form
from shared.contract.events import Deadline, FigureField, Form, RegimePublished, SumRule
from shared.reports.report_parser import Report, read_report
from shared.runtime.clock import LOCAL_ZONE, ManualClock
from tests.integration.intake.rig import (
    COMMUNE,
    DEPARTMENT,
    DISTRICT,
    NOW,
    OFFICE,
    Province,
    agency,
    intake,
    load,
    make_keys,
    officer,
    regime,
    request,
    rows,
)
from tests.integration.intake.test_following import apply, fulfilled, opened
from tests.integration.intake.test_submitting import assert_problem

SAMPLE = Path(generate.__file__).parent


async def test_the_example_of_every_sample_regime_is_taken_and_accepted(database_of_intake: str) -> None:
    """Each kind of agency, posted as it is printed: admitted, then judged by the validator's own code."""
    admission = admit(files.read_folder(SAMPLE).proposals, [], datetime.now(LOCAL_ZONE), past_requests=True)
    assert not admission.errors
    records = [located.record for located in admission.records]
    await load(database_of_intake, records)
    agencies = ["H99.01", "H99.05", *_one_of_each_kind(records)]
    clock = ManualClock(datetime(2026, 3, 16, 9, tzinfo=LOCAL_ZONE))
    province = Province(database_of_intake, await make_keys(database_of_intake, sorted(set(agencies))))
    forms = {
        (record.code, record.regime_version): compile_form(record.form)
        for record in records
        if isinstance(record, RegimePublished)
    }
    accepted: set[str] = set()
    async with intake(province, clock=clock) as client:
        for code in sorted(set(agencies)):
            page = (await client.get("/v1/regimes", of=code)).json()
            assert page["next"] is None
            for item in page["items"]:
                shown = (await client.get(item["links"]["self"], of=code)).json()
                body = shown["example"]
                if body is None:
                    assert "cán bộ" in shown["example_note"] or "kỳ báo cáo" in shown["example_note"]
                    continue
                answer = await client.post(body, of=code)
                assert answer.status_code == 201, (code, item["code"], answer.text)
                sql = "SELECT body FROM submissions WHERE submission_id = CAST(:id AS uuid)"
                [(sent,)] = await rows(province.url, sql, id=answer.json()["submission_id"])
                report = read_report(bytes(sent))
                assert isinstance(report, Report)
                version = (item["code"], item["regime_version"])
                judgement = judge(forms[version], report.figures, report.narratives, report.tables, nil=report.nil)
                assert (judgement.outcome, judgement.findings) == ("accepted", ()), (code, version)
                accepted.add(item["code"])
    assert accepted == {code for code, _ in forms}


def _one_of_each_kind(records: list[Any]) -> list[str]:
    kinds: dict[str, str] = {}
    for record in records:
        kind = getattr(record, "kind", None)
        if kind and record.closed_on is None:
            kinds.setdefault(kind, record.code)
    return list(kinds.values())


async def test_an_agency_is_shown_the_regimes_that_bind_it_now_and_next(province: Province) -> None:
    later, on_request = date(2027, 1, 1), Deadline(rule="on_request")
    await load(
        province.url,
        [
            regime(regime_version=2, effective_from=later, name="Mẫu mới", legal_basis="QĐ 1"),
            regime("CU", effective_to=date(2021, 1, 1)),
            regime("RIENG", submitter_kinds=(), submitters=(OFFICE,)),
            regime("DX", submitter_kinds=(), submitters=(OFFICE,), frequency="adhoc", deadline=on_request),
            request("DX-2026-009", regime="DX", agencies=(COMMUNE,)),
        ],
    )
    await apply(province.url, [opened(DEPARTMENT, "2026-M11", deadline=NOW + timedelta(days=9)), opened(DEPARTMENT)])
    async with intake(province) as client:
        page = (await client.get("/v1/regimes")).json()
        assert [(item["code"], item["regime_version"], item["status"]) for item in page["items"]] == [
            ("KTXH", 1, "current"),
            ("KTXH", 2, "next"),
            ("THIENTAI", 1, "current"),
            ("TUAN", 1, "current"),
        ]
        first, second, *_ = page["items"]
        assert first["next_deadline"]["period"] == "2026-M11", "the past one is overdue, not next"
        assert (second["next_deadline"], second["legal_basis"], second["effective_from"]) == (
            None,
            "QĐ 1",
            "2027-01-01",
        )
        # one by one
        seen: list[tuple[str, int]] = []
        after: dict[str, str] = {}
        while True:
            page = (await client.get("/v1/regimes", limit=1, **after)).json()
            seen += [(item["code"], item["regime_version"]) for item in page["items"]]
            if page["next"] is None:
                break
            after = {"after": page["next"]}
        assert seen == [("KTXH", 1), ("KTXH", 2), ("THIENTAI", 1), ("TUAN", 1)]
        # a request that names an agency binds it too; what names nobody else's does not
        listed = {code: await _codes(client, code) for code in (COMMUNE, OFFICE, DISTRICT)}
        assert listed == {COMMUNE: {"KTXH", "THIENTAI", "DX"}, OFFICE: {"RIENG", "DX"}, DISTRICT: set()}
        for foreign in ("RIENG", "DX", "KHONG-CO", "a b", "%C3%A1"):
            assert_problem(await client.get(f"/v1/regimes/{foreign}"), 404, "not-found")
        assert_problem(await client.get("/v1/regimes/KTXH?version=3"), 404, "not-found")
        asked = (await client.get("/v1/regimes/DX", of=COMMUNE)).json()
        assert (asked["example"]["period"], asked["deadline_rule_en"]) == (
            "DX-2026-009",
            "Each request states its own deadline.",
        )
        assert (await client.get("/v1/regimes/CU")).json()["status"] == "past"


async def _codes(client: Any, of: str) -> set[str]:
    return {item["code"] for item in (await client.get("/v1/regimes", of=of)).json()["items"]}


async def test_a_regimes_page_tells_form_deadlines_and_why_there_is_no_example(province: Province) -> None:
    # A + B = B + C = A + C = 1 has a solution, the halves, but none in whole numbers
    hopeless = Form(
        figures=(
            *(FigureField(code=code, label=code) for code in "ABC"),
            *(FigureField(code=code, label=code, minimum="1", maximum="1") for code in "TUV"),
        ),
        sums=(
            SumRule(code="S1", total="T", terms=("A", "B")),
            SumRule(code="S2", total="U", terms=("B", "C")),
            SumRule(code="S3", total="V", terms=("A", "C")),
        ),
        nil_allowed=False,
    )
    await load(
        province.url,
        [
            regime("HET", form=hopeless),
            regime("NIL", form=hopeless.model_copy(update={"nil_allowed": True})),
            regime("SAU", effective_from=date(2027, 1, 1)),
            regime("RIENG", submitter_kinds=(), submitters=(OFFICE,)),
            regime(
                "TUAN-2",
                frequency="weekly",
                submitter_kinds=("department",),
                deadline=Deadline(rule="weekday", weekday=1, week_offset=1, hour=16, minute=30),
            ),
            officer("a-named", DEPARTMENT, regimes=("HET",)),
        ],
    )
    due = NOW + timedelta(days=3)
    await apply(
        province.url, [opened(DEPARTMENT, deadline=due), opened(DEPARTMENT, "2026-M11", deadline=due + timedelta(31))]
    )
    async with intake(province) as client:
        shown = (await client.get("/v1/regimes/KTXH")).json()
        assert shown["form"]["figures"][0] == {
            "code": "A01", "label": "Thu ngân sách", "label_en": "", "unit": "", "required": True, "minimum": None,
            "maximum": None, "fraction_digits": 2, "type": None, "scale": 0, "consolidation": "none", "key": False,
            "kind": "number", "max_characters": 128,
        }  # fmt: skip
        assert shown["form"]["nil_allowed"] is False
        assert [deadline["period"] for deadline in shown["deadlines"]] == ["2026-M10", "2026-M11"]
        assert shown["next_deadline"]["deadline"] == "2026-10-23T09:30:00+07:00"
        assert shown["example"]["period"] == "2026-M10", "the one due next, whose window is over"
        assert shown["example"]["officer"] == "cb-01"
        assert shown["deadline_rule"].startswith("17:00 ngày 18 của tháng cuối kỳ")
        assert shown["deadline_rule_en"].startswith("17:00 on the 18th of the period's last month")
        weekly = (await client.get("/v1/regimes/TUAN-2")).json()
        assert weekly["deadline_rule"].startswith("16:30 thứ Hai của tuần thứ 1 sau tuần báo cáo")
        assert weekly["cutoff_rule_en"] == "The seven days up to and including Sunday of the week."
        for code, why in (("HET", "bộ số liệu"), ("SAU", "kỳ báo cáo")):
            shown = (await client.get(f"/v1/regimes/{code}")).json()
            assert shown["example"] is None
            assert why in shown["example_note"]
        nil = (await client.get("/v1/regimes/NIL")).json()
        assert nil["example"]["nil_reason"]
        said = {name: value for name, value in nil["example"].items() if name != "nil_reason"}
        assert said == {"regime": "NIL", "period": "2026-M10", "officer": "cb-01", "nil": True}
        assert (await client.post(nil["example"])).status_code == 201
        staffless = (await client.get("/v1/regimes/RIENG", of=OFFICE)).json()
        assert (staffless["example"], "cán bộ" in staffless["example_note"]) == (None, True)


async def test_me_tells_the_agency_itself_its_people_and_what_it_owes_next(province: Province) -> None:
    done = fulfilled(DEPARTMENT, "2026-M08", deadline=NOW)
    months = [opened(DEPARTMENT, f"2026-M{n:02}", deadline=NOW + timedelta(days=31 * (n - 10))) for n in (9, 10, 11)]
    await apply(province.url, [done, *months, opened(COMMUNE)])
    await apply(
        province.url,
        [opened(DEPARTMENT, f"2026-W{n:02}", deadline=NOW + timedelta(days=400 + n)) for n in range(1, 31)],
    )
    async with intake(province) as client:
        shown = (await client.get("/v1/me")).json()
        assert shown["agency"]["code"] == DEPARTMENT
        assert shown["agency"]["name"] == "Cơ quan H99.01"
        assert shown["parent"] == {"code": "H99", "name": "Cơ quan H99", "name_en": ""}
        assert [(shown_officer["officer_id"], shown_officer["active"]) for shown_officer in shown["officers"]] == [
            ("cb-01", True),
            ("cb-02", False),
        ]
        assert [duty["period"] for duty in shown["owed"][:3]] == ["2026-M09", "2026-M10", "2026-M11"]
        assert (len(shown["owed"]), shown["owed_truncated"]) == (20, True)
        for link in (*shown["links"].values(), *shown["owed"][0]["links"].values()):
            assert (await client.get(link)).status_code == 200, link
        other = (await client.get("/v1/me", of=COMMUNE)).json()
        assert {shown_officer["officer_id"] for shown_officer in other["officers"]} == {"cb-50"}
        assert {duty["obligation"].split("/")[0] for duty in other["owed"]} == {COMMUNE}


@pytest.mark.parametrize("plan", ["standings_owed", "registry_officers_of_agency"])
async def test_what_is_read_is_found_by_its_index(province: Province, plan: str) -> None:
    """With many agencies, a page of one reads no other's rows."""
    from services.intake.obligations import queries
    from services.intake.registry import agency_queries

    query, parameters = {
        "standings_owed": (queries._OWED, {"agency": DEPARTMENT, "limit": 20}),
        "registry_officers_of_agency": (agency_queries._OFFICERS, {"agency": DEPARTMENT, "regime": "", "limit": 20}),
    }[plan]
    await load(province.url, [agency(f"H98.{n:03}") for n in range(300)])
    await load(province.url, [officer(f"o-{n:03}", f"H98.{n:03}") for n in range(300)])
    await apply(province.url, [opened(f"H98.{n:03}", f"2026-M{m:02}") for n in range(300) for m in range(1, 13)])
    assert plan in await explained(province.url, str(query), parameters)


async def explained(url: str, query: str, parameters: dict[str, Any]) -> str:
    """The plan of a query, statistics fresh."""
    from sqlalchemy import text

    from shared.postgres.database import Database

    database = Database(url, pool_size=1)
    try:
        async with database.transaction() as tx:
            for table in ("standings", "registry", "submissions", "verdicts"):
                await tx.execute(text(f"ANALYZE {table}"))
        async with database.read_transaction() as tx:
            return "\n".join(row[0] for row in await tx.execute(text(f"EXPLAIN {query}"), parameters))
    finally:
        await database.close()
