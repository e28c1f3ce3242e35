"""Who has reports tried: whoever may send them, within an allowance of the agency's own."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

from fastapi import Request
from fastapi.openapi.models import HTTPBearer
from fastapi.security.base import SecurityBase

from services.validator import metrics
from shared.access import Principal, Scope
from shared.runtime.clock import LOCAL_ZONE, Clock
from shared.web import senders
from shared.web.allowance import Allowances, Exhausted, Meter, allowance_spent
from shared.web.authentication import AGENCY_KEY, Keyring, authenticate, bearer_text
from shared.web.errors import too_many, unauthorized
from shared.web.limits import address_key


@dataclass(frozen=True, slots=True)
class Sender:
    """Whose report it would be."""

    principal: Principal
    agency: str
    on: date

    def must_send(self, regime: str) -> None:
        """Raise 403 unless the key may send the agency's reports under this regime."""
        senders.must_send(self.principal, self.agency, regime, {}, self.on)


class Senders(SecurityBase):
    """A FastAPI dependency: the agency for which the key sends reports. It pays for what the request costs."""

    model = HTTPBearer(description="Khóa của cơ quan hoặc của người / a key of an agency or a person: tsk_…")
    scheme_name = AGENCY_KEY
    states_scope: Scope = "submit"

    def __init__(self, keyring: Keyring, allowances: Allowances, business_clock: Clock) -> None:
        self._keyring = keyring
        self._allowances = allowances
        self._clock = business_clock

    async def __call__(self, request: Request) -> Sender:
        """Raises 401; 403 for a key that sends nothing; 429 where its agency, or an address, asks too much."""

        def charge() -> None:
            wait_seconds = request.app.state.strangers.take(address_key(request.client.host) if request.client else "")
            if wait_seconds:
                raise too_many(wait_seconds)

        principal = await authenticate(bearer_text(request.headers), self._keyring, charge)
        if principal is None:
            raise unauthorized(
                "Cần khóa còn hiệu lực: Authorization: Bearer tsk_…",
                "A live key is needed: Authorization: Bearer tsk_…",
            )
        on = self._clock.now().astimezone(LOCAL_ZONE).date()
        agency = senders.sends_for(principal, on)
        meter = Meter.of(request.scope)
        if meter is None:
            raise RuntimeError("a route with a key without the layer that measures what it takes")
        try:
            await meter.charge_to(agency, self._allowances)
        except Exhausted as exhausted:
            metrics.DRY_RUNS_TOTAL.labels("limited").inc()
            raise allowance_spent(exhausted.retry_after_seconds) from None
        return Sender(principal, agency, on)
