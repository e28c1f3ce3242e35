"""What is said of a body that is no report, and the kinds of problem that it is."""

from __future__ import annotations

from collections.abc import Iterable

from shared.web.errors import FieldError, Problem, bad_request, describe

INVALID_REPORT = describe(
    "invalid-report",
    422,
    "Báo cáo chưa được tiếp nhận",
    "The report is refused",
    "Báo cáo chưa hợp lệ: hãy sửa từng lỗi trong danh sách rồi gửi lại. Số liệu được kiểm tra sau khi tiếp nhận.",
    "Correct each listed error and send the report again. Its figures are checked after receipt.",
)


def unreadable(errors: Iterable[FieldError]) -> Problem:
    """400: the body is not a JSON object."""
    return bad_request("Không đọc được nội dung.", "The body cannot be read.", errors=errors)


def invalid(errors: Iterable[FieldError], *, truncated: bool = False) -> Problem:
    """`truncated`: the list ends at the limit of errors; there may be more."""
    if not truncated:
        return Problem.of(INVALID_REPORT, errors=errors)
    return Problem.of(
        INVALID_REPORT,
        f"{INVALID_REPORT.meaning} Chỉ nêu những lỗi đầu tiên; có thể còn lỗi khác.",
        f"{INVALID_REPORT.meaning_en} Only the first errors are listed; there may be more.",
        errors=errors,
        extensions={"errors_truncated": True},
    )
