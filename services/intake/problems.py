"""Every problem that a sender of reports can meet, declared once; its page is /problems/<slug>."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from services.intake.submissions.admission import Closed
from services.intake.submissions.domain import Locked, Receipt
from shared.reports.limits import MAX_VERSIONS
from shared.runtime.clock import LOCAL_ZONE
from shared.web.errors import Problem, describe, too_many, unavailable
from shared.web.idempotency import KEY_REUSED

AGENCY_CLOSED = describe(
    "agency-closed",
    422,
    "Cơ quan đã chấm dứt hoạt động",
    "The agency has closed",
    "Cơ quan chấm dứt hoạt động trước kỳ báo cáo; cơ quan kế thừa gửi báo cáo này.",
    "The agency closed before the period began; its successors owe this report.",
)
IN_PROGRESS = describe(
    "request-in-progress",
    409,
    "Yêu cầu cùng khóa đang được xử lý",
    "A request with this key is in progress",
    "Yêu cầu trước với cùng Idempotency-Key chưa xử lý xong. Hãy gửi lại sau số giây trong Retry-After để nhận biên "
    "nhận.",
    "An earlier request with this Idempotency-Key is in progress. Repeat it after the seconds in Retry-After to get "
    "its receipt.",
)
UNCHANGED = describe(
    "unchanged",
    409,
    "Nội dung không thay đổi",
    "Nothing has changed",
    "Báo cáo giống hệt phiên bản đang có hiệu lực nên không lưu thành phiên bản mới. Không cần làm gì thêm, hoặc hãy "
    "sửa nội dung rồi gửi lại.",
    "The report says the same as the version in force, so no new version is stored. Nothing needs to be done; to "
    "replace that version, change the content and send it again.",
)
NIL_AFTER_FIGURES = describe(
    "nil-after-figures",
    409,
    "Đã có báo cáo có số liệu được chấp nhận",
    "A report with figures is accepted already",
    "Báo cáo “không phát sinh” không thay được báo cáo có số liệu đã được chấp nhận; báo cáo này không được lưu. Nếu "
    "số liệu sai, gửi lại báo cáo với số liệu đúng, kể cả số 0; nếu báo cáo đó gửi nhầm kỳ, hãy hỏi cơ quan nhận.",
    "A report of nothing to report cannot take the place of an accepted one with figures; it is not stored. Where the "
    "figures are wrong send the right ones, zeros included; where that report was for another period ask its receiver.",
)
TOO_MANY_VERSIONS = describe(
    "too-many-versions",
    409,
    "Đã gửi quá nhiều phiên bản",
    "There are too many versions",
    f"Mỗi nghĩa vụ báo cáo nhận tối đa {MAX_VERSIONS} phiên bản; báo cáo này không được lưu, các phiên bản đã nhận vẫn "
    "có hiệu lực. Kiểm tra phần mềm có gửi lặp không; nếu vẫn cần sửa, đề nghị cơ quan nhận báo cáo.",
    f"One obligation takes at most {MAX_VERSIONS} versions; this report is not stored, and those received stand. See "
    "whether a program keeps sending; where a correction is still needed, ask the agency that receives the report.",
)
OBLIGATION_LOCKED = describe(
    "obligation-locked",
    409,
    "Kỳ báo cáo đã khóa",
    "The obligation is locked",
    "Đã quá thời điểm khóa nên báo cáo này không được lưu. Văn phòng UBND hoặc Chủ tịch UBND có thể mở khóa; "
    "hãy đề nghị mở khóa, nêu lý do, rồi gửi lại.",
    "The lock's hour has passed, so this report is not stored. The provincial office or the chair may unlock it: ask "
    "them, say why, and send it again.",
)
PRECONDITION_FAILED = describe(
    "precondition-failed",
    412,
    "Bản ghi đã thay đổi",
    "The record has changed",
    "Bản ghi không còn ở phiên bản đã đọc. Hãy đọc lại, rồi sửa trên bản mới với ETag của nó.",
    "The record is not in the version that was read. Read it again, and change the new one under its ETag.",
)
PRECONDITION_REQUIRED = describe(
    "precondition-required",
    428,
    "Thiếu If-Match",
    "If-Match is missing",
    "Sửa bản ghi cần If-Match với ETag đã đọc; tạo mới cần If-None-Match: *.",
    "To change a record send If-Match with the ETag that was read; to add one, If-None-Match: *.",
)


def closed(agency: Closed) -> Problem:
    """Names the agencies that owe the report instead."""
    successors = ", ".join(agency.successors)
    whom = f"Cơ quan kế thừa: {successors}." if successors else "Danh mục không ghi cơ quan kế thừa."
    whom_en = f"Its successors: {successors}." if successors else "The registry names no successor."
    return Problem.of(
        AGENCY_CLOSED,
        f"{agency.agency} chấm dứt hoạt động ngày {agency.closed_on:%d/%m/%Y}, trước kỳ báo cáo. {whom}",
        f"{agency.agency} closed on {agency.closed_on.isoformat()}, before the period began. {whom_en}",
        extensions={"successors": list(agency.successors), "closed_on": agency.closed_on.isoformat()},
    )


def key_reused(receipt: Receipt) -> Problem:
    return Problem.of(KEY_REUSED, extensions={"submission_id": str(receipt.submission_id)})


def unchanged(receipt: Receipt) -> Problem:
    """Names the submission that says the same."""
    extensions: Mapping[str, Any] = {
        "submission_id": str(receipt.submission_id),
        "obligation": receipt.obligation,
        "version": receipt.version,
    }
    return Problem.of(
        UNCHANGED,
        f"{UNCHANGED.meaning} Bài nộp: {receipt.submission_id}, phiên bản {receipt.version}.",
        f"{UNCHANGED.meaning_en} Submission {receipt.submission_id}, version {receipt.version}.",
        headers={"Link": f'</v1/submissions/{receipt.submission_id}>; rel="related"'},
        extensions=extensions,
    )


def nil_after_figures(receipt: Receipt) -> Problem:
    """Names the submission whose figures are accepted."""
    return Problem.of(
        NIL_AFTER_FIGURES,
        f"{NIL_AFTER_FIGURES.meaning} Bài nộp: {receipt.submission_id}, phiên bản {receipt.version}.",
        f"{NIL_AFTER_FIGURES.meaning_en} Submission {receipt.submission_id}, version {receipt.version}.",
        headers={"Link": f'</v1/submissions/{receipt.submission_id}>; rel="related"'},
        extensions={
            "submission_id": str(receipt.submission_id),
            "obligation": receipt.obligation,
            "version": receipt.version,
        },
    )


def too_many_versions(obligation: str) -> Problem:
    return Problem.of(TOO_MANY_VERSIONS, extensions={"obligation": obligation, "versions": MAX_VERSIONS})


def locked(found: Locked) -> Problem:
    """Says since when, and who can unlock."""
    local = found.locks_at.astimezone(LOCAL_ZONE)
    _, regime, period = found.obligation.split("/", 2)
    return Problem.of(
        OBLIGATION_LOCKED,
        f"{OBLIGATION_LOCKED.meaning} Khóa từ {local:%H:%M} ngày {local:%d/%m/%Y}.",
        f"{OBLIGATION_LOCKED.meaning_en} Locked since {local:%H:%M} on {local:%Y-%m-%d}.",
        extensions={
            "obligation": found.obligation,
            "locked_since": local.isoformat(),
            "who": ["provincial_office", "chair"],
            "unlock": f"/v1/obligations/{regime}/{period}/unlock",
        },
    )


def in_progress() -> Problem:
    return Problem.of(IN_PROGRESS, headers={"Retry-After": "1"})


def queue_full() -> Problem:
    """Certainly not stored."""
    return unavailable(
        1,
        "Đang có quá nhiều báo cáo chờ lưu; báo cáo này chưa được lưu. Hãy gửi lại với cùng Idempotency-Key.",
        "Too many reports are waiting to be stored; this one was not. Send it again with the same Idempotency-Key.",
    )


def registry_changing() -> Problem:
    """Certainly not stored."""
    return unavailable(
        1,
        "Danh mục đang được cập nhật; báo cáo này chưa được lưu. Hãy gửi lại với cùng Idempotency-Key.",
        "The registry is being changed; this report was not stored. Send it again with the same Idempotency-Key.",
    )


def outcome_unknown() -> Problem:
    """The database gave no answer: only a repetition with the same key can tell."""
    return unavailable(
        2,
        "Chưa xác định được báo cáo đã được lưu hay chưa. Hãy gửi lại với cùng Idempotency-Key: nếu đã lưu, biên nhận "
        "được trả lại; nếu chưa, báo cáo được lưu đúng một lần.",
        "It is not certain whether the report was stored. Send it again with the same Idempotency-Key: if it was, you "
        "get its receipt; if not, it is stored once.",
    )


def rate_limited(retry_after_seconds: int) -> Problem:
    return too_many(retry_after_seconds)
