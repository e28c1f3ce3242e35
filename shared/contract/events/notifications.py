"""What notifier publishes: who was notified of what, by which channel, with which outcome."""

from __future__ import annotations

from typing import ClassVar, Literal
from uuid import UUID

from shared.contract.events.base import NOTIFICATIONS, EventModel, Moment

NotificationKind = Literal["reminder", "overdue", "returned", "escalation"]
NotificationOutcome = Literal["sent", "unknown", "failed"]


class NotificationRecorded(EventModel):
    """The ledger's entry for one notification to one person reached a final or uncertain outcome."""

    TYPE: ClassVar[str] = "vn.thongsuot.notification.recorded.v1"
    TOPIC: ClassVar[str] = NOTIFICATIONS

    notification_id: UUID
    obligation: str
    agency: str
    kind: NotificationKind
    step: str  # what makes it one notification: due_soon, overdue, returned/2, overdue/rung-1 …
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
