"""What is asked and shown of webhooks. A secret is in the answers that make it, and in no other."""

from __future__ import annotations

from typing import Annotated, Any, Literal
from uuid import UUID

from msgspec import structs
from pydantic import BaseModel, Field

from services.intake.views import Moment
from services.intake.webhooks.domain import Wanted, Webhook
from shared.contract.events import WebhookEvent
from shared.contract.events.registry import WebhookCovers
from shared.contract.webhook_targets import MAX_URL_CHARACTERS
from shared.web.bodies import Body

_URL = "https://bao-cao.h99.example/thong-bao"
_CONTACT = "cntt@h99-131.example"
_EVENTS = ["submission.received", "verdict.reached", "obligation.overdue"]
MAX_KEEP_HOURS = 168

_Url = Annotated[
    str,
    Field(
        max_length=MAX_URL_CHARACTERS,
        description="https, cổng 443 hoặc 8443, tên miền công khai / https, port 443 or 8443, a public name",
        examples=[_URL],
    ),
]
_Events = Annotated[list[WebhookEvent], Field(min_length=1, max_length=20, examples=[_EVENTS])]
_Contact = Annotated[
    str,
    Field(
        max_length=254,
        description="Hộp thư của bộ phận vận hành / the mailbox of those who run the system",
        examples=[_CONTACT],
    ),
]
_State = Literal["active", "paused"]
_COVERED = (
    "own: báo cáo của cơ quan; below: của các cơ quan cấp dưới (quá hạn, chuyển cấp, điểm) / own: the agency's own "
    "reports; below: those of the agencies below it (overdue, escalated, score)"
)


class WebhookRegistration(Body):
    """Đăng ký webhook / a webhook to be added."""

    url: _Url
    events: _Events
    contact: _Contact
    agency: str | None = Field(
        None,
        max_length=64,
        description="Mặc định: cơ quan của khóa / by default the key's own agency",
        examples=["H99.131"],
    )

    covers: WebhookCovers = Field("own", description=_COVERED)

    @property
    def wanted(self) -> Wanted:
        return Wanted(self.url, tuple(self.events), self.contact)


class WebhookEdit(Body):
    """Nội dung mới, đủ mọi trường / the new content, whole. paused: tạm dừng gửi / nothing is sent."""

    url: _Url
    events: _Events
    contact: _Contact
    state: _State

    @property
    def wanted(self) -> Wanted:
        return Wanted(self.url, tuple(self.events), self.contact)


class WebhookRotation(Body):
    """Đổi khóa ký / a new secret."""

    old_ends_after_hours: int = Field(
        24,
        ge=0,
        le=MAX_KEEP_HOURS,
        description="Khóa cũ còn ký bao lâu; 0: hết ngay / how long the old one still signs; 0: not at all",
    )


class SecretView(BaseModel):
    """A secret that signs, by its generation."""

    generation: int
    ends_at: Moment | None = Field(description="null: không hạn / without end", examples=[None])


class StopView(BaseModel):
    """The receiver answered 410: nothing is sent until the webhook is resumed."""

    at: Moment
    reason: str = Field(examples=["gone"])


class HealthView(BaseModel):
    """How the receiver fares, at most ten minutes old; at once where it begins or ceases to fail."""

    attempted_at: Moment = Field(description="Lần gửi gần nhất / the last attempt")
    status: int | None = Field(description="null: không trả lời / no answer", examples=[200])
    delivered_at: Moment | None = Field(description="Lần nhận gần nhất / when it took a message last")
    failing_since: Moment | None = Field(description="null: đang nhận / it takes what is sent", examples=[None])


class WebhookView(BaseModel):
    """A webhook (địa chỉ nhận thông báo của hệ thống)."""

    webhook_id: UUID
    agency: str
    covers: WebhookCovers = Field(description=_COVERED)
    url: str = Field(examples=[_URL])
    events: list[str] = Field(examples=[_EVENTS])
    contact: str = Field(examples=[_CONTACT])
    state: _State = Field(examples=["active"])
    version: int = Field(description="Là ETag / it is the ETag")
    created_at: Moment
    changed_at: Moment
    stopped: StopView | None = Field(
        description="Nơi nhận đã trả lời 410; gửi tiếp bằng /resumption / 410 came; /resumption sends again",
        examples=[None],
    )
    health: HealthView | None = Field(
        description="null: chưa gửi gì từ lần sửa gần nhất / nothing was sent since the last change"
    )
    secrets: list[SecretView] = Field(description="Khóa ký đang dùng, mới nhất trước / that sign, newest first")


class WebhookStanding(BaseModel):
    """Whether a webhook works. Where it sends, `GET /v1/webhooks` says to those who keep it."""

    webhook_id: UUID
    covers: WebhookCovers = Field(description=_COVERED)
    state: _State = Field(examples=["active"])
    stopped: StopView | None = Field(description="Nơi nhận đã trả lời 410 / 410 came", examples=[None])
    health: HealthView | None


class WebhookPage(BaseModel):
    items: list[WebhookView]
    next: str | None


class WebhookMade(WebhookView):
    """The webhook with its new secret, which is shown here alone."""

    secret: str | None = Field(
        description="null: lặp lại sau khi khóa này hết hạn / a repetition, after this secret has ended",
        examples=["whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD"],
    )


class WebhookTest(BaseModel):
    """A test that is on its way."""

    webhook_id: UUID
    test_id: UUID = Field(description="Là `webhook-id` của thông báo thử / is the `webhook-id` of the test")


def webhook_view(webhook: Webhook) -> WebhookView:
    return WebhookView(**_fields(webhook))


def webhook_standing(webhook: Webhook) -> WebhookStanding:
    fields = _fields(webhook)
    return WebhookStanding(**{name: fields[name] for name in WebhookStanding.model_fields})


def webhook_made(webhook: Webhook, secret: str | None) -> WebhookMade:
    return WebhookMade(**_fields(webhook), secret=secret)


def _fields(webhook: Webhook) -> dict[str, Any]:
    shared = ("webhook_id", "agency", "covers", "url", "contact", "state", "version", "created_at", "changed_at")
    return {
        **{name: getattr(webhook, name) for name in shared},
        "events": list(webhook.events),
        "stopped": webhook.stopped_at and StopView(at=webhook.stopped_at, reason=webhook.stop_reason or ""),
        "health": webhook.health and HealthView(**structs.asdict(webhook.health)),
        "secrets": [SecretView(generation=one.generation, ends_at=one.until) for one in webhook.secrets],
    }
