"""Heads, reviewers and offices act on the pages: intake is asked in their name, and what it says is shown.

What intake shows here is made of its own models, so that a field it renames breaks these tests.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import timedelta
from typing import Any
from uuid import UUID

import httpx

from services.intake.lifecycle import table
from services.intake.lifecycle.api import StepReceipt
from services.intake.lifecycle.deciding import ASKED_BY
from services.intake.lifecycle.open_queries import OpenReviewPage, OpenReviewView
from services.intake.lifecycle.views import Lifecycle, PossibleStep, StepView, possible_steps
from services.intake.obligations.queries import ObligationDetail
from services.intake.submissions.queries import SubmissionDetail, SubmissionView, VerdictView
from services.intake.waivers.views import WaiverRequestPage, WaiverRequestView
from shared.contract.events import EventModel, FigureField, Form, StepKind
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
    NAMED,
    NOW,
    OFFICER,
    OPERATOR,
    Browser,
    World,
    changed,
    overdue,
    regime,
    step,
    submission,
    verdict,
)

KEY = f"{DEPARTMENT}/{MONTHLY}/2026-M10"
EVIDENCE = f"/nghia-vu/{KEY}"
SENT, ASKED = UUID(int=1), UUID(int=201)
VERSION, ASKING = f"{EVIDENCE}/phien-ban/{SENT}", f"{EVIDENCE}/de-nghi"
EXTENSION = f"{ASKING}/gia-han/{ASKED}"
PRECEDING = UUID(int=77)


def waits(kind: str, about: UUID, **changes: Any) -> OpenReviewView:
    return OpenReviewView.model_validate(
        {
            "kind": kind, "name": "chờ ký xác nhận", "name_en": "to be certified", "about": about, "obligation": KEY,
            "agency": DEPARTMENT, "regime": MONTHLY, "regime_name": "Báo cáo tháng", "regime_name_en": "Monthly report",
            "period": "2026-M10", "since": DEADLINE, "due_at": NOW - timedelta(days=1), "submission_id": SENT,
            "version": 1, "asked_by": None, "reason": None, "until": None, "route": "–", **changes,
        }
    )  # fmt: skip


def lists(world: World, *items: OpenReviewView, following: str | None = None) -> None:
    page = OpenReviewPage(items=list(items), next=following)
    world.intake["/v1/reviews/open"] = page.model_dump(mode="json")


def _sent(submission_id: UUID, period: str, **changes: Any) -> dict[str, Any]:
    return {
        "submission_id": submission_id, "obligation": f"{DEPARTMENT}/{MONTHLY}/{period}", "regime": MONTHLY,
        "regime_version": 1, "period": period, "version": 1, "officer": OFFICER, "nil": False, "received_at": DEADLINE,
        "sha256": "ab" * 32, "status": "accepted", "updated_at": DEADLINE,
        "verdict": VerdictView(verdict_id=SENT, outcome="accepted", decided_at=DEADLINE, errors=0, warnings=1),
        **changes,
    }  # fmt: skip


def report(
    state: str = "accepted",
    possible: Mapping[str, list[str]] | None = None,
    *,
    submission_id: UUID = SENT,
    period: str = "2026-M10",
    amount: str = "12.50",
) -> dict[str, Any]:
    steps = [
        PossibleStep.model_validate({"step": name, "route": "–", "who": who, "name": name, "name_en": name})
        for name, who in (possible or {}).items()
    ]
    life = Lifecycle.model_validate(
        {"state": state, "name": "đạt", "name_en": "accepted", "certified": False, "superseded": None, "counts": True,
         "possible": steps}
    )  # fmt: skip
    finding = {"code": "N06", "severity": "warning", "path": "/narratives/DG", "message": "Quá ngắn", "fix": "Viết rõ"}
    return SubmissionDetail.model_validate(
        _sent(submission_id, period)
        | {
            "nil_reason": "", "declines": None, "refer_to": None, "figures": {"A10": amount, "MOI": "1"},
            "narratives": {"DG": "Thu đạt <b>khá</b>"}, "tables": {"T01": [{"TEN": "Kè sông"}]}, "findings": [finding],
            "findings_truncated": False, "lifecycle": life,
        }
    ).model_dump(mode="json")  # fmt: skip


def shows_report(world: World, *given: Any, **changes: Any) -> None:
    """The report, and that of the period before."""
    world.intake[f"/v1/submissions/{SENT}"] = report(*given, **changes)
    world.intake[f"/v1/submissions/{PRECEDING}"] = report(submission_id=PRECEDING, period="2026-M09", amount="7")


FORM = Form(figures=(FigureField(code="A10", label="Thu ngân sách", label_en="Revenue", unit="triệu đồng"),))


def period_before() -> list[EventModel]:
    """The regime with its form, and an accepted report of September."""
    september = DEADLINE - timedelta(days=30)
    monthly = regime(MONTHLY, "monthly", "Báo cáo tháng", "Monthly report").model_copy(
        update={"form": FORM, "version": 2}
    )
    of_it: dict[str, Any] = {
        "submission_id": PRECEDING,
        "obligation": f"{DEPARTMENT}/{MONTHLY}/2026-M09",
        "period": "2026-M09",
    }
    return [
        monthly, changed(DEPARTMENT, "2026-M09", deadline=september), submission(1, **of_it),
        verdict(1, "accepted", **of_it),
    ]  # fmt: skip


def asked(kind: StepKind = "extension_requested", **changes: Any) -> dict[str, Any]:
    waits = kind in ASKED_BY.values()
    decisions = [
        {**one.model_dump(), "effects": ["relief"] if one.step == "appeal_upheld" else []}
        for one in (possible_steps(table.possible(table.thing_of(kind), "asked")) if waits else ())
    ]
    return StepView.model_validate(
        {
            "step_id": ASKED, "kind": kind, "name": "–", "name_en": "–", "at": NOW - timedelta(days=2), "by": OFFICER,
            "role": "reporting_officer", "reason": "Bão số 9", "since": None, "until": NOW + timedelta(days=4),
            "effect": None, "answers": None, "submission_id": None, "version": None, "decisions": decisions, **changes,
        }
    ).model_dump(mode="json")  # fmt: skip


def shows_obligation(world: World, *steps: Mapping[str, Any]) -> None:
    """What intake shows of an obligation; only what the pages read."""
    assert {"steps", "submissions", "possible"} <= set(ObligationDetail.model_fields)
    waiting = {one["kind"] for one in steps}
    kinds: list[StepKind] = ["extension_requested", "appeal_made", "unlocked"]
    possible = [
        one.model_dump() for one in possible_steps([table.by_kind(kind) for kind in kinds]) if one.step not in waiting
    ]
    sent = SubmissionView.model_validate(_sent(SENT, "2026-M10")).model_dump(mode="json")
    world.intake[f"/v1/obligations/{MONTHLY}/2026-M10"] = {
        "steps": list(steps), "submissions": [sent], "possible": possible,
    }  # fmt: skip


def receipt(kind: str, *, repeated: bool = False) -> httpx.Response:
    taken = StepReceipt.model_validate(
        {**asked(), "kind": kind, "obligation": KEY, "state": "accepted", "certified": True, "possible": []}
    )
    headers = {"Idempotent-Replayed": "true"} if repeated else {}
    return httpx.Response(200 if repeated else 201, json=taken.model_dump(mode="json"), headers=headers)


async def known(world: World) -> None:
    await world.feed(overdue(DEPARTMENT), submission(1), step(1))


async def submit(browser: Browser, page: str, **fields: str) -> httpx.Response:
    """Send a form of the page as it stands there, with its hidden fields."""
    shown = await browser.get(page)
    once = re.findall(r'name="once" value="([0-9a-f]{32})"', shown.text)
    return await browser.send_form(page, {**({"once": once[0]} if once else {}), **fields})


async def test_what_waits_is_listed_with_its_evidence_and_leads_to_where_it_is_done(world: World) -> None:
    await known(world)
    request = {"reason": "Bão số 9", "until": NOW + timedelta(days=4), "asked_by": OFFICER, "version": None}
    lists(world, waits("certification", SENT), waits("extension", ASKED, **request), following="c2")
    head = await world.signed_in(HEAD)
    page = (await head.get("/duyet")).text
    assert faults(page, "vi") == []
    parts = (f'href="{VERSION}"', f'href="{EXTENSION}"', f'href="{EVIDENCE}"', "17:00 19/10/2026", "Bão số 9",
             "Đến 09:00 26/10/2026", "Nguyễn Thị dept-officer", "đã qua", 'href="/duyet?after=c2"')  # fmt: skip
    assert [part for part in parts if part not in page] == []
    assert world.read == [(HEAD, "/v1/reviews/open?limit=50")]
    assert 'href="/duyet"' in (await head.get("/")).text, "the menu leads there"
    english = world.browser("en")
    await english.sign_in(HEAD)
    page = (await english.get("/duyet?loai=extension&after=c2")).text
    assert (faults(page, "en"), "Monthly report" in page) == ([], True)
    assert world.read[-1] == (HEAD, "/v1/reviews/open?limit=50&kind=extension&after=c2")


async def test_an_empty_list_says_so_and_an_absent_intake_is_told_as_that(world: World) -> None:
    await known(world)
    chair = await world.signed_in(CHAIR)
    lists(world)
    page = (await chair.get("/duyet?loai=no-kind")).text
    assert (faults(page, "vi"), "Không có việc nào chờ Ông/Bà" in page) == ([], True)
    assert world.read == [(CHAIR, "/v1/reviews/open?limit=50")], "a kind that nobody knows is none"
    world.intake["/v1/reviews/open"] = httpx.ReadTimeout("no answer")
    away = await chair.get("/duyet")
    assert (away.status_code, 'href="/duyet">Thử lại' in away.text) == (503, True)
    operator = await world.signed_in(OPERATOR)
    before = len(world.read)
    assert "Không có việc nào" in (await operator.get("/duyet")).text
    assert len(world.read) == before, "who sees no report is told so without asking"
    assert 'href="/duyet"' not in (await operator.get("/")).text


async def test_the_head_sees_the_report_beside_the_period_before_and_certifies_it(world: World) -> None:
    await known(world)
    explained = step(2, "explanation_given", version=1, submission_id=SENT, reason="Kho bạc chốt chậm")
    await world.feed(
        *period_before(),
        explained,
        step(3, "approved", version=2, submission_id=UUID(int=2), reason="của phiên bản khác"),
    )
    shows_report(world, "accepted", {"certified": ["head", "deputy"], "withdrawn": ["head"], "approved": ["reviewer"]})
    head = await world.signed_in(HEAD)
    page = (await head.get(VERSION)).text
    assert faults(page, "vi") == []
    parts = ("Thu ngân sách", "triệu đồng", "12.50", ">7<", "tháng 9/2026", "Thu đạt &lt;b&gt;khá&lt;/b&gt;", "Kè sông",
             "Quá ngắn", 'value="ky"', 'value="rut"', "Kho bạc chốt chậm",
             f"/de-nghi/giai-trinh/{explained.step_id}")  # fmt: skip
    assert [part for part in parts if part not in page] == []
    assert 'value="duyet"' not in page, "a head reviews nothing"
    assert "của phiên bản khác" not in page
    world.answers.append(receipt("certified"))
    done = await submit(head, VERSION, step="ky", reason="")
    assert world.asked == [(HEAD, f"/v1/submissions/{SENT}/certification", {"reason": ""})]
    assert done.status_code == 303
    lists(world)
    told = (await head.get(done.headers["location"])).text
    assert ("Đã ghi nhận: Ký xác nhận" in told, f'href="{EVIDENCE}"' in told, faults(told, "vi")) == (True, True, [])
    forged = done.headers["location"].replace("certified", "approved")
    assert "Đã ghi nhận" not in (await head.get(forged)).text, "an address makes no page say so"
    chair = await world.signed_in(CHAIR)
    assert "Đã ghi nhận" not in (await chair.get(done.headers["location"])).text


async def test_a_double_click_counts_once_and_the_page_says_that_it_was_done_before(world: World) -> None:
    await known(world)
    shows_report(world, "accepted", {"approved": ["chair"], "rework": ["chair"]})
    chair = await world.signed_in(CHAIR)
    lists(world)
    fields = {"once": "ab" * 16, "step": "duyet", "decision": "rework", "reason": "Thiếu nguyên nhân",
              "until": "2026-10-25T17:00"}  # fmt: skip
    world.answers += [receipt("rework"), receipt("rework", repeated=True), receipt("rework")]
    await chair.send_form(VERSION, fields)
    again = await chair.send_form(VERSION, fields)
    body = {"decision": "rework", "reason": "Thiếu nguyên nhân", "until": "2026-10-25T17:00:00+07:00"}
    assert world.asked == [(CHAIR, f"/v1/submissions/{SENT}/review", body)] * 2
    assert world.keys[0] == world.keys[1] is not None
    assert "tính một lần" in (await chair.get(again.headers["location"])).text
    await chair.send_form(VERSION, {**fields, "reason": "Thiếu số liệu"})
    assert world.keys[2] != world.keys[0], "another text is another step, which intake judges"


async def test_a_refusal_is_shown_in_words_and_what_was_typed_stays(world: World) -> None:
    await known(world)
    shows_report(world, "accepted", {"approved": ["chair"], "rework": ["chair"]})
    chair = await world.signed_in(CHAIR)
    world.answers.append(httpx.Response(409, json={"detail": "Phiên bản này chưa được ký xác nhận."}))
    refused = await submit(chair, VERSION, step="duyet", decision="rework", reason="Thiếu <i>", until="mai")
    assert (refused.status_code, faults(refused.text, "vi")) == (409, [])
    parts = ("Phiên bản này chưa được ký", "Thiếu &lt;i&gt;</textarea>", 'value="mai"', 'value="rework" checked')
    assert [part for part in parts if part not in refused.text] == []
    assert world.asked[0][2]["until"] == "mai", "it goes as it was typed: intake says what is wrong with it"


async def test_where_no_answer_came_the_form_stays_with_its_key_even_while_intake_is_away(world: World) -> None:
    await known(world)
    shows_report(world, "accepted", {"certified": ["head"]})
    head = await world.signed_in(HEAD)
    world.answers += [httpx.ReadTimeout("no answer"), receipt("certified")]
    page = await head.get(VERSION)
    once = re.findall(r'name="once" value="([0-9a-f]{32})"', page.text)[0]
    for path in list(world.intake):
        world.intake[path] = httpx.ReadTimeout("no answer")
    csrf = re.findall(r'name="csrf" value="([^"]+)"', page.text)[0]
    fields = {"csrf": csrf, "once": once, "step": "ky", "reason": "Đã xem"}
    silent = await head.post(VERSION, data=fields, headers=head.own_headers)
    assert (silent.status_code, faults(silent.text, "vi")) == (503, [])
    for part in ("gửi hai lần cũng chỉ tính một", f'name="once" value="{once}"', ">Đã xem</textarea>"):
        assert part in silent.text
    await head.post(VERSION, data=fields, headers=head.own_headers)
    assert world.keys[0] == world.keys[1]


async def test_an_extension_is_asked_for_seen_and_decided(world: World) -> None:
    await known(world)
    shows_obligation(world)
    officer = await world.signed_in(OFFICER)
    assert f'href="{ASKING}"' in (await officer.get(EVIDENCE)).text
    page = (await officer.get(ASKING)).text
    assert (faults(page, "vi"), 'value="gia-han"' in page, 'value="khieu-nai-diem"' in page) == ([], True, False)
    world.answers += [receipt("extension_requested"), receipt("extension_granted")]
    done = await submit(officer, ASKING, step="gia-han", until="2026-10-26T09:00", reason="Bão số 9")
    wish = {"until": "2026-10-26T09:00:00+07:00", "reason": "Bão số 9"}
    assert world.asked == [(OFFICER, f"/v1/obligations/{MONTHLY}/2026-M10/extensions?agency={DEPARTMENT}", wish)]
    told = (await officer.get(done.headers["location"])).text
    assert ("Đã ghi nhận: Đề nghị gia hạn" in told, faults(told, "vi")) == (True, [])

    shows_obligation(world, asked())
    page = (await officer.get(ASKING)).text
    assert ('value="gia-han"' in page, "chờ quyết định" in page, f'href="{EXTENSION}"' in page) == (False, True, True)
    assert f'href="{EXTENSION}"' in (await officer.get(EVIDENCE)).text, "the step of the evidence leads to it"
    mine = await officer.get(EXTENSION)
    assert (mine.status_code, "cấp trên quyết định" in mine.text, faults(mine.text, "vi")) == (200, True, [])
    chair = await world.signed_in(CHAIR)
    page = (await chair.get(EXTENSION)).text
    assert (faults(page, "vi"), 'value="2026-10-26T09:00"' in page) == ([], True), "as it was asked for"
    await submit(chair, EXTENSION, step="quyet-dinh", decision="grant", until="2026-10-24T09:00", reason="Đồng ý")
    assert world.asked[1] == (
        CHAIR, f"/v1/extensions/{ASKED}/decision",
        {"decision": "grant", "until": "2026-10-24T09:00:00+07:00", "reason": "Đồng ý"},
    )  # fmt: skip
    answer = asked("extension_granted", step_id=UUID(int=202), answers=ASKED, by=CHAIR, reason="Đồng ý")
    shows_obligation(world, asked(decisions=[]), answer)
    page = (await chair.get(EXTENSION)).text
    assert ("Chấp thuận gia hạn" in page, "Lê Văn chair" in page, "<form" in page.split("<main")[1]) == (
        True, True, False,
    )  # fmt: skip


async def test_an_appeal_against_the_score_can_give_a_relief_and_an_explanation_is_accepted(world: World) -> None:
    await known(world)
    chair = await world.signed_in(CHAIR)
    shows_obligation(world, asked("appeal_made", until=None))
    appeal = f"{ASKING}/khieu-nai/{ASKED}"
    page = (await chair.get(appeal)).text
    assert ('value="relief"' in page, 'value="accepted"' in page) == (True, False), "it is about no version"
    world.answers += [receipt("appeal_upheld"), receipt("explanation_accepted")]
    span = {"since": "2026-10-18T08:00", "until": "2026-10-19T08:00"}
    await submit(chair, appeal, step="quyet-dinh", decision="relief", reason="Mất điện", **span)
    assert world.asked[0][1:] == (
        f"/v1/appeals/{ASKED}/decision",
        {"decision": "uphold", "effect": "relief", "since": "2026-10-18T08:00:00+07:00",
         "until": "2026-10-19T08:00:00+07:00", "reason": "Mất điện"},
    )  # fmt: skip
    shows_obligation(world, asked("explanation_given", until=None, submission_id=SENT, version=1))
    assert (await chair.get(appeal)).status_code == 404, "it is no appeal"
    explanation = f"{ASKING}/giai-trinh/{ASKED}"
    assert f'href="{VERSION}"' in (await chair.get(explanation)).text
    await submit(chair, explanation, step="quyet-dinh", decision="grant", reason="")
    assert world.asked[1][1:] == (f"/v1/explanations/{ASKED}/decision", {"decision": "grant", "reason": ""})


async def test_the_agency_explains_appeals_and_withdraws(world: World) -> None:
    await known(world)
    officer = await world.signed_in(OFFICER)
    assert f'href="{VERSION}"' in (await officer.get(EVIDENCE)).text
    for state, form, route, kind in (
        ("to_explain", "giai-trinh", "explanation", "explanation_given"),
        ("returned", "khieu-nai", "appeals", "appeal_made"),
        ("returned", "rut", "withdrawal", "withdrawn"),
    ):
        agency = ["reporting_officer", "head"]
        asks = {"to_explain": "explanation_given"}.get(state, "appeal_made")
        shows_report(world, state, {"withdrawn": agency, asks: agency})
        assert f'value="{form}"' in (await officer.get(VERSION)).text
        world.answers.append(receipt(kind))
        done = await submit(officer, VERSION, step=form, reason="Vì bão")
        assert world.asked[-1] == (OFFICER, f"/v1/submissions/{SENT}/{route}", {"reason": "Vì bão"})
        assert done.headers["location"].startswith(f"{EVIDENCE}?xong=")


async def test_after_the_lock_an_office_takes_reports_again(world: World) -> None:
    await world.feed(overdue(DEPARTMENT, locks_at=NOW - timedelta(hours=1)))
    shows_obligation(world)
    chief = await world.signed_in(CHIEF)
    assert f'href="{ASKING}">Các đề nghị' in (await chief.get(EVIDENCE)).text
    world.answers.append(receipt("unlocked"))
    await submit(chief, ASKING, step="mo-khoa", until="2026-10-24T17:00", reason="Máy chủ hỏng")
    body = {"until": "2026-10-24T17:00:00+07:00", "reason": "Máy chủ hỏng"}
    assert world.asked == [(CHIEF, f"/v1/obligations/{MONTHLY}/2026-M10/unlock?agency={DEPARTMENT}", body)]


def waiver(state: str = "open", **changes: Any) -> WaiverRequestView:
    decided = dict.fromkeys(("decided_by", "decided_at", "decision_reason", "granted_since", "granted_until"))
    return WaiverRequestView.model_validate(
        {
            "waiver_id": "MN-1", "state": state, "agency": DEPARTMENT, "regime": MONTHLY, "rule": "KT-01",
            "agencies": [DEPARTMENT], "reason": "Sáp nhập", "since": "2026-11-01", "until": "2026-12-31",
            "asked_by": OFFICER, "asked_at": NOW, **decided, **changes,
        }
    )  # fmt: skip


def shows_waiver(world: World, one: WaiverRequestView) -> None:
    world.intake["/v1/waivers"] = WaiverRequestPage(items=[one], next=None).model_dump(mode="json")
    world.intake["/v1/waivers/MN-1"] = one.model_dump(mode="json")


async def test_a_waiver_is_asked_for_and_decided(world: World) -> None:
    await known(world)
    shows_waiver(world, waiver())
    officer = await world.signed_in(OFFICER)
    page = (await officer.get(f"/mien-ap-dung?regime={MONTHLY}&trang-thai=none")).text
    assert (faults(page, "vi"), f'value="{MONTHLY}"' in page, 'href="/mien-ap-dung/MN-1"' in page) == ([], True, True)
    assert world.read[-1] == (OFFICER, "/v1/waivers?limit=50&state=open")
    wish = {"regime": MONTHLY, "rule": "KT-01", "since": "2026-11-01", "until": "2026-12-31", "reason": "Sáp nhập"}
    refusal = {"errors": [{"message": "Quy tắc này không có.", "fix": "Xem kết quả kiểm tra."}]}
    world.answers += [
        httpx.Response(422, json=refusal),
        httpx.Response(201, json=waiver().model_dump(mode="json")),
        httpx.Response(200, json=waiver("granted", decided_by=CHAIR).model_dump(mode="json")),
    ]
    refused = await submit(officer, "/mien-ap-dung", step="mien-ap-dung", **wish)
    assert (refused.status_code, faults(refused.text, "vi")) == (422, [])
    assert ("Quy tắc này không có. Xem kết quả" in refused.text, 'value="2026-12-31"' in refused.text) == (True, True)
    done = await submit(officer, "/mien-ap-dung", step="mien-ap-dung", **wish)
    assert world.asked[1] == (OFFICER, "/v1/waivers", wish)
    told = (await officer.get(done.headers["location"])).text
    assert ("Đã ghi nhận: Đề nghị miễn áp dụng" in told, 'href="/mien-ap-dung/MN-1">MN-1' in told) == (True, True)
    mine = (await officer.get("/mien-ap-dung/MN-1")).text
    assert ("cấp trên, quyết định" in mine, 'name="decision"' in mine, faults(mine, "vi")) == (True, False, [])

    chair = await world.signed_in(CHAIR)
    page = (await chair.get("/mien-ap-dung/MN-1")).text
    assert (faults(page, "vi"), "Sở Nông nghiệp" in page, "Nguyễn Thị dept-officer" in page) == ([], True, True)
    assert 'name="rule"' not in (await chair.get("/mien-ap-dung")).text, "a chair sends for no agency"
    await submit(chair, "/mien-ap-dung/MN-1", step="quyet-dinh", decision="grant", until="2026-11-30", reason="")
    body = {"decision": "grant", "until": "2026-11-30", "reason": ""}
    assert world.asked[2] == (CHAIR, "/v1/waivers/MN-1/decision", body)
    assert (await chair.get("/mien-ap-dung/MN-2")).status_code == 404


async def test_everybody_reaches_their_part_of_the_tree_and_no_more(world: World) -> None:
    await known(world)
    await world.feed(overdue(COMMUNE))
    shows_report(world)
    shows_obligation(world, asked())
    lists(world)
    whole, sends = {CHAIR, CHIEF, HEAD, OFFICER}, {HEAD, OFFICER}
    shows_waiver(world, waiver())
    pages = {"/duyet": None, "/mien-ap-dung": None, VERSION: whole, EXTENSION: whole, ASKING: sends | {CHAIR, CHIEF},
             f"/nghia-vu/{COMMUNE}/{MONTHLY}/2026-M10/phien-ban/{SENT}": set()}  # fmt: skip
    for person in (CHAIR, CHIEF, HEAD, OFFICER, NAMED, COMMUNES, OPERATOR):
        browser = await world.signed_in(person)
        seen = {page for page in pages if (await browser.get(page)).status_code == 200}
        assert seen == {page for page, people in pages.items() if people is None or person in people}, person
    stranger = world.browser()
    assert {(await stranger.get(page)).status_code for page in pages} == {303}
    head = await world.signed_in(HEAD)
    for page in (f"{EVIDENCE}/phien-ban/none", f"{ASKING}/no-kind/{ASKED}", f"{ASKING}/gia-han/{UUID(int=9)}"):
        assert (await head.get(page)).status_code == 404, page
    # what another site sends, or a form that no page has, asks nothing of intake
    foreign = await head.post(VERSION, data={"step": "ky"}, headers={"origin": "https://x.example"})
    bare = await head.post(VERSION, data={"step": "ky"}, headers=head.own_headers)
    odd = await head.send_form(VERSION, {"step": "xoa"})
    outside = await (await world.signed_in(NAMED)).send_form(VERSION, {"step": "ky"}, page="/")
    assert [one.status_code for one in (foreign, bare, odd, outside)] == [403, 403, 404, 404]
    assert world.asked == []


async def test_what_was_typed_is_kept_where_the_session_has_ended_meanwhile(world: World) -> None:
    await world.feed(changed(DEPARTMENT))
    shows_obligation(world)
    page = f"/nghia-vu/{DEPARTMENT}/{MONTHLY}/2026-M10/de-nghi"
    browser = await world.signed_in(HEAD)
    fields = {"step": "gia-han", "until": "2026-11-25T17:00", "reason": "Bão <số 9>", "csrf": "an earlier session's"}
    stale = await browser.post(page, data=fields, headers=browser.own_headers)
    assert (stale.status_code, world.asked, faults(stale.text, "vi")) == (403, [], [])
    assert [part in stale.text for part in ("Bão &lt;số 9&gt;", "chưa ghi nhận gì", HEAD)] == [True] * 3
    again = {**fields, "csrf": re.findall(r'name="csrf" value="([^"]+)"', stale.text)[-1]}
    world.answers.append(receipt("extension_requested"))
    assert (await browser.post(page, data=again, headers=browser.own_headers)).status_code == 303
    stranger = world.browser()
    kept = await stranger.post(page, data=fields, headers=browser.own_headers)
    assert (kept.status_code, "Bão &lt;số 9&gt;" in kept.text, "Đăng nhập lại" in kept.text) == (403, True, True)
    foreign = await browser.post(page, data=again, headers={"origin": "https://other.example"})
    assert (foreign.status_code, "Bão" in foreign.text, len(world.asked)) == (403, False, 1)
