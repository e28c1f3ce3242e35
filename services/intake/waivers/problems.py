"""Why a request for a waiver is not taken, or not decided."""

from __future__ import annotations

from services.intake.waivers.domain import MAX_OPEN, WaiverRequest
from shared.web.errors import Problem, conflict, describe, forbidden, not_found

TOO_MANY_OPEN = describe(
    "too-many-open-waivers",
    409,
    "Đang có quá nhiều đề nghị miễn áp dụng",
    "Too many requests for waivers are open",
    f"Mỗi cơ quan có tối đa {MAX_OPEN} đề nghị miễn áp dụng chưa được quyết định; đề nghị này không được lưu. Hãy chờ "
    "quyết định.",
    f"An agency has at most {MAX_OPEN} requests for waivers that are not decided; this one is not stored. Wait until "
    "some are decided.",
)
DECIDED = describe(
    "waiver-decided",
    409,
    "Đề nghị miễn áp dụng đã được quyết định",
    "The request for a waiver is decided",
    "Đề nghị đã được quyết định khác với yêu cầu này; quyết định không sửa được. Cần khác thì lập đề nghị mới; muốn "
    "dừng sớm một miễn áp dụng thì đổi ngày cuối trong danh mục.",
    "It was decided otherwise than you ask now, and a decision does not change. Make a new request; to end a waiver "
    "early, change its last day in the registry.",
)


def unknown(waiver_id: str) -> Problem:
    """There is none, or it is not within the key's reach."""
    return not_found(f"đề nghị miễn áp dụng {waiver_id[:80]}", f"request for a waiver {waiver_id[:80]}")


def too_many_open() -> Problem:
    return Problem.of(TOO_MANY_OPEN, extensions={"limit": MAX_OPEN})


def decided(request: WaiverRequest) -> Problem:
    return Problem.of(DECIDED, extensions={"decision": request.decision, "waiver_id": request.waiver_id})


def not_yours() -> Problem:
    return forbidden(
        "Người quyết định phải giữ nhiệm vụ Văn phòng UBND, Chủ tịch UBND hoặc quản trị đối với mọi cơ quan trong đề "
        "nghị.",
        "Who decides is of the provincial office, the chair or an administrator over all agencies of the request.",
    )


def own_request() -> Problem:
    return forbidden(
        "Người đề nghị không tự quyết định; người khác có thẩm quyền quyết định.",
        "Nobody decides an own request: another person who may decides it.",
    )


def moving() -> Problem:
    return conflict(
        "Danh mục đang được thay đổi liên tục; quyết định chưa được lưu. Hãy gửi lại.",
        "The registry keeps changing; the decision is not stored. Send it again.",
    )
