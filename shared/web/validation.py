"""Turns pydantic's errors into a problem that says, in both languages, what the sender has to change.

Types of errors: https://docs.pydantic.dev/latest/errors/validation_errors/
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, cast

from fastapi.exceptions import RequestValidationError
from pydantic_core import PydanticCustomError

from shared.web.errors import FieldError, Problem, Where, bad_request, unprocessable

MAX_LISTED_ERRORS = 100
#: type of the error of a query's value that cannot be read at all: 400, where a value out of range is 422
_UNREADABLE = "unreadable"

#: error type -> message, message_en, fix, fix_en; {…} are filled from pydantic's context
_TEXTS: dict[str, tuple[str, str, str, str]] = {
    "missing": ("Thiếu trường bắt buộc.", "A required field is missing.", "Bổ sung trường này.", "Add this field."),
    "extra_forbidden": (
        "Trường không có trong mẫu.",
        "This field is not part of the form.",
        "Bỏ trường này hoặc sửa tên trường.",
        "Remove it, or correct its name.",
    ),
    "string_type": (
        "Phải là chuỗi ký tự.",
        "This must be a text.",
        "Đặt giá trị trong dấu nháy kép.",
        "Put the value in double quotes.",
    ),
    "string_too_short": (
        "Quá ngắn: cần ít nhất {min_length} ký tự.",
        "Too short: at least {min_length} characters are needed.",
        "Bổ sung nội dung.",
        "Write more.",
    ),
    "string_too_long": (
        "Quá dài: nhiều nhất {max_length} ký tự.",
        "Too long: at most {max_length} characters.",
        "Rút gọn nội dung.",
        "Shorten it.",
    ),
    "string_pattern_mismatch": (
        "Không đúng định dạng {pattern}.",
        "It does not have the form {pattern}.",
        "Sửa theo đúng định dạng.",
        "Write it in that form.",
    ),
    "too_short": (
        "Cần ít nhất {min_length} phần tử.",
        "At least {min_length} items are needed.",
        "Bổ sung phần tử.",
        "Add items.",
    ),
    "too_long": (
        "Nhiều nhất {max_length} phần tử.",
        "At most {max_length} items are allowed.",
        "Bớt phần tử.",
        "Remove items.",
    ),
    "greater_than_equal": (
        "Phải lớn hơn hoặc bằng {ge}.",
        "It must be {ge} or more.",
        "Sửa giá trị.",
        "Correct the value.",
    ),
    "greater_than": ("Phải lớn hơn {gt}.", "It must be more than {gt}.", "Sửa giá trị.", "Correct the value."),
    "less_than_equal": (
        "Phải nhỏ hơn hoặc bằng {le}.",
        "It must be {le} or less.",
        "Sửa giá trị.",
        "Correct the value.",
    ),
    "less_than": ("Phải nhỏ hơn {lt}.", "It must be less than {lt}.", "Sửa giá trị.", "Correct the value."),
    "enum": ("Phải là một trong: {expected}.", "It must be one of: {expected}.", "Chọn một giá trị.", "Choose one."),
    "json_invalid": (
        "JSON sai cú pháp: {error}.",
        "The JSON is malformed: {error}.",
        "Sửa JSON rồi gửi lại.",
        "Correct the JSON and send it again.",
    ),
    "not_storable": (
        "Có ký tự NUL (U+0000) hoặc nửa cặp thay thế (U+D800–U+DFFF), không lưu được.",
        "It holds a NUL (U+0000) or half of a surrogate pair (U+D800–U+DFFF), which cannot be stored.",
        "Xóa ký tự đó.",
        "Delete it.",
    ),
    "value_error": (
        "Giá trị không hợp lệ: {error}.",
        "The value is not valid: {error}.",
        "Sửa giá trị.",
        "Correct the value.",
    ),
}
_TEXTS["literal_error"] = _TEXTS["enum"]
_TEXTS[_UNREADABLE] = ("{message}", "{message_en}", "{fix}", "{fix_en}")

#: beginnings of error types that share a text
_FAMILIES: tuple[tuple[str, tuple[str, str, str, str]], ...] = (
    ("int_", ("Phải là số nguyên.", "This must be a whole number.", "Ghi số nguyên.", "Write a whole number.")),
    (
        "float_",
        ("Phải là số.", "This must be a number.", "Ghi số, dấu thập phân là dấu chấm.", "Write a number with a point."),
    ),
    (
        "decimal_",
        (
            "Phải là số thập phân chính xác.",
            "This must be an exact decimal.",
            'Ghi số trong dấu nháy kép, ví dụ "12.50".',
            'Write it in quotes, such as "12.50".',
        ),
    ),
    (
        "bool_",
        ("Phải là true hoặc false.", "This must be true or false.", "Ghi true hoặc false.", "Write one of them."),
    ),
    (
        "uuid_",
        ("Phải là mã UUID.", "This must be a UUID.", "Dùng nguyên mã hệ thống đã cấp.", "Use the id as it was given."),
    ),
    (
        "datetime_",
        (
            "Phải là thời điểm ISO 8601 có múi giờ.",
            "This must be an ISO 8601 moment with its offset.",
            "Ghi như 2026-03-31T17:00:00+07:00.",
            "Write it like 2026-03-31T17:00:00+07:00.",
        ),
    ),
    (
        "timezone_",
        (
            "Thời điểm thiếu múi giờ.",
            "The moment lacks its offset.",
            "Thêm múi giờ, ví dụ +07:00.",
            "Add an offset such as +07:00.",
        ),
    ),
    (
        "date_",
        (
            "Phải là ngày ISO 8601.",
            "This must be an ISO 8601 date.",
            "Ghi như 2026-03-31.",
            "Write it like 2026-03-31.",
        ),
    ),
    ("dict_", ("Phải là đối tượng JSON.", "This must be a JSON object.", "Ghi trong {{ }}.", "Write it in {{ }}.")),
    ("model_", ("Phải là đối tượng JSON.", "This must be a JSON object.", "Ghi trong {{ }}.", "Write it in {{ }}.")),
    ("list_", ("Phải là danh sách JSON.", "This must be a JSON array.", "Ghi trong [ ].", "Write it in [ ].")),
    ("tuple_", ("Phải là danh sách JSON.", "This must be a JSON array.", "Ghi trong [ ].", "Write it in [ ].")),
    (
        "string_",
        ("Chuỗi ký tự không hợp lệ.", "The text is not valid.", "Dùng UTF-8 hợp lệ.", "Use valid UTF-8."),
    ),
)
_OTHER = ("Giá trị không hợp lệ.", "The value is not valid.", "Sửa giá trị.", "Correct the value.")
_PLACES = frozenset({"body", "query", "path", "header", "cookie"})


def pointer_of(path: Sequence[str | int]) -> str:
    """JSON Pointer (RFC 6901) of a path."""
    return "".join("/" + str(step).replace("~", "~0").replace("/", "~1") for step in path)


class _Blank(dict[str, Any]):
    def __missing__(self, key: str) -> str:
        return "…"


def unreadable(message: str, message_en: str, fix: str, fix_en: str) -> PydanticCustomError:
    """Raised by the validator of a query parameter, so that its error is reported with all others of the query."""
    context = {"message": message, "message_en": message_en, "fix": fix, "fix_en": fix_en}
    return PydanticCustomError(_UNREADABLE, "{message_en}", context)


def field_error(error: Mapping[str, Any]) -> FieldError:
    """One of pydantic's errors in our words; its `loc` begins with the part of the request."""
    kind = str(error.get("type", ""))
    texts = _TEXTS.get(kind) or next((text for start, text in _FAMILIES if kind.startswith(start)), _OTHER)
    context = _Blank({name: str(value) for name, value in (error.get("ctx") or {}).items()})
    loc: list[str | int] = list(error.get("loc", ()))
    where: Where = "body"
    if loc and loc[0] in _PLACES:
        where = cast(Where, loc.pop(0))
    if kind == "json_invalid":
        loc = []
    message, message_en, fix, fix_en = (text.format_map(context) for text in texts)
    return FieldError(pointer_of(loc), message, message_en, fix, fix_en, where)


def problem_of(error: RequestValidationError) -> Problem:
    """422 with every fault (the first hundred), or 400 where the body is no JSON at all."""
    faults = list(error.errors())
    listed = [field_error(fault) for fault in faults[:MAX_LISTED_ERRORS]]
    if any(fault.get("type") == "json_invalid" for fault in faults):
        return bad_request("Nội dung không phải JSON hợp lệ.", "The body is not well-formed JSON.", errors=listed)
    if any(fault.get("type") == _UNREADABLE for fault in faults):
        return bad_query(listed)
    return unprocessable(listed)


def bad_query(errors: Sequence[FieldError]) -> Problem:
    """400: the query cannot be read as it stands."""
    return bad_request(
        "Tham số truy vấn không đúng; chưa làm gì. Xem danh sách lỗi.",
        "The query parameters are not right; nothing was done. See the list of errors.",
        errors=errors,
    )
