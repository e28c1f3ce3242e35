"""Retries a batch until every event in it is applied, deferred or buried.

It waits out infrastructure trouble and traces a data error to the event at fault. A batch that keeps failing the same
way although the database answers is split, so that the other events continue (shared/consuming/isolating.py).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import Any, Protocol

from shared.consuming import inbox
from shared.consuming.applying import Applier, BatchOutcome, QueueBehind, Seen
from shared.consuming.batch import Event
from shared.consuming.dlq_limit import Absurd, DlqLimit, Tally
from shared.consuming.halting import Halting
from shared.consuming.health import Health
from shared.consuming.isolating import Part, Progress, answers, may_be_its_own
from shared.consuming.parsing import Bad
from shared.consuming.preparing import Prepared
from shared.postgres.database import Database, is_infrastructure
from shared.runtime import failpoints
from shared.runtime.clock import Clock
from shared.runtime.retry import Backoff
from shared.telemetry import metrics
from shared.telemetry.logging import get_logger

log = get_logger()

LONGEST_BACKOFF_SECONDS = 5.0


class Stopping(Exception):
    """The service stops while a batch waits: nothing of the batch is committed."""


class Edge(Protocol):
    """How the subscription waits while a batch cannot continue. Both methods raise Stopping when the service stops."""

    async def wait_out(self, error: BaseException, seconds: float) -> None: ...

    async def pause(self, seconds: float) -> None: ...


class UntilDone:
    """Applies the batches of one subscription, each part in its own transaction."""

    def __init__(
        self,
        applier: Applier,
        database: Database,
        clock: Clock,
        health: Health,
        limit: DlqLimit,
        halting: Halting,
        progress: Progress,
        edge: Edge,
    ) -> None:
        self._applier = applier
        self._consumer = applier.consumer
        self._database = database
        self._clock = clock
        self._health = health
        self._limit = limit
        self._halting = halting
        self._progress = progress
        self._edge = edge
        self._repeats = False  # whether the last part had already applied events
        metrics.CONSUMER_SPLITS_TOTAL.labels(self._consumer)
        for reason in ("costly", "failing"):
            metrics.CONSUMER_DEFERRED_ALONE_TOTAL.labels(self._consumer, reason)
        for reason in ("unprepared", "failing"):
            metrics.CONSUMER_GIVEN_UP_TOTAL.labels(self._consumer, reason)

    async def apply(self, events: Sequence[Event[Any]], bad: Sequence[Bad], records: int) -> None:
        """Return once all are applied, deferred or buried. Raises only Stopping (and CancelledError)."""
        first_seen = self._clock.now()
        backoff = Backoff(0.05, LONGEST_BACKOFF_SECONDS)
        parts = deque([Part(events, bad, records)])
        while parts:
            await self._halting.may_go_on(self._edge.pause)
            part = parts.popleft()
            part.attempts += 1
            try:
                outcome, tally = await self._apply(part, Seen(part.attempts, first_seen))
            except Absurd as absurd:
                parts.appendleft(part)
                await self._halting.halt(absurd, self._edge.pause)
            except QueueBehind:
                part.isolate = True
                parts.appendleft(part)
            except Exception as error:
                if is_infrastructure(error):
                    await self._edge.wait_out(error, backoff.next_seconds())
                    # split what keeps failing while the database answers; its parts come last
                    answered = may_be_its_own(error) and await answers(self._database)
                    parts.extend(self._taken_apart(part, part.failed(error, answered, self._progress, bool(parts))))
                elif part.isolate:
                    # the fault lies in deferring or burying, not in the handler; retry, so that the batch is not lost
                    await self._edge.wait_out(error, LONGEST_BACKOFF_SECONDS)
                    parts.appendleft(part)
                else:
                    log.warning(
                        "A batch failed because of its data; looking for the event at fault.",
                        action="consumer.isolating",
                        events=len(part.events),
                        error=repr(error)[:2000],
                    )
                    parts.extendleft(reversed(self._without_culprit(part, error)))
            else:
                metrics.CONSUMER_BAD_SENDERS.labels(self._consumer).set(self._limit.note(tally, self._consumer))
                self._progress.applied += bool(outcome.applied)
                self._repeats = bool(outcome.duplicates)
                self._health.trouble = ""
                backoff.reset()
                self._count(outcome)
                if outcome.alone:
                    reason = "failing" if part.deferred else "costly"
                    metrics.CONSUMER_DEFERRED_ALONE_TOTAL.labels(self._consumer, reason).inc(outcome.alone)
                parts.extendleft(part.rest())

    async def _apply(self, part: Part, seen: Seen) -> tuple[BatchOutcome, Tally]:
        """Prepare, then make one attempt in one transaction."""
        if part.prepared is None:
            part.prepared = await self._prepare(part.events)
        async with self._database.transaction() as tx:
            if (shorter := part.shortened(self._progress)) is not None:
                await tx.execute(shorter)
            outcome = await self._applier.apply(
                tx, part.events, part.bad, seen, isolate=part.isolate, prepared=part.prepared
            )
            tally = Tally.of(part.records, part.events, outcome.letters, self._halting.excused)
            self._limit.check(tally)
            failpoints.hit("consumer.before_database_commit")
        return outcome, tally

    async def _prepare(self, events: Sequence[Event[Any]]) -> Prepared:
        prepare = self._applier.inbound.prepare
        if prepare is None:
            return Prepared()
        if self._repeats:  # during a replay: skip events already applied
            async with self._database.read_transaction() as snapshot:
                applied = await inbox.claimed(snapshot, self._consumer, [event.id for event in events])
            events = [event for event in events if event.id not in applied]
        return await prepare(events, self._database.read_transaction, apart=False)

    def _taken_apart(self, part: Part, parts: list[Part]) -> list[Part]:
        if parts != [part]:
            metrics.CONSUMER_SPLITS_TOTAL.labels(self._consumer).inc()
            log.warning(
                "Splitting a batch that keeps failing while the database answers.",
                action="consumer.taken_apart",
                events=len(part.events),
                parts=len(parts),
            )
        return parts

    def _without_culprit(self, part: Part, error: Exception) -> list[Part]:
        """After a data error: find the event at fault by savepoints, or by splitting if preparing failed."""
        if part.prepared is not None:
            part.isolate = True
        elif len(part.events) > 1:
            return part.split()
        else:
            part.refuse(error)
        return [part]

    def _count(self, outcome: BatchOutcome) -> None:
        for metric, counts in (
            (metrics.CONSUMER_APPLIED_TOTAL, outcome.applied),
            (metrics.CONSUMER_DUPLICATES_TOTAL, outcome.duplicates),
            (metrics.CONSUMER_DEFERRED_TOTAL, outcome.deferred),
            (metrics.CONSUMER_REJECTED_TOTAL, outcome.rejected),
        ):
            for kind, number in counts.items():
                metric.labels(self._consumer, kind).inc(number)
