"""What one was sent: asked of notifier in the reader's name, shown in words, and only what the reader sees.

The rows are made of notifier's own model, so that a field it renames breaks these tests.
"""

from __future__ import annotations

from typing import Any
from uuid import UUID

import httpx

from services.notifier.notices.api import OwnNotice
from tests.accessible import faults
from tests.integration.board.rig import (
    CHAIR,
    COMMUNE,
    DEADLINE,
    DEPARTMENT,
    HEAD,
    MONTHLY,
    OPERATOR,
    World,
    overdue,
)

KEY = f"{DEPARTMENT}/{MONTHLY}/2026-M10"


def row(**changes: Any) -> dict[str, Any]:
    answer = {"kind": "acknowledged", "at": DEADLINE, "until": DEADLINE, "reason": "Đang làm"}
    base = {
        "notice": UUID(int=301), "kind": "escalation", "about": "Chuyển cấp: <b>Báo cáo</b>, tháng 10/2026",
        "about_en": "Escalation: Monthly report, October 2026", "step": "overdue/rung-t", "obligation": KEY,
        "agency": DEPARTMENT, "regime": MONTHLY, "period": "2026-M10", "person": HEAD, "name": "Lê Văn A",
        "title": "Giám đốc", "channel": "email", "address": "a@h99.example", "state": "sent", "state_name": "đã gửi",
        "state_name_en": "sent", "planned_at": DEADLINE, "wait_until": None, "settled_at": DEADLINE, "answer": answer,
    }  # fmt: skip
    return OwnNotice.model_validate({**base, **changes}).model_dump(mode="json")


def notifier_shows(world: World, *rows: dict[str, Any], following: str | None = None) -> None:
    world.intake["/v1/notices"] = {"items": list(rows), "next": following}


async def test_the_own_notices_are_shown_in_words_and_lead_to_their_evidence(world: World) -> None:
    await world.feed(overdue(DEPARTMENT))
    foreign = row(agency="H98", obligation="H98/X/2026-M10", answer=None, state="waiting", state_name="chờ đến giờ gửi",
                  wait_until=DEADLINE, settled_at=None, person="", name="", title="", address=None)  # fmt: skip
    notifier_shows(world, row(), foreign, following="c2")
    head = await world.signed_in(HEAD)
    page = (await head.get("/da-gui")).text
    assert faults(page, "vi") == []
    parts = ("Chuyển cấp: &lt;b&gt;Báo cáo&lt;/b&gt;", f'href="/nghia-vu/{KEY}"', "thư điện tử", "Đã gửi",
             "a@h99.example", "Đã nắm", "Chờ đến giờ gửi", "không có ai", 'href="/da-gui?after=c2"')  # fmt: skip
    assert ([part for part in parts if part not in page], 'href="/nghia-vu/H98' in page) == ([], False)
    assert world.read == [(HEAD, "/v1/notices?limit=50")]
    english = (await head.get("/da-gui?lang=en")).text
    assert (faults(english, "en"), "Escalation: Monthly report" in english) == ([], True)


async def test_an_agencys_notices_are_asked_for_where_its_reader_sees_it(world: World) -> None:
    await world.feed(overdue(DEPARTMENT))
    notifier_shows(world)
    head = await world.signed_in(HEAD)
    assert f'href="/da-gui?co-quan={DEPARTMENT}"' in (await head.get(f"/co-quan/{DEPARTMENT}")).text
    page = (await head.get(f"/da-gui?co-quan={DEPARTMENT}")).text
    assert ("Chưa có thông báo nào" in page, faults(page, "vi")) == (True, [])
    assert world.read == [(HEAD, f"/v1/notices?limit=50&agency={DEPARTMENT}")]
    assert (await head.get(f"/da-gui?co-quan={COMMUNE}")).status_code == 404
    assert len(world.read) == 1, "of others nothing is asked"
    chair = await world.signed_in(CHAIR)
    assert (await chair.get(f"/da-gui?co-quan={COMMUNE}")).status_code == 200


async def test_an_absent_notifier_is_told_as_that_and_who_sees_no_report_is_not_asked_about(world: World) -> None:
    world.intake["/v1/notices"] = httpx.ReadTimeout("no answer")
    head, operator = await world.signed_in(HEAD), await world.signed_in(OPERATOR)
    away = await head.get("/da-gui")
    assert (away.status_code, "Thử lại" in away.text) == (503, True)
    assert "Chưa có thông báo nào" in (await operator.get("/da-gui")).text
