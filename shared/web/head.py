"""Refuses a request with an ambiguous head, which a proxy in front and the service could read differently.

A path with an encoded slash is not found: a proxy that blocks `/v1/exports` does not recognise `/v1%2Fexports`, and no
route needs one.
"""

from __future__ import annotations

import re

from starlette.types import Scope

from shared.web.errors import FieldError, Problem, bad_request, not_found
from shared.web.refusals import HTTP_VERSION

#: uri-host [":" port] (RFC 9110 §7.2, RFC 3986 §3.2.2)
_HOST = re.compile(rb"(?:[A-Za-z0-9._~!$&'()*+,;=%-]*|\[[0-9A-Fa-f:.]+\])(?::[0-9]*)?")

_SEVERAL_HOSTS = FieldError(
    "/Host",
    "Yêu cầu cần đúng một tiêu đề Host hợp lệ (RFC 9112 §3.2).",
    "A request needs exactly one valid Host header (RFC 9112 §3.2).",
    "Gửi một tiêu đề Host với tên máy chủ.",
    "Send one Host header with the server's name.",
    "header",
)
_SEVERAL_CREDENTIALS = FieldError(
    "/Authorization",
    "Có nhiều tiêu đề Authorization; không rõ ai đang gửi.",
    "There are several Authorization headers; it is not clear who is asking.",
    "Gửi đúng một tiêu đề Authorization.",
    "Send exactly one Authorization header.",
    "header",
)
_NUL_IN_PATH = FieldError(
    "",
    "Địa chỉ chứa ký tự NUL (%00).",
    "The path holds a NUL character (%00).",
    "Bỏ ký tự này.",
    "Remove it.",
    "path",
)


def must_be_clear(scope: Scope, hosts: list[bytes], credentials: int) -> None:
    """Raise a problem if the head is ambiguous. `credentials`: how many Authorization headers there are."""
    version, raw_path = scope["http_version"], scope.get("raw_path") or b""
    if (
        version == "1.1"
        and len(hosts) == 1
        and credentials < 2
        and "\x00" not in scope["path"]
        and b"%2" not in raw_path
        and _HOST.fullmatch(hosts[0])
    ):
        return
    if version not in ("1.1", "1.0"):
        raise Problem.of(HTTP_VERSION, headers={"Connection": "close"})
    faults = []
    if len(hosts) > 1 or (version == "1.1" and not hosts) or not all(map(_HOST.fullmatch, hosts)):
        faults.append(_SEVERAL_HOSTS)
    if credentials > 1:
        faults.append(_SEVERAL_CREDENTIALS)
    if "\x00" in scope["path"]:
        faults.append(_NUL_IN_PATH)
    if faults:
        raise bad_request(
            "Phần đầu yêu cầu không rõ ràng: xem danh sách lỗi.",
            "The request's head is not clear: see the list of errors.",
            errors=faults,
        )
    if b"%2f" in raw_path.lower():
        raise not_found("địa chỉ có dấu gạch chéo mã hóa (%2F)", "address with an encoded slash (%2F)")
