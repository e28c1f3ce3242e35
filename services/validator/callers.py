"""Who has reports tried: whoever may send them, within allowances of the key's and of the agency's own."""

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
from shared.web.allowance import KeyAllowances, pay, payer_of
from shared.web.authentication import AGENCY_KEY, Keyring, bearer_text, key_id_of, key_owner
from shared.web.errors import Problem


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
    """A FastAPI dependency: the agency for which the key sends reports. Both pay for what the request costs."""

    model = HTTPBearer(description="Khóa của cơ quan hoặc của người / a key of an agency or a person: tsk_…")
    scheme_name = AGENCY_KEY
    states_scope: Scope = "submit"

    def __init__(self, keyring: Keyring, allowances: KeyAllowances, business_clock: Clock) -> None:
        self._keyring = keyring
        self._allowances = allowances
        self._clock = business_clock

    async def __call__(self, request: Request) -> Sender:
        """Raises 401; 403 for a key that sends nothing; 429 where it, its agency, or an address asks too much."""
        principal = await key_owner(request, self._keyring)
        on = self._clock.now().astimezone(LOCAL_ZONE).date()
        agency = senders.sends_for(principal, on)
        try:
            payer = payer_of(principal, key_id_of(bearer_text(request.headers)))
            await pay(request.scope, payer._replace(owner=agency), self._allowances)
        except Problem:
            metrics.DRY_RUNS_TOTAL.labels("limited").inc()
            raise
        return Sender(principal, agency, on)
