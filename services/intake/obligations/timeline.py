"""What happened to a report (dòng thời gian), from its receipt to its score, the notices about it included.

Built from what the agency can read anyway, so it never says more than the pages it links to, and never less.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal
from uuid import UUID

from pydantic import BaseModel, Field

from services.intake.lifecycle.views import StepView
from services.intake.obligations.queries import LineView, NoticeView, ObligationDetail
from services.intake.submissions.queries import SubmissionDetail
from services.intake.views import Moment
from shared.access import ACTORS
from shared.runtime.english import counted

StepName = Literal["received", "verdict", "superseded", "step", "notice", "score_line"]
#: of steps at one moment, which comes first: what causes stands before what follows from it
_ORDER: dict[StepName, int] = {
    "received": 0, "verdict": 1, "superseded": 2, "step": 3, "score_line": 4, "notice": 5,
}  # fmt: skip

_OUTCOMES = {
    "accepted": ("Báo cáo đạt", "The report is accepted"),
    "returned": ("Báo cáo bị trả lại", "The report is returned"),
}
_KINDS = {
    "reminder": ("Nhắc sắp đến hạn", "Reminder that the deadline is near"),
    "overdue": ("Báo quá hạn", "Notice that the deadline has passed"),
    "returned": ("Báo trả lại báo cáo", "Notice that the report is returned"),
    "escalation": ("Báo cáo lên thủ trưởng", "Escalation to the head"),
    "certification": ("Báo chờ ký xác nhận", "Notice that a report waits for its certification"),
    "decision": ("Báo kết quả đề nghị", "Notice of a decision"),
    "withdrawal": ("Báo rút báo cáo", "Notice that a report is withdrawn"),
    "resolved": ("Báo kết thúc chuyển cấp", "Notice that an escalation has ended"),
    "request": ("Báo có yêu cầu báo cáo", "Notice of a request"),
    "not_judged": ("Báo hệ thống chưa kiểm tra được", "Notice that a report could not be judged"),
}
_SENT = {
    "sent": ("đã gửi", "sent"),
    "unknown": ("chưa rõ đã đến", "may have arrived"),
    "failed": ("không gửi được", "could not be sent"),
}

_NOT_REGISTERED = ("người không còn trong danh mục", "somebody not registered any more")


class Step(BaseModel):
    """One thing that happened: its moment, in words, and the record that says more."""

    at: Moment
    step: StepName
    text: str
    text_en: str
    version: int | None = Field(default=None, description="Phiên bản báo cáo / version of the report")
    verdict_id: UUID | None = None
    taken: StepView | None = Field(default=None, description="Bước do người thực hiện / the step somebody took")
    line: LineView | None = Field(default=None, description="Dòng điểm / the score line")
    notice: NoticeView | None = Field(default=None, description="Thông báo / the notice")


class Timeline(BaseModel):
    """All steps, the oldest first."""

    submission_id: UUID
    obligation: str
    version: int
    counts: bool = Field(
        description="Điểm của nghĩa vụ dựa trên phiên bản này / this version is the one that answers the obligation"
    )
    steps: list[Step]
    truncated: bool = Field(description="Còn bước khác ở các trang liên kết / there are more, on the linked pages")
    links: dict[str, str]


def timeline_of(submission: SubmissionDetail, obligation: ObligationDetail | None) -> Timeline:
    """The timeline of one version. `obligation` is None until scoring has published it."""
    steps = [*_of_version(submission), *_superseded(submission)]
    links = {"submission": f"/v1/submissions/{submission.submission_id}"}
    if obligation is not None:
        links["obligation"] = obligation.links["self"]
        steps += (
            _taken(step)
            for step in obligation.steps
            if step.submission_id in (None, submission.submission_id) and step.at >= submission.received_at
        )
        steps += (_line(line) for line in obligation.lines if line.created_at >= submission.received_at)
        steps += (_notice(notice) for notice in obligation.notices if notice.at >= submission.received_at)
    steps.sort(key=lambda step: (step.at, _ORDER[step.step], step.line.seq if step.line else 0))
    return Timeline(
        submission_id=submission.submission_id,
        obligation=submission.obligation,
        version=submission.version,
        counts=obligation is not None and obligation.answer_version == submission.version,
        steps=steps,
        truncated=obligation is not None and (obligation.notices_truncated or obligation.submissions_truncated),
        links=links,
    )


def _of_version(submission: SubmissionDetail) -> Iterator[Step]:
    nil, nil_en = (", không phát sinh", ", nothing to report") if submission.nil else ("", "")
    yield Step(
        at=submission.received_at,
        step="received",
        text=f"Đã nhận phiên bản {submission.version}{nil}, do {submission.officer} gửi",
        text_en=f"Version {submission.version} received{nil_en}, sent by {submission.officer}",
        version=submission.version,
    )
    if (verdict := submission.verdict) is not None and verdict.outcome == "not_judged":
        yield Step(
            at=verdict.decided_at,
            step="verdict",
            text="Hệ thống chưa kiểm tra được báo cáo; không tính cho cơ quan, sẽ kiểm tra lại",
            text_en="The system could not judge the report; it counts against nobody and will be judged again",
            version=submission.version,
            verdict_id=verdict.verdict_id,
        )
    elif verdict is not None:
        said, said_en = _OUTCOMES[verdict.outcome]
        yield Step(
            at=verdict.decided_at,
            step="verdict",
            text=f"{said}: {verdict.errors} lỗi, {verdict.warnings} điểm cần xem lại",
            text_en=f"{said_en}: {counted(verdict.errors, 'error')}, {counted(verdict.warnings, 'warning')}",
            version=submission.version,
            verdict_id=verdict.verdict_id,
        )


def _superseded(submission: SubmissionDetail) -> Iterator[Step]:
    newer = submission.lifecycle.superseded
    if newer is not None:
        yield Step(
            at=newer.at,
            step="superseded",
            text=f"Phiên bản {newer.version} được chấp nhận và thay thế phiên bản này",
            text_en=f"Version {newer.version} is accepted and takes the place of this one",
            version=newer.version,
        )


def _taken(step: StepView) -> Step:
    role, role_en = ACTORS.get(step.role, (step.role, step.role))
    why, why_en = (f": {step.reason}", f": {step.reason}") if step.reason else ("", "")
    if step.remedy:
        why, why_en = f"{why}. Khắc phục: {step.remedy}", f"{why_en}. Remedy: {step.remedy}"
    return Step(
        at=step.at,
        step="step",
        text=f"{step.name[:1].upper()}{step.name[1:]}, do {role} {step.by}{why}",
        text_en=f"{step.name_en[:1].upper()}{step.name_en[1:]}, by {role_en} {step.by}{why_en}",
        version=step.version,
        taken=step,
    )


def _line(line: LineView) -> Step:
    sign = "" if line.points.startswith("-") else "+"
    return Step(
        at=line.created_at,
        step="score_line",
        text=f"{sign}{line.points.replace('.', ',')} điểm, khoản {line.clause}: {line.cause}",
        text_en=f"{sign}{line.points} points, clause {line.clause}: {line.cause_en}",
        line=line,
    )


def _notice(notice: NoticeView) -> Step:
    kind, kind_en = _KINDS.get(notice.kind, (notice.kind, notice.kind))
    outcome, outcome_en = _SENT.get(notice.outcome, (notice.outcome, notice.outcome))
    role, role_en = ACTORS.get(notice.to.role or "", _NOT_REGISTERED)
    return Step(
        at=notice.at,
        step="notice",
        text=f"{kind}, cho {role}: {outcome}",
        text_en=f"{kind_en}, to {role_en}: {outcome_en}",
        notice=notice,
    )
