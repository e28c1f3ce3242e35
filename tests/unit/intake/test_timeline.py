"""What happened to a report, in order, in words, and nothing that happened before it came."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta
from typing import Any

from services.intake.lifecycle.views import Lifecycle, StepView, Superseded
from services.intake.obligations.queries import LineView, NoticeView, ObligationDetail, RecipientView
from services.intake.obligations.timeline import Timeline, timeline_of
from services.intake.submissions.queries import SubmissionDetail, VerdictView
from shared.contract.ids import new_id

DAY = datetime(2026, 10, 16, 2, 30, tzinfo=UTC)


STANDS = Lifecycle(
    state="accepted", name="đạt", name_en="accepted", certified=False, superseded=None, counts=True, possible=[]
)  # fmt: skip


def at(days: float) -> datetime:
    return DAY + timedelta(days=days)


def sent(version: int, days: float, outcome: Any = None, decided: float | None = None) -> SubmissionDetail:
    verdict = None
    if outcome is not None:
        moment = at(days + 0.1 if decided is None else decided)
        verdict = VerdictView(verdict_id=new_id(), outcome=outcome, decided_at=moment, errors=2, warnings=1)
    return SubmissionDetail(
        submission_id=new_id(), obligation="H99.31/KTXH/2026-M10", regime="KTXH", regime_version=1, period="2026-M10",
        version=version, officer="cb-31", nil=False, received_at=at(days), sha256="00", status=outcome or "received",
        updated_at=at(days), verdict=verdict, nil_reason="", declines=None, refer_to=None, figures={}, narratives={},
        tables={}, findings=[], findings_truncated=False, lifecycle=STANDS,
    )  # fmt: skip


def line(seq: int, days: float, points: str = "60") -> LineView:
    return LineView(
        seq=seq, line_id=new_id(), component="timeliness", points=points, cause="Nhận đúng hạn",
        cause_en="Received in time", clause="1.a", policy_version="2019.1", event_id=new_id(), created_at=at(days),
        reverses=None, in_force=True, clause_text=None, clause_text_en=None, legal_basis=None,
    )  # fmt: skip


def notice(kind: str, days: float, role: Any = "reporting_officer", outcome: str = "sent") -> NoticeView:
    return NoticeView(
        notification_id=new_id(), kind=kind, at=at(days), to=RecipientView(role=role, agency="H99.31"),
        channel="email", outcome=outcome, attempts=1,
    )  # fmt: skip


def obligation(
    submissions: Any, lines: Any = (), notices: Any = (), answer: int | None = None, steps: Any = ()
) -> ObligationDetail:
    return ObligationDetail(
        obligation="H99.31/KTXH/2026-M10", regime="KTXH", regime_version=1, regime_name="KTXH", regime_name_en="KTXH",
        period="2026-M10", accepted_from=at(-2), deadline=at(3), grace_until=None, cutoff_from=None,
        cutoff_to=None,
        standing="fulfilled", owed=True, overdue=False, on_time=True, score=None, changed_at=at(1), updated_at=at(1),
        links={"self": "/v1/obligations/KTXH/2026-M10"}, policy_version="2019.1", calendar_version="VN-2026.2",
        provisional=False, planned_deadline=at(3), deadline_rule=None, deadline_rule_en=None,
        deadline_override=None, deadline_override_reason=None, reliefs=[], officer_id="cb-31", officer_basis="named",
        transferred_from=[], transferred_to=None, answer_version=answer, lines=list(lines),
        submissions=list(submissions), submissions_truncated=False,
        notices=list(notices), notices_truncated=False, locks_at=None, first_received=None, first_accepted=None,
        last_accepted=None, steps=list(steps), possible=[],
    )  # fmt: skip


def told(timeline: Timeline) -> list[tuple[str, str]]:
    return [(step.step, step.text) for step in timeline.steps]


def test_a_report_that_came_early_was_returned_and_came_again() -> None:
    first, second = sent(1, 0, "returned"), sent(2, 1, "accepted")
    whole = obligation(
        [second, first],
        [line(1, 1.1), line(2, 1.1, "-12.5")],
        [notice("returned", 0.1), notice("reminder", -1)],
        answer=2,
    )
    assert told(timeline_of(first, whole)) == [
        ("received", "Đã nhận phiên bản 1, do cb-31 gửi"),
        ("verdict", "Báo cáo bị trả lại: 2 lỗi, 1 điểm cần xem lại"),
        ("notice", "Báo trả lại báo cáo, cho cán bộ đầu mối: đã gửi"),
        ("score_line", "+60 điểm, khoản 1.a: Nhận đúng hạn"),
        ("score_line", "-12,5 điểm, khoản 1.a: Nhận đúng hạn"),
    ]
    assert [step for step, _ in told(timeline_of(second, whole))] == ["received", "verdict", "score_line", "score_line"]
    assert (timeline_of(first, whole).counts, timeline_of(second, whole).counts) == (False, True)


def test_a_version_says_which_one_took_its_place() -> None:
    first, newer = sent(1, 0, "accepted"), sent(3, 2, "accepted")
    replaced = STANDS.model_copy(update={"state": "superseded", "superseded": Superseded(version=3, at=at(2.1))})
    steps = timeline_of(first.model_copy(update={"lifecycle": replaced}), obligation([newer, first], answer=1)).steps
    assert [(step.version, step.at) for step in steps if step.step == "superseded"] == [(3, at(2.1))]
    for stands in (first, newer):
        steps = timeline_of(stands, obligation([newer, first], answer=1)).steps
        assert "superseded" not in {step.step for step in steps}


def test_before_anything_is_known_there_is_the_receipt() -> None:
    alone = timeline_of(sent(1, 0), None)
    assert told(alone) == [("received", "Đã nhận phiên bản 1, do cb-31 gửi")]
    assert not alone.counts
    assert list(alone.links) == ["submission"]


def test_order_does_not_depend_on_how_the_parts_are_listed() -> None:
    lines = [line(seq, 0.1) for seq in range(1, 6)]
    notices = [notice("returned", 0.1), notice("overdue", 4), notice("escalation", 4, "head", "failed")]
    version = sent(1, 0, "returned")
    expected = told(timeline_of(version, obligation([version], lines, notices)))
    assert [name for name, _ in expected] == ["received", "verdict", *["score_line"] * 5, *["notice"] * 3]
    shuffled = random.Random(7)
    for _ in range(20):
        shuffled.shuffle(lines)
        assert told(timeline_of(version, obligation([version], lines, notices))) == expected


def test_what_is_not_known_is_still_said() -> None:
    version = sent(1, 0)
    last = timeline_of(version, obligation([version], (), [notice("call", 1, None, "sent")])).steps[-1]
    assert last.text == "call, cho người không còn trong danh mục: đã gửi"


def test_a_step_stands_with_who_took_it_and_why() -> None:
    first = sent(1, 0, "accepted")
    taken = StepView(
        step_id=new_id(), kind="rework", name="trả lại để làm lại", name_en="send back for rework", at=at(0.5),
        by="nd-1", role="reviewer", reason="Thiếu nguyên nhân", since=None, until=None, effect=None, answers=None,
        submission_id=first.submission_id, version=1, decisions=[],
    )  # fmt: skip
    other = taken.model_copy(update={"submission_id": new_id(), "version": 2})
    steps = timeline_of(first, obligation([first], steps=[taken, other])).steps
    assert [(step.step, step.text) for step in steps if step.step == "step"] == [
        ("step", "Trả lại để làm lại, do người duyệt nd-1: Thiếu nguyên nhân")
    ]


def test_a_report_that_could_not_be_judged_says_that_it_counts_against_nobody() -> None:
    timeline = timeline_of(sent(1, 0, "not_judged"), obligation([]))
    assert [step for step, _ in told(timeline)] == ["received", "verdict"]
    assert "chưa kiểm tra được" in timeline.steps[1].text
    assert "lỗi" not in timeline.steps[1].text
    assert "counts against nobody" in timeline.steps[1].text_en


def test_each_entry_carries_what_it_is_about() -> None:
    first = sent(2, 0, "returned").model_copy(update={"nil": True})
    assert first.verdict is not None
    taken = StepView(
        step_id=new_id(), kind="withdrawn", name="rút", name_en="withdraw", at=at(0), by="cb-31",
        role="reporting_officer", reason="", since=None, until=None, effect=None, answers=None,
        submission_id=first.submission_id, version=2, decisions=[],
    )  # fmt: skip
    written, told_once = line(3, 0.2), notice("call", 1, outcome="rang")
    received, step, verdict, scored, last = timeline_of(
        first, obligation([first], [written], [told_once], steps=[taken])
    ).steps
    assert (received.version, received.text) == (2, "Đã nhận phiên bản 2, không phát sinh, do cb-31 gửi")
    assert received.text_en == "Version 2 received, nothing to report, sent by cb-31"
    assert (step.version, step.taken, step.text) == (2, taken, "Rút, do cán bộ đầu mối cb-31"), "at the same moment"
    assert (verdict.version, verdict.verdict_id) == (2, first.verdict.verdict_id)
    assert (scored.line, last.notice) == (written, told_once)
    assert (last.text, last.text_en) == ("call, cho cán bộ đầu mối: rang", "call, to the reporting officer: rang")
    plain = timeline_of(sent(1, 0), None).steps[0]
    assert plain.text_en == "Version 1 received, sent by cb-31"
    unable = timeline_of(sent(3, 0, "not_judged"), obligation([])).steps[1]
    assert (unable.version, unable.verdict_id is None) == (3, False)


def test_lines_of_one_moment_stand_in_the_order_in_which_they_were_written() -> None:
    version = sent(1, 0)
    steps = timeline_of(version, obligation([version], [line(seq, 1) for seq in (9, 10, 2)])).steps
    assert [step.line.seq for step in steps if step.line] == [2, 9, 10]


def test_what_is_left_out_of_either_list_is_said() -> None:
    version = sent(1, 0)
    whole = obligation([version])
    for left_out in ("notices_truncated", "submissions_truncated"):
        assert timeline_of(version, whole.model_copy(update={left_out: True})).truncated
    assert not timeline_of(version, whole).truncated
