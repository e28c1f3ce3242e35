"""Why an information request is refused or cannot be withdrawn."""

from __future__ import annotations

from services.intake.information.asking import MAX_A_DAY, MAX_OPEN
from shared.contract.events import RequestIssued
from shared.web.errors import Problem, describe, not_found, unavailable
from shared.web.idempotency import KEY_REUSED

TOO_MANY_OPEN = describe(
    "too-many-open-requests",
    409,
    "Đang có quá nhiều yêu cầu thông tin",
    "Too many information requests run",
    f"Mỗi cơ quan có tối đa {MAX_OPEN} yêu cầu thông tin chưa đến hạn; yêu cầu này không được lưu. Hãy chờ, hoặc rút "
    "những yêu cầu không còn cần.",
    f"An agency has at most {MAX_OPEN} information requests before their deadline; this one is not stored. Wait, or "
    "withdraw those that are not needed any more.",
)
TOO_MANY_A_DAY = describe(
    "too-many-requests-a-day",
    409,
    "Đã lập quá nhiều yêu cầu thông tin trong một ngày",
    "Too many information requests within a day",
    f"Mỗi cơ quan lập tối đa {MAX_A_DAY} yêu cầu thông tin trong 24 giờ, kể cả yêu cầu đã rút; yêu cầu này không được "
    "lưu. Hãy gửi lại sau.",
    f"An agency makes at most {MAX_A_DAY} information requests in 24 hours, withdrawn ones too; this one is not "
    "stored. Send it later.",
)
WITHDRAWN = describe(
    "request-withdrawn",
    409,
    "Yêu cầu thông tin đã được rút",
    "The information request was withdrawn",
    "Yêu cầu đã được rút trước đó, với lý do khác; việc rút không sửa được.",
    "The request was withdrawn before, for another reason; a withdrawal does not change.",
)


def unknown(request_id: str) -> Problem:
    """There is none, or neither its asker nor one of those asked is within the key's reach."""
    return not_found(f"yêu cầu thông tin {request_id[:80]}", f"information request {request_id[:80]}")


def too_many_open() -> Problem:
    return Problem.of(TOO_MANY_OPEN, extensions={"limit": MAX_OPEN})


def too_many_a_day() -> Problem:
    return Problem.of(TOO_MANY_A_DAY, extensions={"limit": MAX_A_DAY})


def withdrawn(request: RequestIssued) -> Problem:
    return Problem.of(WITHDRAWN, extensions={"request_id": request.request_id, "reason": request.withdrawal_reason})


def key_reused(request_id: str) -> Problem:
    return Problem.of(KEY_REUSED, extensions={"request_id": request_id})


def busy() -> Problem:
    """Certainly not stored."""
    return unavailable(
        5,
        "Các yêu cầu khác đang được kiểm tra; yêu cầu này chưa được lưu. Hãy gửi lại với cùng Idempotency-Key.",
        "Other requests are being checked; this one was not stored. Send it again with the same Idempotency-Key.",
    )
