"""Refusals before the application sees a request, with a reason for the metric and a problem in two languages."""

from __future__ import annotations

from dataclasses import dataclass
from http import HTTPStatus
from uuid import uuid4

from shared.telemetry import logging as logs
from shared.telemetry import metrics
from shared.web.errors import BAD_REQUEST, UNAVAILABLE, Problem, ProblemKind, describe
from shared.web.problems import problem_response

HEAD_TOO_LARGE = describe(
    "head-too-large",
    431,
    "Phần đầu yêu cầu quá lớn",
    "The request's head is too large",
    "Tiêu đề HTTP quá dài hoặc quá nhiều. Hãy bỏ bớt cookie và tiêu đề không cần thiết rồi gửi lại.",
    "The headers are too long or too many. Leave out cookies and headers that are not needed, and send it again.",
)
URL_TOO_LONG = describe(
    "url-too-long",
    414,
    "Địa chỉ quá dài",
    "The URL is too long",
    "Địa chỉ cùng tham số quá dài. Hãy bớt tham số rồi gửi lại.",
    "The URL with its parameters is too long. Leave parameters out and send it again.",
)
REQUEST_TIMEOUT = describe(
    "request-timeout",
    408,
    "Yêu cầu gửi quá chậm",
    "The request came too slowly",
    "Yêu cầu chưa đến đủ trong thời hạn; chưa có gì được lưu. Hãy gửi lại; gửi lại cùng Idempotency-Key là an toàn.",
    "The request did not arrive whole in time; nothing of it is stored. Send it again; the same Idempotency-Key is safe"
    " to repeat.",
)
TRANSFER_CODING = describe(
    "transfer-coding-not-supported",
    501,
    "Cách mã hóa thân yêu cầu không được hỗ trợ",
    "The transfer coding is not supported",
    "Dịch vụ chỉ nhận Transfer-Encoding: chunked, không nén. Hãy gửi lại không nén.",
    "The service takes Transfer-Encoding: chunked alone, without compression. Send it again uncompressed.",
)
HTTP_VERSION = describe(
    "http-version-not-supported",
    505,
    "Phiên bản HTTP không được hỗ trợ",
    "The HTTP version is not supported",
    "Dịch vụ nhận HTTP/1.1 (và HTTP/1.0). Hãy gửi lại bằng HTTP/1.1.",
    "The service takes HTTP/1.1 (and HTTP/1.0). Send it again over HTTP/1.1.",
)


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a connection or request is refused. Without a kind the connection is closed without a response."""

    reason: str
    kind: ProblemKind | None = None
    detail: str = ""
    detail_en: str = ""
    retry_after_seconds: int = 0

    def count(self) -> None:
        metrics.HTTP_REFUSED_TOTAL.labels(self.reason).inc()

    def answer(self, headers: list[tuple[bytes, bytes]]) -> bytes:
        """The whole answer, as bytes; the language is what the request's headers, as far as they came, ask for."""
        assert self.kind is not None
        request_id = uuid4().hex
        token = logs.enter_ids({"request_id": request_id})
        try:
            retry = {"Retry-After": str(self.retry_after_seconds)} if self.retry_after_seconds else {}
            problem = Problem.of(self.kind, self.detail, self.detail_en, headers=retry)
            response = problem_response(problem, {"type": "http", "headers": headers, "path": ""})
        finally:
            logs.leave_ids(token)
        lines = [f"HTTP/1.1 {self.kind.status} {_phrase(self.kind.status)}".encode()]
        lines += [name + b": " + value for name, value in secured(response.raw_headers)]
        lines += [b"x-request-id: " + request_id.encode(), b"connection: close", b"", bytes(response.body)]
        return b"\r\n".join(lines)


def _phrase(status: int) -> str:
    return HTTPStatus(status).phrase


#: what a browser must not do with an answer, whatever it is: guess its type, keep it, show it inside another page
_SECURE = (
    (b"cache-control", b"no-store"),
    (b"x-content-type-options", b"nosniff"),
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
)


def secured(headers: list[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    """Add the headers that every response carries; the response's own win."""
    names = [name for name, _ in headers]
    return [*headers, *(pair for pair in _SECURE if pair[0] not in names)]


MALFORMED = Refusal(
    "malformed",
    BAD_REQUEST,
    "Yêu cầu không đúng cú pháp HTTP/1.1 (RFC 9112). Hãy kiểm tra dòng yêu cầu, tiêu đề và cách chia thân yêu cầu.",
    "The request is not well-formed HTTP/1.1 (RFC 9112). Check its request line, its headers and how its body is"
    " framed.",
)
WASTEFUL = Refusal(
    "wasteful_body",
    BAD_REQUEST,
    "Thân yêu cầu chia thành quá nhiều mảnh nhỏ, hoặc kèm phần mở rộng hay tiêu đề cuối quá dài.",
    "The body comes in too many tiny chunks, or with chunk extensions or trailers that are too long.",
)
UPGRADE = Refusal(
    "upgrade",
    BAD_REQUEST,
    "Yêu cầu có nội dung không được kèm tiêu đề Upgrade. Hãy gửi lại bằng HTTP/1.1, không có Upgrade.",
    "A request with a body may not offer an Upgrade. Send it again over HTTP/1.1, without Upgrade.",
)
CODED_BODY = Refusal("coded_body", TRANSFER_CODING)
LARGE_HEAD = Refusal("head_too_large", HEAD_TOO_LARGE)
LONG_URL = Refusal("url_too_long", URL_TOO_LONG)
SILENT = Refusal("silent")
SLOW_HEAD = Refusal("slow_head", REQUEST_TIMEOUT)
SLOW_BODY = Refusal("slow_body", REQUEST_TIMEOUT)
SLOW_READER = Refusal("slow_reader")
GAVE_WAY = Refusal("gave_way")
FULL = Refusal(
    "full",
    UNAVAILABLE,
    "Máy chủ đã đủ số kết nối. Hãy gửi lại sau số giây trong tiêu đề Retry-After.",
    "The server has all the connections it can hold. Send again after the seconds given in Retry-After.",
    retry_after_seconds=1,
)
ADDRESS_FULL = Refusal(
    "address_full",
    UNAVAILABLE,
    "Địa chỉ này đang mở quá nhiều kết nối. Hãy dùng lại kết nối, hoặc đề nghị nâng HTTP_MAX_CONNECTIONS_PER_ADDRESS.",
    "This address holds too many connections. Use them again, or ask for a higher HTTP_MAX_CONNECTIONS_PER_ADDRESS.",
    retry_after_seconds=1,
)

for _refusal in (
    *(MALFORMED, WASTEFUL, UPGRADE, CODED_BODY, LARGE_HEAD, LONG_URL, SILENT, SLOW_HEAD, SLOW_BODY, SLOW_READER),
    *(GAVE_WAY, FULL, ADDRESS_FULL),
):
    metrics.HTTP_REFUSED_TOTAL.labels(_refusal.reason)  # a series that exists from the start shows its first increase
