"""Whose data somebody may read: one's own; an administrator those of the part administered; an operator everybody's."""

from __future__ import annotations

from fastapi import Request
from fastapi.security.base import SecurityBase

from services.intake.access.callers import Access
from services.intake.administration.reach import Reach
from services.intake.personal_data.export import Records
from services.intake.registry.cache import RegistryCache
from shared.access import may_anywhere
from shared.contract.reporting_window import local_day
from shared.runtime.clock import Clock
from shared.web.errors import forbidden


class PersonalDataReaders(SecurityBase):
    """A FastAPI dependency that says how far the caller reaches. Raises 401, 403, 429."""

    model = Access.model
    scheme_name = Access.scheme_name
    states_scope = "read administer operate"

    def __init__(self, access: Access, cache: RegistryCache, business_clock: Clock) -> None:
        self._access = access
        self._cache = cache
        self._clock = business_clock

    async def __call__(self, request: Request) -> Reach:
        today = local_day(self._clock.now())
        principal = await self._access.principal_of(request.scope)
        if not any(may_anywhere(principal, scope, today) for scope in ("read", "administer", "operate")):
            raise forbidden("Khóa này không có quyền đọc.", "This key may not read.")
        return Reach(principal, self._cache.registry, today)


def may_read(reach: Reach, person_id: str, known: Records) -> bool:
    """Whether the caller may read what is kept of this person."""
    own = reach.principal.kind == "person" and reach.principal.id == person_id
    found = [record for record in (known.officer, known.person) if record is not None]
    return bool(found) and (own or all(map(reach.reads, found)))
