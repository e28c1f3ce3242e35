"""Obligations are generated ahead, and follow what changes: registry, calendar, policies. Idempotent, by state.

Each tick handles a bounded number of rows in one transaction and says how many. A period or an obligation that cannot
be handled is set back (setbacks.py) and stops none of its neighbours.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from msgspec.structs import replace

from services.scoring import metrics, registry
from services.scoring.calendar import WorkingCalendar, horizon
from services.scoring.obligations import deciding, generator, setbacks, store, transfers, withdrawals
from services.scoring.obligations.deadline_sweep import passes
from services.scoring.obligations.deadlines import (
    Agencies,
    Agency,
    Plan,
    Regime,
    Request,
    Unplanned,
    notice_until,
    plan_of_request,
    plans_between,
)
from services.scoring.obligations.deciding import Proposed, outgoing
from services.scoring.obligations.domain import Obligation
from services.scoring.obligations.facts import Terms
from services.scoring.obligations.generator import Opening, follow_plan
from services.scoring.obligations.standing import untouched
from services.scoring.reference_data import Rules
from services.scoring.reliefs import store as reliefs
from services.scoring.reliefs.decisions import publish_count
from shared.contract.addressing import asked_on
from shared.contract.events import ObligationChanged
from shared.contract.period import parse
from shared.contract.reporting_window import NoWindow, local_day, window_of
from shared.outbox import publish
from shared.postgres.database import Transaction
from shared.postgres.each_alone import each_alone
from shared.runtime.clock import Clock

_MOVED_AT_ONCE = 500


@dataclass(frozen=True, slots=True)
class _Span:
    """Which deadlines a tick looks at."""

    now: datetime
    since: datetime
    replan_from: datetime
    until: datetime


@dataclass(frozen=True, slots=True)
class _Registry:
    """The registry as it is in this tick."""

    regimes: Mapping[str, list[Regime]]
    requests: Mapping[str, Request]
    people: Agencies

    def still_asks(self, obligation: Obligation) -> bool:
        """Whether the report is asked of the obligation's agency, or of one from which it was handed on.

        What becomes of it when the agency closes: transfers.py.
        """
        versions, request = self.regimes.get(obligation.regime, []), self.requests.get(obligation.period)
        if request is not None:  # what becomes of a withdrawn one: withdrawals.py
            request = dataclasses.replace(request, withdrawn_at=None)
        window = window_of(versions, parse(obligation.period), request)
        if isinstance(window, NoWindow):
            return False
        for code in obligation.terms.origins or (obligation.agency,):
            agency = self.people.by_code.get(code)
            if agency is None or asked_on(agency, window.governing, window.addressed, self.people.tree, window.last):
                return True
        return False


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
        opened_a_tick: int = 2000,
    ) -> None:
        self._rules = rules
        self._clock = clock
        self._horizon = timedelta(days=horizon_days)
        self._catch_up = timedelta(days=catch_up_days)
        self._plans_a_tick = plans_a_tick
        self._agencies_a_tick = agencies_a_tick
        self._opened_a_tick = opened_a_tick
        self._everybody = registry.Everybody()

    async def tick(self, tx: Transaction) -> int:
        """One step; returns the obligations opened, changed or withdrawn plus the agencies and plans gone through."""
        now = self._clock.now()
        if withdrawn := await withdrawals.withdraw(tx, self._rules, self._plans_a_tick, now):
            return withdrawn
        span = await self._span(tx, now)
        unplanned: list[Unplanned] = []
        regimes = await registry.read_regimes(tx, unreadable=unplanned)
        requests = await registry.read_requests(tx)
        plans = await self._plans(tx, regimes, requests, span, unplanned)
        plans = await self._without_setbacks(tx, plans, unplanned)
        openings = await self._openings(tx, plans)
        agencies = await generator.unplanned_agencies(tx, self._agencies_a_tick)
        if agencies:
            about = _Registry(regimes, requests, await self._everybody.read(tx))
            return len(agencies) + await self._replan_agencies(tx, agencies, openings, about, span)
        missing = await generator.not_yet_planned(tx, openings, self._plans_a_tick)
        if missing:
            about = _Registry(regimes, requests, await self._everybody.read(tx))
            return len(missing) + await self._open_plans(tx, missing, about, span)
        await generator.complete(tx, now)
        return 0

    async def _without_setbacks(self, tx: Transaction, plans: list[Plan], unplanned: list[Unplanned]) -> list[Plan]:
        """Record what cannot be planned, forget what is over, leave out what rests."""
        failing = {failed.subject: failed.why for failed in unplanned}
        recorded = await setbacks.read(tx, "plan")
        new = {subject: error for subject, error in failing.items() if subject not in recorded}
        await setbacks.record(tx, "plan", new)
        await setbacks.clear(tx, "plan", recorded.keys() - failing.keys())
        generating = await setbacks.read(tx, "generate")
        subjects = {plan.subject for plan in plans}
        # its regime has another version now, or the period is over
        await setbacks.clear(tx, "generate", generating.keys() - subjects)
        await setbacks.publish_counts(tx)
        await publish_count(tx)
        return [plan for plan in plans if not (plan.subject in generating and generating[plan.subject].resting)]

    async def _openings(self, tx: Transaction, plans: list[Plan]) -> list[Opening]:
        """The plans as terms; one that has none is set back alone, and planned again for everybody once it has."""
        openings: list[Opening] = []
        failed: dict[str, str] = {}
        for plan in plans:
            try:
                openings.append(self._rules.opening(plan))
            except Exception as error:
                if passes(error):
                    raise
                failed[plan.subject] = setbacks.why(error)
        if failed:
            await setbacks.record(tx, "generate", failed)
            await generator.forget(tx, (plan for plan in plans if plan.subject in failed))
        return openings

    async def _span(self, tx: Transaction, now: datetime) -> _Span:
        """Deadlines from `since` on are generated; from `replan_from` on, what exists follows newer rules.

        Back to the last complete generation if it is long ago, and always `catch_up` back, for a registry that arrives
        late; never before the first start: what was owed before is only taken up when a report of it comes.
        """
        progress = await generator.progress(tx, now, await self._rules.in_force(tx))
        since = max(progress.started_at, min(progress.complete_at, now - self._catch_up))
        return _Span(now, since, min(since, progress.replan_from or since), now + self._horizon)

    async def _plans(
        self,
        tx: Transaction,
        regimes: dict[str, list[Regime]],
        requests: dict[str, Request],
        span: _Span,
        unplanned: list[Unplanned],
    ) -> list[Plan]:
        calendar = await self._rules.current_calendar(tx)
        horizon.publish(calendar, local_day(span.now))
        since, until = span.replan_from, span.until
        found: list[Plan | Unplanned | None] = []
        for code, versions in regimes.items():
            try:
                found += plans_between(versions, since, until, calendar)
            except Exception as error:  # whatever it is, it is this regime's alone
                found.append(Unplanned(code, 0, "*", setbacks.why(error)))
        for request in requests.values():
            found.append(plan_of_request(regimes.get(request.regime, []), request, since, until, calendar))
        unplanned += [plan for plan in found if isinstance(plan, Unplanned)]
        plans = [plan for plan in found if isinstance(plan, Plan)]
        return sorted(plans, key=lambda plan: (plan.deadline, plan.regime, plan.period))

    async def _replan_agencies(
        self, tx: Transaction, codes: list[str], openings: list[Opening], about: _Registry, span: _Span
    ) -> int:
        await generator.agencies_planned(tx, codes)  # before: an heir among them may have to be looked at again
        calendar = await self._rules.current_calendar(tx)

        def notice(terms: Terms) -> datetime:
            return notice_until(span.now, self._rules.policy(terms).notice_working_days, calendar)

        unanswered = await store.lock_unanswered(tx, codes, span.now)
        # of a regime that cannot be read nobody knows whom it asks
        lost = [kept for kept in unanswered.obligations if kept.regime in about.regimes and not about.still_asks(kept)]
        left, stuck = await each_alone(tx, lost, lambda part: self._withdraw(tx, part, span.now), passes=passes)
        closings = await registry.read_closings(tx, codes)
        handed_on = await store.lock_handed_on(tx, codes)
        returned, kept_away = await each_alone(
            tx,
            handed_on.obligations,
            lambda part: transfers.take_back(tx, self._rules, part, closings, span.now, notice),
            passes=passes,
        )
        closed = await store.lock_of_closed(tx, codes)
        withdrawn, failed = await each_alone(
            tx,
            closed.obligations,
            lambda part: transfers.close(tx, self._rules, part, closings, span.now, notice),
            passes=passes,
        )
        unreadable = {**unanswered.unreadable, **handed_on.unreadable, **closed.unreadable}
        reasons = {key: setbacks.why(error) for key, error in unreadable.items()}
        reasons |= {lost.key: setbacks.why(error) for lost, error in (*stuck, *kept_away, *failed)}
        await setbacks.record(tx, "withdraw", reasons)

        async def generate(part: Sequence[Opening]) -> tuple[int, bool]:
            return await self._generate(tx, part, about, span, codes)

        generated, set_back = await each_alone(tx, openings, generate, passes=passes)
        # planned for the others already: to be generated again for all, once it has rested
        await generator.forget(tx, (opening.plan for opening, _ in set_back))
        await self._settle_plans(tx, openings, set_back)
        if not all(whole for _, whole in generated):
            await generator.agencies_planned(tx, codes, planned=False)  # the next step goes on with them
        return sum(left) + sum(returned) + sum(withdrawn) + sum(changed for changed, _ in generated)

    async def _open_plans(
        self,
        tx: Transaction,
        openings: list[Opening],
        about: _Registry,
        span: _Span,
    ) -> int:
        async def generate(part: Sequence[Opening]) -> int:
            withdrawn = 0
            for code in sorted({opening.plan.regime for opening in part}):
                if not _may_lose_periods(about.regimes.get(code, [])):
                    continue
                unanswered = await store.lock_unanswered_of(tx, code, span.now)
                lost = [kept for kept in unanswered if not about.still_asks(kept)]
                withdrawn += await self._withdraw(tx, lost, span.now)
            changed, whole = await self._generate(tx, part, about, span)
            if whole:
                await generator.planned(tx, part, span.now)
            return withdrawn + changed

        done, set_back = await each_alone(tx, openings, generate, passes=passes)
        await self._settle_plans(tx, openings, set_back)
        return sum(done)

    async def _generate(
        self,
        tx: Transaction,
        openings: Sequence[Opening],
        about: _Registry,
        span: _Span,
        codes: Sequence[str] | None = None,
    ) -> tuple[int, bool]:
        """Insert what is missing, and have what exists follow its plan. Returns how many, and whether that is all.

        A plan of very many agencies takes several ticks: one transaction for all of them would outlast the timeout of
        its statements and the group's heartbeats.
        """
        ahead = [opening for opening in openings if opening.terms.deadline >= span.since]
        calendar = await self._rules.current_calendar(tx)
        opened: list[ObligationChanged] = []
        for heard, some in _by_regrouping(codes, about.people):
            noticed = ahead if heard is None else [
                self._with_notice(opening, heard, calendar) for opening in ahead if opening.terms.deadline > heard
            ]  # fmt: skip
            left = self._opened_a_tick - len(opened)
            if left > 0:
                opened += await generator.generate(tx, noticed, span.now, about.people, some, limit=left)
        await publish(tx, [outgoing(event) for event in opened])
        metrics.OBLIGATIONS_OPENED_TOTAL.labels("generator").inc(len(opened))
        if opened:
            await reliefs.apply_again(tx, min(event.deadline for event in opened))
            await registry.look_again(tx, {event.agency for event in opened})  # to hand on what is due after it
        if len(opened) >= self._opened_a_tick:
            return len(opened), False
        moved, after = 0, ""
        while unlike := await generator.lock_unlike(tx, openings, about.people, codes, after, _MOVED_AT_ONCE):
            proposed = []
            for opening, row in unlike:
                obligation = store.decode(row[0], row[1], row[2], row[3])
                days = self._rules.policy(opening.terms).notice_working_days
                kept = self._rules.governing(local_day(obligation.terms.deadline))
                if (heard := _told_late(obligation, about.people.by_code.get(obligation.agency), span.now)) is not None:
                    opening = self._with_notice(opening, heard, calendar)
                planned = replace(opening.terms, origins=obligation.terms.origins)
                terms = follow_plan(obligation, planned, notice_until(span.now, days, calendar), kept)
                proposed.append(Proposed(obligation, terms, obligation.facts, span.now))
            moved += await deciding.settle_all(tx, self._rules, proposed)
            owed_again = {change.before.agency for change in proposed if change.terms.owed > change.before.terms.owed}
            await registry.look_again(tx, owed_again)  # to hand on what had fallen
            into = [proposal.terms.deadline for proposal in proposed if proposal.terms is not proposal.before.terms]
            if into:  # such a deadline may lie within a relief that did not concern it before
                await reliefs.apply_again(tx, min(into))
            after = unlike[-1][1][0]
        return len(opened) + moved, True

    def _with_notice(self, opening: Opening, heard: datetime, calendar: WorkingCalendar) -> Opening:
        """The opening for an agency of which scoring heard then that it is of another group: it has notice."""
        until = notice_until(heard, self._rules.policy(opening.terms).notice_working_days, calendar)
        if until <= opening.terms.deadline:
            return opening
        terms = opening.terms.due_at(until)
        return Opening(opening.plan, terms, untouched(terms))

    async def _settle_plans(
        self, tx: Transaction, openings: Sequence[Opening], set_back: Sequence[tuple[Opening, Exception]]
    ) -> None:
        failed = {opening.plan.subject: setbacks.why(error) for opening, error in set_back}
        await setbacks.settle(tx, "generate", [opening.plan.subject for opening in openings], failed)

    async def _withdraw(self, tx: Transaction, lost: Sequence[Obligation], now: datetime) -> int:
        proposed = [
            Proposed(obligation, replace(obligation.terms, owed=False), obligation.facts, now) for obligation in lost
        ]
        metrics.WITHDRAWN_TOTAL.inc(len(lost))
        return await deciding.settle_all(tx, self._rules, proposed)


def _told_late(obligation: Obligation, agency: Agency | None, now: datetime) -> datetime | None:
    """When an agency that owed nothing hears that it owes this after all; None where nothing is new to it.

    Whoever was told that nothing is owed, or was never asked, may have let the deadline pass.
    """
    if obligation.terms.owed:
        return None
    if obligation.state.answer is None and obligation.facts.passed_at is None:
        return now
    return None if agency is None else agency.regrouped_at


def _may_lose_periods(versions: list[Regime]) -> bool:
    """Whether generated periods of a regime can have lost their governing version, or their request's agencies."""
    return len(versions) != 1 or versions[0].frequency == "adhoc" or versions[0].effective_to is not None


def _by_regrouping(
    codes: Sequence[str] | None, people: Agencies
) -> Iterator[tuple[datetime | None, Sequence[str] | None]]:
    """The agencies by the hour at which scoring heard of their other group: None of those that always had theirs."""
    if codes is None:  # of everybody: who came to another group was gone through before
        yield None, None
        return
    parts: dict[datetime | None, list[str]] = {}
    for code in codes:
        agency = people.by_code.get(code)
        parts.setdefault(None if agency is None else agency.regrouped_at, []).append(code)
    yield from parts.items()
