"""What is due is found by state, never by the hour: a tick that was missed is made good by the next one.

Generation, reminders and overdue marks each handle a bounded number of rows in one transaction and say how many. A
period or an obligation that cannot be handled is set back (see setbacks.py) and stops none of its neighbours.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from datetime import datetime, timedelta
from typing import Literal

from sqlalchemy import text

from services.scoring import metrics, registry
from services.scoring.calendar import horizon
from services.scoring.obligations import domain, generator, setbacks, store
from services.scoring.obligations.deadlines import Plan, Regime, Request, Unplanned, plan_of_request, plans_between
from services.scoring.obligations.domain import Decision, Obligation
from services.scoring.obligations.store import Found
from services.scoring.reference_data import Rules
from services.scoring.scores.policy import PolicyMissing
from shared.contract.addressing import addresses
from shared.contract.events import ComplianceEvent
from shared.contract.period import parse
from shared.contract.reporting_window import NoWindow, window_of
from shared.outbox import caused_by, publish
from shared.postgres.database import Transaction, is_infrastructure
from shared.postgres.each_alone import each_alone
from shared.runtime.clock import LOCAL_ZONE, Clock, monotonic_seconds
from shared.telemetry import tracing

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
        unplanned: list[Unplanned] = []
        regimes = await registry.read_regimes(tx, unreadable=unplanned)
        requests = await registry.read_requests(tx)
        plans = await self._plans(tx, regimes, requests, since, now, unplanned)
        plans = await self._without_setbacks(tx, plans, unplanned)
        agencies = await generator.unplanned_agencies(tx, self._agencies_a_tick)
        if agencies:
            return len(agencies) + await self._replan_agencies(tx, agencies, plans, now)
        missing = (await generator.not_yet_planned(tx, plans))[: self._plans_a_tick]
        if missing:
            return len(missing) + await self._open_plans(tx, missing, regimes, requests, now)
        await generator.complete(tx, now)
        return 0

    async def _without_setbacks(self, tx: Transaction, plans: list[Plan], unplanned: list[Unplanned]) -> list[Plan]:
        """Record what cannot be planned, forget what is over, leave out what rests."""
        failing = {each.subject: each.why for each in unplanned}
        known = await setbacks.read(tx, "plan")
        told = {subject: error for subject, error in failing.items() if subject not in known}
        await setbacks.record(tx, "plan", told)
        await setbacks.clear(tx, "plan", known.keys() - failing.keys())
        generating = await setbacks.read(tx, "generate")
        subjects = {plan.subject for plan in plans}
        # its regime has another version now, or the period is over
        await setbacks.clear(tx, "generate", generating.keys() - subjects)
        await setbacks.publish_counts(tx)
        return [plan for plan in plans if not (plan.subject in generating and generating[plan.subject].resting)]

    async def _since(self, tx: Transaction, now: datetime) -> datetime:
        """Deadlines from here on are generated.

        Back to the last complete generation if it is long ago, and always `catch_up` back, for a registry that arrives
        late; never before the first start: what was owed before is only taken up when a report of it comes.
        """
        started_at, complete_at = await generator.progress(tx, now)
        return max(started_at, min(complete_at, now - self._catch_up))

    async def _plans(
        self,
        tx: Transaction,
        regimes: dict[str, list[Regime]],
        requests: dict[str, Request],
        since: datetime,
        now: datetime,
        unplanned: list[Unplanned],
    ) -> list[Plan]:
        calendar = await self._rules.current_calendar(tx)
        horizon.publish(calendar, now.astimezone(LOCAL_ZONE).date())
        until = now + self._horizon
        found: list[Plan | Unplanned | None] = []
        for code, versions in regimes.items():
            try:
                found += plans_between(versions, since, until, calendar)
            except Exception as error:  # whatever it is, it is this regime's alone
                found.append(Unplanned(code, 0, "*", setbacks.why(error)))
        for request in requests.values():
            found.append(plan_of_request(regimes.get(request.regime, []), request, since, until, calendar))
        unplanned += [each for each in found if isinstance(each, Unplanned)]
        plans = [each for each in found if isinstance(each, Plan)]
        return sorted(plans, key=lambda plan: (plan.deadline, plan.regime, plan.period))

    async def _replan_agencies(self, tx: Transaction, codes: list[str], plans: list[Plan], now: datetime) -> int:
        closed = await store.lock_of_closed(tx, codes)
        withdrawn, failed = await each_alone(
            tx, closed.obligations, lambda part: self._withdraw(tx, part, now), passes=_passes
        )
        await setbacks.record(tx, "withdraw", _reasons(closed, failed))

        async def generate(part: Sequence[Plan]) -> int:
            told = await generator.generate(tx, [self._rules.opening(plan) for plan in part], now, codes)
            await publish(tx, told)
            return len(told)

        opened, set_back = await each_alone(tx, plans, generate, passes=_passes)
        # planned for the others already: to be generated again for all, once it has rested
        await generator.forget(tx, (plan for plan, _ in set_back))
        await self._settle_plans(tx, plans, set_back)
        await generator.agencies_planned(tx, codes)
        metrics.OBLIGATIONS_OPENED_TOTAL.labels("generator").inc(sum(opened))
        return sum(withdrawn) + sum(opened)

    async def _open_plans(
        self,
        tx: Transaction,
        plans: list[Plan],
        regimes: dict[str, list[Regime]],
        requests: dict[str, Request],
        now: datetime,
    ) -> int:
        async def generate(part: Sequence[Plan]) -> int:
            withdrawn = 0
            for code in sorted({plan.regime for plan in part}):
                if not _may_lose_periods(regimes.get(code, [])):
                    continue
                untouched = await store.lock_untouched(tx, code, now)
                lost = [each for each in untouched if not _still_governed(each, regimes.get(code, []), requests)]
                withdrawn += await self._withdraw(tx, lost, now)
            chosen = [self._rules.opening(plan) for plan in part]
            told = await generator.generate(tx, chosen, now)
            await generator.planned(tx, chosen, told, now)
            await publish(tx, told)
            metrics.OBLIGATIONS_OPENED_TOTAL.labels("generator").inc(len(told))
            return withdrawn + len(told)

        done, set_back = await each_alone(tx, plans, generate, passes=_passes)
        await self._settle_plans(tx, plans, set_back)
        return sum(done)

    async def _settle_plans(
        self, tx: Transaction, plans: Sequence[Plan], set_back: Sequence[tuple[Plan, Exception]]
    ) -> None:
        failed = {plan.subject: setbacks.why(error) for plan, error in set_back}
        await setbacks.record(tx, "generate", failed)
        known = await setbacks.read(tx, "generate")
        await setbacks.clear(tx, "generate", ({plan.subject for plan in plans} & known.keys()) - failed.keys())

    async def _withdraw(self, tx: Transaction, lost: Sequence[Obligation], now: datetime) -> int:
        await self._rules.fetch(tx, {each.calendar_version for each in lost}, {each.policy_version for each in lost})
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
        """Tell what is due soon. A reminder missed until after the deadline is not told any more: overdue is.

        Nobody is reminded before it is known what has been applied: a database that is built again would remind those
        whose reports it has not read yet.
        """
        if self._settled.now() is None:
            return 0
        now = self._clock.now()
        found = await store.lock_due_soon(tx, now, self._rows_a_tick)
        return await self._mark(tx, found, "due_soon", lambda each: domain.mark_due_soon(each, now))

    async def mark_overdue(self, tx: Transaction) -> int:
        """Tell what is overdue, as of the settled hour."""
        settled = self._settled.now()
        if settled is None:
            return 0
        found = await store.lock_overdue(tx, settled, self._rows_a_tick)
        if not found.rows:
            await self._count_overdue(tx)
            return 0
        await self._rules.fetch(
            tx,
            {each.calendar_version for each in found.obligations},
            {each.policy_version for each in found.obligations},
        )
        nobody = [(each.agency, each.regime) for each in found.obligations if each.officer_id is None]
        officers = await registry.reporting_officers(tx, nobody)
        now = self._clock.now()

        def decide(each: Obligation) -> Decision:
            policy, calendar = self._rules.policy(each), self._rules.calendar(each)
            return domain.mark_overdue(each, now, policy, calendar, officers.get((each.agency, each.regime)))

        return await self._mark(tx, found, "overdue", decide)

    async def _mark(
        self,
        tx: Transaction,
        found: Found,
        mark: Literal["due_soon", "overdue"],
        decide: Callable[[Obligation], Decision],
    ) -> int:
        async def work(part: Sequence[Obligation]) -> int:
            with _own_traces(mark, part):
                await save_decisions(tx, [decide(each) for each in part])
            return len(part)

        done, failed = await each_alone(tx, found.obligations, work, passes=_passes)
        await setbacks.record(tx, mark, _reasons(found, failed))
        known = await setbacks.read(tx, mark)
        await setbacks.clear(
            tx, mark, ({each.key for each in found.obligations} & known.keys()) - {o.key for o, _ in failed}
        )
        metrics.MARKED_TOTAL.labels(mark).inc(sum(done))
        return found.rows

    async def _count_overdue(self, tx: Transaction) -> None:
        monotonic = monotonic_seconds()
        if monotonic - self._counted_at >= COUNT_SECONDS:
            metrics.OVERDUE_OBLIGATIONS.set((await tx.execute(_OVERDUE_COUNT)).scalar_one())
            self._counted_at = monotonic


@contextmanager
def _own_traces(mark: str, obligations: Sequence[Obligation]) -> Iterator[None]:
    """For the length of the block: what is published about each obligation begins a trace of its own.

    No event causes what a sweep finds, so without this a notice of it would stand in no trace.
    """
    with ExitStack() as spans:
        traces = {}
        for obligation in obligations:
            attributes = {"messaging.kafka.message.key": obligation.key}
            span = spans.enter_context(tracing.span(f"deadline sweep {mark}", attributes=attributes))
            traces[obligation.key] = tracing.traceparent(span) or ""
        with caused_by(traces):
            yield


async def save_decisions(tx: Transaction, decisions: Iterable[Decision]) -> None:
    """Save states, append lines and publish, in this order."""
    decided = list(decisions)
    lines = [(each.obligation.key, line) for each in decided for line in each.lines]
    told: list[ComplianceEvent] = [event for each in decided for event in each.events]
    metrics.SCORE_LINES_TOTAL.inc(len(lines))
    await store.save(tx, [each.obligation for each in decided], lines)
    await publish(tx, told)


def _passes(error: BaseException) -> bool:
    # a policy whose file is gone is an operator's to mend, but only what is scored by it waits for that
    return is_infrastructure(error) and not isinstance(error, PolicyMissing)


def _reasons(found: Found, failed: Sequence[tuple[Obligation, Exception]]) -> dict[str, str]:
    reasons = {key: setbacks.why(error) for key, error in found.unreadable.items()}
    return reasons | {each.key: setbacks.why(error) for each, error in failed}


def _may_lose_periods(versions: list[Regime]) -> bool:
    """Whether generated periods of a regime can have lost their governing version, or their request's agencies."""
    return len(versions) != 1 or versions[0].frequency == "adhoc" or versions[0].effective_to is not None


def _still_governed(obligation: Obligation, versions: list[Regime], requests: dict[str, Request]) -> bool:
    window = window_of(versions, parse(obligation.period), requests.get(obligation.period))
    if isinstance(window, NoWindow):
        return False
    return addresses(window.addressed, obligation.agency)
