"""Who is asking is decided by the key alone, and within limits: an allowance with a key, per address without.

What an agency's key reads and sends is its own agency's. A person's key reads for one agency at a time, within the
person's offices; what lies outside is not found, as if it were not there.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import Annotated

from fastapi import Query, Request
from fastapi.openapi.models import HTTPBearer
from fastapi.security.base import SecurityBase
from starlette.types import Scope as AsgiScope

from services.intake import metrics, problems
from services.intake.registry.cache import RegistryCache
from shared.access import Principal, Scope, may, may_anywhere
from shared.runtime.clock import LOCAL_ZONE, Clock
from shared.web import senders
from shared.web.allowance import PrincipalAllowances, pay
from shared.web.authentication import AGENCY_KEY, authenticate, key_id_of
from shared.web.errors import Problem, forbidden, not_found, unauthorized
from shared.web.limiter import Limiter
from shared.web.limits import address_key

_Agency = Annotated[
    str | None,
    Query(
        max_length=35,
        description="Đọc cho cơ quan này; với khóa của người / the agency to read for, with a person's key",
        examples=["H99.31"],
    ),
]


@dataclass(frozen=True, slots=True)
class Reading:
    """For which agency a request reads, and which of its regimes (None: all)."""

    agency: str
    regimes: frozenset[str] | None

    def covers(self, regime: str) -> bool:
        return self.regimes is None or regime in self.regimes


class Access(SecurityBase):
    """Turns a request's key into its principal, and that into the agency for which it reads or sends."""

    #: its description in the OpenAPI document, under `scheme_name`
    model = HTTPBearer(description="Khóa của cơ quan hoặc của người / a key of an agency or a person: tsk_…")
    scheme_name = AGENCY_KEY
    states_scope: Scope = "read"

    def __init__(
        self, cache: RegistryCache, allowances: PrincipalAllowances, strangers: Limiter, business_clock: Clock
    ) -> None:
        self._cache = cache
        self._allowances = allowances
        self._strangers = strangers
        self._clock = business_clock

    async def principal_of(self, scope: AsgiScope) -> Principal:
        """Whose key the request carries. Raises 401; 429 where it, its owner, or a stranger's address asks too much."""
        authorization = b""
        for name, value in scope["headers"]:
            if name == b"authorization":
                authorization = value
        scheme, _, text = authorization.partition(b" ")
        given = text.strip().decode("latin-1") if scheme.lower() == b"bearer" else None
        principal = await authenticate(given, self._cache, lambda: self._charge(scope))
        if principal is None:
            metrics.UNAUTHORIZED_TOTAL.inc()
            raise unauthorized(
                "Cần khóa còn hiệu lực: Authorization: Bearer tsk_…",
                "A live key is needed: Authorization: Bearer tsk_…",
            )
        await self._admit(scope, principal, key_id_of(given))
        return principal

    def sends_for(self, principal: Principal) -> str:
        """The agency for which the principal sends reports. Raises 403 where it sends none."""
        return senders.sends_for(principal, self._today())

    def must_send(self, principal: Principal, agency: str, regime: str) -> None:
        """Raise 403 unless the principal may send the agency's reports under this regime."""
        if principal.kind != "agency":
            senders.must_send(principal, agency, regime, self._cache.registry.tree(self._today()), self._today())

    async def __call__(self, request: Request, agency: _Agency = None) -> str:
        """As a FastAPI dependency: the agency for which the request reads, where it names its regime or none."""
        reading = await self.reading(request, agency)
        regime = request.path_params.get("regime") or request.path_params.get("code")
        regime = regime or request.query_params.get("regime", "")
        if reading.regimes is not None and regime not in reading.regimes:
            raise _no_agency(reading.agency)
        return reading.agency

    async def reader_of(self, request: Request) -> Principal:
        """Whose key it is. Raises 403 where the key reads nothing at all."""
        principal = await self.principal_of(request.scope)
        if not may_anywhere(principal, "read", self._today()):
            raise forbidden("Khóa này không có quyền đọc.", "This key may not read.")
        return principal

    async def acting(self, request: Request) -> Principal:
        """Whose key it is. Raises 403 where the key neither submits nor reviews anything."""
        principal = await self.principal_of(request.scope)
        today = self._today()
        if not may_anywhere(principal, "submit", today) and not may_anywhere(principal, "review", today):
            raise forbidden("Khóa này không có quyền gửi hay duyệt.", "This key may neither submit nor review.")
        return principal

    async def reading(self, request: Request, agency: str | None) -> Reading:
        """For which agency and regimes the request reads. Raises 404 where the key reaches none."""
        principal = await self.reader_of(request)
        wanted = agency or principal.agency or ""
        if self._may(principal, "read", wanted, ""):
            return Reading(wanted, None)
        named = {regime for office in principal.offices for regime in office.regimes}
        regimes = frozenset(regime for regime in named if self._may(principal, "read", wanted, regime))
        if not regimes:
            raise _no_agency(wanted)
        return Reading(wanted, regimes)

    def _may(self, principal: Principal, scope: Scope, agency: str, regime: str) -> bool:
        return may(principal, scope, agency, self._cache.registry.tree(self._today()), self._today(), regime)

    def _today(self) -> date:
        return self._clock.now().astimezone(LOCAL_ZONE).date()

    async def _admit(self, scope: AsgiScope, principal: Principal, key_id: str) -> None:
        try:
            await pay(scope, *self._allowances.of(principal, key_id))
        except Problem:
            metrics.RATE_LIMITED_TOTAL.labels("operator" if principal.kind == "operator" else "agency").inc()
            raise

    def _charge(self, scope: AsgiScope) -> None:
        client = scope.get("client")
        wait_seconds = self._strangers.take(address_key(client[0]) if client else "")
        if wait_seconds:
            metrics.RATE_LIMITED_TOTAL.labels("address").inc()
            raise problems.rate_limited(wait_seconds)


class _ByAccess(SecurityBase):
    """A FastAPI dependency that asks Access in its own way."""

    model = Access.model
    scheme_name = Access.scheme_name

    def __init__(self, access: Access) -> None:
        self._access = access


class ReadingById(_ByAccess):
    """A FastAPI dependency of routes whose regime is known only when the record is read: they ask `covers` of it."""

    states_scope: Scope = "read"

    async def __call__(self, request: Request, agency: _Agency = None) -> Reading:
        return await self._access.reading(request, agency)


class AnyKey(_ByAccess):
    """A FastAPI dependency of routes that show the same to everyone who has a key that reads."""

    states_scope: Scope = "read"

    async def __call__(self, request: Request) -> Principal:
        return await self._access.reader_of(request)


@dataclass(frozen=True, slots=True)
class Sender:
    """Who acts in an agency's own name."""

    principal: Principal
    agency: str


class Sending(_ByAccess):
    """A FastAPI dependency of routes on which an agency acts in its own name, under no regime in particular."""

    states_scope: Scope = "submit"

    async def __call__(self, request: Request) -> Sender:
        principal = await self._access.principal_of(request.scope)
        agency = self._access.sends_for(principal)
        self._access.must_send(principal, agency, "")
        return Sender(principal, agency)


class Acting(_ByAccess):
    """A FastAPI dependency of routes that take a step with a report: the table of steps decides who may take which."""

    states_scope = "review submit"

    async def __call__(self, request: Request) -> Principal:
        return await self._access.acting(request)


def _no_agency(code: str) -> Problem:
    return not_found(f"cơ quan {code} trong phạm vi của khóa này", f"agency {code} within this key's reach")
