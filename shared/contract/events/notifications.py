"""What notifier publishes: who was notified of what, by which channel, with which outcome."""

from __future__ import annotations

from typing import ClassVar, Literal
from uuid import UUID

from shared.contract.events.base import NOTIFICATIONS, EventModel, Moment

NotificationKind = Literal["reminder", "overdue", "returned", "escalation"]
#: certification (chờ ký): of the head · decision (quyết định) on a request for time, an explanation, an appeal ·
#: withdrawal (rút): to the reviewer · resolved (kết thúc chuyển cấp): to whoever above heard that it was overdue ·
#: not_judged (chưa kiểm tra được): to the officer of a report that could not be judged
StepNoticeKind = Literal["certification", "decision", "withdrawal", "resolved", "not_judged"]
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


#: the entry of a notice of any kind
RecordedEvent = NotificationRecorded | NoticeRecorded
