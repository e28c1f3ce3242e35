"""Bodies are plain JSON in UTF-8: what says to be anything else is refused before it is read as JSON."""

from __future__ import annotations

from collections.abc import Iterable

from shared.web.errors import Problem, describe

UNSUPPORTED_MEDIA_TYPE = describe(
    "unsupported-media-type",
    415,
    "Định dạng không được hỗ trợ",
    "The media type is not supported",
    "Gửi JSON mã hóa UTF-8 không nén, với Content-Type: application/json.",
    "Send JSON in UTF-8, not compressed, with Content-Type: application/json.",
)


def must_be_json(headers: Iterable[tuple[bytes, bytes]]) -> None:
    """Raise 415 for a body that is anything but plain JSON in UTF-8."""
    content_type = b""
    for name, value in headers:
        if name == b"content-type":
            content_type = value
        elif name == b"content-encoding" and value.strip().lower() != b"identity":
            raise Problem.of(UNSUPPORTED_MEDIA_TYPE, headers={"Accept-Encoding": "identity"})
    if content_type != b"application/json" and not _is_json(content_type):
        raise Problem.of(UNSUPPORTED_MEDIA_TYPE, headers={"Accept": "application/json"})


def _is_json(content_type: bytes) -> bool:
    media, _, parameters = content_type.partition(b";")
    charset = parameters.strip().lower().replace(b'"', b"")
    return media.strip().lower() == b"application/json" and charset in (b"", b"charset=utf-8", b"charset=utf8")
