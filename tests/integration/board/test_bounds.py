"""Pages tell nobody of others' requests, and where there is too much they show the newest."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from services.board.readmodel import queries
from services.board.viewing import View
from shared.contract.events import RequestIssued
from tests.accessible import faults
from tests.integration.board.rig import (
    CHAIR,
    COMMUNE,
    COMMUNES,
    DEADLINE,
    DEPARTMENT,
    FINDING,
    MONTHLY,
    NOW,
    OFFICE,
    OPERATOR,
    QUARTERLY,
    World,
    changed,
    notice,
    overdue,
    regime,
    step,
    submission,
    verdict,
)

#: the office's questions: one with a form of its own, and all that are free text
OWN_FORM, FREE = f"TT-{OFFICE}-1", f"TT-{OFFICE}"
SECRET, OTHERS = "Rà soát cán bộ bị kỷ luật", "Hỏi riêng sở, lần"
EVIDENCE, KEY = f"/nghia-vu/{DEPARTMENT}/{MONTHLY}/2026-M10", f"{DEPARTMENT}/{MONTHLY}/2026-M10"


def request(request_id: str, regime_code: str, title: str, agency_code: str) -> RequestIssued:
    return RequestIssued.model_validate(
        {
            "request_id": request_id, "regime": regime_code, "regime_version": 1, "title": title,
            "issued_at": DEADLINE, "deadline": DEADLINE, "agencies": [agency_code], "asked_by": OFFICE, "version": 1,
        }
    )  # fmt: skip


async def office_asks(world: World) -> str:
    """The commune was asked first, and is overdue; the department was asked more often since. The commune's period."""
    asked = f"{FREE}-2"
    later = [f"{FREE}-{number}" for number in range(3, 3 + queries.MOST_PERIODS)]
    await world.feed(
        regime(OWN_FORM, "adhoc", SECRET, "Review of discipline"), regime(FREE, "adhoc", "Trao đổi thông tin", ""),
        request(OWN_FORM, OWN_FORM, SECRET, DEPARTMENT), request(asked, FREE, "Hỏi xã", COMMUNE),
        *(request(one, FREE, f"{OTHERS} {one}", DEPARTMENT) for one in later),
        changed(DEPARTMENT, OWN_FORM, regime=OWN_FORM),
        overdue(COMMUNE, asked, regime=FREE, opens_at=DEADLINE - timedelta(days=9)),
        *(overdue(DEPARTMENT, one, regime=FREE, opens_at=DEADLINE - timedelta(hours=1)) for one in later),
    )  # fmt: skip
    return asked


async def test_nobody_reads_what_other_agencies_were_asked(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = await office_asks(world)
    chair, commune, nobody = [await world.signed_in(one) for one in (CHAIR, COMMUNES, OPERATOR)]
    pages = ("/", "/bang", f"/bang?regime={FREE}", f"/bang.csv?regime={FREE}", "/nop", "/leo-thang", "/khong-co")
    for page in pages:
        text = (await commune.get(page)).text
        assert (SECRET in text, OTHERS in text, OWN_FORM in text) == (False, False, False), page
    for browser, code in ((commune, OWN_FORM), (nobody, OWN_FORM), (nobody, FREE), (commune, MONTHLY)):
        answers = [await browser.get(f"{page}?regime={code}") for page in ("/bang", "/bang.csv")]
        assert [answer.status_code for answer in answers] == [404, 404]
    shared = await commune.get(f"/bang?regime={FREE}")
    assert f'href="/nghia-vu/{COMMUNE}/{FREE}/{asked}"' in shared.text
    assert "Hỏi xã" in shared.text
    assert asked in (await commune.get(f"/bang.csv?regime={FREE}")).text
    empty = await nobody.get("/bang")
    assert (empty.status_code, "<select" in empty.text, faults(empty.text, "vi")) == (200, False, [])
    assert SECRET in (await chair.get("/bang")).text
    assert OTHERS in (await chair.get(f"/bang?regime={FREE}")).text
    assert (await chair.get(f"/bang.csv?regime={OWN_FORM}")).status_code == 200

    whole = {"whole": [COMMUNE, DEPARTMENT], "agencies": [], "regimes": []}
    monkeypatch.setattr(queries, "seen", lambda view: whole)  # negative control: as if nobody looked at the view
    leaked = (await commune.get("/bang")).text, (await commune.get(f"/bang?regime={FREE}")).text
    assert (SECRET in leaked[0], OTHERS in leaked[1], "Hỏi xã" in leaked[1]) == (True, True, False)


async def test_the_regimes_to_choose_from_are_those_of_which_something_is_seen(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    await office_asks(world)
    await world.feed(overdue(DEPARTMENT), overdue(COMMUNE), overdue(DEPARTMENT, "2026-Q3", regime=QUARTERLY))
    views = [
        (View(frozenset({DEPARTMENT})), [MONTHLY, QUARTERLY, FREE, OWN_FORM]),
        (View(frozenset({COMMUNE}), {DEPARTMENT: frozenset({QUARTERLY, "NONE"})}), [MONTHLY, QUARTERLY, FREE]),
        (View(frozenset(), {COMMUNE: frozenset({QUARTERLY})}), []),
        (View(), []),
    ]
    async with world.database.read_transaction() as snapshot:
        for view, codes in views:
            regimes, more = await queries.seen_regimes(snapshot, view, NOW.date())
            assert (sorted(regimes), more) == (sorted(codes), False)
        named = await queries.regimes(snapshot, [QUARTERLY, QUARTERLY, "NONE"], NOW.date())
        assert {code: one["name"] for code, one in named.items()} == {QUARTERLY: "Báo cáo quý"}

    # what the list leaves out is reached by its address
    chair = await world.signed_in(CHAIR)
    assert "không gồm hết" not in (await chair.get("/bang")).text
    monkeypatch.setattr(queries, "MOST_REGIMES", 2)
    page = (await chair.get("/bang")).text
    assert (page.count("<option"), "không gồm hết" in page, "Báo cáo quý" in page) == (2, True, True)
    assert "Trao đổi thông tin" in (await chair.get(f"/bang?regime={FREE}")).text


async def test_the_evidence_shows_the_newest_and_says_what_is_left_out(world: World) -> None:
    versions, steps, told = queries.MOST_VERSIONS + 1, queries.MOST_STEPS + 1, queries.MOST_TOLD + 1
    begins = datetime(2026, 1, 1, tzinfo=UTC)
    minutes = [begins + timedelta(minutes=number) for number in range(max(versions, steps, told) + 1)]
    newest = FINDING.model_copy(update={"code": "NEWEST"})
    whole = [
        overdue(DEPARTMENT),
        *(submission(number, received_at=minutes[number]) for number in range(2, versions + 1)),
        *(verdict(number) for number in (2, 100, versions - 1)), verdict(versions, findings=(newest,)),
        *(step(number, at=minutes[number], reason=f"Bước số {number}.") for number in range(2, steps + 1)),
        *(notice(1000 + number, at=minutes[number]) for number in range(2, told + 1)),
    ]  # fmt: skip
    await world.feed(*whole)
    chair = await world.signed_in(CHAIR)
    page = (await chair.get(EVIDENCE)).text
    assert "cũ hơn không hiện" not in page, "negative control: nothing is left out"
    assert "Bước số 2." in page
    await world.feed(
        submission(1, received_at=minutes[1]), verdict(1),
        step(1, at=minutes[1], reason="Bước số 1."), notice(1001, at=minutes[1]),
    )  # fmt: skip
    page = (await chair.get(EVIDENCE)).text
    assert "cũ hơn không hiện" in page
    assert f"Kết quả kiểm tra phiên bản {versions}</h2>" in page
    assert ("<b>NEWEST</b>" in page, "<b>SUM</b>" in page) == (True, False)
    assert (f"Bước số {steps}." in page, "Bước số 1." in page) == (True, False)
    assert (f"Nhận phiên bản {versions}<" in page, "Nhận phiên bản 1<" in page) == (True, False)
    async with world.database.read_transaction() as snapshot:
        evidence = await queries.evidence(snapshot, KEY)
    assert evidence is not None
    assert [row["version"] for row in evidence.reports] == list(range(2, versions + 1))
    assert [row["at"] for row in evidence.steps] == minutes[2 : steps + 1]
    assert [row["at"] for row in evidence.notices] == minutes[2 : told + 1]
    assert not [row for row in evidence.reports if "findings" in row]


async def test_frequent_errors_are_those_of_each_obligations_newest_returned_report(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    codes = [f"E{number:03}" for number in range(queries.MOST_FINDINGS + 1)]
    many = tuple(FINDING.model_copy(update={"code": "MANY" if code != codes[-1] else code}) for code in codes)
    warning = FINDING.model_copy(update={"code": "WARNING", "severity": "warning"})
    other = f"{DEPARTMENT}/{MONTHLY}/2026-M09"
    await world.feed(
        verdict(1), verdict(2, findings=many), verdict(3, "accepted", findings=(warning,)),
        verdict(9, findings=(many[0], many[0], warning), obligation=other),
    )  # fmt: skip

    async def found() -> list[tuple[str, int]]:
        async with world.database.read_transaction() as snapshot:
            rows = await queries.frequent_findings(snapshot, [KEY, other, "NONE"])
        return [(row["code"], row["reports"]) for row in rows]

    assert await found() == [("MANY", 2)]
    monkeypatch.setattr(queries, "MOST_FINDINGS", len(codes))  # negative control
    assert await found() == [("MANY", 2), (codes[-1], 1)]
    await world.feed(verdict(3, findings=(FINDING,), revision=2))
    assert await found() == [("MANY", 1), ("SUM", 1)]
