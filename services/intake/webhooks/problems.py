"""Why a webhook is refused."""

from __future__ import annotations

from datetime import datetime

from services.intake.problems import PRECONDITION_FAILED
from services.intake.webhooks.domain import MAX_WEBHOOKS
from shared.runtime.clock import LOCAL_ZONE
from shared.web.errors import Problem, describe, not_found, unavailable

TOO_MANY_WEBHOOKS = describe(
    "too-many-webhooks",
    409,
    "Đã có đủ số webhook",
    "There are as many webhooks as may be",
    f"Mỗi cơ quan có tối đa {MAX_WEBHOOKS} webhook. Hãy xóa webhook không còn dùng.",
    f"An agency has at most {MAX_WEBHOOKS} webhooks. Delete one that is not used any more.",
)
TWO_SECRETS = describe(
    "two-webhook-secrets",
    409,
    "Đang có hai khóa ký",
    "Two secrets sign already",
    "Lần đổi khóa trước chưa xong: khóa cũ còn hiệu lực. Hãy chờ khóa cũ hết hạn, hoặc đổi với "
    "old_ends_after_hours = 0: mọi khóa cũ hết hiệu lực ngay.",
    "The change before this one is not over: the old secret still signs. Wait until it ends, or rotate with "
    "old_ends_after_hours = 0: every old secret ends at once.",
)


def unknown(webhook_id: str) -> Problem:
    """There is none, or it is not the caller's."""
    return not_found(f"webhook {webhook_id[:80]}", f"webhook {webhook_id[:80]}")


def stale(version: int) -> Problem:
    return Problem.of(PRECONDITION_FAILED, extensions={"version": version}, headers={"ETag": f'"{version}"'})


def two_live(until: datetime) -> Problem:
    local = until.astimezone(LOCAL_ZONE)
    return Problem.of(
        TWO_SECRETS,
        f"{TWO_SECRETS.meaning} Khóa cũ hết hạn {local:%H:%M} ngày {local:%d/%m/%Y}.",
        f"{TWO_SECRETS.meaning_en} It ends at {local:%H:%M} on {local:%Y-%m-%d}.",
        extensions={"old_ends_at": local.isoformat()},
    )


def no_master_key() -> Problem:
    return unavailable(
        60,
        "Hệ thống chưa có khóa gốc của webhook; chưa lưu gì. Hãy gọi lại sau; quản trị viên đặt "
        "INTAKE_WEBHOOK_KEY_FILE (xem docs/webhooks.md).",
        "There is no master key for webhooks; nothing is stored. Ask again later; an operator sets "
        "INTAKE_WEBHOOK_KEY_FILE (see docs/webhooks.md).",
    )
