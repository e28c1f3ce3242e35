"""What pages show, and to whom: figures equal a plain count, and a page outside one's part of the tree is not there."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import re
import zipfile
from collections import Counter
from datetime import date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import text
from structlog.testing import capture_logs

import services.board.pages.web
from services.board.pages.web import HEADERS, HTMX_PATH, ICON_PATH, SCRIPT_PATH, STYLE_PATH
from services.board.readmodel import queries
from services.board.viewing import View
from shared.contract.events import ObligationChanged
from shared.contract.events.verdicts import Waived
from shared.runtime.clock import LOCAL_ZONE
from tests.accessible import faults
from tests.integration.board.rig import (
    CHAIR,
    CHIEF,
    COMMUNE,
    COMMUNES,
    DEADLINE,
    DEPARTMENT,
    FINDING,
    HEAD,
    MONTHLY,
    NAMED,
    NOW,
    OFFICE,
    OFFICER,
    OPERATOR,
    PROVINCE,
    QUARTERLY,
    World,
    agency,
    changed,
    fulfilled,
    notice,
    officer,
    overdue,
    regime,
    step,
    submission,
    verdict,
)

_VENDORED = Path(services.board.pages.web.__file__).parent / "static" / "vendored.json"
EVIDENCE = f"/nghia-vu/{DEPARTMENT}/{MONTHLY}/2026-M10"
QUARTER = f"/nghia-vu/{DEPARTMENT}/{QUARTERLY}/2026-Q3"
SCORE = EVIDENCE.replace("/nghia-vu/", "/cach-tinh/")
LATENESS = EVIDENCE.replace("/nghia-vu/", "/giai-trinh/")
ALL = {CHAIR, CHIEF, HEAD, OFFICER, NAMED, COMMUNES, OPERATOR}
ABOVE, WHOLE = {CHAIR, CHIEF}, {CHAIR, CHIEF, HEAD, OFFICER}
#: page -> who may see it
MATRIX: dict[str, set[str]] = {
    "/": ALL,
    "/bang": ALL,
    "/nop": ALL,
    "/leo-thang": ALL,
    "/da-gui": ALL,
    f"/da-gui?co-quan={DEPARTMENT}": WHOLE | {NAMED},
    "/van-hanh": {OPERATOR},
    "/phien-dang-nhap": ALL,
    "/danh-muc": ALL,
    f"/danh-muc/che-do/{MONTHLY}": WHOLE | {COMMUNES},
    "/danh-muc/che-do/NONE": set(),
    f"/bang?regime={MONTHLY}": WHOLE | {COMMUNES},
    f"/bang.csv?regime={MONTHLY}": WHOLE | {COMMUNES},
    f"/bang.xlsx?regime={MONTHLY}": WHOLE | {COMMUNES},
    f"/co-quan/{PROVINCE}": ABOVE,
    f"/co-quan/{DEPARTMENT}": WHOLE | {NAMED},
    f"/co-quan/{COMMUNE}": ABOVE | {COMMUNES},
    EVIDENCE: WHOLE,
    SCORE: WHOLE,
    LATENESS: WHOLE,
    QUARTER: WHOLE | {NAMED},
    QUARTER.replace("/nghia-vu/", "/cach-tinh/"): WHOLE | {NAMED},
    f"/nghia-vu/{COMMUNE}/{MONTHLY}/2026-M10": ABOVE | {COMMUNES},
    f"/nghia-vu/{DEPARTMENT}/{MONTHLY}/2031-M01": set(),  # there is none
    "/ky/2026-M10": WHOLE | {COMMUNES},
    "/ky/2026-Q3": WHOLE | {NAMED},
    "/ky/2026-M10/tai/bao-cao.xlsx": WHOLE | {COMMUNES},
    "/ky/2026-M10/tai/so-lieu.json": set(),  # frozen figures alone
    "/ky/2026-M10/tai/bao-cao.exe": set(),
    "/ky/2031-M01": set(),
    "/ky/2026-M13": set(),
    f"/ky/2026-M10/{UUID(int=1)}": set(),
    "/ky/2026-M10/x": set(),
    "/co-quan/H98": set(),  # another province
    "/nghia-vu/H98/BC-THANG/2026-M10": set(),
    "/cach-tinh/H98/BC-THANG/2026-M10": set(),
    f"/cach-tinh/{DEPARTMENT}/{MONTHLY}/2031-M01": set(),
    QUARTER.replace("/nghia-vu/", "/giai-trinh/"): WHOLE | {NAMED},
    f"/giai-trinh/{DEPARTMENT}/{MONTHLY}/2031-M01": set(),
    "/khong-co-trang-nay": set(),
    "/bang?regime=NONE": set(),
    "/bang.csv?regime=NONE": set(),
    "/bang.xlsx?regime=NONE": set(),
}


async def world_with_reports(world: World) -> None:
    world.intake["/v1/notices"] = {"items": [], "next": None}
    await world.feed(
        agency("H98", kind="province"),
        overdue(DEPARTMENT), fulfilled(COMMUNE), changed("H98"),
        overdue(DEPARTMENT, "2026-Q3", regime=QUARTERLY),
        submission(1), submission(2), verdict(1), verdict(2), step(1), notice(1), notice(2, "escalation"),
    )  # fmt: skip


async def test_everybody_sees_their_part_of_the_tree_and_no_more(world: World) -> None:
    await world_with_reports(world)
    for person in sorted(ALL):
        browser = await world.signed_in(person)
        seen = {page for page in MATRIX if (await browser.get(page)).status_code == 200}
        assert seen == {page for page, people in MATRIX.items() if person in people}, person
        assert {(await browser.get(page)).status_code for page in MATRIX.keys() - seen} <= {404}
    stranger = world.browser()
    assert {(await stranger.get(page)).status_code for page in MATRIX} == {303}


async def test_no_page_names_what_its_reader_may_not_see(world: World) -> None:
    await world_with_reports(world)
    browser = await world.signed_in(COMMUNES)
    for page in ("/", "/bang", f"/bang.csv?regime={MONTHLY}", f"/co-quan/{COMMUNE}", "/nop", "/leo-thang"):
        text = (await browser.get(page)).text
        assert DEPARTMENT not in text
        assert "Sở Nông nghiệp" not in text
    chairs = await (await world.signed_in(CHAIR)).get(f"/bang?regime={MONTHLY}")
    assert "Sở Nông nghiệp" in chairs.text  # the control


async def test_a_finding_that_a_waiver_silences_says_so_with_who_why_and_until_when(world: World) -> None:
    waived = Waived(
        waiver_id="MN-1", asked_by=OFFICER, approved_by=CHAIR, reason="Biểu mẫu chưa tách số liệu",
        until=date(2026, 12, 31), weight="error",
    )  # fmt: skip
    silenced = FINDING.model_copy(update={"severity": "warning", "waived": waived})
    await world_with_reports(world)
    await world.feed(verdict(2, "accepted", findings=(silenced,), waived=1, revision=2))
    page = (await (await world.signed_in(CHAIR)).get(EVIDENCE)).text
    assert "Được miễn áp dụng, không tính</b> đến hết 31/12/2026: Biểu mẫu chưa tách số liệu" in page
    assert f"đề nghị {OFFICER}, duyệt {CHAIR}; MN-1" in page
    await world.feed(verdict(2, "accepted", findings=(FINDING,), revision=3))
    assert "miễn áp dụng" not in (await (await world.signed_in(CHAIR)).get(EVIDENCE)).text, "negative control"


async def test_the_judged_agency_sees_the_evidence_and_the_score_that_the_chair_sees(world: World) -> None:
    await world_with_reports(world)
    line = {
        "line_id": UUID(int=1), "seq": 1, "component": "timeliness", "points": "0", "in_force": True,
        "cause": "Quá hạn", "cause_en": "Overdue", "clause": "1.c", "policy_version": "2019.1", "created_at": DEADLINE,
        "clause_text": "Hết thời hạn mà chưa có báo cáo được chấp nhận", "legal_basis": "NĐ 09/2019/NĐ-CP, Điều 7",
    }  # fmt: skip
    await world.feed(overdue(DEPARTMENT, version=3, score="0", lines=(line,)))
    chair, officer = await world.signed_in(CHAIR), await world.signed_in(OFFICER)
    said = {
        EVIDENCE: ("Quá hạn", "Bão số 9", FINDING.message, FINDING.fix or "", "Nhắc sắp đến hạn",
                   "Phiên bản 2 bị trả lại"),
        SCORE: ("0 (1.c)", "Hết thời hạn mà chưa có báo cáo được chấp nhận", "Căn cứ: NĐ 09/2019/NĐ-CP, Điều 7",
                f"/v1/obligations/{MONTHLY}/2026-M10/appeals"),
    }  # fmt: skip
    for page, parts in said.items():
        bodies = [_main((await browser.get(page)).text) for browser in (chair, officer)]
        assert bodies[0] == bodies[1]
        assert [part for part in parts if part not in bodies[0]] == []
    assert f'href="{SCORE}"' in (await officer.get(EVIDENCE)).text


def _main(page: str) -> str:
    """What the page shows, without what its reader may ask for by it."""
    shown = re.split(r'<main id="main"[^>]*>', page)[1].split("</main>")[0]
    return re.sub(r'<p class="acts">.*?</p>', "", shown)


async def test_escalations_say_who_was_told_and_show_it_to_whom_they_told(world: World) -> None:
    """An obligation is escalated by the notices since its deadline, while nothing answers it."""
    key, at = f"{COMMUNE}/{MONTHLY}/2026-M10", DEADLINE + timedelta(hours=1)
    above: dict[str, Any] = {"kind": "escalation", "step": "overdue/rung-t+3d"}
    await world.feed(
        agency("H99.X08", PROVINCE, kind="commune", name="Xã Bình Minh"),
        officer("province-head", PROVINCE, "head"),
        overdue(DEPARTMENT), overdue(COMMUNE), fulfilled("H99.X08"),
        overdue(DEPARTMENT, "2026-Q3", regime=QUARTERLY),
        notice(1), notice(2, "overdue", step="overdue", at=at),
        notice(3, step="overdue/rung-t", kind="escalation", officer_id=HEAD, at=at),
        notice(4, **above, officer_id="province-head", at=at + timedelta(days=2)),
        # an earlier climb, of a deadline that moved; and one that a report ended
        notice(5, **above, obligation=key, agency=COMMUNE, officer_id=CHIEF, at=DEADLINE - timedelta(days=1)),
        notice(6, **above, obligation=f"H99.X08/{MONTHLY}/2026-M10", agency="H99.X08", officer_id=CHIEF, at=at),
    )  # fmt: skip
    pages = {person: _main((await (await world.signed_in(person)).get("/leo-thang")).text)
             for person in (CHAIR, HEAD, OFFICER, COMMUNES, "province-head")}  # fmt: skip
    for person in (CHAIR, HEAD, OFFICER, "province-head"):
        assert re.findall(r'<tr id="e-([^"]+)"', pages[person]) == [f"{DEPARTMENT}_{MONTHLY}_2026-M10"], person
        assert ("Đã báo tới Ông/Bà" in pages[person]) is (person in (HEAD, "province-head"))
    assert "Không có báo cáo nào đang chuyển cấp" in pages[COMMUNES]
    assert re.search(
        r"bậc đến hạn: Nguyễn Thị dept-head.*bậc sau hạn 3 ngày làm việc: Nguyễn Thị province-head",
        pages[CHAIR],
        re.DOTALL,
    )
    assert re.search(r"Nhắc sắp đến hạn: .*Báo quá hạn: ", pages[CHAIR], re.DOTALL)
    # the head of the agency above reads no evidence of those below, but what the letter said
    assert ("Sở Nông nghiệp" in pages["province-head"], EVIDENCE in pages["province-head"]) == (True, False)
    browser = await world.signed_in("province-head")
    await world.feed(officer("province-head", PROVINCE, "head", active=False, version=2))
    assert (await browser.get("/leo-thang")).status_code == 303


async def test_of_each_climb_the_newest_notices_are_shown_whatever_the_others_have(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A report with many notices takes no other one's place, and the page says what it leaves out."""
    many, few = f"{DEPARTMENT}_{MONTHLY}_2026-M10", f"{COMMUNE}_{MONTHLY}_2026-M10"
    told: dict[str, Any] = {"kind": "escalation", "officer_id": CHIEF}
    hours = [DEADLINE + timedelta(hours=number) for number in range(queries.MOST_ABOVE + 2)]
    above = [notice(number, **told, step=f"overdue/rung-t+{number}h", at=at) for number, at in enumerate(hours)]
    before = [notice(100 + number, at=DEADLINE - timedelta(hours=99 - number)) for number in range(12)]
    last: dict[str, Any] = {
        "obligation": f"{COMMUNE}/{MONTHLY}/2026-M10", "agency": COMMUNE, "at": DEADLINE + timedelta(days=9)
    }  # fmt: skip
    await world.feed(
        overdue(DEPARTMENT), overdue(COMMUNE), *above[2:], *before[2:],
        notice(200, **told, **last, step="overdue/rung-t+9d"), notice(201, **{**last, "at": DEADLINE}),
    )  # fmt: skip
    browser = await world.signed_in(CHAIR)

    async def climb(of: str) -> str:
        page = _main((await browser.get("/leo-thang")).text)
        return page.split(f'<tr id="e-{of}"')[1].split("</tr>")[0]

    whole = await climb(many)
    assert ("bậc sau hạn 2 giờ:" in whole, "cũ hơn không hiện" in whole) == (True, False)
    await world.feed(*above[:2], *before[:2])
    newest = await climb(many)
    assert newest.count("cũ hơn không hiện") == 2
    assert newest.replace("cũ hơn không hiện", "").count("bậc sau hạn") == queries.MOST_ABOVE
    assert newest.count("Nhắc sắp đến hạn") == queries.MOST_BEFORE
    assert ("bậc sau hạn 2 giờ:" in newest, "bậc sau hạn 1 giờ:" in newest) == (True, False)
    shown = await climb(few)
    assert ("bậc sau hạn 9 ngày làm việc:" in shown, "Nhắc sắp đến hạn" in shown, "cũ hơn" in shown) == (
        True,
        True,
        False,
    )
    # negative control: a bound over all of the page's rows, the oldest first, leaves out this report's newest notice
    statement = text(f"SELECT * FROM ({queries._NOTICES_OF.text}) AS found ORDER BY at LIMIT 30")
    monkeypatch.setattr(queries, "_NOTICES_OF", statement)
    assert "bậc sau hạn 9 ngày làm việc:" not in await climb(few)


async def test_the_escalations_go_on_where_their_page_ended(world: World) -> None:
    codes = [f"H99.A{place:02}" for place in range(55)]
    at = DEADLINE + timedelta(hours=1)
    told: dict[str, Any] = {"kind": "escalation", "step": "overdue/rung-t", "officer_id": CHIEF, "at": at}
    await world.feed(
        *(agency(code, PROVINCE) for code in codes), *(overdue(code) for code in codes),
        *(notice(place, **told, obligation=f"{code}/{MONTHLY}/2026-M10", agency=code)
          for place, code in enumerate(codes)),
    )  # fmt: skip
    browser = await world.signed_in(CHAIR)
    first = await browser.get("/leo-thang")
    following = re.search(r'rel="next" href="([^"]+)"', first.text)
    assert following is not None
    second = await browser.get(following[1].replace("&amp;", "&"))
    listed = [re.findall(r'<tr id="e-(H99\.A\d\d)_', page.text) for page in (first, second)]
    assert (listed[0] + listed[1], len(listed[0])) == (codes, queries.PAGE_ROWS)


async def test_who_reports_sees_what_is_left_to_send_and_what_is_next(world: World) -> None:
    soon = DEADLINE + timedelta(days=30)
    await world.feed(
        overdue(DEPARTMENT), changed(DEPARTMENT, "2026-M11", deadline=soon, cutoff_to=date(2026, 11, 14)),
        changed(DEPARTMENT, "2026-M12", deadline=soon + timedelta(days=30), opens_at=soon),  # not open yet
        changed(DEPARTMENT, "2026-Q3", regime=QUARTERLY, standing="returned", deadline=soon - timedelta(days=1)),
        fulfilled(DEPARTMENT, "2026-M09"), overdue(COMMUNE),
    )  # fmt: skip
    quarter, october, november = f"{QUARTERLY}_2026-Q3", f"{MONTHLY}_2026-M10", f"{MONTHLY}_2026-M11"
    expected = {OFFICER: [october, quarter, november], HEAD: [october, quarter, november], NAMED: [quarter], CHIEF: []}
    for person, rows in expected.items():
        page = _main((await (await world.signed_in(person)).get("/nop")).text)
        assert re.findall(rf'<tr id="o-{DEPARTMENT}_([^"]+)"', page) == rows, person
        assert COMMUNE not in page
        assert ("không giữ nhiệm vụ gửi báo cáo" in page) is (person == CHIEF)
    page = _main((await (await world.signed_in(OFFICER)).get("/nop")).text)
    for said in ("Gửi báo cáo", "Sửa theo kết quả kiểm tra rồi gửi lại", "số liệu chốt hết ngày 14/11/2026",
                 "chậm 3 ngày", "Tháng 11/2026"):  # fmt: skip
        assert said in page


async def test_who_runs_the_system_sees_how_the_services_fare(world: World) -> None:
    page = (await (await world.signed_in(OPERATOR)).get("/van-hanh")).text
    for said in ("Chưa sẵn sàng", "kafka: is away", "intake.follow", 'data-label="Chưa nhận">12</td>'):
        assert said in page


async def test_a_new_name_and_a_new_place_in_the_tree_are_seen_at_once(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    await world.feed(overdue(COMMUNE))
    chair, head = await world.signed_in(CHAIR), await world.signed_in(HEAD)
    assert "Xã Tân Lập" in (await chair.get("/")).text
    await world.feed(agency(COMMUNE, PROVINCE, kind="commune", name="Xã Tân Hòa", version=2))
    assert "Xã Tân Hòa" in (await chair.get("/")).text
    await world.feed(agency(COMMUNE, "H98", kind="commune", name="Xã Tân Hòa", version=3))
    assert "Xã Tân Hòa" not in (await chair.get("/")).text
    assert (await head.get("/")).status_code == 200

    async def unchanged(_: object) -> tuple[int, Decimal]:
        return 0, Decimal(0)

    monkeypatch.setattr(queries, "agencies_marks", unchanged)  # negative control
    await chair.get("/")
    await world.feed(agency(COMMUNE, PROVINCE, kind="commune", name="Xã Tân Hòa", version=4))
    assert "Xã Tân Hòa" not in (await chair.get("/")).text


async def test_every_page_can_be_used_by_keyboard_and_screen_reader(world: World) -> None:
    await world_with_reports(world)
    await world.feed(
        notice(3, "escalation", step="overdue/rung-t", officer_id=HEAD, at=DEADLINE + timedelta(hours=1)),
        overdue(DEPARTMENT, version=3, score="0"),
    )
    browsers = {person: await world.signed_in(person) for person in (CHAIR, OFFICER, OPERATOR)}
    browsers["nobody"] = world.browser()
    for person, browser in browsers.items():
        for page in [*MATRIX, "/dang-nhap", "/loi-moi/khong-co"]:
            for language in ("vi", "en"):
                asked = f"{page}{'&' if '?' in page else '?'}lang={language}"
                answer = await browser.get(asked)
                if answer.headers.get("content-type", "").startswith("text/html"):
                    assert faults(answer.text, language) == [], f"{person} {asked}"


async def test_pages_speak_both_languages_vietnamese_first(world: World) -> None:
    await world_with_reports(world)
    browser = await world.signed_in(CHAIR)
    vietnamese = await browser.get(EVIDENCE, headers={"accept-language": "en"})
    assert ('lang="vi"' in vietnamese.text, "Diễn biến" in vietnamese.text) == (True, True)
    english = await browser.get(f"{EVIDENCE}?lang=en")
    assert ("What happened" in english.text, "Diễn biến" in english.text) == (True, False)
    assert english.headers["content-language"] == "en"
    assert "What happened" in (await browser.get(EVIDENCE)).text  # remembered
    kept = await browser.get(f"/bang?regime={MONTHLY}&lang=en")
    assert f'href="?regime={MONTHLY}&amp;lang=vi"' in kept.text


async def test_a_page_takes_nothing_from_elsewhere_and_runs_no_script_but_ours(world: World) -> None:
    await world_with_reports(world)
    browser = await world.signed_in(CHAIR)
    for page in (
        "/",
        "/bang",
        "/leo-thang",
        "/nop",
        f"/co-quan/{DEPARTMENT}",
        EVIDENCE,
        SCORE,
        "/khong-co",
        "/dang-nhap",
    ):
        answer = await browser.get(page, follow_redirects=True)
        assert answer.headers["content-security-policy"] == HEADERS["Content-Security-Policy"]
        assert answer.headers["cache-control"] == "no-store"
        scripts = "".join(f'<script src="{path}" defer></script>\n' for path in (HTMX_PATH, SCRIPT_PATH))
        assert scripts in answer.text, page
        others = answer.text.replace(scripts, "")
        assert not re.search(r"<script|javascript:|\shx-on|\son\w+=|style=|src=|https?://", others), page
        assert re.findall(r'<link[^>]+href="([^"]+)"', answer.text) == [ICON_PATH, STYLE_PATH]
    for path in (ICON_PATH, STYLE_PATH):
        file = await browser.get(path)
        assert (file.status_code, "url(" in file.text, "<script" in file.text) == (200, False, False)
    for path in (HTMX_PATH, SCRIPT_PATH):
        file = await browser.get(path)
        assert (file.status_code, file.headers["content-type"]) == (200, "text/javascript; charset=utf-8")
        assert "immutable" in file.headers["cache-control"]


async def test_a_page_that_asks_by_itself_keeps_no_session_alive(world: World) -> None:
    """Whoever leaves a page open is signed out by rest all the same; the control is somebody who reads."""
    left, read = await world.signed_in(CHAIR), await world.signed_in(OFFICER)
    polling = re.search(r'hx-headers=\'\{"([^"]+)": "1"\}\'', (await left.get("/")).text)
    assert polling is not None
    for _ in range(3):
        world.system.advance(seconds=11 * 60)
        poll = await left.get("/", headers={polling[1]: "1"})
        assert (await read.get("/")).status_code == 200
    assert (poll.status_code, poll.text) == (401, "")  # the page stays as it is; a redirect would replace it
    assert (await left.get("/")).status_code == 303


def test_what_is_vendored_is_what_its_manifest_says() -> None:
    for one in json.loads(_VENDORED.read_bytes()):
        assert hashlib.sha256((_VENDORED.parent / one["file"]).read_bytes()).hexdigest() == one["sha256"], one
    assert {one["file"] for one in json.loads(_VENDORED.read_bytes())} == {
        file.name for file in _VENDORED.parent.iterdir() if file.is_file()
    } - {"board.css", "board.js", "board.svg", _VENDORED.name}


async def test_names_from_the_registry_are_text_not_markup(world: World) -> None:
    await world.feed(agency(COMMUNE, PROVINCE, kind="commune", name='Xã <b title="x">Tân & Lập</b>', version=2))
    await world.feed(overdue(COMMUNE))
    text = (await (await world.signed_in(CHAIR)).get("/")).text
    assert "Xã &lt;b title=&#34;x&#34;&gt;Tân &amp; Lập&lt;/b&gt;" in text
    assert "<b title" not in text


async def test_a_page_while_the_database_is_away_says_what_to_do(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    browser = await world.signed_in(CHAIR)

    async def away(*_: object) -> None:
        raise ConnectionRefusedError("the database is away")

    monkeypatch.setattr(queries, "inbox", away)
    answer = await browser.get("/")
    assert answer.status_code == 503
    assert "Thử lại" in answer.text
    assert "the database is away" not in answer.text
    assert answer.headers["retry-after"]


@pytest.mark.parametrize("error", [ConnectionRefusedError("away"), ValueError("broken")])
async def test_the_token_of_an_invitation_is_in_no_log_line(
    world: World, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    token = await world.invited(CHAIR)

    async def failing(*_: object) -> None:
        raise error

    monkeypatch.setattr(world.accounts, "invited", failing)
    with capture_logs() as lines:
        answer = await world.browser().get(f"/loi-moi/{token}")
    assert answer.status_code in (500, 503)
    assert [line["action"] for line in lines] == ["http.failed" if answer.status_code == 500 else "http.unavailable"]
    assert token not in str([{**line, "exc_info": ""} for line in lines])
    assert lines[0].get("path") in (None, "/loi-moi/{token}")


def many() -> list[ObligationChanged]:
    """70 agencies and 14 months, every state among them."""
    found = []
    for place in range(70):
        for month in range(1, 15):
            period = f"{2025 + (month > 6)}-M{(month + 5) % 12 + 1:02}"
            deadline = datetime(int(period[:4]), int(period[6:]), 18, 17, tzinfo=LOCAL_ZONE)
            told: dict[str, Any] = {"deadline": deadline, "at": deadline, "opens_at": deadline - timedelta(days=30)}
            code, kind = f"H99.A{place:02}", (place * 7 + month * 3) % 6
            if kind == 0:
                found.append(overdue(code, period, **told))
            elif kind == 1:
                found.append(overdue(code, period, standing="returned", **told))
            elif kind == 2:
                late: dict[str, Any] = {
                    "answer_received_at": deadline + timedelta(hours=6 * place + 1),
                    "on_time": False,
                }
                found.append(fulfilled(code, period, score="70.00", **told, **late))
            elif kind == 3 and place % 2:
                found.append(changed(code, period, owed=False, **told))
            else:
                found.append(fulfilled(code, period, score="100.00", **told))
    return found


async def test_the_heat_maps_figures_equal_a_plain_count(world: World) -> None:
    codes = [f"H99.A{place:02}" for place in range(70)]
    await world.feed(*(agency(code, PROVINCE) for code in codes), *many())
    view = View(frozenset(code for code in codes if code != "H99.A03"))
    async with world.database.read_transaction() as snapshot:
        first = await queries.heat_map(snapshot, view, MONTHLY, NOW)
        second = await queries.heat_map(snapshot, view, MONTHLY, NOW, after=first.rows[queries.PAGE_ROWS - 1])
    owed = [one for one in many() if one.owed and one.agency != "H99.A03"]
    periods = sorted({one.period for one in owed})[-queries.MOST_PERIODS :]
    owed = [one for one in owed if one.period in periods]
    assert first.periods == periods
    assert first.rows[: queries.PAGE_ROWS] + second.rows == sorted({one.agency for one in owed})
    cells = {**first.cells, **second.cells}
    assert {key: line.standing for key, line in cells.items()} == {(o.agency, o.period): o.standing for o in owed}
    for period in periods:
        of_it = [one for one in owed if one.period == period]
        late = [one for one in of_it if one.on_time is False]
        days = [(one.answer_received_at - one.deadline) / timedelta(days=1) for one in late if one.answer_received_at]
        expected = {
            "owed": len(of_it), "answered": sum(one.standing == "fulfilled" for one in of_it),
            "on_time": sum(one.on_time is True for one in of_it), "late": len(late),
            "overdue": sum(one.overdue for one in of_it), "returned": sum(one.standing == "returned" for one in of_it),
        }  # fmt: skip
        total = first.totals[period]
        assert {name: total[name] for name in expected} == expected
        assert float(total["days_late"] or 0) == pytest.approx(sum(days) / len(days) if days else 0, abs=1e-6)
    async with world.database.read_transaction() as snapshot:
        count = await queries.counts(snapshot, view, NOW)
    everything = [one for one in many() if one.owed and one.agency != "H99.A03"]
    assert count["overdue"] == sum(one.overdue for one in everything)
    assert count["oldest"] == min(one.deadline for one in everything if one.overdue)

    # what a chair reads off the page and out of the file is the same
    browser = await world.signed_in(CHAIR)
    text = (await browser.get(f"/bang.csv?regime={MONTHLY}")).text
    lines = list(csv.reader(io.StringIO(text.removeprefix("\ufeff"))))
    assert text.startswith("\ufeff")
    assert lines[0][:2] == ["Mã cơ quan", "Cơ quan"]
    all_owed = [one for one in many() if one.owed and one.period in periods]
    assert len(lines) - 1 == len(all_owed)
    assert Counter(line[4] for line in lines[1:])["Quá hạn, trả lại"] == sum(
        one.overdue and one.standing == "returned" for one in all_owed
    )
    book = zipfile.ZipFile(io.BytesIO((await browser.get(f"/bang.xlsx?regime={MONTHLY}")).content))
    sheet = book.read("xl/worksheets/sheet1.xml").decode()
    assert sheet.count("<row ") == len(lines) + 1, "a note, the heads, and the same rows"
    assert sheet.count("Quá hạn, trả lại") == sum(one.overdue and one.standing == "returned" for one in all_owed)
    page = await browser.get(f"/bang?regime={MONTHLY}")
    assert page.text.count('<th scope="row"><a href="/co-quan/') == queries.PAGE_ROWS
    following = re.search(r'rel="next" href="([^"]+)"', page.text)
    assert following is not None
    rest = await browser.get(following[1].replace("&amp;", "&"))
    assert rest.text.count('<th scope="row"><a href="/co-quan/') == 20


async def test_the_inbox_goes_on_where_its_page_ended(world: World) -> None:
    await world.feed(*(overdue(f"H99.A{place:02}", deadline=DEADLINE - timedelta(days=place)) for place in range(60)))
    await world.feed(*(agency(f"H99.A{place:02}", PROVINCE) for place in range(60)))
    browser = await world.signed_in(CHAIR)
    first = await browser.get("/")
    following = re.search(r'rel="next" href="([^"]+)"', first.text)
    assert following is not None
    second = await browser.get(following[1].replace("&amp;", "&"))
    listed = [re.findall(r'<tr id="o-(H99\.A\d\d)_', page.text) for page in (first, second)]
    assert [code for page in listed for code in page] == [f"H99.A{place:02}" for place in reversed(range(60))]
    assert len(listed[0]) == queries.PAGE_ROWS
    assert (await browser.get("/?after=no%20page%20gave%20this")).status_code == 200


async def test_a_page_without_anything_says_so(world: World) -> None:
    browser = await world.signed_in(CHIEF)
    assert "Không có gì quá hạn" in (await browser.get("/")).text
    assert "Chưa có kỳ nào mở" in (await browser.get("/bang")).text
    office = (await browser.get(f"/co-quan/{OFFICE}")).text
    assert "Chưa có nghĩa vụ nào đã mở." in office
    assert "Chưa có cán bộ đầu mối." in office


async def test_the_pages_leave_the_services_own_addresses_alone(world: World) -> None:
    """A page for every other address once took them all, so that the board was ready whatever its consumers did."""
    stranger = world.browser()
    ready = await stranger.get("/readyz")
    assert (ready.status_code, ready.json()["service"]) == (200, "board")
    assert (await stranger.get("/healthz")).json()["alive"] is True
    assert "# HELP" in (await stranger.get("/metrics")).text
    assert (await stranger.get("/openapi.json")).json()["openapi"].startswith("3.1")
    assert (await stranger.get("/khong-co")).headers["location"] == "/dang-nhap?next=/khong-co"
    nowhere = await (await world.signed_in(OFFICER)).get("/khong-co")
    assert (nowhere.status_code, nowhere.headers["content-type"]) == (404, "text/html; charset=utf-8")


@pytest.mark.parametrize(
    "address",
    [
        "/?after=0001-01-01T00:00:00%2B14:00|x", "/?after=9999-12-31T23:59:59-12:00|x", "/?after=%00",
        "/leo-thang?after=9999-12-31T23:59:59-12:00|x", "/bang?after=%00", "/bang?after=%ED%A0%80",
    ],
)  # fmt: skip
async def test_a_place_that_no_page_gave_begins_at_the_first(world: World, address: str) -> None:
    assert (await (await world.signed_in(CHAIR)).get(address)).status_code == 200


async def test_the_directory_says_who_answers_where_and_where_nobody_does(world: World) -> None:
    await world_with_reports(world)
    chair, head = await world.signed_in(CHAIR), await world.signed_in(HEAD)
    page = _main((await chair.get("/danh-muc")).text)
    assert [code for code in (PROVINCE, OFFICE, DEPARTMENT, COMMUNE) if f'id="a-{code}"' not in page] == []
    assert 'id="a-H98"' not in page
    assert f"Lê Văn {CHAIR}" in page
    assert "Chủ tịch UBND" in page
    assert "2 cơ quan chưa có cán bộ đầu mối" in page  # the province and its office
    lacking = (await chair.get("/danh-muc?thieu=1")).text
    assert re.findall(r'id="a-([^"]+)"', lacking) == [PROVINCE, OFFICE]
    sought = (await chair.get("/danh-muc", params={"tim": "nong nghiep"})).text
    assert re.findall(r'id="a-([^"]+)"', sought) == [DEPARTMENT]
    assert re.findall(r'id="a-([^"]+)"', (await head.get("/danh-muc")).text) == [DEPARTMENT]
    for day in ("before 2025", "0000-00-00"):
        assert (await chair.get("/danh-muc", params={"ngay": day})).status_code == 200
    early = _main((await chair.get("/danh-muc?ngay=2025-01-01")).text)
    assert ("của hôm nay" in early, "của hôm nay" in page) == (True, False)  # officers have no dates
    assert f"Lê Văn {CHAIR}" not in early  # whose office begins in July
    for path in ("/danh-muc", f"/danh-muc/che-do/{MONTHLY}"):
        for language in ("vi", "en"):
            assert faults((await chair.get(f"{path}?lang={language}")).text, language) == []


async def test_a_regime_is_shown_by_versions_to_whoever_sees_something_of_it(world: World) -> None:
    await world_with_reports(world)
    newer = regime(MONTHLY, "monthly", "Báo cáo tháng mới", "New monthly report").model_copy(
        update={"regime_version": 2, "effective_from": date(2027, 1, 1), "version": 2}
    )
    await world.feed(newer)
    head, named = await world.signed_in(HEAD), await world.signed_in(NAMED)
    page = (await head.get(f"/danh-muc/che-do/{MONTHLY}")).text
    assert "<h1>Báo cáo tháng<small>" in page
    assert "đang hiệu lực" in page
    later = (await head.get(f"/danh-muc/che-do/{MONTHLY}?phien-ban=2")).text
    assert ("<h1>Báo cáo tháng mới<small>" in later, "đang hiệu lực" in later) == (True, False)
    assert (await head.get(f"/danh-muc/che-do/{MONTHLY}?phien-ban=9")).status_code == 404
    assert (await named.get(f"/danh-muc/che-do/{MONTHLY}")).status_code == 404
    assert (await named.get(f"/danh-muc/che-do/{QUARTERLY}")).status_code == 200


async def test_a_regime_of_others_is_not_told_however_many_the_reader_sees(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    await world_with_reports(world)
    named, head = await world.signed_in(NAMED), await world.signed_in(HEAD)
    monkeypatch.setattr(queries, "MOST_REGIMES", 0)
    assert (await named.get(f"/danh-muc/che-do/{MONTHLY}")).status_code == 404
    assert (await named.get(f"/danh-muc/che-do/{QUARTERLY}")).status_code == 200
    assert "đang hiệu lực" in (await head.get(f"/danh-muc/che-do/{MONTHLY}")).text
    early = (await head.get(f"/danh-muc/che-do/{MONTHLY}?ngay=2001-01-01")).text
    assert "đang hiệu lực" not in early  # no version was, on that day
