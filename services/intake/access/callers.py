"""Who is asking is decided by the key alone, and within limits: an agency's allowance with a key, per address without.

A key that is not in memory costs its address before it costs the database: made-up keys cannot have it read each.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from fastapi import Depends, Request
from fastapi.openapi.models import HTTPBearer
from fastapi.security.base import SecurityBase
from starlette.types import Scope

from services.intake import metrics, problems
from services.intake.access.allowance import Allowances, Exhausted, Meter
from services.intake.registry.cache import RegistryCache
from services.intake.submissions.openapi import AGENCY_KEY
from shared.access import Principal
from shared.access.rights import OF_AGENCIES
from shared.web.authentication import parse_key
from shared.web.errors import unauthorized
from shared.web.limiter import Limiter
from shared.web.limits import address_key


class Access(SecurityBase):
    """Turns a request's key into its agency."""

    #: its description in the OpenAPI document, under `scheme_name`
    model = HTTPBearer(description="Khóa API của cơ quan / the agency's API key: tsk_…")
    scheme_name = AGENCY_KEY

    def __init__(self, cache: RegistryCache, agencies: Allowances, strangers: Limiter) -> None:
        self._cache = cache
        self._agencies = agencies
        self._strangers = strangers

    async def agency_of(self, scope: Scope) -> str:
        """The agency of the request's key. Raises 401; 429 where the agency, or a stranger's address, asks too much."""
        authorization = b""
        for name, value in scope["headers"]:
            if name == b"authorization":
                authorization = value
        scheme, _, text = authorization.partition(b" ")
        charged = False
        if scheme.lower() == b"bearer":
            key = parse_key(text.strip().decode("latin-1"))
            if key is not None:
                agency = self._cache.agency_at_once(key)
                if agency is None:
                    await self._cache.be_fresh()  # one read serves all who ask meanwhile
                    if not self._cache.holds(key):
                        # made up, or so new that the next poll has yet to bring it: only the database can tell
                        self._charge(scope)
                        charged = True
                    agency = await self._cache.agency_of(key)
                if agency is not None:
                    await self._admit(scope, agency)
                    return agency
        metrics.UNAUTHORIZED_TOTAL.inc()
        if not charged:
            self._charge(scope)
        raise unauthorized(
            "Cần khóa API của cơ quan còn hiệu lực: Authorization: Bearer tsk_…",
            "A live API key of the agency is needed: Authorization: Bearer tsk_…",
        )

    async def _admit(self, scope: Scope, agency: str) -> None:
        meter = Meter.of(scope)
        if meter is None:
            raise RuntimeError("an agency's route without the layer that measures what it takes")
        try:
            await meter.charge_to(agency, self._agencies)
        except Exhausted as exhausted:
            metrics.RATE_LIMITED_TOTAL.labels("agency").inc()
            raise problems.allowance_spent(exhausted.retry_after_seconds) from None

    def _charge(self, scope: Scope) -> None:
        client = scope.get("client")
        self._limit(self._strangers, address_key(client[0]) if client else "", "address")

    @staticmethod
    def _limit(limiter: Limiter, name: str, limit: str) -> None:
        wait_seconds = limiter.take(name)
        if wait_seconds:
            metrics.RATE_LIMITED_TOTAL.labels(limit).inc()
            raise problems.rate_limited(wait_seconds)

    async def __call__(self, request: Request) -> str:
        """As a FastAPI dependency."""
        return await self.agency_of(request.scope)


def principal_of(access: Access) -> Callable[..., Awaitable[Principal]]:
    """A FastAPI dependency: the principal whose key it is."""

    async def principal(agency: str = Depends(access)) -> Principal:
        return Principal("agency", agency, agency, OF_AGENCIES)

    return principal
