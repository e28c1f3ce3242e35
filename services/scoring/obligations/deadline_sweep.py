"""What time alone changes is found by state, never by the hour: a tick that was missed is made good by the next one.

The sweep asks for obligations whose `next_at` lies behind, notes what has happened, and lets the pure rule decide. A
row that cannot be handled is set back (setbacks.py) and stops none of its neighbours.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from datetime import datetime

from sqlalchemy import text

from services.scoring import metrics, registry
from services.scoring.obligations import deciding, domain, setbacks, store
from services.scoring.obligations.deciding import Proposed
from services.scoring.obligations.domain import Obligation
from services.scoring.obligations.facts import with_passing, with_relief
from services.scoring.obligations.standing import has_passed, is_due_soon
from services.scoring.reference_data import Rules
from services.scoring.reliefs import store as reliefs
from services.scoring.reliefs.intake_gaps import IntakeGaps
from services.scoring.reliefs.late_verdicts import LateVerdicts
from services.scoring.reliefs.standstill import Standstill
from services.scoring.scores.policy import PolicyMissing
from shared.outbox import caused_by
from shared.postgres.database import Transaction, is_infrastructure
from shared.postgres.each_alone import each_alone
from shared.runtime.clock import Clock, monotonic_seconds
from shared.telemetry import tracing

_OVERDUE_COUNT = text("SELECT count(*) FROM obligations WHERE overdue")

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


class DeadlineSweep:
    """Reminds of deadlines ahead and notes deadlines behind, in the order of their moments; others may sweep beside it.

    Reliefs reach their obligations here, before anything else: nobody is reminded or called overdue by a deadline that
    has moved, nor by one of which intake has not told that reports could be sent until then.
    """

    def __init__(
        self,
        rules: Rules,
        clock: Clock,
        settled: Settled,
        *,
        rows_a_tick: int = 500,
        standstill: Standstill | None = None,
        intake: IntakeGaps | None = None,
        late: LateVerdicts | None = None,
    ) -> None:
        self._rules = rules
        self._clock = clock
        self._settled = settled
        self._rows_a_tick = rows_a_tick
        self._standstill = standstill
        self._intake = intake
        self._late = late
        self._counted_at = float("-inf")

    async def tick(self, tx: Transaction) -> int:
        """One step, as of the settled hour; returns the obligations gone through.

        A reminder missed until after the deadline is not sent any more: overdue is. Nobody is reminded before it is
        known what has been applied: a database that is built again would remind those whose reports it has not read.
        """
        settled = self._settled.now()
        if settled is None:
            return 0
        # Read first: intake tells of a gap before anything later, so the gaps before this hour are seen below. Read
        # after them, it may vouch for an hour whose gap came between the two.
        vouched = None if self._intake is None else await self._intake.vouched_until(tx)
        if await self._propose_reliefs(tx, settled):
            return 1
        # after it: another instance may have had the gap, and have proposed meanwhile
        scoped = await reliefs.lock_unapplied(tx)
        if scoped is not None:
            return await self._apply(tx, scoped)
        settled = settled if vouched is None else min(settled, vouched)
        again = await setbacks.due(tx, "relief", self._rows_a_tick)
        if again:
            return await self._apply_again(tx, again)
        found = await store.lock_due(tx, settled, self._rows_a_tick)
        if not found.rows:
            await self._count_overdue(tx)
            return 0
        passed = [
            obligation for obligation in found.obligations if has_passed(obligation.facts, obligation.state, settled)
        ]
        officers = await registry.reporting_officers(
            tx, [(obligation.agency, obligation.regime) for obligation in passed]
        )
        now = self._clock.now()

        def propose(obligation: Obligation) -> Proposed:
            facts = obligation.facts
            if has_passed(facts, obligation.state, settled):
                facts = with_passing(facts, settled, officers.get((obligation.agency, obligation.regime)))
            elif is_due_soon(obligation.terms, facts, obligation.state, settled):
                facts = domain.reminded(obligation, now)
            return Proposed(obligation, obligation.terms, facts, now)

        async def work(part: Sequence[Obligation]) -> int:
            with _own_traces(part):
                return await deciding.settle_all(tx, self._rules, [propose(obligation) for obligation in part])

        _, failed = await each_alone(tx, found.obligations, work, passes=passes)
        reasons = {key: setbacks.why(error) for key, error in found.unreadable.items()}
        reasons |= {obligation.key: setbacks.why(error) for obligation, error in failed}
        await setbacks.settle(tx, "deadline", [obligation.key for obligation in found.obligations], reasons)
        return found.rows

    async def _propose_reliefs(self, tx: Transaction, settled: datetime) -> bool:
        """True where the system has looked into a failing of its own: what it proposes is applied before the rest."""
        if self._standstill is not None and await self._standstill.note(tx, settled):
            return True
        if self._intake is not None and await self._intake.propose(tx):
            return True
        return self._late is not None and await self._late.propose(tx)

    async def _apply(self, tx: Transaction, scoped: reliefs.ScopedRelief) -> int:
        """A part of the obligations that a relief covers, in key order; the relief is done with the last part."""
        relief = scoped.relief
        found = await store.lock_covered(
            tx, relief, agencies=scoped.agencies, regimes=scoped.regimes, keys=scoped.obligations,
            after=scoped.applied_until, limit=self._rows_a_tick,
        )  # fmt: skip
        if not found.rows:
            await reliefs.applied(tx, relief)
            return 1
        reasons = await self._relieve(tx, found, [scoped])
        await setbacks.record(tx, "relief", reasons)
        await reliefs.applied_until(tx, relief, found.last_key)
        return found.rows

    async def _apply_again(self, tx: Transaction, keys: Sequence[str]) -> int:
        """Give every relief that covers them to obligations that could not take one before."""
        found = await store.lock_readable(tx, keys)
        reasons = await self._relieve(tx, found, await reliefs.read_all(tx))
        await setbacks.settle(tx, "relief", keys, reasons)
        return len(keys)

    async def _relieve(
        self, tx: Transaction, found: store.Found, given: Sequence[reliefs.ScopedRelief]
    ) -> dict[str, str]:
        """Apply these to the obligations that they cover; returns why some could not be handled, by key."""
        now = self._clock.now()

        def propose(obligation: Obligation) -> Proposed:
            facts = obligation.facts
            for scoped in given:
                if scoped.covers(obligation.key):
                    facts = with_relief(facts, scoped.relief)
            return Proposed(obligation, obligation.terms, facts, now)

        async def work(part: Sequence[Obligation]) -> int:
            return await deciding.settle_all(tx, self._rules, [propose(obligation) for obligation in part])

        _, failed = await each_alone(tx, found.obligations, work, passes=passes)
        reasons = {key: setbacks.why(error) for key, error in found.unreadable.items()}
        return reasons | {obligation.key: setbacks.why(error) for obligation, error in failed}

    async def _count_overdue(self, tx: Transaction) -> None:
        monotonic = monotonic_seconds()
        if monotonic - self._counted_at >= COUNT_SECONDS:
            metrics.OVERDUE_OBLIGATIONS.set((await tx.execute(_OVERDUE_COUNT)).scalar_one())
            self._counted_at = monotonic


@contextmanager
def _own_traces(obligations: Sequence[Obligation]) -> Iterator[None]:
    """For the length of the block: what is published about each obligation begins a trace of its own.

    No event causes what a sweep finds, so without this a notice of it would stand in no trace.
    """
    with ExitStack() as spans:
        traces = {}
        for obligation in obligations:
            attributes = {"messaging.kafka.message.key": obligation.key}
            span = spans.enter_context(tracing.span("deadline sweep", attributes=attributes))
            traces[obligation.key] = tracing.traceparent(span) or ""
        with caused_by(traces):
            yield


def passes(error: BaseException) -> bool:
    """Whether an error says nothing about a row; a policy that is gone concerns only what is scored by it."""
    return is_infrastructure(error) and not isinstance(error, PolicyMissing)
