"""A key is shown once and stored only as a SHA-256; it is compared in constant time and never reaches a log.

An API key is `tsk_<16 hex>_<43 base64url>`: a public id to find it by and 256 random bits, which need no slow hash.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import re
import secrets
import ssl
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

from fastapi import Request
from pydantic import SecretStr

from shared.errors import Problem, describe, unauthorized


def tls_context(ca_file: str) -> ssl.SSLContext:
    """How this side speaks to a TLS server: its name and certificate are checked, against the authorities in the PEM
    file `ca_file` or, where that is empty, those of the system; TLS 1.2 at least (RFC 9325), whatever OpenSSL's own
    configuration says. Raises OSError if the file cannot be read.
    """
    context = ssl.create_default_context(cafile=ca_file or None)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context


KEY_PREFIX = "tsk"
_KEY = re.compile(r"tsk_([0-9a-f]{16})_([A-Za-z0-9_-]{43})")

#: what must not reach a log: API keys, bearer tokens, passwords in URLs
_SECRETS = re.compile(
    r"(?P<key>tsk_[0-9a-f]{16})_[A-Za-z0-9_-]{20,}"
    r"|(?P<scheme>(?i:bearer|basic)\s+)[A-Za-z0-9._~+/=-]{4,}"
    r"|(?P<user>[a-z][a-z0-9+]*://[^\s:/@]*:)[^\s@]+(?=@)"
)
_SECRET_NAME = re.compile(r"(?i)(password|passwd|secret|token|authorization|api_?key)$")
_REDACTED = "[redacted]"

OPERATOR_DISABLED = describe(
    "operator-disabled",
    403,
    "Chưa bật quyền vận hành",
    "Operator access is off",
    "Dịch vụ chạy không có OPERATOR_TOKEN nên mọi địa chỉ vận hành đều đóng. Hãy đặt biến này rồi khởi động lại.",
    "The service runs without OPERATOR_TOKEN, so operator routes are closed. Set it and restart the service.",
)


@dataclass(frozen=True, slots=True)
class NewKey:
    """A key just made. `secret_text` is shown to its owner once; `sha256` (32 bytes) is what is stored."""

    key_id: str
    secret_text: str
    sha256: bytes

    def __repr__(self) -> str:
        return f"NewKey({self.key_id})"


@dataclass(frozen=True, slots=True)
class PresentedKey:
    """A well-formed key that somebody presented; not yet known to be right."""

    key_id: str
    sha256: bytes

    def matches(self, *stored_sha256: bytes) -> bool:
        """Whether it is one of the stored keys, in constant time per key (all are compared)."""
        found = False
        for stored in stored_sha256:
            found |= hmac.compare_digest(self.sha256, stored)
        return found


def new_key() -> NewKey:
    """A new API key: 256 random bits behind a public id of 64; with 32, ids of 5,000 keys collide once in 300 times."""
    key_id = secrets.token_hex(8)
    text = f"{KEY_PREFIX}_{key_id}_{secrets.token_urlsafe(32)}"
    return NewKey(key_id, text, hash_key(text))


def hash_key(text: str) -> bytes:
    """SHA-256 of the whole key text, 32 bytes."""
    return hashlib.sha256(text.encode()).digest()


def parse_key(text: str) -> PresentedKey | None:
    """The key in `text`, or None where it does not look like one."""
    match = _KEY.fullmatch(text)
    return PresentedKey(match[1], hash_key(text)) if match else None


def bearer_text(headers: Mapping[str, str]) -> str | None:
    """What follows `Authorization: Bearer`, or None (RFC 6750; the scheme's case does not matter)."""
    scheme, _, text = headers.get("authorization", "").partition(" ")
    return (text.strip() or None) if scheme.lower() == "bearer" else None


def presented_key(request: Request) -> PresentedKey:
    """FastAPI dependency: the API key of the request. Raises the 401 problem where there is none."""
    text = bearer_text(request.headers)
    key = parse_key(text) if text else None
    if key is None:
        raise unauthorized()
    return key


def operator_token(token: str | SecretStr | None = None) -> Callable[[Request], Awaitable[None]]:
    """A FastAPI dependency that lets only the operator in: `Depends(operator_token(settings.operator_token))`.

    Without `token` the environment's OPERATOR_TOKEN counts. With neither set every such route answers 403.
    """
    given_token = token.get_secret_value() if isinstance(token, SecretStr) else token
    expected = (given_token or os.environ.get("OPERATOR_TOKEN") or "").encode()

    async def check(request: Request) -> None:
        if not expected:
            raise Problem.of(OPERATOR_DISABLED)
        given = bearer_text(request.headers)
        if given is None or not hmac.compare_digest(given.encode("utf-8", "surrogateescape"), expected):
            raise unauthorized("Cần mã vận hành (OPERATOR_TOKEN).", "The operator token (OPERATOR_TOKEN) is needed.")

    return check


def header_safe(text: str) -> str:
    """`text`, fit for a header (HTTP or mail). Raises ValueError on CR, LF, NUL and other control characters."""
    for character in text:
        code = ord(character)
        if code < 32 or 127 <= code < 160 or character in "\u2028\u2029":
            raise ValueError(f"control character U+{code:04X} in what becomes a header")
    return text


def redact(value: Any, name: str = "") -> Any:
    """`value` without keys, tokens and passwords: by their form in any text, and whole where `name` says it is one."""
    if name and _SECRET_NAME.search(name):
        return _REDACTED if value else value
    match value:
        case str():
            return _SECRETS.sub(_replacement, value)
        case bytes():
            return redact(value.decode("utf-8", "backslashreplace"))
        case Mapping():
            return {str(key): redact(inner, str(key)) for key, inner in value.items()}
        case list() | tuple() | set() | frozenset():
            return [redact(inner) for inner in value]
        case None | bool() | int() | float():
            return value
        case _:
            return redact(str(value))


def _replacement(match: re.Match[str]) -> str:
    for group in ("key", "scheme", "user"):
        if match[group]:
            return match[group] + ("_" if group == "key" else "") + _REDACTED
    return _REDACTED
