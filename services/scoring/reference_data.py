"""What decisions stand on: calendars and policies by version. Versions never change, so keeping them is safe."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date, datetime

from services.scoring.calendar import WorkingCalendar
from services.scoring.calendar.store import CalendarShelf
from services.scoring.obligations.deadlines import Plan, notice_until
from services.scoring.obligations.facts import Terms
from services.scoring.obligations.generator import Opening, terms_of
from services.scoring.obligations.standing import untouched
from services.scoring.scores.policy import Policy, PolicyBook
from services.scoring.scores.policy.store import PolicyShelf
from shared.contract.reporting_window import local_day
from shared.postgres.database import ReadTransaction


class Rules:
    """Calendars and policies; one for the service. `policies`: for decisions without a database."""

    def __init__(self, policies: PolicyBook | None = None) -> None:
        self._policies = PolicyShelf(policies)
        self._shelf = CalendarShelf()

    async def current_calendar(self, tx: ReadTransaction) -> WorkingCalendar:
        """The calendar that gives new deadlines; policies loaded meanwhile are noticed too.

        Raises NoCalendar, PolicyMissing.
        """
        await self._policies.refresh(tx)
        return await self._shelf.current(tx)

    async def fetch(self, tx: ReadTransaction, versions: set[str], policies: Iterable[str] = ()) -> None:
        """Have these calendar and policy versions at hand; none is read twice."""
        await self._policies.fetch(tx, policies)
        await self._shelf.fetch(tx, versions)

    def opening(self, plan: Plan) -> Opening:
        """The plan as terms, by the policy that governs the local day of its deadline."""
        terms = terms_of(plan, self.governing(plan.due_on))
        return Opening(plan, terms, untouched(terms))

    def governing(self, day: date) -> str:
        """The version of the policy that governs a deadline's local day."""
        return self._policies.book.governing(day).version

    async def notice_until(self, tx: ReadTransaction, now: datetime) -> datetime:
        """Before this hour no deadline moves earlier, by the policy and the calendar of today.

        Raises NoCalendar, PolicyMissing, CalendarGap.
        """
        calendar = await self.current_calendar(tx)
        return notice_until(now, self._policies.book.governing(local_day(now)).notice_working_days, calendar)

    async def in_force(self, tx: ReadTransaction) -> str:
        """Names the calendar and the policies that govern now: another text, and everything is planned again."""
        calendar = await self.current_calendar(tx)
        return f"{calendar.version} {self._policies.book.digest}"

    def policy(self, terms: Terms) -> Policy:
        """The policy the obligation is scored by."""
        return self._policies.book.version(terms.policy_version)

    def loaded_policies(self, versions: Iterable[str]) -> dict[str, Policy]:
        """Those of these policies that are loaded, by version."""
        book = self._policies.book
        return {version: book.version(version) for version in versions if version in book.versions}

    def calendar(self, terms: Terms) -> WorkingCalendar:
        """The calendar that gave the obligation's deadline."""
        return self._shelf[terms.calendar_version]
