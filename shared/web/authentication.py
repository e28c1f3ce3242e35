"""Who presents a key; a key is shown once, stored only as a SHA-256, and compared in constant time.

An API key is `tsk_<16 hex>_<43 base64url>`: a public id to find it by and 256 random bits, which need no slow hash.
In the place of a key a service that people sign in to may present a token, which names one of them (tokens.py).
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Literal, Protocol

from fastapi import Request
from fastapi.openapi.models import HTTPBearer
from fastapi.security.base import SecurityBase

from shared.access import Principal, Scope, may
from shared.runtime.clock import LOCAL_ZONE, Clock
from shared.telemetry import metrics
from shared.web import tokens
from shared.web.allowance import KeyAllowances, pay, payer_of
from shared.web.errors import Problem, forbidden, too_many, unauthorized
from shared.web.limiter import STRANGERS_BURST, STRANGERS_PER_SECOND, Limiter
from shared.web.limits import address_key

KEY_PREFIX = "tsk"
_KEY = re.compile(r"tsk_([0-9a-f]{16})_([A-Za-z0-9_-]{43})")

#: the security scheme of an agency's key, or of a person's, in OpenAPI documents
AGENCY_KEY = "agencyKey"

#: what an operation's `x-scope` says where it needs no key
PUBLIC: Literal["public"] = "public"


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


def is_live(expires_at: datetime | None, revoked_at: datetime | None, now: datetime) -> bool:
    """Whether a key still opens. Moments are system time."""
    return revoked_at is None and (expires_at is None or now < expires_at)


def hash_key(text: str) -> bytes:
    """SHA-256 of the whole key text, 32 bytes."""
    return hashlib.sha256(text.encode()).digest()


def parse_key(text: str) -> PresentedKey | None:
    """The key in `text`, or None if it is not well-formed."""
    match = _KEY.fullmatch(text)
    return PresentedKey(match[1], hash_key(text)) if match else None


def key_id_of(text: str | None) -> str:
    """The public id of the key in `text`; empty for a token, which is no key of its own, and for what is no key."""
    match = _KEY.fullmatch(text) if text else None
    return match[1] if match else ""


def bearer_text(headers: Mapping[str, str]) -> str | None:
    """What follows `Authorization: Bearer`, or None (RFC 6750; the scheme's case does not matter)."""
    scheme, _, text = headers.get("authorization", "").partition(" ")
    return (text.strip() or None) if scheme.lower() == "bearer" else None


class Keyring(Protocol):
    """The keys that a process knows, and the database that knows all."""

    #: the service whose door this is: a token for another one opens nothing
    audience: str

    def now(self) -> datetime:
        """System time, by which keys and tokens end."""

    def at_once(self, presented: PresentedKey) -> Principal | None:
        """The principal by memory alone; None means that the database must be asked."""

    def holds(self, presented: PresentedKey) -> bool:
        """Whether the key is in memory, live or not."""

    async def be_fresh(self) -> None:
        """Read the database unless memory is young enough. Raises what the database raises."""

    async def principal_of(self, presented: PresentedKey) -> Principal | None:
        """The principal of this key if it is live, else None."""

    def signers_key(self, key_id: str) -> tokens.SignersKey | None:
        """The live key of a signer, by memory alone."""

    async def person(self, person_id: str, scopes: frozenset[Scope]) -> Principal | None:
        """Whoever a token names, with the offices that the registry gives; None for somebody it does not know."""


async def authenticate(text: str | None, keyring: Keyring, charge: Callable[[], None]) -> Principal | None:
    """The principal whose key this is, None without a live one.

    `charge` counts the request against its address, once, and raises where that has asked too often. It comes before
    the database is asked about a key that is not in memory: made-up keys cannot have it read each.
    """
    key = parse_key(text) if text else None
    if key is None:
        signer = tokens.signed_by(text) if text else None
        if text and signer:
            return await _named_by(text, signer, keyring, charge)
        charge()
        return None
    principal = keyring.at_once(key)
    if principal is not None:
        return principal
    await keyring.be_fresh()  # one read serves all who ask meanwhile
    unknown = not keyring.holds(key)
    if unknown:
        charge()  # made up, or so new that the next poll has yet to bring it: only the database can tell
    principal = await keyring.principal_of(key)
    if principal is None and not unknown:
        charge()
    return principal


async def _named_by(text: str, signer: str, keyring: Keyring, charge: Callable[[], None]) -> Principal | None:
    """Whom a token names; None where it opens nothing, which is charged like a wrong key."""
    await keyring.be_fresh()
    key = keyring.signers_key(signer)
    person_id = tokens.person_of(text, key, keyring.audience, keyring.now()) if key is not None else None
    if key is None or person_id is None:
        charge()
        return None
    return await keyring.person(person_id, key.scopes)


async def key_owner(request: Request, keyring: Keyring) -> Principal:
    """Whose key the request carries. Raises 401; 429 where its address has tried wrong ones too often."""

    def charge() -> None:
        wait_seconds = request.app.state.strangers.take(address_key(request.client.host) if request.client else "")
        if wait_seconds:
            raise too_many(wait_seconds)

    principal = await authenticate(bearer_text(request.headers), keyring, charge)
    if principal is None:
        raise unauthorized(
            "Cần khóa còn hiệu lực: Authorization: Bearer tsk_…",
            "A live key is needed: Authorization: Bearer tsk_…",
        )
    return principal


class Operators(SecurityBase):
    """A FastAPI dependency that admits those who may operate; it counts and slows wrong and missing keys.

    Whoever has a live key pays for the request, so that no program of an operator takes the loop from the agencies.
    """

    model = HTTPBearer(description="Khóa của người vận hành / an operator's key: tsk_…")
    scheme_name = "operatorKey"
    states_scope: Scope = "operate"

    def __init__(self, keyring: Keyring, business_clock: Clock, allowances: KeyAllowances) -> None:
        self._keyring = keyring
        self._allowances = allowances
        self._clock = business_clock
        self._strangers = Limiter(STRANGERS_PER_SECOND, STRANGERS_BURST)

    async def __call__(self, request: Request) -> Principal:
        """The operator. Raises 401; 403 for a key that may not operate; 429 where it, or its address, asks too much."""
        text = bearer_text(request.headers)

        def charge() -> None:
            limiter = getattr(request.app.state, "strangers", self._strangers)
            wait_seconds = limiter.take(address_key(request.client.host) if request.client else "")
            if wait_seconds:
                metrics.OPERATOR_REFUSED_TOTAL.labels("limited").inc()
                raise too_many(wait_seconds)

        principal = await authenticate(text, self._keyring, charge)
        if principal is None:
            metrics.OPERATOR_REFUSED_TOTAL.labels("missing" if text is None else "wrong").inc()
            raise unauthorized("Cần khóa của người vận hành còn hiệu lực.", "A live key of an operator is needed.")
        try:
            await pay(request.scope, payer_of(principal, key_id_of(text)), self._allowances)
        except Problem:
            metrics.OPERATOR_REFUSED_TOTAL.labels("spent").inc()
            raise
        if not may(principal, "operate", None, {}, self._clock.now().astimezone(LOCAL_ZONE).date()):
            metrics.OPERATOR_REFUSED_TOTAL.labels("scope").inc()
            raise forbidden("Khóa này không có quyền vận hành.", "This key may not operate.")
        return principal


for _reason in ("missing", "wrong", "limited", "scope", "spent"):
    metrics.OPERATOR_REFUSED_TOTAL.labels(_reason)


class Anybody:
    """A FastAPI dependency for routes that need no key, such as the rules by which people are judged.

    Each address has so many requests; beyond them 429.
    """

    states_scope = PUBLIC

    def __init__(self, per_second: float = STRANGERS_PER_SECOND, burst: int = STRANGERS_BURST) -> None:
        self._limiter = Limiter(per_second, burst)

    async def __call__(self, request: Request) -> None:
        wait_seconds = self._limiter.take(address_key(request.client.host) if request.client else "")
        if wait_seconds:
            raise too_many(wait_seconds)
