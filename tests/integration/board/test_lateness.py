"""The page of lateness: facts from what was followed, cause and remedy by the head, and what is said of it above."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from uuid import UUID

import httpx

from services.intake.lifecycle.api import StepReceipt
from services.intake.lifecycle.views import StepView
from tests.accessible import faults
from tests.integration.board.rig import (
    CHAIR,
    CHIEF,
    DEADLINE,
    DEPARTMENT,
    HEAD,
    MONTHLY,
    NOW,
    OFFICER,
    World,
    changed,
    escalation,
    fulfilled,
    lateness,
    notice,
    overdue,
    step,
    submission,
    verdict,
)
from tests.integration.board.test_deciding import submit

KEY = f"{DEPARTMENT}/{MONTHLY}/2026-M10"
PAGE, EXPLAINED = f"/giai-trinh/{KEY}", UUID(int=205)
AT = NOW - timedelta(hours=3)


def said(kind: str = "lateness_explained", number: int = 205, **changes: Any) -> dict[str, Any]:
    """A step as intake shows it."""
    return StepView.model_validate(
        {
            "step_id": UUID(int=number), "kind": kind, "name": "–", "name_en": "–", "at": AT, "by": HEAD,
            "role": "head", "reason": "Kho bạc <b>chốt</b> chậm", "since": None, "until": None, "effect": None,
            "answers": None, "submission_id": None, "version": None, "remedy": "Chốt sớm hơn", "decisions": [],
            **changes,
        }
    ).model_dump(mode="json")  # fmt: skip


def intake_shows(world: World, *steps: dict[str, Any]) -> None:
    world.intake[f"/v1/obligations/{MONTHLY}/2026-M10"] = {"steps": list(steps), "submissions": []}


def receipt(kind: str) -> httpx.Response:
    taken = StepReceipt.model_validate(
        {**said(kind), "obligation": KEY, "state": "given", "certified": None, "possible": []}
    )
    return httpx.Response(201, json=taken.model_dump(mode="json"))


async def recorded(world: World) -> None:
    """A report that is overdue after a reminder and a return, with time asked for, and the chair told."""
    await world.feed(
        overdue(DEPARTMENT), submission(1), verdict(1), step(1), notice(1), notice(2, "overdue", at=DEADLINE),
        notice(3, "escalation", officer_id=CHAIR, at=DEADLINE), escalation(),
    )  # fmt: skip


async def test_the_head_finds_the_facts_ready_and_says_cause_and_remedy(world: World) -> None:
    await recorded(world)
    intake_shows(world)
    head = await world.signed_in(HEAD)
    assert f'href="{PAGE}"' in (await head.get("/")).text, "the inbox leads there"
    assert f'href="{PAGE}"' in (await head.get(f"/nghia-vu/{KEY}")).text
    page = (await head.get(PAGE)).text
    assert faults(page, "vi") == []
    parts = ("17:00 19/10/2026", "Nhắc sắp đến hạn", "Báo quá hạn", "Nhận phiên bản 1", "bị trả lại",
             "Đề nghị gia hạn", "Bắt đầu chuyển cấp", "Cơ quan chưa giải trình", 'name="remedy"',
             "Hệ thống nêu sự việc, không quy lỗi")  # fmt: skip
    assert [part for part in parts if part not in page] == []
    world.answers.append(receipt("lateness_explained"))
    done = await submit(
        head, PAGE, step="giai-trinh-cham", reason="Kho bạc chốt chậm", remedy="Chốt sớm", until="2026-11-12T17:00"
    )
    body = {"reason": "Kho bạc chốt chậm", "remedy": "Chốt sớm", "until": "2026-11-12T17:00:00+07:00"}
    assert world.asked == [(HEAD, f"/v1/obligations/{MONTHLY}/2026-M10/lateness?agency={DEPARTMENT}", body)]
    intake_shows(world, said())
    told = (await head.get(done.headers["location"])).text
    shown = ("Đã ghi nhận: Giải trình chậm báo cáo", "Kho bạc &lt;b&gt;chốt&lt;/b&gt; chậm", "Chờ cấp trên xem")
    assert [part for part in shown if part not in told] == []
    assert 'name="remedy"' not in told, "one at a time"
    assert faults(told, "vi") == []


async def test_an_office_above_notes_it_or_asks_for_more_and_the_officer_reads_it(world: World) -> None:
    await recorded(world)
    intake_shows(world, said())
    chief = await world.signed_in(CHIEF, language="en")
    page = (await chief.get(PAGE)).text
    assert (faults(page, "en"), f'name="about" value="{EXPLAINED}"' in page, "Not looked at yet" in page) == (
        [], True, True,
    )  # fmt: skip
    world.answers.append(receipt("lateness_questioned"))
    await submit(chief, PAGE, step="xem-giai-trinh", about=str(EXPLAINED), decision="ask", reason="Xã nào?")
    assert world.asked == [
        (CHIEF, f"/v1/lateness/{EXPLAINED}/decision", {"decision": "ask", "reason": "Xã nào?"}),
    ]
    answer = said("lateness_questioned", 206, by=CHIEF, role="provincial_office", reason="Xã nào?", remedy="")
    intake_shows(world, said(), answer)
    head = await world.signed_in(HEAD)
    again = (await head.get(PAGE)).text
    assert ("Cần bổ sung" in again, "Xã nào?" in again, 'name="remedy"' in again) == (True, True, True)
    officer = await world.signed_in(OFFICER)
    read = (await officer.get(PAGE)).text
    assert ("Xã nào?" in read, 'name="remedy"' in read, 'name="about"' in read) == (True, False, False)
    noted = said("lateness_noted", 207, by=CHIEF, role="provincial_office", reason="", remedy="")
    intake_shows(world, said(), noted)
    assert "Đã ghi nhận" in (await head.get(PAGE)).text


async def test_a_refusal_and_no_answer_keep_what_was_typed(world: World) -> None:
    await recorded(world)
    intake_shows(world)
    head = await world.signed_in(HEAD)
    fields = {"step": "giai-trinh-cham", "reason": "Kho bạc <i>", "remedy": "Chốt sớm"}
    for answer, status in (
        (httpx.Response(409, json={"detail": "Báo cáo này không chậm."}), 409),
        (httpx.ReadTimeout("no answer"), 503),
    ):
        world.answers.append(answer)
        refused = await submit(head, PAGE, **fields)
        assert (refused.status_code, "Kho bạc &lt;i&gt;</textarea>" in refused.text) == (status, True)
        assert faults(refused.text, "vi") == []
    nothing = await submit(head, PAGE, step="xem-giai-trinh", decision="note")
    assert nothing.status_code == 404, "there is no explanation to look at"


async def test_what_is_not_late_says_so_and_an_absent_intake_leaves_what_is_known(world: World) -> None:
    await world.feed(changed(DEPARTMENT, deadline=NOW + timedelta(days=3)))
    intake_shows(world)
    head = await world.signed_in(HEAD)
    early = (await head.get(PAGE)).text
    assert ("không chậm" in early, 'name="remedy"' in early, faults(early, "vi")) == (True, False, [])
    late = fulfilled(DEPARTMENT, on_time=False, answer_received_at=DEADLINE + timedelta(days=1))
    await world.feed(late, lateness(5), lateness(6, "lateness_noted", by=CHIEF, at=NOW, reason="", remedy=""))
    world.intake.clear()
    known = (await head.get(PAGE)).text
    parts = ("Chưa đọc được giải trình mới nhất", "Kho bạc chốt chậm", "Chốt sớm hơn", "Đã ghi nhận")
    assert ([part for part in parts if part not in known], 'name="remedy"' in known) == ([], False)
    score = (await head.get(f"/cach-tinh/{KEY}")).text
    assert ("Giải trình chậm báo cáo" in score, "không làm đổi hạn nộp và điểm" in score) == (True, True)
    timeline = (await head.get(f"/nghia-vu/{KEY}")).text
    assert timeline.count(f'href="{PAGE}"') == 3, "the days late, and the two steps"
