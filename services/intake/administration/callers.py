"""Who administers: an operator, or a person with the office of administrator somewhere."""

from __future__ import annotations

from fastapi import Request
from fastapi.security.base import SecurityBase

from services.intake.access.callers import Access
from services.intake.administration.reach import Reach
from services.intake.registry.cache import RegistryCache
from shared.access import may_anywhere
from shared.runtime.clock import LOCAL_ZONE, Clock
from shared.web.errors import forbidden


class Administrators(SecurityBase):
    """A FastAPI dependency that admits them, and says how far they reach."""

    model = Access.model
    scheme_name = Access.scheme_name
    states_scope = "administer operate"

    def __init__(self, access: Access, cache: RegistryCache, business_clock: Clock) -> None:
        self._access = access
        self._cache = cache
        self._clock = business_clock

    async def __call__(self, request: Request) -> Reach:
        """Raises 401, 429; 403 for a key that administers nothing."""
        today = self._clock.now().astimezone(LOCAL_ZONE).date()
        principal = await self._access.principal_of(request.scope)
        if not any(may_anywhere(principal, scope, today) for scope in ("operate", "administer")):
            raise forbidden("Khóa này không có quyền quản trị.", "This key may not administer.")
        await self._cache.be_fresh()
        return Reach(principal, self._cache.registry, today)
