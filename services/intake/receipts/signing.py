"""Signs receipts and verifies them. Pure.

A receipt is signed as RFC 8785 canonical JSON with Ed25519 (RFC 8032). Public keys are JSON Web Keys (RFC 8037), named
by their thumbprints (RFC 7638).
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Literal
from uuid import UUID

import msgspec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from msgspec import Struct

from shared.reports.canonical import canonical
from shared.runtime.clock import LOCAL_ZONE
from shared.runtime.private_keys import NoPrivateKey, pem_of, private_key_of, public_bytes_of

#: states what is signed, so that no other signature by the same key can pass for a receipt
TYPE = "vn.thongsuot.receipt.v1"
ALGORITHM = "Ed25519"


class BadKey(Exception):
    """A key file that holds no Ed25519 private key. The text says what to do, in both languages."""


class Received(Struct, frozen=True):
    """The facts that a receipt states. sha256: of the body's bytes; content_sha256: of its canonical content."""

    submission_id: UUID
    agency: str
    obligation: str
    version: int
    received_at: datetime
    sha256: bytes
    content_sha256: bytes


class PublicKey(Struct, frozen=True):
    """A public key (32 bytes); if it was withdrawn, since when and why."""

    key_id: str
    raw: bytes
    withdrawn_at: datetime | None = None
    reason: str | None = None


class SigningKey:
    """A private key of this system."""

    def __init__(self, private: Ed25519PrivateKey) -> None:
        self._private = private
        raw = public_bytes_of(private)
        self.public = PublicKey(thumbprint(raw), raw)

    @classmethod
    def generate(cls) -> SigningKey:
        return cls(Ed25519PrivateKey.generate())

    @classmethod
    def from_pem(cls, pem: bytes) -> SigningKey:
        """Raises BadKey."""
        try:
            return cls(private_key_of(pem))
        except NoPrivateKey as error:
            raise BadKey(_NO_KEY) from error

    def pem(self) -> bytes:
        """PKCS #8, not encrypted."""
        return pem_of(self._private)

    def sign(self, received: Received) -> dict[str, Any]:
        """Return the signed receipt as its JSON members."""
        statement = statement_of(received)
        return {
            "receipt": statement,
            "algorithm": ALGORITHM,
            "key_id": self.public.key_id,
            "signature": _encoded(self._private.sign(canonical(statement))),
        }


_NO_KEY = (
    "Tệp khóa không chứa khóa riêng Ed25519 (PEM, PKCS #8, không mật khẩu). Tạo bằng: python -m services.intake "
    "receipt-keys new TỆP / the key file holds no Ed25519 private key (PEM, PKCS #8, no password). Make one: python -m "
    "services.intake receipt-keys new FILE"
)


def statement_of(received: Received) -> dict[str, Any]:
    """Return the members that are signed."""
    return {
        "type": TYPE,
        "submission_id": str(received.submission_id),
        "agency": received.agency,
        "obligation": received.obligation,
        "version": received.version,
        "received_at": received.received_at.astimezone(LOCAL_ZONE).isoformat(),
        "sha256": received.sha256.hex(),
        "content_sha256": received.content_sha256.hex(),
    }


def thumbprint(raw: bytes) -> str:
    """Return the name of a public key: its RFC 7638 thumbprint, by SHA-256."""
    return _encoded(hashlib.sha256(canonical({"crv": ALGORITHM, "kty": "OKP", "x": _encoded(raw)})).digest())


def jwk(key: PublicKey) -> dict[str, Any]:
    """Return the key as a JSON Web Key."""
    document = {
        "kty": "OKP", "crv": ALGORITHM, "use": "sig", "alg": "EdDSA", "kid": key.key_id, "x": _encoded(key.raw),
    }  # fmt: skip
    if key.withdrawn_at is not None:
        document["withdrawn_at"] = key.withdrawn_at.astimezone(LOCAL_ZONE).isoformat()
        document["reason"] = key.reason or ""
    return document


Fault = Literal[
    "not_a_receipt", "unknown_key", "withdrawn_key", "bad_signature", "other_body", "other_content", "unreadable_body"
]


def key_of(document: Mapping[str, Any]) -> PublicKey:
    """Read a public key from its JSON Web Key; compute its name, whatever `kid` says. Raises ValueError."""
    if document.get("kty") != "OKP" or document.get("crv") != ALGORITHM:
        raise ValueError("no Ed25519 key")
    raw = _decoded(document.get("x"))
    if len(raw) != 32:
        raise ValueError("an Ed25519 key has 32 bytes")
    withdrawn = document.get("withdrawn_at")
    at = datetime.fromisoformat(str(withdrawn)) if withdrawn else None
    return PublicKey(thumbprint(raw), raw, at, str(document.get("reason") or "") or None)


def verify(signed: Any, keys: Mapping[str, PublicKey]) -> Fault | None:
    """Return what is wrong with a signed receipt; None if one of these keys signed exactly this."""
    if not isinstance(signed, Mapping) or not isinstance(statement := signed.get("receipt"), Mapping):
        return "not_a_receipt"
    if statement.get("type") != TYPE or signed.get("algorithm") != ALGORITHM:
        return "not_a_receipt"
    key = keys.get(str(signed.get("key_id")))
    if key is None:
        return "unknown_key"
    if key.withdrawn_at is not None:
        return "withdrawn_key"  # whoever holds the key may have backdated the receipt
    try:
        signature = _decoded(signed.get("signature"))
        Ed25519PublicKey.from_public_bytes(key.raw).verify(signature, canonical(statement))
    except (InvalidSignature, ValueError, TypeError, msgspec.MsgspecError, OverflowError):
        return "bad_signature"
    return None


def _encoded(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def _decoded(text: Any) -> bytes:
    """Raises ValueError."""
    if not isinstance(text, str) or not text.isascii():
        raise ValueError("no base64url text")
    try:
        return base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except binascii.Error as error:
        raise ValueError(str(error)) from error
