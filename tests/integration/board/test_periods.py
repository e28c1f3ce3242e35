"""How a period closed, on its page, frozen, and as files: figures equal a plain count, and what is frozen stays."""

from __future__ import annotations

import hashlib
import io
import re
import zipfile
from datetime import timedelta
from typing import Any

import httpx
import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from services.board.periods import files, store
from services.board.readmodel import queries
from services.board.viewing import View
from shared.web import limiter
from shared.web.errors import Problem
from tests.accessible import faults
from tests.integration.board.rig import (
    CHAIR,
    CHIEF,
    COMMUNE,
    COMMUNES,
    DEADLINE,
    DEPARTMENT,
    HEAD,
    MONTHLY,
    NOW,
    OFFICE,
    OFFICER,
    PROVINCE,
    QUARTERLY,
    World,
    agency,
    changed,
    fulfilled,
    notice,
    overdue,
)
from tests.integration.board.rig import person as holder
from tests.integration.board.test_pages import many

PERIOD = "2026-M10"


async def three_reports(world: World) -> None:
    """One missing, which was asked for twice, one late, one in time."""
    late: dict[str, Any] = {"on_time": False, "answer_received_at": DEADLINE + timedelta(hours=30)}
    await world.feed(
        overdue(DEPARTMENT, standing="returned"), fulfilled(COMMUNE, **late), fulfilled(OFFICE), changed("H98"),
        notice(1), notice(2, "overdue"), notice(3, "escalation", outcome="failed"), notice(4, "returned"),
    )  # fmt: skip


async def freeze(world: World, person: str, period: str = PERIOD) -> httpx.Response:
    browser = await world.signed_in(person)
    return await browser.send_form(f"/ky/{period}/chot", {}, page=f"/ky/{period}")


async def test_the_figures_equal_a_plain_count(world: World) -> None:
    codes = [f"H99.A{place:02}" for place in range(70)]
    await world.feed(*(agency(code, PROVINCE) for code in codes), *many())
    browser = await world.signed_in(CHAIR)
    for period in ("2025-M12", "2026-M03"):
        async with world.database.read_transaction() as snapshot:
            found = await store.figures_of(snapshot, View(frozenset(codes)), {}, period, NOW, PROVINCE)
        assert found is not None
        owed = [one for one in many() if one.owed and one.period == period]
        for code in (*codes, None):
            of_it = [one for one in owed if code in (one.agency, None)]
            count = next((one.count for one in found.agencies if one.code == code), None) if code else found.total
            expected = {
                "owed": len(of_it), "on_time": sum(o.standing == "fulfilled" and o.on_time is True for o in of_it),
                "late": sum(o.standing == "fulfilled" and o.on_time is False for o in of_it),
                "missing": sum(o.standing != "fulfilled" and o.overdue for o in of_it),
                "not_due": sum(o.standing != "fulfilled" and not o.overdue for o in of_it),
                "returned": sum(o.standing == "returned" for o in of_it), "awaiting": 0,
            }  # fmt: skip
            assert (count is None) == (not of_it)
            assert count is None or {name: getattr(count, name) for name in expected} == expected
        assert {item.agency for item in found.missing} == {o.agency for o in owed if o.overdue}
        assert found.regimes[0].count == found.total
        first, second = await browser.get(f"/ky/{period}"), await browser.get(f"/ky/{period}?trang=2")
        shown = [re.findall(r"/co-quan/(H99\.A\d\d)", page.text.rsplit("<h2>", 1)[1]) for page in (first, second)]
        assert sorted(shown[0] + shown[1]) == sorted(one.code for one in found.agencies)
        assert (len(shown[0]), "trang=2" in first.text, "trang=1" in second.text) == (50, True, True)


async def test_a_row_says_since_when_and_how_often_it_was_asked_for(world: World) -> None:
    await three_reports(world)
    browser = await world.signed_in(CHIEF)
    page = (await browser.get(f"/ky/{PERIOD}")).text
    missing = page.split("Quá hạn mà chưa được chấp nhận")[2].split("Được chấp nhận, gửi sau hạn")[0]
    assert [part in missing for part in ("Sở Nông nghiệp", "17:00 19/10/2026", "Trả lại", "2 lần")] == [True] * 4
    assert "Xã Tân Lập" in page
    assert "Tạm tính" not in page
    await world.feed(changed(COMMUNE, version=5))
    assert "1 báo cáo còn trong hạn" in (await browser.get(f"/ky/{PERIOD}")).text


async def test_the_address_without_a_period_leads_to_the_newest_that_has_ended(world: World) -> None:
    await three_reports(world)
    await world.feed(overdue(DEPARTMENT, "2026-Q3", regime=QUARTERLY))
    browser = await world.signed_in(CHAIR)
    assert (await browser.get("/ky")).headers["location"] == "/ky/2026-Q3"
    assert (await browser.get("/ky?ky=2026-M10")).headers["location"] == "/ky/2026-M10"
    assert (await browser.get("/ky?ky=//h98.example")).status_code == 404
    nothing = await (await world.signed_in("operator")).get("/ky")
    assert (nothing.status_code, "Chưa có kỳ nào" in nothing.text) == (200, True)
    assert faults(nothing.text, "vi") == []


async def test_what_is_frozen_stays_whatever_comes_later(world: World) -> None:
    await three_reports(world)
    answer = await freeze(world, CHIEF)
    frozen = answer.headers["location"]
    again = await freeze(world, CHIEF)
    assert (answer.status_code, again.headers["location"]) == (303, frozen), "the same figures are kept once"
    chair = await world.signed_in(CHAIR)
    before = (await chair.get(frozen)).text
    file = await chair.get(f"{frozen}/tai/so-lieu.json")
    assert hashlib.sha256(file.content).hexdigest() in before
    assert faults(before, "vi") == []
    assert faults((await chair.get(f"{frozen}?lang=en")).text, "en") == []

    await world.feed(fulfilled(DEPARTMENT, version=9))
    await chair.get("/?lang=vi")
    after, now = (await chair.get(frozen)).text, (await chair.get(f"/ky/{PERIOD}")).text
    assert after == before
    assert ("Báo cáo còn thiếu" in after, "Báo cáo còn thiếu" in now) == (True, False)
    assert (await chair.get(f"{frozen}/tai/so-lieu.json")).content == file.content
    other = (await freeze(world, CHIEF)).headers["location"]
    assert other != frozen
    assert frozen in (await chair.get(other)).text, "every frozen state is listed"
    rows = await world.rows("SELECT frozen_by, agency, agencies FROM period_figures ORDER BY as_of, figures_id")
    assert [row["frozen_by"] for row in rows] == [CHIEF, CHIEF]
    assert (rows[0]["agency"], rows[0]["agencies"]) == (PROVINCE, sorted([OFFICE, DEPARTMENT, COMMUNE]))


async def test_frozen_figures_are_read_by_those_who_see_every_agency_in_them(world: World) -> None:
    await three_reports(world)
    frozen = (await freeze(world, CHAIR)).headers["location"]
    for person, status in ((CHIEF, 200), (HEAD, 404), (OFFICER, 404), (COMMUNES, 404)):
        browser = await world.signed_in(person)
        for page in (frozen, f"{frozen}/tai/bao-cao.xlsx", f"{frozen}/tai/so-lieu.json"):
            assert (await browser.get(page)).status_code == status, f"{person} {page}"
        assert (frozen in (await browser.get(f"/ky/{PERIOD}")).text) == (status == 200)
    chair = await world.signed_in(CHAIR)
    assert (await chair.get(frozen.replace(PERIOD, "2026-M09"))).status_code == 404


async def test_what_is_frozen_cannot_be_changed_and_a_change_would_be_seen(world: World) -> None:
    await three_reports(world)
    frozen = (await freeze(world, CHAIR)).headers["location"]
    spoil = text("UPDATE period_figures SET document = document || ' '")
    with pytest.raises(DBAPIError, match="frozen figures stay"):
        async with world.database.transaction() as tx:
            await tx.execute(spoil)
    async with world.database.transaction() as tx:
        await tx.execute(text("ALTER TABLE period_figures DISABLE TRIGGER period_figures_stay"))
        await tx.execute(spoil)
    browser = await world.signed_in(CHAIR)
    for page in (frozen, f"{frozen}/tai/so-lieu.json"):
        answer = await browser.get(page)
        assert (answer.status_code, "không còn khớp mã kiểm tra" in answer.text) == (500, True)


@pytest.mark.parametrize("person", [HEAD, OFFICER, COMMUNES])
async def test_who_supervises_nobody_freezes_nothing(world: World, person: str) -> None:
    await three_reports(world)
    browser = await world.signed_in(person)
    assert "/chot" not in (await browser.get(f"/ky/{PERIOD}")).text
    answer = await browser.send_form(f"/ky/{PERIOD}/chot", {}, page=f"/ky/{PERIOD}")
    assert answer.status_code == 403
    assert await world.rows("SELECT * FROM period_figures") == []


async def test_a_form_of_another_site_freezes_nothing(world: World) -> None:
    await three_reports(world)
    browser = await world.signed_in(CHAIR)
    page = (await browser.get(f"/ky/{PERIOD}")).text
    token = page.split('name="csrf" value="')[1].split('"')[0]
    foreign = await browser.post(
        f"/ky/{PERIOD}/chot", data={"csrf": token}, headers={"origin": "https://other.example"}
    )
    without = await browser.post(f"/ky/{PERIOD}/chot", data={}, headers=browser.own_headers)
    assert (foreign.status_code, without.status_code) == (403, 403)
    assert await world.rows("SELECT * FROM period_figures") == []


async def test_the_report_comes_as_a_file_of_each_kind(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    await three_reports(world)
    browser = await world.signed_in(CHIEF)
    pdf, docx, xlsx = [await browser.get(f"/ky/{PERIOD}/tai/bao-cao.{kind}") for kind in ("pdf", "docx", "xlsx")]
    assert (pdf.content[:5], pdf.headers["content-type"]) == (b"%PDF-", "application/pdf")
    assert pdf.headers["content-disposition"] == f'attachment; filename="bao-cao-{PERIOD}.pdf"'
    body = zipfile.ZipFile(io.BytesIO(docx.content)).read("word/document.xml").decode()
    assert [part in body for part in ("VĂN PHÒNG UBND TỈNH", "Sở Nông nghiệp và Môi trường", "SỐ LIỆU CHƯA CHỐT")] == (
        [True] * 3
    )
    assert "xl/workbook.xml" in zipfile.ZipFile(io.BytesIO(xlsx.content)).namelist()

    async def hangs(_document: bytes) -> bytes:
        raise AssertionError("nobody gets so far")

    monkeypatch.setattr(files, "MOST_WAITING", 0)
    monkeypatch.setattr(files, "_typeset", hangs)
    crowded = await browser.get(f"/ky/{PERIOD}/tai/bao-cao.pdf")
    assert (crowded.status_code, "retry-after" in crowded.headers) == (503, True)


async def test_one_person_keeps_nobody_waiting_with_files(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    await three_reports(world)
    chief, chair = await world.signed_in(CHIEF), await world.signed_in(CHAIR)

    async def made(_press: files.Press, *_given: object) -> bytes:
        return b"x"

    monkeypatch.setattr(files.Press, "xlsx", made)
    monkeypatch.setattr(limiter, "monotonic_seconds", lambda: 100.0)
    file = f"/ky/{PERIOD}/tai/bao-cao.xlsx"
    answers = [(await chief.get(file)).status_code for _ in range(12)]
    assert answers == [200] * 10 + [429] * 2
    assert (await chair.get(file)).status_code == 200


async def test_a_typesetter_that_hangs_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "DEADLINE_SECONDS", 0.2)
    monkeypatch.setattr(files, "SETTER", ("-c", "import time; time.sleep(60)"))
    with pytest.raises(Problem) as refused:
        await files.Press().pdf({})
    assert refused.value.status == 503
    monkeypatch.setattr(files, "SETTER", ("-c", "raise SystemExit(3)"))
    with pytest.raises(RuntimeError, match="ended with 3"):
        await files.Press().pdf({})


async def test_who_sees_some_regimes_alone_freezes_nothing(world: World) -> None:
    """Frozen figures are read by those who see the agencies whole, and would take a part for all of it."""
    part = {"role": "reviewer", "agency": PROVINCE, "since": "2025-07-01", "regimes": [MONTHLY]}
    await world.feed(holder("some", PROVINCE, part))
    await three_reports(world)
    browser = await world.signed_in("some")
    page = (await browser.get(f"/ky/{PERIOD}")).text
    assert ("Chốt số liệu" in page, "chỉ xem được một số chế độ báo cáo" in page) == (False, True)
    answer = await browser.send_form(f"/ky/{PERIOD}/chot", {}, page=f"/ky/{PERIOD}")
    assert (answer.status_code, await world.rows("SELECT * FROM period_figures")) == (403, [])


async def test_whoever_sees_few_agencies_reads_nobody_elses_rows(world: World) -> None:
    """A nation owes a hundred thousand reports of a period: an agency's own page costs none of them."""
    rows = text("""
        INSERT INTO obligations
            (obligation, agency, regime, period, owed, standing, overdue, opens_at, deadline, version)
        SELECT agency || '/R/' || period, 'A' || agency, 'R', period, true, 'nothing_sent', false, :at, :at, 1
          FROM generate_series(1, 1000) AS agency, unnest(CAST(:periods AS text[])) AS period
    """)
    periods = [f"2026-W{week:02}" for week in range(1, 13)]
    async with world.database.transaction() as tx:
        await tx.execute(rows, {"at": NOW, "periods": periods})
        await tx.execute(text("ANALYZE obligations"))
    for view in (View(frozenset({DEPARTMENT})), View(partly={DEPARTMENT: frozenset({MONTHLY})})):
        given = {**queries.seen(view), "now": NOW, "period": periods[0], "periods": periods}
        for statement in (store._KNOWN, store._COUNTS):
            names = {name: given[name] for name in statement._bindparams}
            async with world.database.transaction() as tx:
                plan = (await tx.execute(text(f"EXPLAIN (ANALYZE) {statement.text}"), names)).scalars().all()
            removed = [int(line.rpartition(" ")[2]) for line in plan if "Removed by" in line]
            assert sum(removed) < 100, plan
