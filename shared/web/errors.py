"""Problems (RFC 9457) that say what is wrong, where and how to fix it, in Vietnamese and in English."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

Language = Literal["vi", "en"]
Where = Literal["body", "query", "path", "header", "cookie"]

#: problem types are relative URI references; every service serves a readable page there
TYPE_PREFIX = "/problems/"


@dataclass(frozen=True, slots=True)
class FieldError:
    """One thing wrong with the request.

    `pointer` is a JSON Pointer (RFC 6901) into the part named by `where`: `/figures/A01` of the body,
    `/limit` of the query. Texts are Vietnamese, their twins with `_en` English.
    """

    pointer: str
    message: str
    message_en: str
    fix: str = ""
    fix_en: str = ""
    where: Where = "body"


@dataclass(frozen=True, slots=True)
class ProblemKind:
    """What a problem type means, for the page behind its link."""

    slug: str
    status: int
    title: str
    title_en: str
    meaning: str
    meaning_en: str

    @property
    def type(self) -> str:
        return TYPE_PREFIX + self.slug


#: every kind of problem with a page; services add theirs with `describe`
KINDS: dict[str, ProblemKind] = {}


def describe(slug: str, status: int, title: str, title_en: str, meaning: str, meaning_en: str) -> ProblemKind:
    """Declare a kind of problem; its page appears at `/problems/<slug>`. Declaring it twice differently is an error."""
    kind = ProblemKind(slug, status, title, title_en, meaning, meaning_en)
    if KINDS.setdefault(slug, kind) != kind:
        raise ValueError(f"problem {slug!r} is described twice, differently")
    return kind


class Problem(Exception):
    """A request that cannot be answered as asked, as RFC 9457 problem details.

    title, detail: Vietnamese; title_en, detail_en: English. `errors` lists single faults with their places.
    `headers` go out with the answer; `extensions` become further members of the body.
    """

    def __init__(
        self,
        status: int,
        slug: str,
        title: str,
        title_en: str,
        detail: str = "",
        detail_en: str = "",
        *,
        errors: Iterable[FieldError | Mapping[str, str]] = (),
        headers: Mapping[str, str] | None = None,
        extensions: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(f"{status} {slug}: {detail_en or title_en}")
        self.status = status
        self.slug = slug
        self.title = title
        self.title_en = title_en
        self.detail = detail
        self.detail_en = detail_en
        self.errors: list[FieldError] = [
            error if isinstance(error, FieldError) else FieldError(**error)  # type: ignore[arg-type]
            for error in errors
        ]
        self.headers: dict[str, str] = dict(headers or {})
        self.extensions: dict[str, Any] = dict(extensions or {})

    @classmethod
    def of(
        cls,
        kind: ProblemKind,
        detail: str = "",
        detail_en: str = "",
        *,
        errors: Iterable[FieldError | Mapping[str, str]] = (),
        headers: Mapping[str, str] | None = None,
        extensions: Mapping[str, Any] | None = None,
    ) -> Problem:
        """A problem of a declared kind; without a detail, the kind's meaning is the detail."""
        return cls(
            kind.status,
            kind.slug,
            kind.title,
            kind.title_en,
            detail or kind.meaning,
            detail_en or kind.meaning_en,
            errors=errors,
            headers=headers,
            extensions=extensions,
        )

    @property
    def type(self) -> str:
        return TYPE_PREFIX + self.slug

    def document(self, language: Language = "vi", **more: Any) -> dict[str, Any]:
        """The JSON members.

        `title`, `detail` and, in `errors`, `message` and `fix` are in the language asked for; the same names with
        `_vi` and `_en` are always there in both, so a client may rely on them whatever the language of the answer.
        """
        return {
            "type": self.type,
            "status": self.status,
            "title": self.title if language == "vi" else self.title_en,
            "detail": self.detail if language == "vi" else self.detail_en,
            "title_vi": self.title,
            "title_en": self.title_en,
            "detail_vi": self.detail,
            "detail_en": self.detail_en,
            "errors": [_error(error, language) for error in self.errors],
            **self.extensions,
            **more,
        }


def _error(error: FieldError, language: Language) -> dict[str, str]:
    return {
        "in": error.where,
        "pointer": error.pointer,
        "message": error.message if language == "vi" else error.message_en,
        "fix": error.fix if language == "vi" else error.fix_en,
        "message_vi": error.message,
        "message_en": error.message_en,
        "fix_vi": error.fix,
        "fix_en": error.fix_en,
    }


BAD_REQUEST = describe(
    "bad-request",
    400,
    "Không đọc được yêu cầu",
    "The request cannot be read",
    "Yêu cầu không đúng cú pháp. Hãy sửa theo danh sách lỗi rồi gửi lại.",
    "The request is malformed. Correct it as listed and send it again.",
)
UNAUTHORIZED = describe(
    "unauthorized",
    401,
    "Chưa xác thực",
    "Not authenticated",
    "Cần một khóa hợp lệ trong tiêu đề Authorization: Bearer.",
    "A valid key is needed in the header Authorization: Bearer.",
)
FORBIDDEN = describe(
    "forbidden",
    403,
    "Không có quyền",
    "Not permitted",
    "Khóa này không có quyền thực hiện thao tác. Hãy dùng khóa có quyền hoặc liên hệ quản trị hệ thống.",
    "This key may not do this. Use one that may, or ask the system administrator.",
)
NOT_FOUND = describe(
    "not-found",
    404,
    "Không tìm thấy",
    "Not found",
    "Không có dữ liệu này, hoặc khóa của cơ quan không có quyền xem. Hãy kiểm tra lại địa chỉ và mã.",
    "There is no such record, or the agency's key may not see it. Check the address and the id.",
)
METHOD_NOT_ALLOWED = describe(
    "method-not-allowed",
    405,
    "Phương thức không được phép",
    "Method not allowed",
    "Địa chỉ này không nhận phương thức đã dùng; các phương thức được nhận có trong tiêu đề Allow.",
    "This address does not take the method; the Allow header lists those it takes.",
)
CONFLICT = describe(
    "conflict",
    409,
    "Xung đột với trạng thái hiện tại",
    "Conflict with the current state",
    "Dữ liệu đã thay đổi hoặc đang được xử lý. Hãy đọc lại dữ liệu rồi thử lại.",
    "The data has changed, or is being changed. Read it again, then retry.",
)
TOO_LARGE = describe(
    "too-large",
    413,
    "Nội dung quá lớn",
    "Content too large",
    "Nội dung gửi lên vượt quá giới hạn. Hãy chia nhỏ hoặc rút gọn.",
    "The body is larger than the limit. Split it or shorten it.",
)
UNPROCESSABLE = describe(
    "unprocessable",
    422,
    "Dữ liệu chưa hợp lệ",
    "The data is not valid",
    "Nội dung yêu cầu chưa hợp lệ. Hãy sửa từng lỗi trong danh sách rồi gửi lại.",
    "The content of the request is not valid. Correct each listed error and send it again.",
)
TOO_MANY = describe(
    "too-many-requests",
    429,
    "Quá nhiều yêu cầu",
    "Too many requests",
    "Hãy chờ số giây trong tiêu đề Retry-After rồi gửi lại; gửi lại với cùng Idempotency-Key thì không bị trùng.",
    "Wait for the seconds given in Retry-After, then repeat; with the same Idempotency-Key nothing is stored twice.",
)
INTERNAL = describe(
    "internal",
    500,
    "Lỗi hệ thống",
    "Internal error",
    "Hệ thống gặp lỗi ngoài dự kiến. Hãy thử lại; nếu vẫn gặp lỗi, gửi mã request_id cho bộ phận hỗ trợ.",
    "An unexpected error occurred. Try again; if it persists, give the request_id to support.",
)
UNAVAILABLE = describe(
    "unavailable",
    503,
    "Tạm thời chưa phục vụ được",
    "Temporarily unavailable",
    "Hệ thống đang chờ một thành phần hoạt động trở lại. Hãy gửi lại sau số giây trong tiêu đề Retry-After;"
    " gửi lại với cùng Idempotency-Key thì không bị trùng.",
    "Part of the system is unavailable. Send again after the seconds given in Retry-After;"
    " with the same Idempotency-Key nothing is stored twice.",
)


def bad_request(detail: str, detail_en: str, *, errors: Iterable[FieldError] = ()) -> Problem:
    return Problem.of(BAD_REQUEST, detail, detail_en, errors=errors)


def unauthorized(detail: str = "", detail_en: str = "") -> Problem:
    return Problem.of(UNAUTHORIZED, detail, detail_en, headers={"WWW-Authenticate": 'Bearer realm="thongsuot"'})


def forbidden(detail: str = "", detail_en: str = "") -> Problem:
    return Problem.of(FORBIDDEN, detail, detail_en)


def not_found(what: str = "", what_en: str = "") -> Problem:
    """404. `what`: the missing thing in words (`bài nộp 0197…`); the answer is the same for another agency's."""
    if not what:
        return Problem.of(NOT_FOUND)
    return Problem.of(
        NOT_FOUND,
        f"Không tìm thấy {what}. Hãy kiểm tra lại mã và địa chỉ.",
        f"There is no {what_en or what}. Check the id and the address.",
    )


def conflict(detail: str, detail_en: str, *, headers: Mapping[str, str] | None = None) -> Problem:
    return Problem.of(CONFLICT, detail, detail_en, headers=headers)


def unprocessable(errors: Iterable[FieldError], detail: str = "", detail_en: str = "") -> Problem:
    return Problem.of(UNPROCESSABLE, detail, detail_en, errors=errors)


def too_large(limit_bytes: int) -> Problem:
    return Problem.of(
        TOO_LARGE,
        f"Nội dung vượt quá {limit_bytes} byte. Hãy chia nhỏ hoặc rút gọn.",
        f"The body is larger than {limit_bytes} bytes. Split it or shorten it.",
        headers={"Connection": "close"},  # the rest of the body is never read
        extensions={"limit_bytes": limit_bytes},
    )


def too_many(retry_after_seconds: int) -> Problem:
    return Problem.of(TOO_MANY, headers={"Retry-After": str(max(1, retry_after_seconds))})


def unavailable(retry_after_seconds: int = 1, detail: str = "", detail_en: str = "") -> Problem:
    return Problem.of(UNAVAILABLE, detail, detail_en, headers={"Retry-After": str(max(1, retry_after_seconds))})


def internal() -> Problem:
    """500 that reveals nothing about the system's internals."""
    return Problem.of(INTERNAL)
