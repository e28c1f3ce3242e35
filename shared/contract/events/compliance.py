"""What scoring publishes: the life of each obligation (nghĩa vụ báo cáo) and its score."""

from __future__ import annotations

from datetime import date
from typing import ClassVar, Literal
from uuid import UUID

from shared.contract.events.base import COMPLIANCE, EventModel, ExactDecimal, Model, Moment

#: nothing_sent (chưa nộp), awaiting_verdict (chờ kiểm tra), returned (trả lại), fulfilled (đã nộp, đạt)
Standing = Literal["nothing_sent", "awaiting_verdict", "returned", "fulfilled"]


class ObligationEvent(EventModel):
    """What all events of an obligation share. `version` grows with every event of the obligation."""

    TOPIC: ClassVar[str] = COMPLIANCE

    obligation: str
    agency: str
    regime: str
    regime_version: int
    period: str
    deadline: Moment
    standing: Standing
    at: Moment  # business time of the fact
    version: int

    @property
    def key(self) -> str:
        return self.obligation


class ObligationOpened(ObligationEvent):
    """An obligation exists (mở kỳ); told ahead, when it is generated. Told again if a new regime version changes it."""

    TYPE: ClassVar[str] = "vn.thongsuot.obligation.opened.v1"

    opens_at: Moment | None = None  # when its cut-off window opens, or the request was issued; may lie ahead
    cutoff_from: date | None = None
    cutoff_to: date | None = None
    calendar_version: str


class ObligationDueSoon(ObligationEvent):
    """The deadline is near and nothing acceptable has come (sắp đến hạn)."""

    TYPE: ClassVar[str] = "vn.thongsuot.obligation.due_soon.v1"


class ObligationOverdue(ObligationEvent):
    """The deadline has passed and nothing acceptable had come (quá hạn): nothing sent, or returned."""

    TYPE: ClassVar[str] = "vn.thongsuot.obligation.overdue.v1"


class ObligationFulfilled(ObligationEvent):
    """A submission was accepted. On time is decided by the receipt of the first accepted version."""

    TYPE: ClassVar[str] = "vn.thongsuot.obligation.fulfilled.v1"

    submission_id: UUID
    submission_version: int
    received_at: Moment
    on_time: bool


class ScoreLine(Model):
    """One signed contribution to an obligation's score, with its cause. Lines sum to the score exactly."""

    line_id: UUID
    component: Literal["timeliness", "completeness"]
    points: ExactDecimal
    cause: str  # Vietnamese
    cause_en: str
    clause: str = ""  # clause of the policy
    event_id: UUID | None = None  # the event that caused it


class ScoreChanged(ObligationEvent):
    """The obligation's score after its lines changed; `lines` are all lines in force."""

    TYPE: ClassVar[str] = "vn.thongsuot.score.changed.v1"

    officer_id: str | None = None
    policy_version: str
    score: ExactDecimal
    lines: tuple[ScoreLine, ...]
    overdue: bool | None = None  # told overdue and neither fulfilled nor taken back; None: an older event, not said


ComplianceEvent = ObligationOpened | ObligationDueSoon | ObligationOverdue | ObligationFulfilled | ScoreChanged
