"""A report's life after it was sent, on the whole stack: each step to standing, score and notice.

Then one agency asks two others. One refuses with a reason, in time; the other is silent, is told that it is overdue,
and answers late. A second question is withdrawn before its deadline, and counts against nobody.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import httpx
import pytest

from shared.runtime.clock import ClockLeader
from tests.e2e.rig import COMMUNE, DEPARTMENT, HTTP, NOW, PERIOD, REGIME, REQUEST, Province, eventually
from tests.stack import Infra

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]

ASKER = "H99"
ASKS, ASKED, WITHDRAWN = f"TT-{ASKER}", f"TT-{ASKER}-1", f"TT-{ASKER}-2"
DEADLINE = "2026-03-19T17:00:00+07:00"
#: Friday morning, less than a working day behind the deadline
LATE = datetime.fromisoformat("2026-03-20T09:00:00+07:00")
A_DAY_SECONDS = 86_400
WHY = "Số liệu này do ngành lao động quản lý, Sở không có."
NARRATIVE = {"N": "Kết quả trong tháng đạt kế hoạch đề ra."}


class Life(Province):
    """The small province, whose agencies take steps with their reports."""

    def step(self, key: str, path: str, **said: Any) -> httpx.Response:
        headers = {"Authorization": f"Bearer {key}", "Idempotency-Key": os.urandom(8).hex()}
        return HTTP.post(f"{self.stack.url('intake')}/v1/{path}", headers=headers, json=said)

    def standing(self, key: str) -> dict[str, Any]:
        answer = self.operator("scoring", f"/v1/obligations/{key}")
        return dict(answer.json()) if answer.status_code == 200 else {}

    def stands(self, key: str, **wanted: Any) -> dict[str, Any]:
        """The obligation at scoring once it is as wanted."""

        def look() -> dict[str, Any] | None:
            shown = self.standing(key)
            return shown if all(shown.get(name) == value for name, value in wanted.items()) else None

        return eventually(look, f"{key}: {wanted}, is {self.standing(key)}")

    def accepted(self, agency: str, key: str, **report: Any) -> str:
        """Post a report and wait until validation has accepted it."""
        answer = self.post(agency, key, **report)
        assert answer.status_code == 201, answer.text
        name = str(answer.json()["submission_id"])
        eventually(
            lambda: self.get(agency, f"/v1/submissions/{name}")["status"] == "accepted", "validation has accepted it"
        )
        return name


@pytest.fixture(scope="module")
def leader(tmp_path_factory: pytest.TempPathFactory) -> ClockLeader:
    """Business time, which runs as the system's does until a test leads it on."""
    leader = ClockLeader(tmp_path_factory.mktemp("clock") / "business", datetime.fromisoformat(NOW))
    leader.lead(rate=1.0, until=None)
    return leader


@pytest.fixture(scope="module")
def life(infra: Infra, leader: ClockLeader, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Life]:
    with infra.stack(tmp_path_factory.mktemp("life"), env={"BUSINESS_CLOCK": leader.specification}) as stack:
        yield Life(stack, tmp_path_factory.mktemp("registry"), leader.clock)


def test_a_report_that_is_withdrawn_stands_no_more_and_another_takes_its_place(life: Life) -> None:
    key = f"{DEPARTMENT}/{REGIME}/{PERIOD}"
    figures = {"A": 95, "A1": 90, "A2": 5, "B": "0.10"}
    name = life.accepted(DEPARTMENT, "rut-1", figures=figures, narratives=NARRATIVE)
    assert float(life.stands(key, standing="fulfilled")["score"]) == 100
    withdrawn = life.step(life.keys[DEPARTMENT], f"submissions/{name}/withdrawal", reason="Gửi nhầm số liệu")
    assert withdrawn.status_code == 201
    gone = life.stands(key, standing="nothing_sent")
    assert gone["score"] is None
    life.accepted(DEPARTMENT, "rut-2", figures=figures, narratives=NARRATIVE)
    assert float(life.stands(key, standing="fulfilled")["score"]) == 100
    shown = life.get(DEPARTMENT, f"/v1/submissions/{name}")
    assert shown["lifecycle"]["state"] == "withdrawn"
    timeline = life.get(DEPARTMENT, f"/v1/submissions/{name}/timeline")["steps"]
    assert [step["taken"]["kind"] for step in timeline if step["step"] == "step"] == ["withdrawn"]
    assert any("cơ quan rút báo cáo" in step["text"] for step in timeline if step["step"] == "score_line")


def test_an_extension_that_is_asked_for_moves_nothing_until_it_is_granted(life: Life) -> None:
    life.request(seconds=3600)
    key = f"{COMMUNE}/THIEN-TAI/{REQUEST}"
    eventually(lambda: life.standing(key), "the request is owed")
    eventually(
        lambda: any(row["obligation"] == key for row in life.get(COMMUNE, "/v1/obligations")["items"]), "and shown"
    )
    before = life.standing(key)["deadline"]
    until = (datetime.fromisoformat(before) + timedelta(days=2)).isoformat()
    path = f"obligations/THIEN-TAI/{REQUEST}/extensions"
    asked = life.step(life.keys[COMMUNE], path, reason="Mất điện toàn xã", until=until)
    assert (asked.status_code, asked.json()["state"]) == (201, "asked"), asked.text
    decision = f"extensions/{asked.json()['step_id']}/decision"
    assert life.step(life.keys[COMMUNE], decision, decision="grant", reason="x").status_code == 403
    assert life.step(life.keys[COMMUNE], path, reason="x", until=until).status_code == 409
    assert life.standing(key)["deadline"] == before
    shown = life.get(COMMUNE, f"/v1/obligations/THIEN-TAI/{REQUEST}")
    assert [step["kind"] for step in shown["steps"]] == ["extension_requested"]


def ask(life: Life, path: str = "", **said: Any) -> httpx.Response:
    headers = {"Authorization": f"Bearer {life.keys[ASKER]}", "Idempotency-Key": os.urandom(8).hex()}
    url = f"{life.stack.url('intake')}/v1/information-requests{path}"
    answer = HTTP.post(url, headers=headers, json=said, timeout=60)
    assert answer.status_code in (200, 201), answer.text
    return answer


def question(**others: Any) -> dict[str, Any]:
    return {
        "title": "Số hộ nghèo", "question": "Đề nghị cung cấp số hộ nghèo đến 28/02/2026.", "deadline": DEADLINE,
        "agencies": [DEPARTMENT, COMMUNE], **others,
    }  # fmt: skip


def at_scoring(life: Life, agency: str, request: str) -> dict[str, Any]:
    answer = life.operator("scoring", f"/v1/obligations/{agency}/{ASKS}/{request}")
    return dict(answer.json()) if answer.status_code == 200 else {}


def states(life: Life, request: str = ASKED) -> dict[str, str]:
    """How each agency stands, as the asker sees it."""
    shown = life.get(ASKER, f"/v1/information-requests/{request}")
    return {row["agency"]: row["state"] for row in shown["addressees"]}


def overdue_mails(life: Life, address: str) -> list[str]:
    mails = [mail for mail in life.mails_to(address) if "quá hạn" in mail.subject.lower()]
    return [f"{mail.subject}\n{mail.text}" for mail in mails]


def test_what_is_asked_is_owed_and_a_refusal_with_a_reason_is_an_answer_in_time(life: Life) -> None:
    assert ask(life, **question()).json()["request_id"] == ASKED
    assert ask(life, **question(title="Số hộ cận nghèo")).json()["request_id"] == WITHDRAWN
    for agency in (DEPARTMENT, COMMUNE):
        for request in (ASKED, WITHDRAWN):
            eventually(lambda a=agency, r=request: at_scoring(life, a, r).get("owed"), "it is owed")  # type: ignore[misc]
    declined = life.post(DEPARTMENT, "tu-choi", regime=ASKS, period=ASKED, nil=True, nil_reason=WHY, declines="refusal")
    assert declined.status_code == 201, declined.text
    eventually(lambda: at_scoring(life, DEPARTMENT, ASKED)["score"] is not None, "the refusal is scored")
    assert Decimal(at_scoring(life, DEPARTMENT, ASKED)["score"]) == 100
    eventually(lambda: states(life) == {DEPARTMENT: "refused", COMMUNE: "open"}, "the asker sees the refusal")
    assert {row["agency"]: row["answer"]["reason"] for row in life.get(
        ASKER, f"/v1/information-requests/{ASKED}"
    )["addressees"] if row["answer"]} == {DEPARTMENT: WHY}  # fmt: skip


def test_the_silent_one_is_told_that_it_is_overdue_and_its_late_answer_costs_it_points(
    life: Life, leader: ClockLeader
) -> None:
    ask(life, f"/{WITHDRAWN}/withdrawal", reason="Đã có số liệu từ nguồn khác")
    for agency in (DEPARTMENT, COMMUNE):
        eventually(lambda a=agency: not at_scoring(life, a, WITHDRAWN)["owed"], "nobody owes it")  # type: ignore[misc]
    leader.lead(rate=A_DAY_SECONDS, until=LATE)
    eventually(lambda: at_scoring(life, COMMUNE, ASKED)["overdue"], "the silent one is overdue")
    eventually(lambda: overdue_mails(life, "sen@anbinh.example"), "and is told")
    eventually(lambda: states(life) == {DEPARTMENT: "refused", COMMUNE: "overdue"}, "and the asker sees it")
    late = life.post(COMMUNE, "muon", regime=ASKS, period=ASKED, narratives={"TL": "Toàn xã còn 41 hộ nghèo."})
    assert late.status_code == 201, late.text
    eventually(lambda: at_scoring(life, COMMUNE, ASKED)["standing"] == "fulfilled", "it is answered")
    assert Decimal(at_scoring(life, COMMUNE, ASKED)["score"]) == 90
    eventually(lambda: states(life)[COMMUNE] == "answered", "the asker sees the answer")
    whole = life.get(ASKER, f"/v1/information-requests/{ASKED}/answers/{COMMUNE}")
    assert whole["narratives"] == {"TL": "Toàn xã còn 41 hộ nghèo."}


def test_the_control_neither_a_refusal_nor_a_withdrawn_question_is_called_overdue(life: Life) -> None:
    """The deadline has been judged: the silent one is told of it, and of the question that stands alone."""
    told = overdue_mails(life, "sen@anbinh.example")
    assert told
    assert not [text for text in told if WITHDRAWN in text]
    assert not [text for text in overdue_mails(life, "hanh@sonoivu.example") if ASKED in text or WITHDRAWN in text]
    for agency in (DEPARTMENT, COMMUNE):
        shown = at_scoring(life, agency, WITHDRAWN)
        assert (shown["owed"], shown["overdue"], shown["score"]) == (False, False, None)
    refused = life.post(
        COMMUNE, "da-rut", regime=ASKS, period=WITHDRAWN, narratives={"TL": "Toàn xã còn 12 hộ cận nghèo."}
    )
    assert refused.status_code == 422


def test_all_stores_agree_in_the_end(life: Life) -> None:
    life.agree()
