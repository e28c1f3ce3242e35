"""What intake publishes of submissions. One submission is one version of the report for one obligation."""

from __future__ import annotations

from typing import ClassVar, Literal
from uuid import UUID

from pydantic import Field

from shared.contract.events.base import SUBMISSIONS, EventModel, Moment


def obligation_key(agency: str, regime: str, period: str) -> str:
    """`agency/regime/period`: one agency owes one regime for one period. Partition key of every event about it."""
    return f"{agency}/{regime}/{period}"


#: an information request is not answered, with a reason: refused (từ chối), or another agency is to be asked (chuyển)
Declines = Literal["refusal", "referral"]


class SubmissionReceived(EventModel):
    """A submission is stored. Its receipt time is the server's; it alone decides on time or late.

    Figures are the text that was sent (`"12.50"`; null where null was sent), so that no digit is lost on the way;
    whether a text is a number is the validator's to say.
    """

    TYPE: ClassVar[str] = "vn.thongsuot.submission.received.v1"
    TOPIC: ClassVar[str] = SUBMISSIONS

    submission_id: UUID
    obligation: str
    agency: str
    regime: str
    regime_version: int
    period: str
    version: int  # 1, 2, … within the obligation
    officer_id: str
    received_at: Moment
    sha256: str
    nil: bool = False
    figures: dict[str, str | None] = Field(default_factory=dict)
    narratives: dict[str, str] = Field(default_factory=dict)
    nil_reason: str = ""  # of a NIL report: why there was nothing to report
    declines: Declines | None = None  # of an information request, with its reason in nil_reason
    refer_to: str | None = None  # referral: the agency to be asked instead
    #: the rows of each table, cells by column; as figures, they are the text that was sent
    tables: dict[str, list[dict[str, str | None]]] = Field(default_factory=dict)

    @property
    def key(self) -> str:
        return self.obligation


#: what people do with a report after it was sent, and with the obligation that it answers:
#: certified (ký xác nhận), approved (duyệt), rework (trả lại để làm lại), withdrawn (rút) · unlocked (mở khóa) ·
#: extension_… (gia hạn): asked for by the agency, decided by a reviewer · explanation_… (giải trình) of findings ·
#: appeal_… (khiếu nại) against a verdict or a score
StepKind = Literal[
    "certified", "approved", "rework", "withdrawn", "unlocked",
    "extension_requested", "extension_granted", "extension_refused",
    "explanation_given", "explanation_accepted", "explanation_refused",
    "appeal_made", "appeal_upheld", "appeal_dismissed",
]  # fmt: skip
#: of an appeal that is upheld: the span from `since` to `until` counts against nobody, or the report counts as accepted
AppealEffect = Literal["relief", "accepted"]


class StepTaken(EventModel):
    """Somebody took a step about a report or an obligation. A step is never changed; a later one may answer it.

    It repeats what followers need of the submission, so that it can be folded before the submission's own event. A
    decision repeats what it answers: who asked, when and why.
    """

    TYPE: ClassVar[str] = "vn.thongsuot.submission.step.v1"
    TOPIC: ClassVar[str] = SUBMISSIONS

    step_id: UUID
    kind: StepKind
    obligation: str
    agency: str
    regime: str
    regime_version: int
    period: str
    at: Moment  # business time
    by: str  # the principal who took it
    role: str
    reason: str = ""
    since: Moment | None = None  # appeal_upheld: first moment of the relief
    until: Moment | None = None  # rework: the reviewer's term; extension_…, unlocked, a relief: its end
    effect: AppealEffect | None = None
    #: the step that this one answers, and what it said
    answers: UUID | None = None
    asked_at: Moment | None = None
    asked_by: str | None = None
    asked_reason: str = ""
    #: of the submission; None where the step is about the obligation alone
    submission_id: UUID | None = None
    version: int | None = None
    officer_id: str | None = None
    received_at: Moment | None = None
    nil: bool = False

    @property
    def key(self) -> str:
        return self.obligation


#: what is said of a report that is late (giải trình chậm báo cáo): explained by the agency's head · noted (ghi nhận) or
#: questioned (yêu cầu bổ sung) by somebody above
LatenessKind = Literal["lateness_explained", "lateness_noted", "lateness_questioned"]


class LatenessStep(EventModel):
    """Somebody explained why a report is late, or looked at what was explained. No deadline and no score follows it.

    It is about the obligation alone and is never changed; an answer repeats what it answers: who explained, when, why.
    """

    TYPE: ClassVar[str] = "vn.thongsuot.submission.lateness.v1"
    TOPIC: ClassVar[str] = SUBMISSIONS

    step_id: UUID
    kind: str  # LatenessKind; others may follow
    obligation: str
    agency: str
    regime: str
    regime_version: int
    period: str
    at: Moment  # business time
    by: str  # the principal who took it
    role: str
    reason: str = ""  # lateness_explained: the cause (nguyên nhân)
    remedy: str = ""  # lateness_explained: what is done about it (biện pháp khắc phục)
    until: Moment | None = None  # by when the remedy is done, or more is to be said
    answers: UUID | None = None  # the explanation that was looked at
    asked_at: Moment | None = None
    asked_by: str | None = None
    asked_reason: str = ""

    @property
    def key(self) -> str:
        return self.obligation


#: stopped: no process ran; stalled: one ran but could write nothing; refusing: it refused more than it answered
UnavailableCause = Literal["stopped", "stalled", "refusing"]

#: the key of both events below: they keep their order, so that a gap is known before what follows it
INTAKE_KEY = "intake"


class IntakeAvailable(EventModel):
    """Intake could store reports until this hour, by its own heartbeat. Hours that lie in no gap were good."""

    TYPE: ClassVar[str] = "vn.thongsuot.intake.available.v1"
    TOPIC: ClassVar[str] = SUBMISSIONS

    until: Moment

    @property
    def key(self) -> str:
        return INTAKE_KEY


class IntakeUnavailable(EventModel):
    """No instance of intake could store reports from `since` to `until`; told once, when it is over."""

    TYPE: ClassVar[str] = "vn.thongsuot.intake.unavailable.v1"
    TOPIC: ClassVar[str] = SUBMISSIONS

    since: Moment
    until: Moment
    cause: UnavailableCause

    @property
    def key(self) -> str:
        return INTAKE_KEY
