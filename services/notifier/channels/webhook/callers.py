"""Who reads what was sent to a webhook, and has it sent again: whoever keeps the webhook, within an allowance."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

from fastapi import Request
from fastapi.openapi.models import HTTPBearer
from fastapi.security.base import SecurityBase

from services.notifier.planning import store
from shared.access import Principal, Scope, may_anywhere
from shared.access.rights import keeps_webhooks
from shared.postgres.database import ReadTransaction
from shared.runtime.clock import LOCAL_ZONE, Clock
from shared.web.allowance import Allowances, pay
from shared.web.authentication import AGENCY_KEY, Keyring, key_owner
from shared.web.errors import forbidden

SCOPES: tuple[Scope, ...] = ("submit", "review", "administer", "operate")


@dataclass(frozen=True, slots=True)
class Keeper:
    """Who calls, and on which day."""

    principal: Principal
    on: date

    @property
    def name(self) -> str:
        return f"{self.principal.kind}/{self.principal.id}"

    async def keeps(self, tx: ReadTransaction, agency: str, covers: str) -> bool:
        """Whether the caller keeps this agency's webhooks. Who stands above it is asked for people alone."""
        tree = await store.chain_above(tx, agency, self.on) if self.principal.kind == "person" else {}
        return keeps_webhooks(self.principal, agency, tree, self.on, below=covers == "below")


class Keepers(SecurityBase):
    """A FastAPI dependency that admits who keeps webhooks of some agency. It pays for what the request costs."""

    model = HTTPBearer(description="Khóa của cơ quan hoặc của người / a key of an agency or a person: tsk_…")
    scheme_name = AGENCY_KEY
    states_scope = " ".join(SCOPES)

    def __init__(self, keyring: Keyring, allowances: Allowances, business_clock: Clock) -> None:
        self._keyring = keyring
        self._allowances = allowances
        self._clock = business_clock

    async def __call__(self, request: Request) -> Keeper:
        """Raises 401; 403 for a key with none of the scopes; 429 where its owner, or an address, asks too much."""
        principal = await key_owner(request, self._keyring)
        keeper = Keeper(principal, self._clock.now().astimezone(LOCAL_ZONE).date())
        await pay(request, principal.id if principal.kind == "agency" else keeper.name, self._allowances)
        if not any(may_anywhere(principal, scope, keeper.on) for scope in SCOPES):
            needed = ", ".join(SCOPES)
            raise forbidden(f"Khóa này không có quyền nào cần ở đây: {needed}.", f"This key has none of: {needed}.")
        return keeper
