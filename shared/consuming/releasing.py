"""Releases deferred events once the names they await are resolved, and applies single events alone.

An event that fails alone is given up only after many failures of one kind over a long time, if the database answered
after each and other events were applied meanwhile. So an unstable database causes no dead letters.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from shared.consuming import deferred_events
from shared.consuming.applying import RELEASE_EVENTS, Applier, Seen
from shared.consuming.batch import Event
from shared.consuming.isolating import ALIKE_FAILURES, WAYS, Progress, answers, kind_of, may_be_its_own
from shared.consuming.preparing import Prepared, Refusal
from shared.postgres.database import Database, is_infrastructure
from shared.runtime.clock import Clock, monotonic_seconds
from shared.telemetry import metrics
from shared.telemetry.logging import about_event, get_logger

log = get_logger()

#: events to apply alone per round, and the time limit of a round
_ALONE_EVENTS = 1000
_ROUND_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class Patience:
    """When an event that fails alone is given up, and how long it waits between attempts."""

    failures: int = 5
    seconds: float = 60
    first_pause_seconds: float = 5
    longest_pause_seconds: float = 60


@dataclass(slots=True)
class _Trial:
    """Failures of one kind of an event applied alone, while the database answered."""

    began: float
    progress: int
    failures: int = 0
    kind: str = ""
    next_at: float = 0


class Releaser:
    """Releases the deferred events of one subscription, each round in its own transaction."""

    def __init__(
        self,
        applier: Applier,
        database: Database,
        clock: Clock,
        progress: Progress | None = None,
        patience: Patience | None = None,
    ) -> None:
        self._applier = applier
        self._consumer = applier.consumer
        self._prepare = applier.inbound.prepare
        self._database = database
        self._clock = clock
        self._progress = progress or Progress()
        self._patience = patience or Patience()
        self._trials: dict[UUID, _Trial] = {}
        self._asking = asyncio.Lock()
        self._asked_at, self._there = float("-inf"), True
        self._limit = RELEASE_EVENTS
        self._alike, self._kind = 0, ""

    async def anything(self, for_seconds: float) -> bool:
        """Whether any event of the consumer is deferred. An answer holds for so long: two loops ask, one query answers.

        Most of the time there is none, and a look for what could be released costs a transaction that writes.
        """
        async with self._asking:
            if monotonic_seconds() - self._asked_at >= for_seconds:
                async with self._database.read_transaction() as snapshot:
                    self._there = await deferred_events.any_of(snapshot, self._consumer)
                self._asked_at = monotonic_seconds()
                if not self._there:
                    self._trials, self._limit = {}, RELEASE_EVENTS
            return self._there

    async def release_resolved(self) -> int:
        """Release events whose awaited name is resolved. Returns how many."""
        prepared: Prepared | None = None
        only: set[UUID] | None = None
        try:
            if self._prepare is not None or self._limit < RELEASE_EVENTS:
                async with self._database.read_transaction() as snapshot:
                    rows = await self._applier.due(snapshot, self._limit)
                if not rows:
                    self._limit = RELEASE_EVENTS
                    return 0
                only = {row.event_id for row in rows}
                prepared = Prepared()
                if self._limit == 1 and self._alike >= ALIKE_FAILURES:
                    prepared.alone = set(only)
                    metrics.CONSUMER_DEFERRED_ALONE_TOTAL.labels(self._consumer, "failing").inc()
                elif self._prepare is not None:
                    events = [event for row in rows if isinstance(event := self._applier.read(row), Event)]
                    prepared = await self._prepared(events)
            async with self._database.transaction() as tx:
                fed = await self._applier.release(
                    tx, self._clock.now(), limit=self._limit, prepared=prepared, only=only
                )
        except Exception as error:
            await self._narrow(error)
            raise
        self._alike, self._kind = 0, ""
        self._limit = min(RELEASE_EVENTS, self._limit * 2)
        self._progress.applied += fed > 0
        return fed

    async def _prepared(self, events: list[Event[Any]]) -> Prepared:
        assert self._prepare is not None
        try:
            return await self._prepare(events, self._database.read_transaction, apart=False)
        except Exception as error:
            if is_infrastructure(error):
                raise
            return Prepared(alone={event.id for event in events})  # one by one, the event at fault shows

    async def _narrow(self, error: Exception) -> None:
        """Release fewer events at once, until the one that fails is alone."""
        if is_infrastructure(error) and not (may_be_its_own(error) and await answers(self._database)):
            self._alike = 0
            return
        kind = kind_of(error)
        self._alike = self._alike + 1 if kind == self._kind else 1
        self._kind = kind
        if self._alike >= ALIKE_FAILURES and self._limit > 1:
            self._limit = max(1, self._limit // WAYS)

    async def alone(self, stopping: asyncio.Event) -> int:
        """Apply the due events that must be applied alone, one by one. Returns how many are no longer deferred."""
        async with self._database.read_transaction() as snapshot:
            rows = await deferred_events.alone(snapshot, self._consumer, _ALONE_EVENTS)
        there = {event_id for _, event_id in rows}
        self._trials = {event_id: trial for event_id, trial in self._trials.items() if event_id in there}
        begun, ended = monotonic_seconds(), 0
        for row_id, event_id in rows:
            if stopping.is_set() or monotonic_seconds() - begun > _ROUND_SECONDS:
                break
            trial = self._trials.get(event_id)
            if trial is None or trial.next_at <= monotonic_seconds():
                ended += await self._one(row_id, event_id)
        return ended

    async def _one(self, row_id: int, event_id: UUID) -> int:
        async with self._database.read_transaction() as snapshot:
            row = await deferred_events.one(snapshot, row_id, lock=False)
        if row is None:
            return 0
        event = self._applier.read(row)
        trial = self._trials.get(event_id)
        try:
            prepared = Prepared()
            if self._prepare is not None and isinstance(event, Event):
                prepared = await self._prepared_alone(event)
            ended = await self._feed(row_id, prepared, trial)
        except Exception as error:
            return await self._failed(row_id, row, error)
        self._trials.pop(event_id, None)
        self._progress.applied += ended > 0
        for refusal in prepared.refused.values():
            metrics.CONSUMER_GIVEN_UP_TOTAL.labels(self._consumer, "unprepared").inc()
            with about_event(row.event_id, row.record.key, None):
                log.error(
                    "Gave up an event before applying it; its dead letter says why.",
                    action="consumer.given_up",
                    consumer=self._consumer,
                    error_class=refusal.error_class,
                    error=refusal.why[:500],
                )
        return ended

    async def _prepared_alone(self, event: Event[Any]) -> Prepared:
        assert self._prepare is not None
        try:
            return await self._prepare([event], self._database.read_transaction, apart=True)
        except Exception as error:
            if is_infrastructure(error):
                raise
            return Prepared(refused={event.id: Refusal(type(error).__name__, f"{type(error).__name__}: {error}")})

    async def _feed(self, row_id: int, prepared: Prepared, trial: _Trial | None) -> int:
        seen = Seen((trial.failures if trial else 0) + 1, self._clock.now())
        async with self._database.transaction() as tx:
            row = await deferred_events.one(tx, row_id)
            return await self._applier.feed(tx, [row], seen, prepared) if row is not None else 0

    async def _failed(self, row_id: int, row: deferred_events.DeferredEvent, error: Exception) -> int:
        """Record a failure of an event applied alone; give the event up once it has failed for too long."""
        now, kind = monotonic_seconds(), kind_of(error)
        own = not is_infrastructure(error) or (may_be_its_own(error) and await answers(self._database))
        trial = self._trials.get(row.event_id)
        if trial is None or not own or trial.kind != kind:
            trial = self._trials[row.event_id] = _Trial(now, self._progress.applied)
        trial.kind = kind
        trial.failures += own
        pause = self._patience.first_pause_seconds * 2 ** max(0, trial.failures - 1)
        trial.next_at = now + min(pause, self._patience.longest_pause_seconds)
        with about_event(row.event_id, row.record.key, None):
            log.warning(
                "An event fails even when applied alone.",
                action="consumer.alone_failed",
                consumer=self._consumer,
                failures=trial.failures,
                error=repr(error)[:2000],
            )
        hopeless = (
            trial.failures >= self._patience.failures
            and now - trial.began >= self._patience.seconds
            and self._progress.applied > trial.progress
        )
        if not hopeless:
            return 0
        why = (
            f"applied alone it failed {trial.failures} times in {now - trial.began:.0f} s, while the database answered "
            f"and its neighbours were applied: {error!r}"
        )
        ended = await self._feed(row_id, Prepared(refused={row.event_id: Refusal(kind.partition(" ")[0], why)}), trial)
        if ended:
            self._trials.pop(row.event_id, None)
            metrics.CONSUMER_GIVEN_UP_TOTAL.labels(self._consumer, "failing").inc()
            with about_event(row.event_id, row.record.key, None):
                log.error(
                    "Gave up an event that fails alone; its dead letter says why.",
                    action="consumer.given_up",
                    consumer=self._consumer,
                    error=why[:2000],
                )
        return ended
