"""What decisions stand on: calendars and policies by version. Versions never change, so keeping them is safe."""

from __future__ import annotations

from collections.abc import Iterable

from services.scoring.calendar import WorkingCalendar
from services.scoring.calendar.store import CalendarShelf
from services.scoring.obligations.deadlines import Plan
from services.scoring.obligations.domain import Obligation
from services.scoring.obligations.generator import Opening
from services.scoring.scores.policy import Policy, PolicyBook
from services.scoring.scores.policy.store import PolicyShelf
from shared.postgres.database import Reading


class Rules:
    """Calendars and policies; one for the service. `policies`: for decisions without a database."""

    def __init__(self, policies: PolicyBook | None = None) -> None:
        self._policies = PolicyShelf(policies)
        self._shelf = CalendarShelf()

    async def current_calendar(self, tx: Reading) -> WorkingCalendar:
        """The calendar that gives new deadlines; policies loaded meanwhile are noticed too.

        Raises NoCalendar, PolicyMissing.
        """
        await self._policies.refresh(tx)
        return await self._shelf.current(tx)

    async def fetch(self, tx: Reading, versions: set[str], policies: Iterable[str] = ()) -> None:
        """Have these calendar and policy versions at hand; none is read twice."""
        await self._policies.fetch(tx, policies)
        await self._shelf.fetch(tx, versions)

    def opening(self, plan: Plan) -> Opening:
        """The plan with the policy that governs the local day of its deadline."""
        return Opening(plan, self._policies.book.governing(plan.due_on).version)

    def policy(self, obligation: Obligation) -> Policy:
        """The policy the obligation is scored by. Raises PolicyMissing."""
        return self._policies.book.version(obligation.policy_version)

    def calendar(self, obligation: Obligation) -> WorkingCalendar:
        """The calendar that gave the obligation's deadline."""
        return self._shelf[obligation.calendar_version]
