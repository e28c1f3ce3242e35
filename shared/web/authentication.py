"""A key is shown once and stored only as a SHA-256; it is compared in constant time.

An API key is `tsk_<16 hex>_<43 base64url>`: a public id to find it by and 256 random bits, which need no slow hash.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass

from fastapi import Request
from fastapi.openapi.models import HTTPBearer
from fastapi.security.base import SecurityBase
from pydantic import SecretStr

from shared.telemetry import metrics
from shared.web.errors import Problem, describe, too_many, unauthorized
from shared.web.limiter import STRANGERS_BURST, STRANGERS_PER_SECOND, Limiter
from shared.web.limits import address_key

KEY_PREFIX = "tsk"
_KEY = re.compile(r"tsk_([0-9a-f]{16})_([A-Za-z0-9_-]{43})")

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
    """A well-formed key from a request; not yet checked against the stored ones."""

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
    """The key in `text`, or None if it is not well-formed."""
    match = _KEY.fullmatch(text)
    return PresentedKey(match[1], hash_key(text)) if match else None


def bearer_text(headers: Mapping[str, str]) -> str | None:
    """What follows `Authorization: Bearer`, or None (RFC 6750; the scheme's case does not matter)."""
    scheme, _, text = headers.get("authorization", "").partition(" ")
    return (text.strip() or None) if scheme.lower() == "bearer" else None


#: of OPERATOR_TOKEN. A token this long cannot be guessed, so the right one works even from a slowed address: an
#: operator behind the same proxy as a guesser is not locked out.
MIN_OPERATOR_TOKEN_CHARACTERS = 32
_VISIBLE = re.compile(r"[\x21-\x7e]*")


def operator_token_fault(token: str) -> str | None:
    """Why this OPERATOR_TOKEN is unusable, in both languages; None if it is usable. Empty turns operator routes off."""
    if not token:
        return None
    if len(token) < MIN_OPERATOR_TOKEN_CHARACTERS:
        return (
            f"OPERATOR_TOKEN quá ngắn: cần ít nhất {MIN_OPERATOR_TOKEN_CHARACTERS} ký tự ngẫu nhiên, ví dụ kết quả của"
            f" `openssl rand -hex 32` / is too short: use at least {MIN_OPERATOR_TOKEN_CHARACTERS} random characters,"
            " for example the output of `openssl rand -hex 32`"
        )
    if not _VISIBLE.fullmatch(token):
        return (
            "OPERATOR_TOKEN chỉ được gồm ký tự ASCII nhìn thấy được, không có dấu cách / may hold visible ASCII"
            " characters only, no spaces"
        )
    return None


class OperatorToken(SecurityBase):
    """A FastAPI dependency that admits only the operator; it counts and slows wrong and missing tokens."""

    model = HTTPBearer(description="OPERATOR_TOKEN của dịch vụ / of the service")
    scheme_name = "operatorToken"

    def __init__(self, expected: bytes) -> None:
        self._expected = expected
        self._strangers = Limiter(STRANGERS_PER_SECOND, STRANGERS_BURST)

    async def __call__(self, request: Request) -> None:
        """Raises 401; 403 if operator routes are off; 429 if the address has tried too often."""
        if not self._expected:
            raise Problem.of(OPERATOR_DISABLED)
        given = bearer_text(request.headers)
        if given is not None and hmac.compare_digest(given.encode("utf-8", "surrogateescape"), self._expected):
            return
        limiter = getattr(request.app.state, "strangers", self._strangers)
        wait_seconds = limiter.take(address_key(request.client.host) if request.client else "")
        if wait_seconds:
            metrics.OPERATOR_REFUSED_TOTAL.labels("limited").inc()
            raise too_many(wait_seconds)
        metrics.OPERATOR_REFUSED_TOTAL.labels("missing" if given is None else "wrong").inc()
        raise unauthorized("Cần mã vận hành (OPERATOR_TOKEN).", "The operator token (OPERATOR_TOKEN) is needed.")


for _reason in ("missing", "wrong", "limited"):
    metrics.OPERATOR_REFUSED_TOTAL.labels(_reason)


def operator_token(token: str | SecretStr | None = None) -> OperatorToken:
    """A FastAPI dependency that admits only the operator: `Depends(operator_token(settings.operator_token))`.

    Without `token` it uses OPERATOR_TOKEN of the environment; with neither set, every such route answers 403. All
    routes of an application share one limit (`create_app(strangers=…)`).
    """
    given_token = token.get_secret_value() if isinstance(token, SecretStr) else token
    return OperatorToken((given_token or os.environ.get("OPERATOR_TOKEN") or "").encode())


class Anybody:
    """A FastAPI dependency for routes that need no key, such as the rules by which people are judged.

    Each address has so many requests; beyond them 429.
    """

    def __init__(self, per_second: float = STRANGERS_PER_SECOND, burst: int = STRANGERS_BURST) -> None:
        self._limiter = Limiter(per_second, burst)

    async def __call__(self, request: Request) -> None:
        wait_seconds = self._limiter.take(address_key(request.client.host) if request.client else "")
        if wait_seconds:
            raise too_many(wait_seconds)
