"""One agency asks two others: on the whole stack, from the question to scores and notices.

One refuses with a reason, in time; the other is silent, is told that it is overdue, and answers late. A second question
is withdrawn before its deadline, and counts against nobody.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from datetime import datetime
from decimal import Decimal
from typing import Any

import httpx
import pytest

from shared.runtime.clock import ClockLeader
from tests.e2e.rig import COMMUNE, DEPARTMENT, HTTP, NOW, Province, eventually
from tests.stack import Infra

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]

ASKER = "H99"
REGIME, ASKED, WITHDRAWN = f"TT-{ASKER}", f"TT-{ASKER}-1", f"TT-{ASKER}-2"
DEADLINE = "2026-03-19T17:00:00+07:00"
#: Friday morning, less than a working day behind the deadline
LATE = datetime.fromisoformat("2026-03-20T09:00:00+07:00")
A_DAY_SECONDS = 86_400
WHY = "Số liệu này do ngành lao động quản lý, Sở không có."


@pytest.fixture(scope="module")
def leader(tmp_path_factory: pytest.TempPathFactory) -> ClockLeader:
    """Business time, which stands at NOW until the test leads it on."""
    return ClockLeader(tmp_path_factory.mktemp("clock") / "business", datetime.fromisoformat(NOW))


@pytest.fixture(scope="module")
def province(infra: Infra, leader: ClockLeader, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Province]:
    with infra.stack(tmp_path_factory.mktemp("asking"), env={"BUSINESS_CLOCK": leader.specification}) as stack:
        yield Province(stack, tmp_path_factory.mktemp("registry"), leader.clock)


def ask(province: Province, path: str = "", **said: Any) -> httpx.Response:
    headers = {"Authorization": f"Bearer {province.keys[ASKER]}", "Idempotency-Key": os.urandom(8).hex()}
    url = f"{province.stack.url('intake')}/v1/information-requests{path}"
    answer = HTTP.post(url, headers=headers, json=said, timeout=60)
    assert answer.status_code in (200, 201), answer.text
    return answer


def question(**others: Any) -> dict[str, Any]:
    return {
        "title": "Số hộ nghèo", "question": "Đề nghị cung cấp số hộ nghèo đến 28/02/2026.", "deadline": DEADLINE,
        "agencies": [DEPARTMENT, COMMUNE], **others,
    }  # fmt: skip


def at_scoring(province: Province, agency: str, request: str) -> dict[str, Any]:
    answer = province.operator("scoring", f"/v1/obligations/{agency}/{REGIME}/{request}")
    return dict(answer.json()) if answer.status_code == 200 else {}


def states(province: Province, request: str = ASKED) -> dict[str, str]:
    """How each agency stands, as the asker sees it."""
    shown = province.get(ASKER, f"/v1/information-requests/{request}")
    return {row["agency"]: row["state"] for row in shown["addressees"]}


def overdue_mails(province: Province, address: str) -> list[str]:
    mails = [mail for mail in province.mails_to(address) if "quá hạn" in mail.subject.lower()]
    return [f"{mail.subject}\n{mail.text}" for mail in mails]


def test_what_is_asked_is_owed_and_a_refusal_with_a_reason_is_an_answer_in_time(province: Province) -> None:
    assert ask(province, **question()).json()["request_id"] == ASKED
    assert ask(province, **question(title="Số hộ cận nghèo")).json()["request_id"] == WITHDRAWN
    for agency in (DEPARTMENT, COMMUNE):
        for request in (ASKED, WITHDRAWN):
            eventually(lambda a=agency, r=request: at_scoring(province, a, r).get("owed"), "it is owed")  # type: ignore[misc]
    declined = province.post(
        DEPARTMENT, "tu-choi", regime=REGIME, period=ASKED, nil=True, nil_reason=WHY, declines="refusal"
    )
    assert declined.status_code == 201, declined.text
    eventually(lambda: at_scoring(province, DEPARTMENT, ASKED)["score"] is not None, "the refusal is scored")
    assert Decimal(at_scoring(province, DEPARTMENT, ASKED)["score"]) == 100
    eventually(lambda: states(province) == {DEPARTMENT: "refused", COMMUNE: "open"}, "the asker sees the refusal")
    assert {row["agency"]: row["answer"]["reason"] for row in province.get(
        ASKER, f"/v1/information-requests/{ASKED}"
    )["addressees"] if row["answer"]} == {DEPARTMENT: WHY}  # fmt: skip


def test_the_silent_one_is_told_that_it_is_overdue_and_its_late_answer_costs_it_points(
    province: Province, leader: ClockLeader
) -> None:
    ask(province, f"/{WITHDRAWN}/withdrawal", reason="Đã có số liệu từ nguồn khác")
    for agency in (DEPARTMENT, COMMUNE):
        eventually(lambda a=agency: not at_scoring(province, a, WITHDRAWN)["owed"], "nobody owes it")  # type: ignore[misc]
    leader.lead(rate=A_DAY_SECONDS, until=LATE)
    eventually(lambda: at_scoring(province, COMMUNE, ASKED)["overdue"], "the silent one is overdue")
    eventually(lambda: overdue_mails(province, "sen@anbinh.example"), "and is told")
    eventually(lambda: states(province) == {DEPARTMENT: "refused", COMMUNE: "overdue"}, "and the asker sees it")
    late = province.post(COMMUNE, "muon", regime=REGIME, period=ASKED, narratives={"TL": "Toàn xã còn 41 hộ nghèo."})
    assert late.status_code == 201, late.text
    eventually(lambda: at_scoring(province, COMMUNE, ASKED)["standing"] == "fulfilled", "it is answered")
    assert Decimal(at_scoring(province, COMMUNE, ASKED)["score"]) == 90
    eventually(lambda: states(province)[COMMUNE] == "answered", "the asker sees the answer")
    whole = province.get(ASKER, f"/v1/information-requests/{ASKED}/answers/{COMMUNE}")
    assert whole["narratives"] == {"TL": "Toàn xã còn 41 hộ nghèo."}


def test_the_control_neither_a_refusal_nor_a_withdrawn_question_is_called_overdue(province: Province) -> None:
    """The deadline has been judged: the silent one is told of it, and of the question that stands alone."""
    told = overdue_mails(province, "sen@anbinh.example")
    assert told
    assert not [text for text in told if WITHDRAWN in text]
    assert not [text for text in overdue_mails(province, "hanh@sonoivu.example") if ASKED in text or WITHDRAWN in text]
    for agency in (DEPARTMENT, COMMUNE):
        shown = at_scoring(province, agency, WITHDRAWN)
        assert (shown["owed"], shown["overdue"], shown["score"]) == (False, False, None)
    refused = province.post(
        COMMUNE, "da-rut", regime=REGIME, period=WITHDRAWN, narratives={"TL": "Toàn xã còn 12 hộ cận nghèo."}
    )
    assert refused.status_code == 422


def test_all_stores_agree_in_the_end(province: Province) -> None:
    province.agree()
