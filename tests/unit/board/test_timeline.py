"""The evidence of an obligation: each thing that happened is one line, in the order of its moments."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest

from services.board.pages import views
from services.board.pages.steps import page_of_request
from services.board.pages.views import Entry, average_score, cell_of, findings_of, line_of, timeline
from services.board.pages.words import STATES, Pair
from services.board.readmodel.queries import Evidence, Line
from tests.unit.board.test_explanation import DEADLINE, line, state

HOUR = timedelta(hours=1)
KEY = "H99.12/BC-THANG/2026-M10"
NAMES = {"o": ("Lê Văn An", "Chuyên viên"), "h": ("Trần B", ""), "r": ("", "")}


def evidence(**changes: Any) -> Evidence:
    nothing: dict[str, Any] = {"reports": (), "steps": (), "notices": (), "climbs": (), "latest": None}
    return Evidence(**{"state": state(), **nothing, "names": NAMES, "findings": "[]", "older": False, **changes})


def report(version: int, outcome: str | None, **changes: Any) -> Any:
    return {
        "version": version, "received_at": DEADLINE + version * HOUR, "nil": False, "nil_reason": "",
        "officer_id": "o", "sha256": f"{version:064x}", "submission_id": UUID(int=version), "outcome": outcome,
        "decided_at": DEADLINE + version * HOUR + HOUR / 2, "errors": 1, "warnings": 2, **changes,
    }  # fmt: skip


def received(version: int, detail: Pair = ("", "")) -> Entry:
    return Entry(
        DEADLINE + version * HOUR, "report", (f"Nhận phiên bản {version}", f"Version {version} received"),
        "Lê Văn An, Chuyên viên", detail, "sha256 0000000000000000…",
        f"/nghia-vu/{KEY}/phien-ban/{UUID(int=version)}",
    )  # fmt: skip


def judged(version: int, what: Pair, detail: Pair) -> Entry:
    at = DEADLINE + version * HOUR + HOUR / 2
    return Entry(at, "verdict", what, "", detail, str(UUID(int=version)))


def after_opening(known: Evidence) -> list[Entry]:
    opened, *rest = timeline(known)
    assert opened == Entry(
        DEADLINE - timedelta(days=30), "terms", ("Mở kỳ", "Opened"), "",
        ("hạn nộp 17:00 19/10/2026", "due 17:00 19/10/2026"), "calendar 2026.1, policy vn-2026-1",
    )  # fmt: skip
    return rest


def test_what_was_received_and_judged() -> None:
    reports = (
        report(1, "returned", warnings=1),
        report(2, None, nil=True, nil_reason="không có"),
        report(3, "accepted", errors=0),
    )
    assert after_opening(evidence(reports=reports)) == [
        received(1),
        judged(1, ("Phiên bản 1 bị trả lại", "Version 1 returned"), ("1 lỗi, 1 cảnh báo", "1 error, 1 warning")),
        received(2, ("không phát sinh: không có", "nothing to report: không có")),
        received(3),
        judged(3, ("Phiên bản 3 đạt", "Version 3 accepted"), ("0 lỗi, 2 cảnh báo", "0 errors, 2 warnings")),
    ]


@pytest.mark.parametrize("newest", [True, False])
def test_of_what_could_not_be_judged_only_the_newest_says_why(newest: bool) -> None:
    known = evidence(
        reports=(report(1, "not_judged"),),
        latest={"submission_id": UUID(int=1 if newest else 2)},
        findings='[{"severity": "error", "message": "quá lâu", "message_en": "took too long"}]',
    )
    what = ("Hệ thống chưa kiểm tra được phiên bản 1", "Version 1 could not be judged")
    why = ("quá lâu", "took too long") if newest else ("", "")
    assert after_opening(known) == [received(1), judged(1, what, why)]
    assert after_opening(replace(known, latest=None))[1] == judged(1, what, ("", ""))


def step(kind: str, by: str, **changes: Any) -> Any:
    return {
        "kind": kind, "by": by, "at": DEADLINE, "until": None, "reason": None, "step_id": UUID(int=7), **changes,
    }  # fmt: skip


def test_what_people_did_says_who_why_and_until_when() -> None:
    steps = (
        step("certified", "h"),
        step("extension_requested", "o", at=DEADLINE + HOUR, until=DEADLINE + 24 * HOUR, reason="mất điện"),
        step("unheard_of", "nobody", at=DEADLINE + 2 * HOUR, until=DEADLINE),
    )
    assert after_opening(evidence(steps=steps)) == [
        Entry(DEADLINE, "step", ("Ký xác nhận", "Certified"), "Trần B", ("", ""), str(UUID(int=7))),
        Entry(
            DEADLINE + HOUR, "step", ("Đề nghị gia hạn", "Extension asked for"), "Lê Văn An, Chuyên viên",
            ("mất điện; đến 17:00 20/10/2026", "mất điện; until 17:00 20/10/2026"), str(UUID(int=7)),
            page_of_request("extension_requested", KEY, str(UUID(int=7))),
        ),
        Entry(
            DEADLINE + 2 * HOUR, "step", ("unheard_of", "unheard_of"), "nobody",
            ("đến 17:00 19/10/2026", "until 17:00 19/10/2026"), str(UUID(int=7)),
        ),
    ]  # fmt: skip
    assert page_of_request("extension_requested", KEY, str(UUID(int=7)))


def test_who_was_told_what_and_how_it_went() -> None:
    told = [("overdue", "sent", "o"), ("unheard_of", "lost", "r")]
    notices = tuple(
        {"kind": kind, "outcome": outcome, "officer_id": who, "at": DEADLINE, "notification_id": UUID(int=9)}
        for kind, outcome, who in told
    )
    assert after_opening(evidence(notices=notices)) == [
        Entry(
            DEADLINE, "notice", ("Báo quá hạn", "Overdue notice"), "Lê Văn An, Chuyên viên", ("đã gửi", "sent"),
            str(UUID(int=9)),
        ),
        Entry(DEADLINE, "notice", ("unheard_of", "unheard_of"), "r", ("lost", "lost"), str(UUID(int=9))),
    ]  # fmt: skip


def climb(**changes: Any) -> dict[str, Any]:
    return {
        "ladder": "default", "ladder_version": 2, "number": 1, "opened_at": DEADLINE, "passed": [], "answers": [],
        "handed_on": [], "resolved_at": None, "resolution": None, **changes,
    }  # fmt: skip


def escalated(hours: int, what: Pair, detail: Pair) -> Entry:
    return Entry(DEADLINE + hours * HOUR, "escalation", what, "", detail, "escalation 1")


def test_how_it_climbed_what_was_answered_and_how_it_ended() -> None:
    at = [(DEADLINE + hours * HOUR).isoformat() for hours in range(6)]
    whole = climb(
        passed=[
            {"rung": "t", "at": at[1], "told": ["h"], "skipped": []},
            {"rung": "t+1d", "at": at[1], "told": [], "skipped": ["no_head:H99"]},
            {"rung": "t+2d", "at": at[2], "told": ["c"], "skipped": ["no_head:H99"]},
            {"rung": "t+3d", "at": at[2], "told": [], "skipped": []},
        ],
        answers=[
            {"kind": "snoozed", "by": "h", "at": at[2], "until": at[5], "reason": "chờ số liệu"},
            {"kind": "taken_back", "by": "o", "at": at[4], "until": None},
        ],
        handed_on=[{"by": "h", "to": "o", "at": at[3], "reason": "đi vắng"}],
        resolved_at=DEADLINE + 5 * HOUR,
        resolution="answered",
    )
    assert after_opening(evidence(climbs=(whole,))) == [
        escalated(0, ("Bắt đầu chuyển cấp", "Escalation began"), ("thang default/2", "ladder default/2")),
        escalated(
            1, (
                "Bậc sau hạn 1 ngày làm việc: không báo được ai",
                "Rung 1 working day after the deadline: nobody was told",
            ),
            ("không có thủ trưởng (H99)", "no head (H99)"),
        ),
        Entry(
            DEADLINE + 2 * HOUR, "answer", ("Tạm hoãn", "Put off"), "Trần B",
            ("hẹn đến 22:00 19/10/2026; chờ số liệu", "until 22:00 19/10/2026; chờ số liệu"), "escalation 1",
        ),
        Entry(
            DEADLINE + 3 * HOUR, "answer", ("Chuyển giao", "Handed on"), "Trần B",
            ("cho Lê Văn An, Chuyên viên; đi vắng", "to Lê Văn An, Chuyên viên; đi vắng"), "escalation 1",
        ),
        Entry(
            DEADLINE + 4 * HOUR, "answer", ("Rút lại", "Taken back"), "Lê Văn An, Chuyên viên", ("", ""),
            "escalation 1",
        ),
        escalated(5, ("Hết chuyển cấp", "Escalation over"), ("đã có báo cáo đạt", "a report is accepted")),
    ]  # fmt: skip


def test_words_that_the_board_does_not_know_are_shown_as_they_came() -> None:
    whole = climb(
        answers=[{"kind": "new_kind", "by": "x", "at": DEADLINE.isoformat()}], resolved_at=DEADLINE, resolution="other"
    )
    _, over, answer = after_opening(evidence(climbs=(whole,)))
    assert (answer.what, answer.who, over.detail) == (("new_kind", "new_kind"), "x", ("other", "other"))


def test_each_score_line_says_its_points_cause_and_clause() -> None:
    lines = (line(1, "1060.5"), line(2, "-10", "1.b", event_id=UUID(int=5)))
    assert after_opening(evidence(state=state(*lines))) == [
        Entry(
            DEADLINE, "score", ("Điểm +1.060,5", "+1,060.5 points"), "", ("vì 1 (1.a)", "cause 1 (1.a)"),
            str(UUID(int=1)),
        ),
        Entry(DEADLINE, "score", ("Điểm -10", "-10 points"), "", ("vì 2 (1.b)", "cause 2 (1.b)"), str(UUID(int=5))),
    ]  # fmt: skip


def test_what_happened_at_one_moment_stands_as_one_follows_from_the_other() -> None:
    at = DEADLINE
    known = evidence(
        state=state(line(1, "0"), opens_at=at),
        notices=({"kind": "overdue", "outcome": "sent", "officer_id": "o", "at": at, "notification_id": UUID(int=9)},),
        climbs=(climb(answers=[{"kind": "snoozed", "by": "h", "at": at.isoformat()}]),),
        steps=(step("certified", "h"),),
        reports=(report(1, "accepted", received_at=at, decided_at=at),),
    )
    kinds = [entry.kind for entry in timeline(known)]
    assert kinds == ["terms", "report", "verdict", "step", "score", "escalation", "notice", "answer"]


def test_errors_come_before_other_findings() -> None:
    found = '[{"severity": "info", "n": 1}, {"severity": "error", "n": 2}, {"severity": "error", "n": 3}]'
    assert [finding["n"] for finding in findings_of(evidence(findings=found))] == [2, 3, 1]


def test_an_obligations_event_is_a_row_of_the_tables() -> None:
    told = state(
        answer_version=1, score="86", overdue=False, grace_until=DEADLINE + HOUR, answer_received_at=DEADLINE - HOUR
    )
    assert line_of(told) == Line(
        KEY, "H99.12", "BC-THANG", "2026-M10", "fulfilled", False, True, DEADLINE - timedelta(days=30), DEADLINE,
        DEADLINE - HOUR, Decimal(86), DEADLINE + HOUR,
    )  # fmt: skip


def test_the_average_is_of_what_is_decided() -> None:
    row = line_of(state())
    assert average_score([row]) is None
    assert average_score([row, replace(row, score=Decimal(90)), replace(row, score=Decimal(75))]) == Decimal("82.5")


def test_a_cell_says_its_state_days_and_where_to_read_more() -> None:
    row = replace(line_of(state()), overdue=True)
    assert cell_of(row, DEADLINE + 30 * HOUR) == views.Cell(
        "overdue", "!", ("Quá hạn, chưa nộp", "Overdue, nothing sent"), 2, f"/nghia-vu/{KEY}"
    )
    answered = replace(row, standing="fulfilled", on_time=True, answer_received_at=DEADLINE)
    assert cell_of(answered, DEADLINE + 30 * HOUR).days_late == 0
    assert cell_of(None, DEADLINE) == views.Cell("none", "–", STATES["none"], 0, "")


def test_grace_lasts_to_its_last_moment() -> None:
    row = replace(line_of(state()), grace_until=DEADLINE + HOUR)
    assert [views.state_of(row, DEADLINE + hours * HOUR) for hours in (0, 1)] == ["nothing_sent", "grace"]
    assert views.state_of(row, DEADLINE + HOUR + timedelta(seconds=1)) == "nothing_sent"


def test_days_and_moments_are_those_of_vietnam() -> None:
    late = datetime(2026, 10, 18, 17, 30, 5, tzinfo=UTC)
    assert (views.day_of_moment(late), views.moment(late)) == ("19/10/2026", "00:30 19/10/2026")
    assert (views.moment(late, seconds=True), views.moment(None)) == ("00:30:05 19/10/2026", "")
    assert (views.day(date(2026, 2, 3)), views.day(None)) == ("03/02/2026", "")
