"""Short-lived tokens by which a service that people sign in to acts for them at the others.

A token names the person, the service that it is for, and who signed it. The public key of the signer travels on
`registry` like any other key; the private one never leaves the signer's machine.
Source: RFC 7519 (JWT), RFC 9068 (access tokens), RFC 9864 (Ed25519), RFC 8725 (best current practices).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import OKPKey
from joserfc.util import urlsafe_b64decode, urlsafe_b64encode

from shared.access import Scope
from shared.contract.ids import new_id
from shared.runtime.private_keys import pem_of, private_key_of, public_bytes_of

#: how long a token opens; the services' clocks may differ by so much
LIVES, LEEWAY = timedelta(seconds=60), timedelta(seconds=10)
#: ours have some 400
MAX_CHARACTERS = 2000
_ALGORITHM, _TYPE = "Ed25519", "at+jwt"


def key_id_of(public_key: bytes) -> str:
    """The public id of a signer's key: 16 hex digits of its SHA-256, as an API key has 16."""
    return hashlib.sha256(public_key).hexdigest()[:16]


class SigningKey:
    """The private key of a signer."""

    def __init__(self, private: Ed25519PrivateKey) -> None:
        self._private = private
        self.public = public_bytes_of(private)
        self.key_id = key_id_of(self.public)
        self._key = OKPKey.import_key(self.pem())

    @classmethod
    def new(cls) -> SigningKey:
        return cls(Ed25519PrivateKey.generate())

    @classmethod
    def from_pem(cls, pem: bytes) -> SigningKey:
        """The key of a file's content. Raises NoPrivateKey."""
        return cls(private_key_of(pem))

    def pem(self) -> bytes:
        """The private key in PKCS #8."""
        return pem_of(self._private)

    def token(self, issuer: str, person_id: str, audience: str, now: datetime) -> str:
        """A token by which `issuer` acts for the person at the service `audience`. `now`: system time."""
        header = {"alg": _ALGORITHM, "typ": _TYPE, "kid": self.key_id}
        claims = {
            "iss": issuer,
            "sub": person_id,
            "aud": audience,
            "iat": int(now.timestamp()),
            "exp": int((now + LIVES).timestamp()),
            "jti": str(new_id()),
        }
        return jwt.encode(header, claims, self._key, algorithms=[_ALGORITHM])


@dataclass(frozen=True, slots=True)
class SignersKey:
    """A signer's public key as the registry knows it. Moments are system time."""

    issuer: str
    public_key: bytes
    scopes: frozenset[Scope]  # what its tokens may be used for at most
    expires_at: datetime | None
    revoked_at: datetime | None


def signed_by(text: str) -> str | None:
    """The id of the key that a token says it was signed with; None for what is no token of ours."""
    if len(text) > MAX_CHARACTERS or text.count(".") != 2:
        return None
    try:
        header = json.loads(urlsafe_b64decode(text.partition(".")[0].encode()))
    except (ValueError, RecursionError):
        return None
    key_id = header.get("kid") if isinstance(header, Mapping) and header.get("typ") == _TYPE else None
    return key_id if isinstance(key_id, str) else None


def person_of(text: str, key: SignersKey, audience: str, now: datetime) -> str | None:
    """Whom the token names, if this key signed it for this service and it has not ended; else None."""
    try:
        token = jwt.decode(text, _public(key.public_key), algorithms=[_ALGORITHM])
        registry = jwt.JWTClaimsRegistry(
            now=lambda: int(now.timestamp()),
            leeway=int(LEEWAY.total_seconds()),
            iss={"essential": True, "value": key.issuer},
            aud={"essential": True, "value": audience},
            sub={"essential": True},
            iat={"essential": True},
            exp={"essential": True},
        )
        registry.validate(token.claims)
    except (JoseError, ValueError, TypeError):
        return None
    return str(token.claims["sub"]) if _is_short(token.claims) else None


def _is_short(claims: Mapping[str, Any]) -> bool:
    """Whether it lives no longer than ours do: a signer cannot make one that outlives its key for long."""
    return bool(claims["exp"] - claims["iat"] <= LIVES.total_seconds())


def _public(raw: bytes) -> OKPKey:
    return OKPKey.import_key({"kty": "OKP", "crv": "Ed25519", "x": urlsafe_b64encode(raw).decode()})
