"""One batch, one transaction: claim, hold back what is deferred, handle, defer, bury. All of it is committed or none.

A data error is traced to its culprit with savepoints, by halving; infrastructure trouble passes through untouched.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence, Set
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

from shared.consuming import dead_letters, inbox
from shared.consuming import deferred as waiting
from shared.consuming.batch import Batch, Event
from shared.consuming.dead_letters import DeadLetter
from shared.consuming.dead_letters_tool import REPLAYED
from shared.consuming.parsing import Bad, Parsed, parse
from shared.consuming.preparing import Prepare, Prepared, alone_id
from shared.consuming.spans import following
from shared.contract.events import EventModel
from shared.contract.subscriptions import SUBSCRIPTIONS, topics_of
from shared.outbox.publish import caused_by
from shared.postgres.database import Reading, Transaction, is_infrastructure
from shared.runtime import failpoints
from shared.telemetry import metrics, tracing
from shared.telemetry.logging import about_event, get_logger

log = get_logger()

Handle = Callable[[Batch[Any], Transaction], Awaitable[None]]
Resolved = Callable[[Transaction, Sequence[str]], Awaitable[set[str]]]

#: a released key whose events are fed again at most this many at once
RELEASE_EVENTS = 500


@dataclass(frozen=True, slots=True)
class Inbound:
    """A subscription: which topics and models, what handles a batch, and which awaited names are resolved by now.

    The Kafka group and the inbox' consumer are `<service>.<name>`.
    """

    name: str
    topics: Sequence[str]
    models: Sequence[type[EventModel]]
    handle: Handle
    resolved: Resolved | None = None
    prepare: Prepare | None = None  # what can be long is done here, before the transaction opens

    @classmethod
    def of(
        cls, consumer: str, handle: Handle, resolved: Resolved | None = None, prepare: Prepare | None = None
    ) -> Inbound:
        """The declared subscription of a consumer (shared/contract/subscriptions.py) with what handles it."""
        name = consumer.partition(".")[2]
        return cls(name, topics_of(consumer), SUBSCRIPTIONS[consumer], handle, resolved, prepare)


@dataclass(slots=True)
class Outcome:
    """What became of a batch, for metrics: counts by event type."""

    applied: dict[str, int] = field(default_factory=dict)
    duplicates: dict[str, int] = field(default_factory=dict)
    waiting: dict[str, int] = field(default_factory=dict)
    rejected: dict[str, int] = field(default_factory=dict)
    letters: list[DeadLetter] = field(default_factory=list)  # what was rejected
    alone: int = 0  # of those waiting, the ones that are applied alone


@dataclass(frozen=True, slots=True)
class Held:
    """The event from which on a key waits, and the name it awaits."""

    event_id: UUID
    awaits: str


class QueueBehind(Exception):
    """A key waits although a later event of it was handled: do the batch again with those held back."""

    def __init__(self, held: Mapping[str, Held]) -> None:
        super().__init__(f"{len(held)} keys wait")
        self.held = held


@dataclass(frozen=True, slots=True)
class Seen:
    """How often and since when (system time) a batch has been tried; evidence for what is given up."""

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
        self._claim = claim  # False only in negative controls: shows what the inbox protects from
        self.consumer = f"{service}.{inbound.name}"
        self._models = {model.TYPE.encode(): model for model in inbound.models}
        #: looks at what deferred events have come to, and may raise
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
    ) -> Outcome:
        """Apply parsed events and bury bad records in the caller's transaction.

        Without `isolate` the handler runs straight in the transaction and its errors come out: roll back and call
        again with `isolate`, which puts savepoints around it and finds the culprit.
        """
        outcome = Outcome()
        fresh = await self._claimed(tx, events, outcome)
        failpoints.hit("consumer.between_claim_and_effects")
        letters = [seen.bad(each, each.event_id) for each in bad]
        if fresh:
            prepared = prepared or Prepared()
            held = await waiting.heads(tx, self.consumer, sorted({event.key for event in fresh}))
            free, deferred, refused = prepared.sort(fresh, held)
            parked, rejected = await self._handle(tx, free, isolate, seen, prepared)
            rejected += [seen.refusal(event, prepared) for event in refused]
            failpoints.hit("consumer.between_effects_and_parking")
            deferred |= {event.id: awaits for event, awaits in parked}
            await waiting.park(
                tx, self.consumer, [(event, deferred[event.id]) for event in fresh if event.id in deferred]
            )
            gone = {letter.event_id for letter in rejected}
            for event in fresh:
                if event.id not in gone:
                    _count(outcome.waiting if event.id in deferred else outcome.applied, event.type)
            outcome.alone = sum(event.id in prepared.alone and event.id in deferred for event in fresh)
            await inbox.release(tx, self.consumer, [i for i in gone if i is not None])
            letters.extend(rejected)
        for letter in letters:
            _count(outcome.rejected, letter.type)
        outcome.letters = letters
        await dead_letters.bury(tx, self._service, self.consumer, letters)
        return outcome

    async def _claimed(
        self, tx: Transaction, events: Sequence[Event[EventModel]], outcome: Outcome
    ) -> list[Event[EventModel]]:
        if not self._claim:
            return list(events)
        unclaimed = await inbox.claim(tx, self.consumer, [event.id for event in events])
        fresh = []
        for event in events:
            if event.id in unclaimed:
                unclaimed.discard(event.id)  # the same event twice in one batch counts once
                fresh.append(event)
            else:
                _count(outcome.duplicates, event.type)
        return fresh

    async def _handle(
        self, tx: Transaction, events: Sequence[Event[EventModel]], isolate: bool, seen: Seen, prepared: Prepared
    ) -> tuple[list[tuple[Event[EventModel], str]], list[DeadLetter]]:
        """Returns what must wait, with what it awaits, and what is given up."""
        if not events:
            return [], []
        if not isolate:
            return await self._attempt(tx, events, {}, seen, prepared)
        held: dict[str, Held] = {}
        while True:
            try:
                async with tx.begin_nested():
                    return await self._attempt(tx, events, held, seen, prepared)
            except QueueBehind as late:
                held.update(late.held)
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
        first_parked, first_letters = await self._handle(tx, events[:half], True, seen, prepared)
        # what queues behind a key that now waits must not run in the second half
        names = {event.key: awaits for event, awaits in first_parked}
        behind = [(event, names[event.key]) for event in events[half:] if event.key in names]
        rest = [event for event in events[half:] if event.key not in names]
        parked, letters = await self._handle(tx, rest, True, seen, prepared)
        return [*first_parked, *behind, *parked], [*first_letters, *letters]

    async def _attempt(
        self,
        tx: Transaction,
        events: Sequence[Event[EventModel]],
        held: Mapping[str, Held],
        seen: Seen,
        prepared: Prepared,
    ) -> tuple[list[tuple[Event[EventModel], str]], list[DeadLetter]]:
        behind = _held_back(events, held)
        batch: Batch[EventModel] = Batch(
            tuple(event for event in events if event.id not in behind), prepared=prepared.values
        )
        # a trace is for finding things: a traceparent that is none costs the trace, not the event
        traces = {e.key: e.traceparent for e in events if e.traceparent and tracing.well_formed(e.traceparent)}
        with caused_by(traces):
            await self.inbound.handle(batch, tx)
        _check_order(batch)
        if not (batch.waited or batch.rejected or behind):
            return [], []
        parked = [
            (event, batch.waited.get(event.id) or behind[event.id])
            for event in events
            if event.id in batch.waited or event.id in behind
        ]
        letters = [
            seen.letter(event, "DataError", batch.rejected[event.id]) for event in events if event.id in batch.rejected
        ]
        return parked, letters

    async def release(
        self,
        tx: Transaction,
        first_seen: datetime,
        *,
        limit: int = RELEASE_EVENTS,
        prepared: Prepared | None = None,
        only: Set[UUID] | None = None,
    ) -> int:
        """Feed deferred events whose time has come, in the caller's transaction. Returns how many were fed.

        `only`: the events that were prepared; others of their keys, and what lies behind those, are left for later.
        """
        if not await waiting.lock(tx, self.consumer):
            return 0
        names = await self._ready_names(tx)
        if not names:
            return 0
        rows = await waiting.ready(tx, self.consumer, names, limit)
        return await self.feed(tx, _of(rows, only), Seen(1, first_seen), prepared or Prepared())

    async def due(self, snapshot: Reading, limit: int = RELEASE_EVENTS) -> list[waiting.Parked]:
        """What a release would feed now, to be prepared."""
        names = await self._ready_names(snapshot)
        return await waiting.ready(snapshot, self.consumer, names, limit, lock=False) if names else []

    async def _ready_names(self, tx: Reading) -> list[str]:
        """Awaited names that are resolved by now."""
        after, resolved = "", set[str]()
        while names := await waiting.awaited(tx, self.consumer, after, 500):
            resolved |= {REPLAYED} & set(names)
            apart = {name: event_id for name in names if (event_id := alone_id(name)) is not None}
            if apart:  # whose event is done: what lies behind it goes on; the event itself has its own turn
                pending = await waiting.still(tx, self.consumer, list(apart.values()))
                resolved |= {name for name, event_id in apart.items() if event_id not in pending}
            # no names of the service's: it could not read them
            own = [name for name in names if name != REPLAYED and name not in apart]
            if own and self.inbound.resolved is not None:
                resolved |= await self.inbound.resolved(tx, own)
            after = names[-1]
            if len(resolved) >= RELEASE_EVENTS:
                break
        return sorted(resolved)

    def read(self, row: waiting.Parked) -> Parsed:
        """The event of a row."""
        return parse(row.record, self._models)

    async def feed(self, tx: Transaction, rows: Sequence[waiting.Parked], seen: Seen, prepared: Prepared) -> int:
        """Apply these deferred events, which the transaction holds locked. Returns how many are deferred no longer."""
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
            parked, rejected = await self._handle(tx, followed, True, seen, prepared)
        failpoints.hit("consumer.between_release_and_removal")
        still |= {event.id: awaits for event, awaits in parked}
        letters += [*rejected, *(seen.refusal(event, prepared) for event in refused)]
        self.oversee(events, letters)
        await waiting.rename(tx, [(row.id, still[row.event_id]) for row in rows if row.event_id in still])
        done = [row for row in rows if row.event_id not in still]
        await waiting.remove(tx, [row.id for row in done])
        await inbox.release(tx, self.consumer, [letter.event_id for letter in letters if letter.event_id])
        await dead_letters.bury(tx, self._service, self.consumer, letters)
        gone = {letter.event_id for letter in letters}
        for event in events:
            if event.id not in still and event.id not in gone:
                metrics.CONSUMER_APPLIED_TOTAL.labels(self.consumer, event.type).inc()
        return len(done)


def _of(rows: Sequence[waiting.Parked], only: Set[UUID] | None) -> list[waiting.Parked]:
    """The rows of these events, each key up to the first that is not one of them."""
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


def _held_back(events: Sequence[Event[EventModel]], held: Mapping[str, Held]) -> dict[UUID, str]:
    """Events that come after the one from which on their key waits, with the name they wait for."""
    passed: set[str] = set()
    behind: dict[UUID, str] = {}
    for event in events:
        if event.key in passed:
            behind[event.id] = held[event.key].awaits
        elif event.key in held and held[event.key].event_id == event.id:
            passed.add(event.key)
    return behind


def _check_order(batch: Batch[EventModel]) -> None:
    """A key that waits may have no event handled after the first one that waits."""
    if not batch.waited:
        return
    first: dict[str, Held] = {}
    late: dict[str, Held] = {}
    for event in batch._events:
        if event.id in batch.waited:
            first.setdefault(event.key, Held(event.id, batch.waited[event.id]))
        elif event.key in first and event.id not in batch.rejected:
            late[event.key] = first[event.key]
    if late:
        raise QueueBehind(late)
