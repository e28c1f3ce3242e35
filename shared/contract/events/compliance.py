"""What scoring publishes: how each obligation (nghĩa vụ báo cáo) stands, whole, and what it counts and scores by."""

from __future__ import annotations

from datetime import date
from typing import ClassVar, Literal
from uuid import UUID

from shared.contract.events.base import COMPLIANCE, EventModel, ExactDecimal, Model, Moment

#: keys of calendars on the topic begin so; an obligation's begins with an agency's code
CALENDAR_KEY = "calendar/"

#: keys of scoring policies on the topic begin so
POLICY_KEY = "policy/"

#: nothing_sent (chưa nộp), awaiting_verdict (chờ kiểm tra), returned (trả lại), fulfilled (đã nộp, đạt)
Standing = Literal["nothing_sent", "awaiting_verdict", "returned", "fulfilled"]

#: opened (mở kỳ) · terms_changed: deadline, calendar, policy or regime version · relief: it moved the deadline ·
#: due_soon (sắp đến hạn) · overdue (quá hạn) · overdue_withdrawn (hủy quá hạn): it was not overdue after all ·
#: returned (trả lại) · fulfilled (hoàn thành), also when another version answers now · reopened: what answered does not
#: any more, or what was sent is withdrawn · not_owed, owed_again · score: lines were appended ·
#: none: only `certify_version` is another
Change = Literal[
    "opened", "terms_changed", "relief", "due_soon", "overdue", "overdue_withdrawn", "returned", "fulfilled",
    "reopened", "not_owed", "owed_again", "score",
]  # fmt: skip


class ScoreLine(Model):
    """One signed contribution to an obligation's score, with its cause. Lines in force sum to the score exactly."""

    line_id: UUID
    seq: int  # 1, 2, … within the obligation
    component: Literal["timeliness", "completeness"]
    points: ExactDecimal
    cause: str  # Vietnamese
    cause_en: str
    clause: str  # of the policy
    policy_version: str
    event_id: UUID | None = None  # the event that caused it
    created_at: Moment  # business time
    reverses: UUID | None = None  # the line it takes back
    in_force: bool
    #: what the clause says in the line's own policy, and where it comes from
    clause_text: str | None = None
    clause_text_en: str | None = None
    legal_basis: str | None = None


class ObligationChanged(EventModel):
    """An obligation as it stands now, and what changed. The newest event of a key says everything about it.

    `version` grows with every event of the obligation.
    """

    TYPE: ClassVar[str] = "vn.thongsuot.obligation.changed.v1"
    TOPIC: ClassVar[str] = COMPLIANCE

    obligation: str
    agency: str
    regime: str
    regime_version: int
    period: str
    version: int
    at: Moment  # business time of the change
    changes: tuple[Change, ...]
    owed: bool
    standing: Standing
    overdue: bool  # the deadline lies behind and nothing acceptable had come
    opens_at: Moment  # when its cut-off window opens, or the request was issued; may lie ahead
    cutoff_from: date | None = None
    cutoff_to: date | None = None
    planned_deadline: Moment  # by the regime's rule and the calendar
    deadline_override: int | None = None  # the place, from 1, of the version's deadline override; None: its own rule
    deadline: Moment  # with every relief; late is what is received after it
    calendar_version: str
    provisional: bool = False  # the deadline follows from days that nobody has announced yet: it may still move
    policy_version: str
    reliefs: tuple[str, ...] = ()  # ids of those that moved the deadline
    reminded_at: Moment | None = None
    received_version: int | None = None  # the latest received
    last_received_at: Moment | None = None
    answer_version: int | None = None  # the accepted version that answers the obligation; its receipt decides on time
    answer_submission_id: UUID | None = None
    answer_received_at: Moment | None = None
    on_time: bool | None = None
    required_items: int | None = None  # of the version whose completeness counts
    present_items: int | None = None
    officer_id: str | None = None  # who answers for it
    officer_basis: Literal["named", "designated"] | None = None  # by the report, or on duty at the deadline
    transferred_from: tuple[str, ...] = ()  # agencies that closed while they owed it
    transferred_to: str | None = None  # the agency that owes it since this one closed
    grace_until: Moment | None = None  # nobody is called overdue before this; late is what comes after the deadline
    locks_at: Moment | None = None  # after this no report is taken any more; None: it is never locked
    #: returned by a reviewer: which version, why, and until when a corrected one counts by the receipt of that one
    rework_version: int | None = None
    rework_reason: str | None = None
    rework_until: Moment | None = None
    certify_version: int | None = None  # accepted but for its certification, while nothing answers
    score: ExactDecimal | None = None  # null while nothing is decided
    lines: tuple[ScoreLine, ...] = ()  # all ever written

    @property
    def key(self) -> str:
        return self.obligation


class CalendarLoaded(EventModel):
    """A version of the working-day calendar: of those known, the one with the greatest `version` counts.

    Published when it is loaded and at each start of scoring. Weekdays are worked but for `days_off`; weekends are not
    but for `made_up`. Nothing is known outside the years from `first_year` to `last_year`, both included.
    """

    TYPE: ClassVar[str] = "vn.thongsuot.calendar.loaded.v1"
    TOPIC: ClassVar[str] = COMPLIANCE

    calendar_version: str
    version: int  # the calendar's revision
    first_year: int
    last_year: int
    days_off: tuple[date, ...]
    made_up: tuple[date, ...]

    @property
    def key(self) -> str:
        return f"{CALENDAR_KEY}{self.calendar_version}"


class PolicyClause(Model):
    """What a clause of a scoring policy says to those it judges, and where it comes from."""

    rule: str  # on_time, late, overdue, complete, grace; others may follow
    clause: str  # 1.a, 1.b …
    text: str
    text_en: str
    legal_basis: str


class PolicyLoaded(EventModel):
    """A version of the scoring policy (chính sách chấm điểm), which never changes: what a report earns and loses.

    Published when it is loaded and at each start of scoring. An obligation names the version it is scored by.
    """

    TYPE: ClassVar[str] = "vn.thongsuot.policy.loaded.v1"
    TOPIC: ClassVar[str] = COMPLIANCE

    policy_version: str
    version: int = 1
    effective_from: date
    timeliness_full: ExactDecimal  # points on time
    off_per_working_day: ExactDecimal  # points lost with each working day begun after the deadline
    timeliness_floor: ExactDecimal  # what lateness leaves at least
    timeliness_overdue: ExactDecimal  # while nothing is accepted after the deadline
    off_within_grace: ExactDecimal | None = None  # points lost at most within the regime's grace
    completeness_full: ExactDecimal
    clauses: tuple[PolicyClause, ...] = ()

    @property
    def key(self) -> str:
        return f"{POLICY_KEY}{self.policy_version}"


ComplianceEvent = ObligationChanged
