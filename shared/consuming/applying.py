"""Applies a batch in one transaction: claims, defers behind a deferred event, handles, buries bad records.

All of it commits or none. After a data error, savepoints and halving find the event at fault; infrastructure errors
pass through unchanged.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence, Set
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

from shared.consuming import dead_letters, deferred_events, inbox
from shared.consuming.batch import Batch, Event
from shared.consuming.dead_letters import DeadLetter
from shared.consuming.dead_letters_tool import REPLAYED
from shared.consuming.parsing import Bad, Parsed, parse
from shared.consuming.preparing import Prepare, Prepared, alone_id
from shared.consuming.spans import following
from shared.contract.events import EventModel
from shared.contract.subscriptions import SUBSCRIPTIONS, topics_of
from shared.outbox.publish import caused_by
from shared.postgres.database import ReadTransaction, Transaction, is_infrastructure
from shared.runtime import failpoints
from shared.telemetry import metrics, tracing
from shared.telemetry.logging import about_event, get_logger

log = get_logger()

Handle = Callable[[Batch[Any], Transaction], Awaitable[None]]
Resolved = Callable[[Transaction, Sequence[str]], Awaitable[set[str]]]

#: deferred events released in one transaction
RELEASE_EVENTS = 500
#: the longest that a busy consumer waits for a fuller batch, by whether a score waits for it
GATHER_FOR_A_SCORE_MILLISECONDS, GATHER_MILLISECONDS = 300, 600


@dataclass(frozen=True, slots=True)
class Inbound:
    """A subscription: its topics and models, the handler of a batch, and the check which awaited names are resolved.

    The Kafka group and the inbox' consumer are `<service>.<name>`.
    """

    name: str
    topics: Sequence[str]
    models: Sequence[type[EventModel]]
    handle: Handle
    resolved: Resolved | None = None
    prepare: Prepare | None = None  # does long work before the transaction opens
    gather_milliseconds: int = GATHER_MILLISECONDS  # how long a busy consumer waits at most for a fuller batch

    @classmethod
    def of(
        cls,
        consumer: str,
        handle: Handle,
        resolved: Resolved | None = None,
        prepare: Prepare | None = None,
        *,
        gather_milliseconds: int = GATHER_MILLISECONDS,
    ) -> Inbound:
        """The declared subscription of a consumer (shared/contract/subscriptions.py) with its handler."""
        name = consumer.partition(".")[2]
        return cls(name, topics_of(consumer), SUBSCRIPTIONS[consumer], handle, resolved, prepare, gather_milliseconds)


@dataclass(slots=True)
class BatchOutcome:
    """The outcome of a batch for metrics: counts by event type."""

    applied: dict[str, int] = field(default_factory=dict)
    duplicates: dict[str, int] = field(default_factory=dict)
    deferred: dict[str, int] = field(default_factory=dict)
    rejected: dict[str, int] = field(default_factory=dict)
    letters: list[DeadLetter] = field(default_factory=list)  # the rejected records
    alone: int = 0  # deferred events that will be applied alone


@dataclass(frozen=True, slots=True)
class Deferral:
    """The first deferred event of a key, and the name it awaits."""

    event_id: UUID
    awaits: str


class QueueBehind(Exception):
    """The handler deferred an event but handled a later one of its key: retry the batch without the later ones."""

    def __init__(self, deferrals: Mapping[str, Deferral]) -> None:
        super().__init__(f"{len(deferrals)} keys have a deferred event before a handled one")
        self.deferrals = deferrals


@dataclass(frozen=True, slots=True)
class Seen:
    """How often and since when (system time) a batch has been tried; evidence for its dead letters."""

    attempts: int
    first_seen: datetime

    def letter(self, event: Event[Any], error_class: str, why: str) -> DeadLetter:
        return DeadLetter(event.record, event.id, event.type, error_class, why[:2000], self.attempts, self.first_seen)

    def bad(self, bad: Bad, event_id: UUID | None) -> DeadLetter:
        return DeadLetter(bad.record, event_id, bad.type, bad.error_class, bad.why, self.attempts, self.first_seen)

    def refusal(self, event: Event[Any], prepared: Prepared) -> DeadLetter:
        refused = prepared.refused[event.id]
        return self.letter(event, refused.error_class, refused.why)


def _count(target: dict[str, int], kind: str) -> None:
    target[kind] = target.get(kind, 0) + 1


class Applier:
    """Applies batches of one subscription; opens no transaction and commits none."""

    def __init__(self, service: str, inbound: Inbound, *, claim: bool = True) -> None:
        self._service = service
        self.inbound = inbound
        self._claim = claim  # False only in negative controls, which show what the inbox prevents
        self.consumer = f"{service}.{inbound.name}"
        self._models = {model.TYPE.encode(): model for model in inbound.models}
        #: called with the outcome of released events; may raise
        self.oversee: Callable[[Sequence[Event[Any]], Sequence[DeadLetter]], None] = lambda events, letters: None

    async def apply(
        self,
        tx: Transaction,
        events: Sequence[Event[EventModel]],
        bad: Sequence[Bad],
        seen: Seen,
        *,
        isolate: bool = False,
        prepared: Prepared | None = None,
    ) -> BatchOutcome:
        """Apply parsed events and bury bad records in the caller's transaction.

        Without `isolate` the handler runs without savepoints and its errors propagate: roll back and call again with
        `isolate`, which uses savepoints to find the event at fault.
        """
        outcome = BatchOutcome()
        fresh = await self._claimed(tx, events, outcome)
        failpoints.hit("consumer.between_claim_and_effects")
        letters = [seen.bad(record, record.event_id) for record in bad]
        if fresh:
            prepared = prepared or Prepared()
            awaited = await deferred_events.heads(tx, self.consumer, sorted({event.key for event in fresh}))
            free, deferred, refused = prepared.sort(fresh, awaited)
            added, rejected = await self._handle(tx, free, isolate, seen, prepared)
            rejected += [seen.refusal(event, prepared) for event in refused]
            failpoints.hit("consumer.between_effects_and_deferral")
            deferred |= {event.id: awaits for event, awaits in added}
            await deferred_events.defer_events(
                tx, self.consumer, [(event, deferred[event.id]) for event in fresh if event.id in deferred]
            )
            gone = {letter.event_id for letter in rejected}
            for event in fresh:
                if event.id not in gone:
                    _count(outcome.deferred if event.id in deferred else outcome.applied, event.type)
            outcome.alone = sum(event.id in prepared.alone and event.id in deferred for event in fresh)
            await inbox.release(tx, self.consumer, [i for i in gone if i is not None])
            letters.extend(rejected)
        for letter in letters:
            _count(outcome.rejected, letter.type)
        outcome.letters = letters
        await dead_letters.bury(tx, self._service, self.consumer, letters)
        return outcome

    async def _claimed(
        self, tx: Transaction, events: Sequence[Event[EventModel]], outcome: BatchOutcome
    ) -> list[Event[EventModel]]:
        if not self._claim:
            return list(events)
        unclaimed = await inbox.claim(tx, self.consumer, [event.id for event in events])
        fresh = []
        for event in events:
            if event.id in unclaimed:
                unclaimed.discard(event.id)  # a batch may hold the same event twice
                fresh.append(event)
            else:
                _count(outcome.duplicates, event.type)
        return fresh

    async def _handle(
        self, tx: Transaction, events: Sequence[Event[EventModel]], isolate: bool, seen: Seen, prepared: Prepared
    ) -> tuple[list[tuple[Event[EventModel], str]], list[DeadLetter]]:
        """Handle events. Returns those to defer, with the name that each awaits, and those given up."""
        if not events:
            return [], []
        if not isolate:
            return await self._attempt(tx, events, {}, seen, prepared)
        deferrals: dict[str, Deferral] = {}
        while True:
            try:
                async with tx.begin_nested():
                    return await self._attempt(tx, events, deferrals, seen, prepared)
            except QueueBehind as late:
                deferrals.update(late.deferrals)
            except Exception as error:
                if is_infrastructure(error):
                    raise
                if len(events) == 1:
                    with about_event(events[0].id, events[0].key, events[0].traceparent):
                        log.warning(
                            "Found the event that made the batch fail.",
                            action="consumer.culprit",
                            type=events[0].type,
                            error=repr(error)[:2000],
                        )
                    return [], [seen.letter(events[0], type(error).__name__, f"{type(error).__name__}: {error}")]
                break
        half = len(events) // 2
        first_deferred, first_letters = await self._handle(tx, events[:half], True, seen, prepared)
        # the first half may have deferred a key, whose later events must not run in the second half
        names = {event.key: awaits for event, awaits in first_deferred}
        behind = [(event, names[event.key]) for event in events[half:] if event.key in names]
        rest = [event for event in events[half:] if event.key not in names]
        deferred, letters = await self._handle(tx, rest, True, seen, prepared)
        return [*first_deferred, *behind, *deferred], [*first_letters, *letters]

    async def _attempt(
        self,
        tx: Transaction,
        events: Sequence[Event[EventModel]],
        deferrals: Mapping[str, Deferral],
        seen: Seen,
        prepared: Prepared,
    ) -> tuple[list[tuple[Event[EventModel], str]], list[DeadLetter]]:
        behind = _behind(events, deferrals)
        batch: Batch[EventModel] = Batch(
            tuple(event for event in events if event.id not in behind), prepared=prepared.values
        )
        # a malformed traceparent loses the trace, not the event
        traces = {e.key: e.traceparent for e in events if e.traceparent and tracing.well_formed(e.traceparent)}
        with caused_by(traces):
            await self.inbound.handle(batch, tx)
        _check_order(batch)
        if not (batch.deferred or batch.rejected or behind):
            return [], []
        deferred = [
            (event, batch.deferred.get(event.id) or behind[event.id])
            for event in events
            if event.id in batch.deferred or event.id in behind
        ]
        letters = [
            seen.letter(event, "DataError", batch.rejected[event.id]) for event in events if event.id in batch.rejected
        ]
        return deferred, letters

    async def release(
        self,
        tx: Transaction,
        first_seen: datetime,
        *,
        limit: int = RELEASE_EVENTS,
        prepared: Prepared | None = None,
        only: Set[UUID] | None = None,
    ) -> int:
        """Apply deferred events that can be released, in the caller's transaction. Returns how many.

        `only`: the prepared events; others stay for the next round.
        """
        if not await deferred_events.lock(tx, self.consumer):
            return 0
        names = await self._ready_names(tx)
        if not names:
            return 0
        rows = await deferred_events.ready(tx, self.consumer, names, limit)
        return await self.feed(tx, _of(rows, only), Seen(1, first_seen), prepared or Prepared())

    async def due(self, snapshot: ReadTransaction, limit: int = RELEASE_EVENTS) -> list[deferred_events.DeferredEvent]:
        """The events that a release would apply now, for `prepare`."""
        names = await self._ready_names(snapshot)
        return await deferred_events.ready(snapshot, self.consumer, names, limit, lock=False) if names else []

    async def _ready_names(self, tx: ReadTransaction) -> list[str]:
        """Awaited names that are resolved."""
        after, resolved = "", set[str]()
        while names := await deferred_events.awaited(tx, self.consumer, after, 500):
            resolved |= {REPLAYED} & set(names)
            apart = {name: event_id for name in names if (event_id := alone_id(name)) is not None}
            if apart:
                # once that event is done, later ones of its key continue; `Releaser.alone` tries the event itself
                pending = await deferred_events.still(tx, self.consumer, list(apart.values()))
                resolved |= {name for name, event_id in apart.items() if event_id not in pending}
            # the service does not know the runtime's own names
            own = [name for name in names if name != REPLAYED and name not in apart]
            if own and self.inbound.resolved is not None:
                resolved |= await self.inbound.resolved(tx, own)
            after = names[-1]
            if len(resolved) >= RELEASE_EVENTS:
                break
        return sorted(resolved)

    def read(self, row: deferred_events.DeferredEvent) -> Parsed:
        """Parse the event of a row."""
        return parse(row.record, self._models)

    async def feed(
        self, tx: Transaction, rows: Sequence[deferred_events.DeferredEvent], seen: Seen, prepared: Prepared
    ) -> int:
        """Apply these deferred events, whose rows are locked. Returns how many are no longer deferred."""
        events: list[Event[EventModel]] = []
        letters: list[DeadLetter] = []
        for row in rows:
            parsed = self.read(row)
            if isinstance(parsed, Event):
                events.append(parsed)
            elif isinstance(parsed, Bad):
                letters.append(seen.bad(parsed, row.event_id))
        free, still, refused = prepared.sort(events, {})
        with following(self.consumer, free) as followed:
            again, rejected = await self._handle(tx, followed, True, seen, prepared)
        failpoints.hit("consumer.between_release_and_removal")
        still |= {event.id: awaits for event, awaits in again}
        letters += [*rejected, *(seen.refusal(event, prepared) for event in refused)]
        self.oversee(events, letters)
        await deferred_events.rename(tx, [(row.id, still[row.event_id]) for row in rows if row.event_id in still])
        done = [row for row in rows if row.event_id not in still]
        await deferred_events.remove(tx, [row.id for row in done])
        await inbox.release(tx, self.consumer, [letter.event_id for letter in letters if letter.event_id])
        await dead_letters.bury(tx, self._service, self.consumer, letters)
        gone = {letter.event_id for letter in letters}
        for event in events:
            if event.id not in still and event.id not in gone:
                metrics.CONSUMER_APPLIED_TOTAL.labels(self.consumer, event.type).inc()
        return len(done)


def _of(rows: Sequence[deferred_events.DeferredEvent], only: Set[UUID] | None) -> list[deferred_events.DeferredEvent]:
    """The rows of these events; each key only up to its first event that is not among them."""
    if only is None:
        return list(rows)
    cut: set[str] = set()
    kept = []
    for row in rows:
        if row.event_id not in only:
            cut.add(row.key)
        elif row.key not in cut:
            kept.append(row)
    return kept


def _behind(events: Sequence[Event[EventModel]], deferrals: Mapping[str, Deferral]) -> dict[UUID, str]:
    """Events that come after the first deferred one of their key, with the name that it awaits."""
    passed: set[str] = set()
    behind: dict[UUID, str] = {}
    for event in events:
        if event.key in passed:
            behind[event.id] = deferrals[event.key].awaits
        elif event.key in deferrals and deferrals[event.key].event_id == event.id:
            passed.add(event.key)
    return behind


def _check_order(batch: Batch[EventModel]) -> None:
    """No event may be handled after the first deferred one of its key. Raises QueueBehind."""
    if not batch.deferred:
        return
    first: dict[str, Deferral] = {}
    late: dict[str, Deferral] = {}
    for event in batch._events:
        if event.id in batch.deferred:
            first.setdefault(event.key, Deferral(event.id, batch.deferred[event.id]))
        elif event.key in first and event.id not in batch.rejected:
            late[event.key] = first[event.key]
    if late:
        raise QueueBehind(late)
