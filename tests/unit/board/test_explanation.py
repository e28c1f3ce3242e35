"""Why a score: the lines that count add up to it, what was taken back says why, and every clause is there once."""

from __future__ import annotations

from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.board.pages.explanation import explain, sum_of
from services.board.pages.views import number
from shared.contract.events import ObligationChanged, ScoreLine
from shared.runtime.clock import LOCAL_ZONE
from tests.fakes.compliance import obligation_changed

DEADLINE = datetime(2026, 10, 19, 17, 0, tzinfo=LOCAL_ZONE)


def line(seq: int, points: str, clause: str = "1.a", **changes: Any) -> ScoreLine:
    base = {
        "line_id": UUID(int=seq), "seq": seq, "component": "timeliness", "points": points, "cause": f"vì {seq}",
        "cause_en": f"cause {seq}", "clause": clause, "policy_version": "2019.1", "created_at": DEADLINE,
        "in_force": True, "clause_text": f"khoản {clause}", "clause_text_en": f"clause {clause}",
        "legal_basis": "NĐ 09/2019/NĐ-CP",
    }  # fmt: skip
    return ScoreLine.model_validate({**base, **changes})


def state(*lines: ScoreLine, **changes: Any) -> ObligationChanged:
    told = {"version": 3, "deadline": DEADLINE, "at": DEADLINE, "lines": lines, **changes}
    return obligation_changed("H99.12", "BC-THANG", "2026-M10", **told)


#: 60 − 10 + 36: late by a day, after an overdue line that was taken back
LATE = state(
    line(1, "0", "1.c", in_force=False),
    line(2, "0", "1.c", in_force=False, reverses=UUID(int=1), cause="Hủy dòng 1: đã có báo cáo đạt"),
    line(3, "60"),
    line(4, "-10", "1.b"),
    line(5, "36", "2.a", component="completeness"),
    score="86", answer_version=2, on_time=False, answer_received_at=DEADLINE + timedelta(hours=20),
    required_items=40, present_items=36, overdue=False, reliefs=("R-1",), deadline=DEADLINE + timedelta(hours=1),
    planned_deadline=DEADLINE, officer_id="o", officer_basis="named",
)  # fmt: skip


def test_the_lines_that_count_add_up_to_the_score_and_those_taken_back_say_why() -> None:
    explained = explain(LATE, "Lê Văn An")
    assert [one.seq for one in explained.counted] == [3, 4, 5]
    assert (explained.total, explained.agrees, explained.unscored) == (Decimal(86), True, None)
    assert sum_of(explained.counted, number) == "60 (1.a) − 10 (1.b) + 36 (2.a)"
    [taken] = explained.taken_back
    assert (taken.line.seq, taken.by and taken.by.cause) == (1, "Hủy dòng 1: đã có báo cáo đạt")
    assert [clause.clause for clause in explained.clauses] == ["1.a", "1.b", "1.c", "2.a"]
    said = {one.name[0]: one.said[0] for one in explained.inputs}
    assert said["Hạn theo quy định và lịch làm việc"] == "17:00 19/10/2026"
    assert said["Hạn sau gia hạn, miễn trừ"] == "18:00 19/10/2026 (R-1)"
    assert said["Bản báo cáo được tính"] == "phiên bản 2, nhận lúc 13:00:00 20/10/2026, sau hạn"
    assert said["Mục bắt buộc đã có"] == "36/40"
    assert said["Người chịu trách nhiệm"] == "Lê Văn An (nêu tên trong báo cáo)"


def test_a_deadline_of_a_year_that_nobody_has_announced_says_so() -> None:
    for provisional in (False, True):
        for place in (None, 2):
            inputs = explain(state(provisional=provisional, deadline_override=place)).inputs
            (said,) = [one.said for one in inputs if one.name[1] == "Deadline by the rule and the calendar"]
            assert ("dự kiến, lịch nghỉ năm đó chưa công bố" in said[0]) is provisional
            assert ("provisional, the days off of that year are not announced yet" in said[1]) is provisional
            assert ("(thời hạn riêng thứ 2)" in said[0]) is (place == 2)


def test_who_answers_for_what_is_overdue_is_said_as_it_was_determined() -> None:
    inputs = explain(state(officer_id="o", officer_basis="designated", overdue=True), "Lê Văn An").inputs
    (said,) = [one.said for one in inputs if one.name[1] == "Who answers for it"]
    assert said == ("Lê Văn An (cán bộ đầu mối khi quá hạn)", "Lê Văn An (on duty when it was found overdue)")


def test_a_report_in_time_says_so_and_no_points_have_no_sign() -> None:
    answered = state(line(1, "0"), line(2, "0", "1.b"), answer_version=1, answer_received_at=DEADLINE, score="0")
    explained = explain(answered)
    said = {one.name[1]: one.said[1] for one in explained.inputs}
    assert said["The version that counts"] == "version 1, received 17:00:00 19/10/2026, on time"
    assert sum_of(explained.counted, number) == "0 (1.a) + 0 (1.b)"


def test_a_clause_keeps_the_first_text_that_it_has() -> None:
    lines = (line(1, "1"), line(2, "1", clause_text="khác"), line(3, "1", clause_text=None))
    assert [clause.text[0] for clause in explain(state(*lines, score="3")).clauses] == ["khoản 1.a"]


def test_a_score_that_its_lines_do_not_add_up_to_is_noticed() -> None:
    assert not explain(LATE.model_copy(update={"score": Decimal(90)})).agrees


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({}, "Chưa tính"),
        ({"owed": False}, "không phải nộp"),
        ({"owed": False, "transferred_to": "H99.31"}, "đã chuyển cho H99.31"),
    ],
)
def test_without_a_score_it_says_why(changes: dict[str, Any], said: str) -> None:
    explained = explain(state(**changes))
    assert explained.unscored is not None
    assert said in explained.unscored[0]
    assert explained.agrees


def test_a_report_that_came_and_is_not_accepted_is_named() -> None:
    sent = state(received_version=2, last_received_at=DEADLINE, standing="returned")
    said = {one.name[1]: one.said[1] for one in explain(sent).inputs}
    assert (
        said["The version that counts"]
        == "no version is accepted; the latest is version 2, received 17:00:00 19/10/2026"
    )


def test_a_clause_is_shown_by_the_policy_that_its_line_was_written_by() -> None:
    """The same clause number of two policies is two clauses; a line without text does not hide another's text."""
    lines = (line(1, "1", clause_text=None), line(2, "1"), line(3, "1", policy_version="2027.1"))
    explained = explain(state(*lines, score="3"))
    assert [(clause.policy, clause.text[1]) for clause in explained.clauses] == [
        ("2019.1", "clause 1.a"), ("2027.1", "clause 1.a"),
    ]  # fmt: skip


@given(st.lists(st.decimals(-100, 100, places=2), max_size=6))
def test_every_line_is_shown_once_and_the_sum_is_exact(points: list[Decimal]) -> None:
    lines = tuple(line(seq, str(value)) for seq, value in enumerate(points, 1))
    explained = explain(state(*lines, score=str(sum(points, Decimal(0)))))
    assert explained.agrees
    assert [one.points for one in explained.counted] == points
    assert explained.total == sum(points, Decimal(0))
