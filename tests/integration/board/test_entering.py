"""An officer fills in a report, has it checked, sends it and holds its receipt: nothing that was typed is lost, nothing
is sent twice or by somebody else, and what is classified is never kept."""

from __future__ import annotations

import html
import re
from datetime import timedelta
from typing import Any
from uuid import UUID

import httpx
import pytest
from sqlalchemy import text

from services.board.entry import domain, store
from services.board.pages.web import Site
from services.board.viewing import View
from shared.contract.events import RegimePublished, RequestIssued
from tests.accessible import faults
from tests.integration.board.rig import (
    CHAIR,
    COMMUNES,
    DEADLINE,
    DEPARTMENT,
    HEAD,
    MONTHLY,
    NAMED,
    NOW,
    OFFICER,
    QUARTERLY,
    Browser,
    World,
    changed,
    fulfilled,
    overdue,
    regime,
    step,
    submission,
    verdict,
)  # fmt: skip

FORM: dict[str, Any] = {
    "figures": [
        {"code": "A10", "label": "Thu ngân sách", "label_en": "Revenue", "unit": "đồng", "scale": 6, "minimum": "0",
         "maximum": "5000", "fraction_digits": 2},
        {"code": "A11", "label": "Xếp loại", "kind": "text", "required": False, "max_characters": 20},
    ],
    "tables": [
        {"code": "T01", "label": "Hồ sơ", "label_en": "Files", "columns": [
            {"code": "TEN", "label": "Lĩnh vực", "type": "text"},
            {"code": "SO", "label": "Số hồ sơ", "type": "integer", "minimum": "0"},
            {"code": "NGAY", "label": "Ngày", "type": "date", "required": False},
            {"code": "MUC", "label": "Mức", "type": "choice", "choices": ["Cao", "Thấp"], "required": False},
        ]},
    ],
    "narratives": [
        {"code": "N01", "label": "Kết quả", "label_en": "Results", "roles": ["results"], "min_syllables": 9}
    ],
    "sums": [{"code": "S1", "total": "A10", "terms": ["A10"]}],
    "nil_allowed": True,
    "attachments": [{"code": "F1", "label": "Bản ký"}],
}  # fmt: skip
PAGE = f"/nop/{DEPARTMENT}/{MONTHLY}/2026-M10"
TYPED = {
    "/officer": OFFICER, "answer": "report", "/figures/A10": "12,5", "/figures/A11": "Tốt",
    "/tables/T01/0/TEN": "Đất đai", "/tables/T01/0/SO": "7", "/tables/T01/2/TEN": "Y tế",
    "/narratives/N01": "Dòng một\r\nDòng <b>hai</b>",
}  # fmt: skip
BODY = {
    "regime": MONTHLY, "period": "2026-M10", "officer": OFFICER, "figures": {"A10": "12,5", "A11": "Tốt"},
    "narratives": {"N01": "Dòng một\nDòng <b>hai</b>"},
    "tables": {"T01": [{"TEN": "Đất đai", "SO": "7"}, {"TEN": "Y tế"}]},
}  # fmt: skip
SENT_ID = UUID(int=77)
RECEIPT = {"submission_id": str(SENT_ID), "obligation": f"{DEPARTMENT}/{MONTHLY}/2026-M10", "version": 1}
LOOK, JUDGE, SEND = "/v1/submissions?dry_run=true", "/v1/validations?regime_version=1", "/v1/submissions"


def with_form(code: str = MONTHLY, **form: Any) -> RegimePublished:
    published = regime(code, "monthly", "Báo cáo tháng", "Monthly report").model_dump(mode="json")
    return RegimePublished.model_validate({**published, "version": 2, "form": {**FORM, **form}})


def value_of(page: str, name: str) -> str:
    """What the field of this name holds."""
    field = re.search(rf'<input[^>]*name="{name}"[^>]*>', page) or re.search(
        rf'<input[^>]*value="[^"]*"[^>]*name="{name}"', page
    )
    assert field, name
    found = re.search(r'value="([^"]*)"', field[0])
    return html.unescape(found[1]) if found else ""


@pytest.fixture
async def browser(world: World) -> Browser:
    """A browser of the department's officer, whose monthly report is overdue."""
    await world.feed(with_form(), overdue(DEPARTMENT))
    return await world.signed_in(OFFICER)


async def press(browser: Browser, button: str, fields: dict[str, str] | None = None, **changes: str) -> httpx.Response:
    """Press a button of the form as it is shown, with these fields typed."""
    shown = await browser.get(PAGE)
    hidden = {name: value_of(shown.text, name) for name in ("draft", "after")}
    return await browser.send_form(PAGE, {**hidden, **(TYPED if fields is None else fields), **changes, "do": button})


def told(world: World) -> list[tuple[str | None, str, Any, str | None]]:
    """Who asked a service to do what, with which Idempotency-Key."""
    return [(*asked, key) for asked, key in zip(world.asked, world.keys, strict=True)]


async def drafts(world: World) -> list[dict[str, Any]]:
    return await world.rows("SELECT version, saved_by, saved_at, document FROM drafts")


async def test_the_form_is_made_of_the_regimes_form(world: World, browser: Browser) -> None:
    assert f'href="{PAGE}"' in (await browser.get("/nop")).text
    shown = await browser.get(PAGE)
    assert (shown.status_code, faults(shown.text, "vi")) == (200, [])
    for part in (
        "A10 – Thu ngân sách", "triệu đồng", "từ 0 đến 5000; nhiều nhất 2 chữ số thập phân", 'inputmode="decimal"',
        "kết quả; ít nhất 9 tiếng", 'name="/tables/T01/4/SO"', 'type="date"', "<option>Thấp</option>",
        "Không phát sinh trong kỳ", f'<option value="{OFFICER}" selected>', "Đã quá hạn; vẫn gửi được", "Bản ký",
    ):  # fmt: skip
        assert (part in shown.text) == (part != "Bản ký"), part
    assert "Từ chối cung cấp" not in shown.text, "only what somebody asked is declined"
    assert f'value="{NAMED}"' not in shown.text, "who is designated for another regime does not answer for this one"
    english = await browser.get(PAGE + "?lang=en")
    assert faults(english.text, "en") == []
    assert "A10 – Revenue" in english.text
    assert "million đồng" in english.text


async def test_a_draft_is_kept_with_all_that_was_typed(world: World, browser: Browser) -> None:
    more = await press(browser, "rows/T01")
    assert (more.status_code, faults(more.text, "vi"), await drafts(world)) == (200, [], [])
    assert 'name="/tables/T01/13/TEN"' in more.text
    assert value_of(more.text, "/figures/A10") == "12,5"
    saved = await press(browser, "save")
    assert (saved.status_code, saved.headers["location"]) == (303, f"{PAGE}?saved=1")
    (draft,) = await drafts(world)
    assert (draft["version"], draft["saved_by"], draft["saved_at"]) == (1, OFFICER, NOW)
    shown = await browser.get(saved.headers["location"])
    assert faults(shown.text, "vi") == []
    for part in ("Nháp đã lưu. Chưa gửi.", "Bản nháp do Nguyễn Thị dept-officer lưu lúc 09:00:00 22/10/2026",
                 "Dòng một\nDòng &lt;b&gt;hai&lt;/b&gt;</textarea>"):  # fmt: skip
        assert part in shown.text
    assert [value_of(shown.text, name) for name in ("/figures/A10", "/tables/T01/0/TEN", "/tables/T01/1/TEN")] == [
        "12,5", "Đất đai", "Y tế"
    ]  # fmt: skip
    assert told(world) == [], "nobody is told of a draft"
    colleague = await world.signed_in(HEAD)
    assert value_of((await colleague.get(PAGE)).text, "/figures/A10") == "12,5"
    assert "có bản nháp, lưu lúc 09:00 22/10/2026" in (await colleague.get("/nop")).text


async def test_who_saves_upon_another_draft_is_told_and_sees_both(world: World, browser: Browser) -> None:
    first = await browser.get(PAGE)
    colleague = await world.signed_in(HEAD)
    await press(colleague, "save", {**TYPED, "/figures/A10": "99"})
    hidden = {name: value_of(first.text, name) for name in ("draft", "after")}
    for button in ("save", "check", "send"):
        second = await browser.send_form(PAGE, {**hidden, **TYPED, "do": button})
        assert (second.status_code, faults(second.text, "vi")) == (409, [])
        for part in ("Nguyễn Thị dept-head", "đã lưu một bản nháp khác", "Bản vừa lưu của người khác: <b>99</b>"):
            assert part in second.text
        assert value_of(second.text, "/figures/A10") == "12,5"
    assert [draft["document"]["figures"]["A10"] for draft in await drafts(world)] == ["99"]
    assert told(world) == []
    seen = {name: value_of(second.text, name) for name in ("draft", "after")}
    assert (await browser.send_form(PAGE, {**seen, **TYPED, "do": "save"})).status_code == 303
    assert [draft["document"]["figures"]["A10"] for draft in await drafts(world)] == ["12,5"]


async def test_what_is_classified_is_neither_kept_nor_sent(world: World, browser: Browser) -> None:
    for name, button in (("/narratives/N01", "save"), ("/figures/A11", "check"), ("/tables/T01/0/TEN", "send"),
                         ("/nil_reason", "save")):  # fmt: skip
        refused = await press(browser, button, {**TYPED, name: "TUYỆT MẬT: số liệu"})
        assert (refused.status_code, faults(refused.text, "vi")) == (422, [])
        assert "Chưa lưu, chưa gửi: nội dung có độ mật." in refused.text
        assert "TUYỆT MẬT: số liệu" in refused.text, "what was typed is shown again"
    assert (await drafts(world), told(world)) == ([], [])


async def test_a_check_asks_both_services_and_shows_findings_at_their_fields(world: World, browser: Browser) -> None:
    world.said[LOOK] = httpx.Response(200, json={"obligation": RECEIPT["obligation"], "version": 1})
    findings = [
        {"code": "C03", "severity": "error", "weight": "error", "path": "/figures/A10", "message": "Không phải số.",
         "message_en": "No number.", "fix": "Ghi 12.5.", "fix_en": "Write 12.5."},
        {"code": "B02", "severity": "error", "weight": "error", "path": "/tables/T01/1/SO", "message": "Thiếu ô.",
         "message_en": "A cell is missing.", "fix": "Điền.", "fix_en": "Fill it in."},
        {"code": "N12", "severity": "warning", "weight": "confirm", "path": "/narratives/N99",
         "message": "Giống kỳ trước.", "message_en": "As before.", "fix": "Viết lại.", "fix_en": "Write it anew."},
    ]  # fmt: skip
    world.said[JUDGE] = httpx.Response(200, json={"findings": findings})
    checked = await press(browser, "check")
    assert (checked.status_code, faults(checked.text, "vi")) == (200, [])
    assert sorted(told(world), key=repr) == [(OFFICER, LOOK, BODY, None), (OFFICER, JUDGE, BODY, None)]
    for part in (
        "có chỗ phải sửa. Chưa gửi.", '<a href="#figures:A10">A10 – Thu ngân sách</a>: Không phải số.',
        '<a href="#tables:T01:1:SO">', "Giống kỳ trước.", 'aria-describedby="figures:A10:hint figures:A10:found"',
    ):  # fmt: skip
        assert part in checked.text
    assert checked.text.count('aria-invalid="true"') == 2
    assert [draft["version"] for draft in await drafts(world)] == [1]
    world.said[JUDGE] = httpx.Response(200, json={"findings": findings[2:]})
    assert "gửi được, nhưng phải giải trình" in (await press(browser, "check")).text
    world.said[JUDGE] = httpx.Response(200, json={"findings": []})
    assert "không có lỗi. Chưa gửi." in (await press(browser, "check")).text
    # what intake refuses, and a service that is away
    locked = {
        "title": "Đã khóa",
        "title_en": "Locked",
        "detail_vi": "Đã khóa từ hôm qua.",
        "detail": "Đã khóa từ hôm qua.",
    }
    world.said |= {LOOK: httpx.Response(409, json=locked), JUDGE: httpx.ReadTimeout("no answer")}
    checked = await press(browser, "check")
    assert checked.status_code == 200
    for part in ("Mới kiểm tra được một phần", "Đã khóa từ hôm qua."):
        assert part in checked.text


async def test_a_report_is_sent_once_whatever_is_pressed_twice(world: World, browser: Browser) -> None:
    shown = await browser.get(PAGE)
    hidden = {name: value_of(shown.text, name) for name in ("draft", "after")}
    world.said[SEND] = httpx.Response(201, json=RECEIPT)
    for _ in range(2):
        done = await browser.send_form(PAGE, {**hidden, **TYPED, "do": "send"})
        assert (done.status_code, done.headers["location"]) == (303, f"{PAGE}/bien-nhan/{SENT_ID}")
    (who, path, body, key), again = told(world)
    assert ((who, path, body), again) == ((OFFICER, SEND, BODY), (who, path, body, key))
    # a further version, and other content, are other reports
    await press(browser, "send", {**TYPED, "after": "1"})
    await press(browser, "send", {**TYPED, "/figures/A10": "13"})
    assert len({key for _, _, _, key in told(world)}) == 3


async def test_no_answer_keeps_everything_and_a_second_try_has_the_same_key(world: World, browser: Browser) -> None:
    world.said[SEND] = httpx.ReadTimeout("no answer")
    unknown = await press(browser, "send")
    assert (unknown.status_code, faults(unknown.text, "vi")) == (503, [])
    assert "gửi hai lần cũng chỉ tính một" in unknown.text
    # it had come, and the board has heard of it meanwhile: what was shown is sent again all the same
    await world.feed(submission(1, nil=False))
    world.said[SEND] = httpx.Response(200, json=RECEIPT, headers={"Idempotent-Replayed": "true"})
    hidden = {name: value_of(unknown.text, name) for name in ("draft", "after")}
    again = await browser.send_form(PAGE, {**hidden, **TYPED, "do": "send"})
    assert again.status_code == 303
    assert len({key for _, _, _, key in told(world)}) == 1


async def test_a_refusal_stands_at_its_field_and_nothing_is_lost(world: World, browser: Browser) -> None:
    errors = [{"pointer": "/officer", "message": "Không có cán bộ.", "fix": "Ghi mã khác."}]
    world.said[SEND] = httpx.Response(422, json={"title": "Chưa được tiếp nhận", "errors": errors})
    refused = await press(browser, "send")
    assert (refused.status_code, faults(refused.text, "vi")) == (422, [])
    for part in ("Chưa được tiếp nhận. Nháp đã lưu.", "Không có cán bộ.", 'aria-describedby="officer:found"'):
        assert part in refused.text
    assert value_of(refused.text, "/figures/A10") == "12,5"
    other = {**RECEIPT, "obligation": "H99.X07/BC-THANG/2026-M10"}
    world.said[SEND] = httpx.Response(201, json=other)
    assert "báo người vận hành" in (await press(browser, "send")).text


async def test_nil_and_what_is_declined_are_sent_with_their_reason_and_without_figures(
    world: World, browser: Browser
) -> None:
    world.said[SEND] = httpx.Response(201, json=RECEIPT)
    await press(browser, "send", {**TYPED, "answer": "nil", "/nil_reason": "Không phát sinh hồ sơ."})
    assert [body for _, _, body, _ in told(world)] == [
        {
            "regime": MONTHLY,
            "period": "2026-M10",
            "officer": OFFICER,
            "nil": True,
            "nil_reason": "Không phát sinh hồ sơ.",
        }
    ]
    assert value_of((await browser.get(PAGE)).text, "/figures/A10") == "12,5", "the draft keeps the figures"
    # of an information request
    asked = {
        "request_id": "HOI-1", "regime": MONTHLY, "title": "Số hộ nghèo", "issued_at": DEADLINE - timedelta(days=9),
        "deadline": DEADLINE, "agencies": (DEPARTMENT,), "asked_by": "H99.01", "question": "Bao nhiêu?", "version": 1,
    }  # fmt: skip
    await world.feed(RequestIssued.model_validate(asked), changed(DEPARTMENT, "HOI-1"))
    page = f"/nop/{DEPARTMENT}/{MONTHLY}/HOI-1"
    shown = await browser.get(page)
    assert faults(shown.text, "vi") == []
    assert "Số hộ nghèo" in shown.text
    fields = {"draft": "0", "after": "0", "/officer": OFFICER, "answer": "referral", "/nil_reason": "Không giữ số liệu",
              "/refer_to": "H99.X07"}  # fmt: skip
    await browser.send_form(page, {**fields, "do": "send"})
    assert [body for _, _, body, _ in told(world)][1:] == [
        {"regime": MONTHLY, "period": "HOI-1", "officer": OFFICER, "nil": True, "nil_reason": "Không giữ số liệu",
         "declines": "referral", "refer_to": "H99.X07"}
    ]  # fmt: skip


async def test_the_receipt_says_what_came_of_it(world: World, browser: Browser) -> None:
    receipt, asked = f"{PAGE}/bien-nhan/{UUID(int=1)}", f"/v1/submissions/{UUID(int=1)}?agency={DEPARTMENT}"
    assert (await browser.get(receipt)).status_code == 404
    # not heard of yet: intake says it
    detail = {"obligation": RECEIPT["obligation"], "version": 1, "received_at": "2026-10-19T15:00:00+07:00",
              "sha256": "ab" * 32, "officer": OFFICER, "status": "received", "findings": []}  # fmt: skip
    world.said[asked] = httpx.Response(200, json=detail)
    first = await browser.get(receipt)
    assert (first.status_code, faults(first.text, "vi")) == (200, [])
    for part in ("Đã nhận, đang kiểm tra.", "15:00:00 19/10/2026", "ab" * 32, "Tải lại để xem kết quả"):
        assert part in first.text
    world.said[asked] = httpx.ReadTimeout("no answer")
    assert "Chưa đọc được biên nhận" in (await browser.get(receipt)).text
    await world.feed(submission(1), verdict(1))
    returned = await browser.get(receipt)
    assert faults(returned.text, "vi") == []
    for part in ("trả lại", "Tổng không khớp", "A10 – Thu ngân sách", "Sửa và gửi lại"):
        assert part in returned.text
    await world.feed(verdict(1, "accepted", revision=2, decided_at=NOW))
    assert "Đã kiểm tra: đạt." in (await browser.get(receipt)).text
    await world.feed(step(1, "withdrawn", version=1))
    withdrawn = await browser.get(receipt)
    assert "Bản này đã rút." in withdrawn.text
    assert f'href="/nghia-vu/{DEPARTMENT}/{MONTHLY}/2026-M10/phien-ban/{UUID(int=1)}"' in withdrawn.text
    # another report's receipt is none of this one's
    assert (await browser.get(f"/nop/{DEPARTMENT}/{MONTHLY}/2026-M10/bien-nhan/none")).status_code == 404
    await world.feed(submission(2, obligation=f"{DEPARTMENT}/{MONTHLY}/2026-M09", period="2026-M09"))
    assert (await browser.get(f"{PAGE}/bien-nhan/{UUID(int=2)}")).status_code == 404


async def test_what_was_returned_is_filled_in_with_its_findings(world: World, browser: Browser) -> None:
    await world.feed(submission(1), verdict(1))
    detail = {"officer": HEAD, "figures": {"A10": "12.5", "A99": "1", "A11": None}, "narratives": {"N01": "Cũ"},
              "tables": {"T01": [{"TEN": "Đất đai", "SO": "7"}]}}  # fmt: skip
    world.said[f"/v1/submissions/{UUID(int=1)}?agency={DEPARTMENT}"] = httpx.Response(200, json=detail)
    shown = await browser.get(PAGE)
    assert faults(shown.text, "vi") == []
    for part in ("Phiên bản 1 đã trả lại", "Tổng không khớp", f'<option value="{HEAD}" selected>', "A99 = 1"):
        assert part in shown.text
    assert value_of(shown.text, "/figures/A10") == "12.5"
    await press(browser, "save", {**TYPED, "/figures/A10": "12"})
    corrected = await browser.get(PAGE)
    assert (value_of(corrected.text, "/figures/A10"), value_of(corrected.text, "after")) == ("12", "1")
    assert "Phiên bản 1 đã gửi: <b>12.5</b>" in corrected.text
    assert value_of((await browser.get(PAGE + "?from=sent")).text, "/figures/A10") == "12.5"


async def test_the_period_before_stands_beside_and_is_done_without(world: World, browser: Browser) -> None:
    before = f"{DEPARTMENT}/{MONTHLY}/2026-M09"
    earlier: dict[str, Any] = {"obligation": before, "period": "2026-M09"}
    await world.feed(
        fulfilled(DEPARTMENT, "2026-M09", deadline=DEADLINE - timedelta(days=30)),
        submission(1, **earlier), submission(2, **earlier), submission(3, **earlier),
        *(verdict(number, "accepted", **earlier) for number in (1, 2, 3)),
        step(1, "withdrawn", obligation=before, period="2026-M09", version=3),
    )  # fmt: skip
    asked = f"/v1/submissions/{UUID(int=2)}?agency={DEPARTMENT}"
    world.said[asked] = httpx.Response(200, json={"figures": {"A10": "100.25"}, "tables": {"T01": [{"TEN": "Cũ"}]}})
    shown = await browser.get(PAGE)
    assert faults(shown.text, "vi") == []
    assert "Kỳ trước: <b>100.25</b>" in shown.text
    assert "Kỳ trước: 1 dòng" in shown.text
    assert value_of(shown.text, "/figures/A10") == ""
    world.said[asked] = httpx.ConnectError("away")
    without = await browser.get(PAGE)
    assert (without.status_code, "Kỳ trước" in without.text) == (200, False)


async def test_a_session_that_ends_meanwhile_loses_nothing(world: World, browser: Browser) -> None:
    shown = await browser.get(PAGE)
    hidden = {name: value_of(shown.text, name) for name in ("csrf", "draft", "after")}
    world.system.advance(seconds=3600)
    kept = await browser.post(PAGE, data={**hidden, **TYPED, "do": "send"}, headers=browser.own_headers)
    assert (kept.status_code, faults(kept.text, "vi")) == (403, [])
    fields = {html.unescape(name): html.unescape(value) for name, value in
              re.findall(r'type="hidden" name="([^"]*)" value="([^"]*)"', kept.text)}  # fmt: skip
    assert fields == {**hidden, **TYPED, "do": "send", "csrf": ""}
    await browser.sign_in(OFFICER)
    back = await browser.post(PAGE, data=fields, headers=browser.own_headers)
    assert (back.status_code, faults(back.text, "vi")) == (403, [])
    assert "phiên trước đã kết thúc" in back.text
    assert value_of(back.text, "/figures/A10") == "12,5"
    assert (await drafts(world), told(world)) == ([], [])
    world.said[SEND] = httpx.Response(201, json=RECEIPT)
    again = {name: value_of(back.text, name) for name in ("csrf", "draft", "after")}
    sent = await browser.post(PAGE, data={**TYPED, **again, "do": "send"}, headers=browser.own_headers)
    assert sent.status_code == 303


async def test_a_lock_and_a_form_that_is_not_known_yet_are_told(world: World, browser: Browser) -> None:
    await world.feed(overdue(DEPARTMENT, version=4, locks_at=DEADLINE + timedelta(days=1)))
    for page in ("/nop", PAGE):
        assert "Đã khóa" in (await browser.get(page)).text
    await world.feed(step(1, "unlocked", at=NOW - timedelta(hours=2), until=NOW + timedelta(hours=1)))
    assert "Đã khóa" not in (await browser.get("/nop")).text
    assert "Đã mở khóa, gửi được đến 10:00 22/10/2026" in (await browser.get(PAGE)).text
    async with world.database.transaction() as tx:
        await tx.execute(text("UPDATE regimes SET form = NULL"))
    shown = await browser.get(PAGE)
    assert (shown.status_code, faults(shown.text, "vi")) == (200, [])
    assert "registry republish" in shown.text
    assert "<textarea" not in shown.text
    await world.feed(with_form())
    assert "A10 – Thu ngân sách" in (await browser.get(PAGE)).text


async def test_nobody_else_has_the_form(world: World, browser: Browser) -> None:
    for person in (CHAIR, COMMUNES, NAMED):
        other = await world.signed_in(person)
        assert (await other.get(PAGE)).status_code == 404
        assert (await other.get(f"{PAGE}/bien-nhan/{UUID(int=1)}")).status_code == 404
        token = re.search(r'name="csrf" value="([^"]+)"', (await other.get("/nop")).text)
        assert token
        fields = {**TYPED, "csrf": token[1], "do": "send"}
        assert (await other.post(PAGE, data=fields, headers=other.own_headers)).status_code == 404
    assert (await browser.get(f"/nop/{DEPARTMENT}/{MONTHLY}/2026-M11")).status_code == 404
    foreign = await browser.post(PAGE, data=TYPED, headers={"origin": "https://x.example"})
    assert foreign.status_code == 403
    assert (await world.browser().get(PAGE)).headers["location"].startswith("/dang-nhap")
    assert (await drafts(world), told(world)) == ([], [])


async def test_drafts_go_when_nobody_needs_them(world: World, browser: Browser) -> None:
    await world.feed(changed(DEPARTMENT, regime=QUARTERLY, period="2026-Q3"))

    async def prune(before: timedelta = timedelta(days=90)) -> int:
        async with world.database.transaction() as tx:
            return await store.prune(tx, world.business.now() - before)

    await press(browser, "save")
    await world.feed(submission(1, received_at=NOW - timedelta(hours=1)), verdict(1, "accepted"))
    assert await prune() == 0, "it was saved after that version came"
    await world.feed(submission(2, received_at=NOW + timedelta(hours=1)), verdict(2))
    assert await prune() == 0, "that version was returned"
    await world.feed(verdict(2, "accepted", revision=2, decided_at=NOW + timedelta(days=1)))
    assert (await prune(), await drafts(world)) == (1, [])
    await press(browser, "save", {**TYPED, "/figures/A10": "1"})
    world.business.advance(days=91)
    assert (await prune(), await drafts(world)) == (1, [])
    await press(browser, "save")
    saved = world.business.now()
    await world.feed(changed(DEPARTMENT, version=8, owed=False, at=saved - timedelta(days=1)))
    assert await prune() == 0, "a board that follows anew hears first what an obligation was long before"
    await world.feed(changed(DEPARTMENT, version=9, owed=False, at=saved + timedelta(hours=1)))
    assert (await prune(), await drafts(world)) == (1, [])


async def test_a_page_whose_draft_is_gone_does_not_replace_the_next_one_unseen(world: World, browser: Browser) -> None:
    await press(browser, "save")
    (old,) = await drafts(world)
    async with world.database.transaction() as tx:
        assert await store.prune(tx, world.business.now() + timedelta(seconds=1)) == 1
    await press(browser, "save", {**TYPED, "/figures/A10": "77"})
    stale = {**TYPED, "draft": str(old["version"]), "after": "0", "do": "save"}
    assert (await browser.send_form(PAGE, stale)).status_code == 409
    assert [draft["document"]["figures"]["A10"] for draft in await drafts(world)] == ["77"]


async def test_no_field_of_a_draft_keeps_a_classified_text(world: World, browser: Browser) -> None:
    for field in ("/officer", "/nil_reason", "/figures/A10"):
        await press(browser, "save", {**TYPED, field: "TUYỆT MẬT: số liệu"})
        assert await drafts(world) == [], field


async def test_controls_each_protection_is_what_keeps_its_promise(
    world: World, browser: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With one taken out, what the tests above deny happens."""
    world.said[SEND] = httpx.Response(201, json=RECEIPT)
    stranger = await world.signed_in(COMMUNES)
    own = re.search(r'name="csrf" value="([^"]+)"', (await stranger.get("/nop")).text)
    assert own
    with monkeypatch.context() as patch:
        patch.setattr(domain, "is_classified", lambda text: False)
        await press(browser, "save", {**TYPED, "/figures/A11": "TUYỆT MẬT: số liệu"})
        assert "TUYỆT MẬT" in str(await drafts(world))
    stale = {**TYPED, "draft": "0", "after": "0", "do": "save"}
    with monkeypatch.context() as patch:
        patch.setattr(store, "_SAVE", text(store._SAVE.text.replace("WHERE d.version = :seen", "WHERE :seen >= 0")))
        assert (await browser.send_form(PAGE, stale)).status_code == 303
        assert "TUYỆT MẬT" not in str(await drafts(world)), "the newer draft is lost"
    with monkeypatch.context() as patch:
        patch.setattr(Site, "of_this_session", lambda *_: True)
        unasked = {**stale, "csrf": "another", "draft": "2"}
        assert (await browser.post(PAGE, data=unasked, headers=browser.own_headers)).status_code == 303
    with monkeypatch.context() as patch:
        patch.setattr(domain, "idempotency_key", lambda *_: str(len(world.keys)))
        await press(browser, "send")
        await press(browser, "send")
        assert world.keys == ["0", "1"]
    with monkeypatch.context() as patch:
        patch.setattr(View, "sees", lambda *_: True)
        assert (await stranger.get(PAGE)).status_code == 200
        # and even then nothing is sent for an agency that is not the person's own
        sent = await stranger.post(
            PAGE, data={**stale, "csrf": own[1], "draft": "5", "do": "send"}, headers=stranger.own_headers
        )
        assert (sent.status_code, len(world.asked)) == (200, 2)
        assert "chưa kiểm tra và gửi được" in sent.text


async def test_sums_follow_what_is_typed_and_nothing_is_kept(world: World, browser: Browser) -> None:
    figures = [*FORM["figures"], {"code": "A12", "label": "Thuế"}, {"code": "A13", "label": "Phí"}]
    sums = [{"code": "S1", "total": "A10", "terms": ["A12", "A13"]}]
    await world.feed(with_form(figures=figures, sums=sums).model_copy(update={"version": 3}))
    page = (await browser.get(PAGE)).text
    assert "Bằng A12 + A13</output>" in page
    assert f'hx-post="{PAGE}/cong"' in page
    assert faults(page, "vi") == []

    async def said(**figures: str) -> str:
        fields = {f"/figures/{code}": text for code, text in figures.items()}
        answer = await browser.send_form(f"{PAGE}/cong", fields, page=PAGE)
        assert answer.status_code == 200
        (shown,) = re.findall(r'<output[^>]* id="sum:S1"[^>]*hx-swap-oob="true">(.*?)</output>', answer.text)
        return str(shown)

    assert await said(A12="4") == "Cộng đến nay: 4; còn chờ A13"
    assert await said(A12="4", A13="0.5") == "A12 + A13 = 4.5"
    assert await said(A10="4.5", A12="4", A13="0.5") == "A12 + A13 = 4.5 ✓"
    assert await said(A10="5", A12="4", A13="0.5") == "A12 + A13 = 4.5. Số đang ghi lớn hơn 0.5"
    assert await said(A10="x", A12="4", A13="<b>") == "Cộng đến nay: 4; còn chờ A13"
    assert await drafts(world) == []
    assert told(world) == []


async def test_sums_are_for_whoever_sends_the_report_by_its_own_form(world: World, browser: Browser) -> None:
    await world.signed_in(HEAD)
    stranger = await world.signed_in(COMMUNES)
    assert (await stranger.send_form(f"{PAGE}/cong", {}, page="/")).status_code == 404
    foreign = {"origin": "https://elsewhere.example"}
    assert (await browser.send_form(f"{PAGE}/cong", {}, page=PAGE, **foreign)).status_code == 403
    assert (await browser.send_form(f"{PAGE}/cong", {}, page=PAGE)).status_code == 200
