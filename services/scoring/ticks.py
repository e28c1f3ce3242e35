"""What is due is found by state, never by the hour: a tick that was missed is made good by the next one.

Generation, reminders and overdue marks each handle a bounded number of rows in one transaction and say how many.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from datetime import datetime, timedelta
from itertools import chain

from sqlalchemy import text

from services.scoring import domain, metrics, openings, registry_copy, store
from services.scoring.deadlines import Plan, Regime, Request, plan_request, plans_between
from services.scoring.domain import Decision, Obligation
from services.scoring.rules import Rules
from shared.clock import LOCAL_ZONE, Clock, monotonic_seconds
from shared.db import Transaction
from shared.events import ComplianceEvent
from shared.outbox import publish
from shared.period import PeriodError, governing_version, parse

_OVERDUE_COUNT = text("""
    SELECT count(*) FROM obligations WHERE owed AND overdue_at IS NOT NULL AND accepted_version IS NULL
""")

#: how often the overdue are counted for their gauge: the count grows with what was never fulfilled
COUNT_SECONDS = 15.0


class Settled:
    """The business hour as it was some real seconds ago: reports of that hour have had time to arrive here.

    Without it a burst at the deadline would be called overdue because it is still on its way through Kafka. Real
    seconds, since that is what Kafka takes, however fast business time runs. `caught_up` tells up to which hour this
    service has applied what lay in Kafka: while it is behind, or cannot know, nobody is called overdue.
    """

    def __init__(
        self,
        clock: Clock,
        settle_seconds: float,
        monotonic: Callable[[], float] = monotonic_seconds,
        *,
        caught_up: Callable[[], datetime | None] | None = None,
    ) -> None:
        self._caught_up = caught_up
        self._clock = clock
        self._settle_seconds = settle_seconds
        self._monotonic = monotonic
        self._seen: deque[tuple[float, datetime]] = deque()

    def now(self) -> datetime | None:
        """The settled hour; None until this process has watched for long enough."""
        monotonic = self._monotonic()
        self._seen.append((monotonic, self._clock.now()))
        settled = None
        while self._seen and self._seen[0][0] <= monotonic - self._settle_seconds:
            settled = self._seen.popleft()
        if settled is None:
            return None
        self._seen.appendleft(settled)  # still the latest settled hour until the next one settles
        if self._caught_up is None:
            return settled[1]
        applied = self._caught_up()
        return None if applied is None else min(settled[1], applied)


class Generator:
    """Generates obligations ahead, and again for what changed; idempotent, a few periods or agencies a tick."""

    def __init__(
        self,
        rules: Rules,
        clock: Clock,
        *,
        horizon_days: int,
        catch_up_days: int,
        plans_a_tick: int = 4,
        agencies_a_tick: int = 100,
    ) -> None:
        self._rules = rules
        self._clock = clock
        self._horizon = timedelta(days=horizon_days)
        self._catch_up = timedelta(days=catch_up_days)
        self._plans_a_tick = plans_a_tick
        self._agencies_a_tick = agencies_a_tick

    async def tick(self, tx: Transaction) -> int:
        """One step; returns the obligations opened, changed or withdrawn plus the agencies and plans gone through."""
        now = self._clock.now()
        since = await self._since(tx, now)
        regimes = await registry_copy.read_regimes(tx)
        requests = await registry_copy.read_requests(tx)
        plans = await self._plans(tx, regimes, requests, since, now)
        agencies = await openings.unplanned_agencies(tx, self._agencies_a_tick)
        if agencies:
            return len(agencies) + await self._replan_agencies(tx, agencies, plans, now)
        missing = (await openings.not_yet_planned(tx, plans))[: self._plans_a_tick]
        if missing:
            return len(missing) + await self._open_plans(tx, missing, regimes, requests, now)
        await openings.complete(tx, now)
        return 0

    async def _since(self, tx: Transaction, now: datetime) -> datetime:
        """Deadlines from here on are generated.

        Back to the last complete generation if it is long ago, and always `catch_up` back, for a registry that arrives
        late; never before the first start: what was owed before is only taken up when a report of it comes.
        """
        started_at, complete_at = await openings.progress(tx, now)
        return max(started_at, min(complete_at, now - self._catch_up))

    async def _plans(
        self,
        tx: Transaction,
        regimes: dict[str, list[Regime]],
        requests: dict[str, Request],
        since: datetime,
        now: datetime,
    ) -> list[Plan]:
        calendar = await self._rules.current_calendar(tx)
        metrics.CALENDAR_LAST_YEAR.set(calendar.last_year)
        until = now + self._horizon
        periodic = chain.from_iterable(plans_between(versions, since, until, calendar) for versions in regimes.values())
        adhoc = []
        for request in requests.values():
            versions = regimes.get(request.regime, [])
            governing = _governing_request(versions, request)
            inside = since <= request.deadline and request.issued_at <= until
            covered = calendar.covers(request.deadline.astimezone(LOCAL_ZONE).date())
            if governing is not None and inside and covered and request.issued_at <= request.deadline:
                adhoc.append(plan_request(governing, request, calendar))
        return sorted([*periodic, *adhoc], key=lambda plan: (plan.deadline, plan.regime, plan.period))

    async def _replan_agencies(self, tx: Transaction, codes: list[str], plans: list[Plan], now: datetime) -> int:
        withdrawn = await self._withdraw(tx, await store.lock_of_closed(tx, codes), now)
        told = await openings.generate(tx, [self._rules.opening(plan) for plan in plans], now, codes)
        await openings.agencies_planned(tx, codes)
        metrics.OBLIGATIONS_OPENED_TOTAL.labels("generator").inc(len(told))
        await publish(tx, told)
        return withdrawn + len(told)

    async def _open_plans(
        self,
        tx: Transaction,
        plans: list[Plan],
        regimes: dict[str, list[Regime]],
        requests: dict[str, Request],
        now: datetime,
    ) -> int:
        withdrawn = 0
        for code in sorted({plan.regime for plan in plans}):
            if not _may_lose_periods(regimes.get(code, [])):
                continue
            untouched = await store.lock_untouched(tx, code, now)
            lost = [each for each in untouched if not _still_governed(each, regimes.get(code, []), requests)]
            withdrawn += await self._withdraw(tx, lost, now)
        chosen = [self._rules.opening(plan) for plan in plans]
        told = await openings.generate(tx, chosen, now)
        await openings.planned(tx, chosen, told, now)
        metrics.OBLIGATIONS_OPENED_TOTAL.labels("generator").inc(len(told))
        await publish(tx, told)
        return withdrawn + len(told)

    async def _withdraw(self, tx: Transaction, lost: list[Obligation], now: datetime) -> int:
        await self._rules.fetch(tx, {each.calendar_version for each in lost})
        decisions = [domain.withdraw(each, now, self._rules.policy(each), self._rules.calendar(each)) for each in lost]
        await save_decisions(tx, decisions)
        metrics.WITHDRAWN_TOTAL.inc(len(lost))
        return len(lost)


class Marker:
    """Marks what is due soon and what is overdue, in the order of their moments; others may mark beside it."""

    def __init__(self, rules: Rules, clock: Clock, settled: Settled, *, rows_a_tick: int = 500) -> None:
        self._rules = rules
        self._clock = clock
        self._settled = settled
        self._rows_a_tick = rows_a_tick
        self._counted_at = float("-inf")

    async def remind(self, tx: Transaction) -> int:
        """Tell what is due soon. A reminder missed until after the deadline is not told any more: overdue is."""
        now = self._clock.now()
        found = await store.lock_due_soon(tx, now, self._rows_a_tick)
        decisions = [domain.mark_due_soon(each, now) for each in found]
        await save_decisions(tx, decisions)
        metrics.MARKED_TOTAL.labels("due_soon").inc(len(decisions))
        return len(decisions)

    async def mark_overdue(self, tx: Transaction) -> int:
        """Tell what is overdue, as of the settled hour."""
        settled = self._settled.now()
        if settled is None:
            return 0
        found = await store.lock_overdue(tx, settled, self._rows_a_tick)
        if not found:
            await self._count_overdue(tx)
            return 0
        await self._rules.fetch(tx, {each.calendar_version for each in found})
        nobody = [(each.agency, each.regime) for each in found if each.officer_id is None]
        officers = await registry_copy.reporting_officers(tx, nobody)
        now = self._clock.now()
        decisions = [
            domain.mark_overdue(
                each,
                now,
                self._rules.policy(each),
                self._rules.calendar(each),
                officers.get((each.agency, each.regime)),
            )
            for each in found
        ]
        await save_decisions(tx, decisions)
        metrics.MARKED_TOTAL.labels("overdue").inc(len(decisions))
        return len(decisions)

    async def _count_overdue(self, tx: Transaction) -> None:
        monotonic = monotonic_seconds()
        if monotonic - self._counted_at >= COUNT_SECONDS:
            metrics.OVERDUE_OBLIGATIONS.set((await tx.execute(_OVERDUE_COUNT)).scalar_one())
            self._counted_at = monotonic


async def save_decisions(tx: Transaction, decisions: Iterable[Decision]) -> None:
    """Save states, append lines and publish, in this order."""
    decided = list(decisions)
    lines = [(each.obligation.key, line) for each in decided for line in each.lines]
    told: list[ComplianceEvent] = [event for each in decided for event in each.events]
    metrics.SCORE_LINES_TOTAL.inc(len(lines))
    await store.save(tx, [each.obligation for each in decided], lines)
    await publish(tx, told)


def _governing_request(versions: list[Regime], request: Request) -> Regime | None:
    try:
        period = parse(request.request_id)
    except PeriodError:
        return None
    if period.frequency != "adhoc":
        return None
    return governing_version(versions, period, issued_on=request.issued_at.astimezone(LOCAL_ZONE).date())


def _may_lose_periods(versions: list[Regime]) -> bool:
    """Whether generated periods of a regime can have lost their governing version, or their request's agencies."""
    return len(versions) != 1 or versions[0].frequency == "adhoc" or versions[0].effective_to is not None


def _still_governed(obligation: Obligation, versions: list[Regime], requests: dict[str, Request]) -> bool:
    period = parse(obligation.period)
    if period.frequency == "adhoc":
        request = requests.get(obligation.period)
        if request is None or _governing_request(versions, request) is None:
            return False
        return not request.agencies or obligation.agency in request.agencies
    return governing_version(versions, period) is not None
