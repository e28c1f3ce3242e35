"""Who calls a service with a key of its own, and whom it admits by scope; what a request costs, its caller pays."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

from fastapi import Request
from fastapi.openapi.models import HTTPBearer
from fastapi.security.base import SecurityBase

from shared.access import Principal, Scope, may_anywhere
from shared.runtime.clock import LOCAL_ZONE, Clock
from shared.web.allowance import PrincipalAllowances, pay
from shared.web.authentication import AGENCY_KEY, Keyring, bearer_text, key_id_of, key_owner
from shared.web.errors import forbidden


@dataclass(frozen=True, slots=True)
class Caller:
    """Who calls, and on which day."""

    principal: Principal
    on: date

    @property
    def name(self) -> str:
        return f"{self.principal.kind}/{self.principal.id}"


class Callers(SecurityBase):
    """A FastAPI dependency that admits whoever has one of these scopes somewhere."""

    model = HTTPBearer(description="Khóa của cơ quan hoặc của người / a key of an agency or a person: tsk_…")
    scheme_name = AGENCY_KEY

    def __init__(
        self, keyring: Keyring, allowances: PrincipalAllowances, business_clock: Clock, scopes: tuple[Scope, ...]
    ) -> None:
        self._keyring = keyring
        self._allowances = allowances
        self._clock = business_clock
        self._scopes = scopes
        self.states_scope = " ".join(scopes)

    async def __call__(self, request: Request) -> Caller:
        """Raises 401; 403 for a key with none of the scopes; 429 where it, its owner, or an address asks too much."""
        principal = await key_owner(request, self._keyring)
        caller = Caller(principal, self._clock.now().astimezone(LOCAL_ZONE).date())
        await pay(request.scope, *self._allowances.of(principal, key_id_of(bearer_text(request.headers))))
        if not any(may_anywhere(principal, scope, caller.on) for scope in self._scopes):
            needed = ", ".join(self._scopes)
            raise forbidden(f"Khóa này không có quyền nào cần ở đây: {needed}.", f"This key has none of: {needed}.")
        return caller
