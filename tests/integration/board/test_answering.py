"""Who was told of an overdue report answers on the page: notifier is asked in that person's name, and what it says is
shown; nobody else has the page."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from uuid import UUID

import httpx

from tests.accessible import faults
from tests.integration.board.rig import (
    CHAIR,
    CHIEF,
    DEADLINE,
    DEPARTMENT,
    HEAD,
    MONTHLY,
    NOW,
    Browser,
    World,
    escalation,
    fulfilled,
    notice,
    overdue,
)

NOTICE = UUID(int=303)
PAGE = f"/leo-thang/{NOTICE}"
SAID = {
    "held_until": "2026-10-26T08:00:00+07:00", "next_at": "2026-10-26T08:00:00+07:00",
    "answers": [{"by": HEAD, "via": "", "kind": "acknowledged", "at": "2026-10-22T09:00:00+07:00",
                 "until": "2026-10-26T08:00:00+07:00", "reason": "Đang <b>tổng hợp</b>"}],
    "handed_on": [],
}  # fmt: skip


async def told(world: World) -> Browser:
    """A browser of the head, who was told of an overdue report."""
    at = DEADLINE + timedelta(hours=1)
    await world.feed(overdue(DEPARTMENT), notice(3, "escalation", step="overdue/rung-t", officer_id=HEAD, at=at))
    return await world.signed_in(HEAD)


async def test_an_answer_goes_to_notifier_in_the_persons_name_and_its_outcome_is_shown(world: World) -> None:
    browser = await told(world)
    assert f'href="{PAGE}"' in (await browser.get("/leo-thang")).text
    shown = await browser.get(PAGE)
    assert (shown.status_code, faults(shown.text, "vi")) == (200, [])
    world.answers.append(httpx.Response(200, json=SAID))
    form = {"kind": "acknowledged", "until": "2026-10-26", "reason": " Đang  tổng hợp "}
    done = await browser.send_form(f"{PAGE}/tra-loi", form, page=PAGE)
    assert world.asked == [
        (HEAD, f"/v1/escalations/{NOTICE}/answers",
         {"kind": "acknowledged", "until": "2026-10-26", "reason": " Đang  tổng hợp "})
    ]  # fmt: skip
    assert done.status_code == 200
    for part in ("Đã ghi nhận.", "08:00 26/10/2026", "Đang &lt;b&gt;tổng hợp&lt;/b&gt;", "Hạn nộp theo quy định không"):
        assert part in done.text
    assert faults(done.text, "vi") == []


async def test_a_refusal_says_why_and_keeps_what_was_typed(world: World) -> None:
    browser = await told(world)
    problem = {"errors": [{"pointer": "/until", "message": "Ngày hẹn quá xa; hãy chọn ngày sớm hơn.", "fix": ""}]}
    world.answers.append(httpx.Response(422, json=problem))
    form = {"kind": "snoozed", "until": "2027-10-26", "reason": "Chờ số liệu"}
    refused = await browser.send_form(f"{PAGE}/tra-loi", form, page=PAGE)
    assert (refused.status_code, faults(refused.text, "vi")) == (422, [])
    for part in ("Ngày hẹn quá xa", 'value="2027-10-26"', 'value="snoozed" checked', ">Chờ số liệu</textarea>"):
        assert part in refused.text
    assert "Đã ghi nhận." not in refused.text


async def test_an_answer_of_no_kind_is_given_as_it_came_and_never_as_another(world: World) -> None:
    browser = await told(world)
    world.answers.append(httpx.Response(422, json={"errors": [{"message": "Phải là một trong ba.", "fix": ""}]}))
    refused = await browser.send_form(f"{PAGE}/tra-loi", {"kind": "noted", "until": "mai", "reason": ""}, page=PAGE)
    assert [body for _, _, body in world.asked] == [{"kind": "noted", "until": "mai"}]
    assert (refused.status_code, "Phải là một trong ba." in refused.text) == (422, True)


async def test_a_matter_is_handed_on_to_a_colleague(world: World) -> None:
    browser = await told(world)
    assert (
        '<option value="dept-officer">Nguyễn Thị dept-officer, Chuyên viên</option>' in (await browser.get(PAGE)).text
    )
    handed = {"by": HEAD, "via": "", "to": "dept-officer", "at": "2026-10-22T09:00:00+07:00", "reason": "Phụ trách"}
    world.answers.append(httpx.Response(200, json={**SAID, "answers": [], "handed_on": [handed]}))
    form = {"to": "dept-officer", "other": "", "reason": "Phụ trách"}
    done = await browser.send_form(f"{PAGE}/chuyen-giao", form, page=PAGE)
    assert world.asked == [
        (HEAD, f"/v1/escalations/{NOTICE}/handing-on", {"to": "dept-officer", "reason": "Phụ trách"})
    ]
    assert "Chuyển giao cho dept-officer" in done.text


async def test_nobody_else_has_the_page_or_answers_by_it(world: World) -> None:
    browser = await told(world)
    for person in (CHAIR, CHIEF):
        other = await world.signed_in(person)
        assert (await other.get(PAGE)).status_code == 404
    assert (await browser.get("/leo-thang/none")).status_code == 404
    assert (await browser.get(f"/leo-thang/{UUID(int=1)}")).status_code == 404
    stranger = world.browser()
    assert (await stranger.get(PAGE)).headers["location"].startswith("/dang-nhap")
    # what another site sends, or a page of an older session, is not taken: notifier is not asked
    foreign = await browser.post(
        f"{PAGE}/tra-loi", data={"kind": "acknowledged"}, headers={"origin": "https://x.example"}
    )
    assert foreign.status_code == 403
    bare = await browser.post(f"{PAGE}/tra-loi", data={"kind": "acknowledged"}, headers=browser.own_headers)
    assert bare.status_code == 403
    assert world.asked == []


async def test_a_service_that_takes_no_tokens_is_told_as_that(world: World) -> None:
    browser = await told(world)
    world.answers.append(httpx.Response(401, json={}))
    form = {"kind": "acknowledged", "until": "2026-10-26", "reason": ""}
    failed = await browser.send_form(f"{PAGE}/tra-loi", form, page=PAGE)
    assert failed.status_code == 503
    assert "keys trust board" in failed.text


ANSWER = {"at": DEADLINE + timedelta(hours=2), "by": HEAD, "kind": "acknowledged", "until": NOW + timedelta(days=4),
          "reason": "Đang <b>tổng hợp</b>", "notice": str(NOTICE)}  # fmt: skip
HANDED = {"at": DEADLINE + timedelta(hours=3), "by": HEAD, "to": "dept-officer", "agency": DEPARTMENT, "rung": "t",
          "reason": "Phụ trách khối"}  # fmt: skip


async def test_pages_show_who_has_answered_and_what_is_next(world: World) -> None:
    browser = await told(world)
    await world.feed(escalation())
    before = (await browser.get("/leo-thang")).text
    next_at = f"{DEADLINE + timedelta(days=4):%H:%M %d/%m/%Y}"
    for part in ("Chưa ai trả lời.", f"bậc sau hạn 3 ngày làm việc, Văn phòng UBND tỉnh, {next_at}", "thang default/2"):
        assert part in before
    assert "Dừng báo cấp trên" not in before
    until = NOW + timedelta(days=4)
    answered: dict[str, Any] = {"held_until": until, "next_at": until, "answers": [ANSWER], "handed_on": [HANDED]}
    await world.feed(escalation(2, **answered))
    promised = f"{until:%H:%M %d/%m/%Y}"
    for path, parts in {
        "/leo-thang": (f"Dừng báo cấp trên đến {promised}", f"Đã nắm, hẹn đến {promised}",
                       "Nguyễn Thị dept-head", "Đang &lt;b&gt;tổng hợp&lt;/b&gt;", "Chuyển giao cho Nguyễn Thị"),
        PAGE: (f"Dừng báo cấp trên đến {promised}", "Đang &lt;b&gt;tổng hợp&lt;/b&gt;"),
        "/": (f"đã nắm, hẹn {until:%d/%m/%Y}",),
        f"/nghia-vu/{DEPARTMENT}/{MONTHLY}/2026-M10": (
            "Bắt đầu chuyển cấp", "thang default/2", "Đã nắm</b> · Nguyễn Thị dept-head",
            f"hẹn đến {promised}; Đang", "Chuyển giao</b>", "Phụ trách khối"),
    }.items():  # fmt: skip
        shown = await browser.get(path)
        assert faults(shown.text, "vi") == []
        for part in parts:
            assert part in shown.text, (path, part)
    english = await world.signed_in(HEAD, language="en")
    for path in ("/leo-thang", PAGE, "/", f"/nghia-vu/{DEPARTMENT}/{MONTHLY}/2026-M10"):
        assert faults((await english.get(path)).text, "en") == []
    # over: nobody waits for a promise, and the evidence says how it ended
    await world.feed(
        fulfilled(DEPARTMENT),
        escalation(3, answers=[ANSWER], resolved_at=NOW, resolution="answered", next_rung=None, next_at=None),
    )
    browser = await world.signed_in(HEAD)
    inbox = await browser.get("/")
    assert (inbox.status_code, "đã nắm, hẹn" in inbox.text) == (200, False)
    evidence = (await browser.get(f"/nghia-vu/{DEPARTMENT}/{MONTHLY}/2026-M10")).text
    assert "Hết chuyển cấp</b><br>đã có báo cáo đạt" in evidence
