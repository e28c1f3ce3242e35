"""What notifier publishes: who was notified of what, by which channel, with which outcome."""

from __future__ import annotations

from typing import ClassVar, Literal
from uuid import UUID

from shared.contract.events.base import NOTIFICATIONS, EventModel, Model, Moment

NotificationKind = Literal["reminder", "overdue", "returned", "escalation"]
#: certification (chờ ký): of the head · decision (quyết định) on a request for time, an explanation, an appeal ·
#: withdrawal (rút): to the reviewer · resolved (kết thúc chuyển cấp): to whoever above heard that it was overdue ·
#: not_judged (chưa kiểm tra được): to the officer of a report that could not be judged ·
#: request (yêu cầu báo cáo): to the officer of an agency that an ad hoc or information request asks
StepNoticeKind = Literal["certification", "decision", "withdrawal", "resolved", "not_judged", "request"]
NotificationOutcome = Literal["sent", "unknown", "failed"]


class _Recorded(EventModel):
    TOPIC: ClassVar[str] = NOTIFICATIONS

    notification_id: UUID
    obligation: str
    agency: str
    step: str  # what makes it one notification: due_soon, overdue, returned/2, overdue/rung-1, certify/1 …
    officer_id: str
    channel: Literal["email"] = "email"
    outcome: NotificationOutcome
    message_id: str
    attempts: int
    at: Moment
    version: int

    @property
    def key(self) -> str:
        return self.obligation


class NotificationRecorded(_Recorded):
    """The ledger's entry for one notification to one person reached a final or uncertain outcome."""

    TYPE: ClassVar[str] = "vn.thongsuot.notification.recorded.v1"

    kind: NotificationKind


class NoticeRecorded(_Recorded):
    """As NotificationRecorded, of the kinds that are about what people did with a report; others may follow."""

    TYPE: ClassVar[str] = "vn.thongsuot.notification.recorded.v2"

    kind: str  # StepNoticeKind


class WebhookStopped(EventModel):
    """A webhook's receiver answered 410: nothing is sent to it until its owner changes the registration."""

    TYPE: ClassVar[str] = "vn.thongsuot.notification.webhook.v1"
    TOPIC: ClassVar[str] = NOTIFICATIONS

    webhook_id: UUID
    agency: str
    at: Moment  # system time
    reason: str  # gone; others may follow
    version: int  # of the registration (WebhookRegistered) to which it applies

    @property
    def key(self) -> str:
        return f"webhook/{self.webhook_id}"


class WebhookHealth(EventModel):
    """How a webhook's receiver fares: told when it begins or ceases to fail, else every ten minutes at most."""

    TYPE: ClassVar[str] = "vn.thongsuot.notification.health.v1"
    TOPIC: ClassVar[str] = NOTIFICATIONS

    webhook_id: UUID
    agency: str
    version: int  # of the registration (WebhookRegistered) to which it applies
    attempted_at: Moment  # the end of the last attempt; system time, like the others
    status: int | None = None  # what the receiver answered then; None: nothing
    delivered_at: Moment | None = None  # when it took a message last
    failing_since: Moment | None = None  # the first failed attempt since then

    @property
    def key(self) -> str:
        return f"webhook/{self.webhook_id}"


class RungPerson(Model):
    """A person told at a rung; `step` and person name the notice (NotificationRecorded)."""

    person: str
    agency: str
    step: str


class RungPassed(Model):
    """A rung that is behind: when it was passed, whom it told, and why it told nobody in some place."""

    rung: str  # its name on the ladder: t, t+3d
    at: Moment
    told: tuple[RungPerson, ...] = ()
    skipped: tuple[str, ...] = ()  # reason:agency


class ClimbAnswer(Model):
    """What a person who was told answered."""

    at: Moment
    by: str  # id of the person
    kind: str  # acknowledged (đã nắm), snoozed (tạm hoãn), taken_back (rút lại); others may follow
    until: Moment | None = None
    reason: str = ""
    notice: str = ""  # id of the notice that it answers
    via: str = ""  # the agency whose system gave it for the person


class ClimbHandedOn(Model):
    """Whom a person who was told has handed the matter on to (chuyển giao)."""

    at: Moment
    by: str  # id of the person
    to: str  # id of the person
    agency: str  # of the other person
    rung: str
    reason: str
    notice: str = ""  # id of the notice by which it was handed on
    via: str = ""  # the agency whose system, or the operator who, did it for the person


class EscalationChanged(EventModel):
    """The climb of one overdue report up its ladder (chuyển cấp) as it stands now, whole.

    An obligation may be overdue again, so it has a first climb, a second one and so on (`number`). Of one climb the
    event with the greatest (`at`, `version`) counts.
    """

    TYPE: ClassVar[str] = "vn.thongsuot.notification.escalation.v1"
    TOPIC: ClassVar[str] = NOTIFICATIONS

    obligation: str
    agency: str
    number: int
    ladder: str
    ladder_version: int  # as it was when the climb began
    opened_at: Moment  # business time, like all moments here
    position: int = 0  # how many rungs are behind
    passed: tuple[RungPassed, ...] = ()
    next_rung: str | None = None  # None: none is above, or it is over
    next_role: str | None = None  # whom it tells: head, provincial_office, chair, head_above, officer
    next_at: Moment | None = None  # None too while the moment is not known
    reason: str = ""  # why it is not known or there is none: at_the_top, no_calendar:YEAR, waits_for:RECORD, error
    held_until: Moment | None = None  # nobody further is told before that, by the last of the answers
    answers: tuple[ClimbAnswer, ...] = ()
    handed_on: tuple[ClimbHandedOn, ...] = ()
    resolved_at: Moment | None = None
    resolution: str | None = None  # answered, not_owed, not_overdue; others may follow
    at: Moment
    version: int  # of this climb

    @property
    def key(self) -> str:
        return self.obligation


#: the entry of a notice of any kind
RecordedEvent = NotificationRecorded | NoticeRecorded
