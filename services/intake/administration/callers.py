"""Who may look into, or change, what the registry keeps, and how far the caller reaches."""

from __future__ import annotations

from collections.abc import Sequence

from fastapi import Request
from fastapi.security.base import SecurityBase

from services.intake.access.callers import Access
from services.intake.administration.reach import Reach
from services.intake.registry.cache import RegistryCache
from shared.access import Scope, may_anywhere
from shared.contract.reporting_window import local_day
from shared.runtime.clock import Clock
from shared.web.errors import forbidden


class Reaching(SecurityBase):
    """A FastAPI dependency that admits who has one of the scopes somewhere, and says how far the caller reaches."""

    model = Access.model
    scheme_name = Access.scheme_name

    def __init__(self, access: Access, cache: RegistryCache, business_clock: Clock, scopes: Sequence[Scope]) -> None:
        self.states_scope = " ".join(scopes)
        self._scopes = scopes
        self._access = access
        self._cache = cache
        self._clock = business_clock

    async def __call__(self, request: Request) -> Reach:
        """Raises 401, 429; 403 for a key with none of the scopes."""
        today = local_day(self._clock.now())
        principal = await self._access.principal_of(request.scope)
        if not any(may_anywhere(principal, scope, today) for scope in self._scopes):
            needed = ", ".join(self._scopes)
            raise forbidden(f"Khóa này không có quyền nào cần ở đây: {needed}.", f"This key has none of: {needed}.")
        await self._cache.be_fresh()
        return Reach(principal, self._cache.registry, today)
