"""The batch runtime of every consumer: a batch's effects and inbox claims commit together, its offsets afterwards.

No event is acknowledged before it is applied, deferred or buried. The runtime waits out infrastructure trouble inside
the handler, since FastStream's NACK has no delay. Too large a share of bad records halts the consumer instead of
draining its topic into the dead-letter topic.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any

from aiokafka import ConsumerRecord, TopicPartition
from aiokafka.errors import KafkaError, KafkaTimeoutError
from faststream import AckPolicy
from faststream.kafka import KafkaBroker
from faststream.kafka.message import KafkaAckableMessage

from shared.consuming.applying import Applier, Inbound
from shared.consuming.batch import Batch, Event, Record
from shared.consuming.dead_letters import DeadLetter
from shared.consuming.dlq_limit import Absurd, DlqLimit, Tally
from shared.consuming.halting import Halting
from shared.consuming.health import Health, Listener
from shared.consuming.isolating import Progress
from shared.consuming.parsing import Bad, Parsed, Skipped, parse
from shared.consuming.releasing import Patience, Releaser
from shared.consuming.spans import following
from shared.consuming.until_done import Stopping, UntilDone
from shared.contract.events import MODELS
from shared.kafka import aiokafka_internals
from shared.postgres.database import Database
from shared.runtime import failpoints
from shared.runtime.clock import Clock, monotonic_seconds
from shared.runtime.settings import KafkaSettings
from shared.telemetry import metrics
from shared.telemetry.logging import bound, get_logger
from shared.telemetry.pulse import Pulse

log = get_logger()

#: how long a poll waits for a first record; it returns as soon as one comes
POLL_MILLISECONDS = 1000
#: (bytes, milliseconds): the broker answers a fetch once it has so many bytes, or after so long. An idle consumer gets
#: its first event at once and makes few fetches
FETCH_WHILE_IDLE = 1, 500
#: a busy consumer's fetch waits for enough events to fill a transaction, the longer the more events come: a batch costs
#: several statements, a commit and a fetch over all partitions, however few it holds. More than a partition may answer:
#: whoever is behind in few of them waits for no bytes
FETCH_BUSY_BYTES, FETCH_BUSY_MILLISECONDS = 1024 * 1024, 100
#: bytes of a partition in one answer; bounds what is fetched ahead of a backlog. A larger record still comes, alone
FETCH_PARTITION_BYTES = 256 * 1024
#: bytes of records to parse before the event loop gets a turn
SLICE_BYTES = 256 * 1024
#: with offsets left to commit, a poll waits so long before the consumer counts as idle: longer than a busy fetch
IDLE_MILLISECONDS = 800
#: deadline of one commit of offsets: aiokafka itself would retry for ever
COMMIT_SECONDS = 10.0
#: time for a client to leave its group and close its connections
CLIENT_STOP_SECONDS = 3.0
#: silence before the client sends Kafka a request; a healthy one hears from Kafka with every heartbeat
ASK_AFTER_SECONDS = 4.0
#: an instance is not ready once it has not read its deferred events for this long
RELEASE_PATIENCE_SECONDS = 60.0


class Subscription:
    """One inbound subscription of one service instance."""

    def __init__(
        self,
        service: str,
        inbound: Inbound,
        database: Database,
        kafka: KafkaSettings,
        clock: Clock,
        *,
        max_records: int = 500,
        release_seconds: float = 0.5,
        dlq_limit: DlqLimit | None = None,
        ack_policy: AckPolicy = AckPolicy.NACK_ON_ERROR,
        claim: bool = True,
        patience: Patience | None = None,
    ) -> None:
        self.inbound = inbound
        self.health = Health()
        self._applier = Applier(service, inbound, claim=claim)
        self.name = self._applier.consumer
        self._models = {model.TYPE.encode(): model for model in inbound.models}
        self._database = database
        self._progress = Progress()
        self._releaser = Releaser(self._applier, database, clock, self._progress, patience)
        self._kafka = kafka
        self._clock = clock
        self._max_records = max_records
        self._release_seconds = release_seconds
        self._limit = dlq_limit or DlqLimit()
        self._halting = Halting(service, self.name, database, self.health, self._limit)
        self._until_done = UntilDone(
            self._applier, database, clock, self.health, self._limit, self._halting, self._progress, self
        )
        self._applier.oversee = self._oversee
        self._ack_policy = ack_policy  # changed only in negative controls
        self._stopping = asyncio.Event()
        #: of the two release loops: resolved names, and events applied alone
        self.pulses = (
            Pulse(f"release {self.name}", patience_seconds=RELEASE_PATIENCE_SECONDS),
            Pulse(f"release alone {self.name}", patience_seconds=RELEASE_PATIENCE_SECONDS),
        )
        self._subscriber: Any = None
        self._watched: Any = None  # the client with wrapped calls
        self._commit_due = False  # what was applied since the last commit is not committed
        self._commit_failed = False  # the last commit
        self._committed_at = -math.inf
        self._in_hand: dict[TopicPartition, int] = {}  # first offset of each partition in the current batch

    def subscribe(self, broker: KafkaBroker) -> None:
        """Register with FastStream. The group id carries the topic prefix, so systems can share a cluster."""
        subscriber = broker.subscriber(
            *(self._kafka.topic(topic) for topic in self.inbound.topics),
            group_id=f"{self._kafka.topic_prefix}{self.name}",
            batch=True,
            max_records=self._max_records,
            batch_timeout_ms=10,
            ack_policy=self._ack_policy,
            auto_offset_reset="earliest",
            listener=Listener(self.name, self.health),
            max_poll_interval_ms=int(self._kafka.max_poll_interval_seconds * 1000),
            session_timeout_ms=int(self._kafka.session_timeout_seconds * 1000),
            heartbeat_interval_ms=int(self._kafka.session_timeout_seconds * 300),
            fetch_min_bytes=FETCH_WHILE_IDLE[0],
            fetch_max_wait_ms=FETCH_WHILE_IDLE[1],
            max_partition_fetch_bytes=FETCH_PARTITION_BYTES,
            parser=self._parse_raw,
            decoder=_raw_decoder,
        )
        subscriber(self._deliver)
        self._subscriber = subscriber

    async def _parse_raw(self, message: tuple[ConsumerRecord, ...]) -> KafkaAckableMessage:
        consumer = self._subscriber.consumer
        return KafkaAckableMessage(
            body=message, headers={}, raw_message=message, message_id="", correlation_id=self.name, consumer=consumer
        )

    def watch(self) -> None:
        """Wrap the calls of a new client: polls update the health, and commits and stops get deadlines."""
        consumer = self._subscriber.consumer
        if consumer is None or consumer is self._watched:
            return
        self._watched = consumer
        self._commit_due = self._commit_failed = False
        getmany, commit, stop = consumer.getmany, consumer.commit, consumer.stop

        async def polled(*places: Any, timeout_ms: int = 0, max_records: int | None = None) -> Any:
            # FastStream sleeps after an empty poll; waiting here instead adds no delay and uses no CPU
            self._in_hand = {}
            while True:
                self.health.turned()
                left = self._commit_due and not self._commit_failed
                wait_ms = IDLE_MILLISECONDS if left else POLL_MILLISECONDS
                try:
                    messages = await getmany(*places, timeout_ms=wait_ms, max_records=max_records)
                    if not messages and (what := aiokafka_internals.ended(consumer)):
                        raise KafkaError(f"the client no longer works: {what}")
                except Exception:
                    self.health.failed_polls += 1
                    raise
                self.health.failed_polls = 0
                self._in_hand = {place: records[0].offset for place, records in messages.items() if records}
                self.health.answered(aiokafka_internals.last_answer(consumer))
                events, behind = sum(map(len, messages.values())), _is_behind(consumer, messages)
                aiokafka_internals.pace_fetches(consumer, *fetch_pace(events, self.inbound.gather_milliseconds, behind))
                if self._commit_due and not messages and self.health.assigned:
                    with suppress(KafkaError):  # logged below; the next empty poll tries again
                        await commit_now()
                if messages or not self._subscriber.running:
                    return messages

        async def committed() -> None:
            failpoints.hit("consumer.between_database_and_offset_commit")
            self._commit_due = True
            if self._commit_failed or monotonic_seconds() - self._committed_at >= self._kafka.commit_every_seconds:
                await commit_now()

        async def commit_now() -> None:
            try:
                await asyncio.wait_for(commit(), COMMIT_SECONDS)
            except Exception as error:
                # the next batch's commit would include this one's
                reported, self._commit_failed = self._commit_failed, True
                metrics.CONSUMER_COMMIT_FAILURES_TOTAL.labels(self.name).inc()
                if not reported:
                    log.warning(
                        "Could not commit offsets; trying again. The inbox drops redelivered events.",
                        action="consumer.commit_failed",
                        consumer=self.name,
                        error=repr(error),
                    )
                if isinstance(error, TimeoutError):
                    if self.health.silent_seconds < ASK_AFTER_SECONDS:  # Kafka answers other calls
                        self.health.late_commits += 1
                    raise KafkaTimeoutError(f"no commit within {COMMIT_SECONDS:.0f} s") from error
                raise
            self._commit_due = self._commit_failed = False
            self._committed_at = monotonic_seconds()
            self.health.late_commits = 0

        async def stopped() -> None:
            await aiokafka_internals.close(consumer, stop, CLIENT_STOP_SECONDS)

        consumer.getmany, consumer.commit, consumer.stop = polled, committed, stopped

    def listen(self) -> None:
        """Update lag and Kafka's last answer; after a silence, send Kafka a request. Call it every second."""
        consumer = self._watched
        self.lag()
        if consumer is not None and self.health.silent_seconds > ASK_AFTER_SECONDS:
            aiokafka_internals.ask(consumer)

    def broken(self) -> str:
        """Why its client must be recreated: one of consumers.REMADE_REASONS, or empty."""
        if self._watched is not None and (what := aiokafka_internals.ended(self._watched)):
            log.warning(
                "A task of a Kafka client has ended.",
                action="consumer.task_ended",
                consumer=self.name,
                task=what[:2000],
            )
            return "task_ended"
        return self.health.broken()

    def abandon(self) -> None:
        """Cancel what is left of the client, whether or not it was stopped."""
        consumer, self._watched = self._watched, None
        if consumer is not None:
            aiokafka_internals.abandon(consumer)
        self.health.forget_client()

    def lag(self) -> dict[TopicPartition, int]:
        """The lag of each assigned partition, as far as the client knows; updates Health with the same figures.

        Every event before the client's position is applied, except those of the current batch.
        """
        consumer = self._watched
        self.health.answered(aiokafka_internals.last_answer(consumer) if consumer is not None else 0.0)
        if consumer is None:
            return {}
        lags: dict[TopicPartition, int] = {}
        following: dict[TopicPartition, int] = {}
        fetched_ms = 0
        for place, position in aiokafka_internals.positions(consumer, self.health.assigned).items():
            following[place] = min(position, self._in_hand.get(place, position))
            fetched_ms = max(fetched_ms, consumer.last_poll_timestamp(place) or 0)
            end = consumer.highwater(place)
            if end is not None:
                lags[place] = max(0, end - following[place])
        self.health.applied(following, sum(lags.values()), fetched_ms)
        return lags

    async def _deliver(self, message: tuple[ConsumerRecord, ...]) -> None:
        prefix_length = len(self._kafka.topic_prefix)
        records = [
            Record(r.topic[prefix_length:], r.partition, r.offset, r.key, r.value, r.headers, r.timestamp)
            for r in message
        ]
        self.health.busy_since = monotonic_seconds()
        # the first poll may start before `watch` wraps it, so record its batch here too
        self._in_hand = self._in_hand or _first_offsets(message)
        try:
            await self.process(records)
        except BaseException:
            self._rewind(message)
            raise
        finally:
            self._in_hand = {}
            self.health.busy_since = None
            self.health.turned()

    def _rewind(self, message: tuple[ConsumerRecord, ...]) -> None:
        # FastStream's nack rewinds only the first record's partition; a batch spans many
        consumer = self._subscriber.consumer
        if consumer is None:
            return
        for place, offset in _first_offsets(message).items():
            if place in consumer.assignment():
                consumer.seek(place, offset)

    async def process(self, records: Sequence[Record]) -> None:
        """Return once all records are applied, deferred or buried. Raises only Stopping (and CancelledError)."""
        events: list[Event[Any]] = []
        bad: list[Bad] = []
        unyielded_bytes = 0
        for record in records:
            parsed = await self._parse(record)
            unyielded_bytes += len(record.value or b"")
            if unyielded_bytes > SLICE_BYTES:  # so that heartbeats and readiness run between large records
                unyielded_bytes = 0
                await asyncio.sleep(0)
            if isinstance(parsed, Event):
                events.append(parsed)
            elif isinstance(parsed, Bad):
                bad.append(parsed)
            else:
                self._skipped(parsed)
        metrics.CONSUMER_BATCH_EVENTS.labels(self.name).observe(len(records))
        if not events and not bad:
            return
        with (
            bound(consumer=self.name),
            metrics.CONSUMER_BATCH_DURATION_SECONDS.labels(self.name).time(),
            following(self.name, events) as followed,
        ):
            await self._apply_until_done(followed, bad, len(records))

    async def _parse(self, record: Record) -> Parsed:
        while True:
            try:
                return parse(record, self._models)
            except MemoryError as error:
                await self.wait_out(error, 0.2)

    def _skipped(self, skipped: Skipped) -> None:
        kind = skipped.type if skipped.type in MODELS else "other"  # senders must not create metric labels
        metrics.CONSUMER_SKIPPED_TOTAL.labels(self.name, kind).inc()

    async def _apply_until_done(self, events: Sequence[Event[Any]], bad: list[Bad], records: int) -> None:
        await self._until_done.apply(events, bad, records)

    async def wait_out(self, error: BaseException, seconds: float) -> None:
        self.health.trouble = repr(error)[:500]
        metrics.CONSUMER_RETRIES_TOTAL.labels(self.name).inc()
        log.warning(
            "The batch waits for the database or the broker.",
            action="consumer.waiting_out",
            error=repr(error)[:2000],
            seconds=seconds,
        )
        if await self._stopped_within(seconds):
            raise Stopping(self.name)

    async def pause(self, seconds: float) -> None:
        if await self._stopped_within(seconds):
            raise Stopping(self.name)

    def _oversee(self, events: Sequence[Event[Any]], letters: Sequence[DeadLetter]) -> None:
        # a broken deploy would fail on deferred events just as on new ones
        self._limit.check(Tally.of(len(events), events, letters, self._halting.excused))

    async def _stopped_within(self, seconds: float) -> bool:
        try:
            await asyncio.wait_for(self._stopping.wait(), seconds)
        except TimeoutError:
            return False
        return True

    async def release_loop(self) -> None:
        """Release deferred events in rounds that read the database, so that none is missed."""
        await asyncio.gather(
            self._halting.watch(self._stopping),
            self._release_loop(self._releaser.release_resolved, self.pulses[0]),
            self._release_loop(lambda: self._releaser.alone(self._stopping), self.pulses[1]),
        )

    async def _release_loop(self, release: Callable[[], Awaitable[int]], pulse: Pulse) -> None:
        while not self._stopping.is_set():
            try:
                await self._halting.may_go_on(self.pause)
                fed = await release() if await self._releaser.anything(self._release_seconds / 2) else 0
                pulse.beat()
            except Stopping:
                return
            except Absurd as absurd:
                with suppress(Stopping):
                    await self._halting.halt(absurd, self.pause)
                continue
            except Exception as error:
                fed = 0
                pulse.failed(error)
                log.warning(
                    "Could not apply deferred events; trying again.",
                    action="consumer.release_failed",
                    consumer=self.name,
                    error=repr(error)[:2000],
                )
            if not fed:
                await self._stopped_within(self._release_seconds)

    def stop(self) -> None:
        """Let the current batch end without a commit."""
        self._stopping.set()


def fetch_pace(events: int, gather_milliseconds: int, behind: bool = False) -> tuple[int, int]:
    """(bytes, milliseconds) that the next fetch waits for, after one that brought so many events.

    At r events a millisecond the wait settles at FETCH_BUSY_MILLISECONDS / (1 - 2 r), up to `gather_milliseconds`. One
    that is behind waits for nothing: more is there already.
    """
    if not events or behind:
        return FETCH_WHILE_IDLE
    return FETCH_BUSY_BYTES, min(FETCH_BUSY_MILLISECONDS + 2 * events, gather_milliseconds)


def _is_behind(consumer: Any, messages: Mapping[TopicPartition, Sequence[ConsumerRecord]]) -> bool:
    """Whether Kafka has more of a partition than was taken of it."""
    ends = ((consumer.highwater(place), records[-1].offset) for place, records in messages.items() if records)
    return any(end is not None and end > last + 1 for end, last in ends)


def _first_offsets(message: tuple[ConsumerRecord, ...]) -> dict[TopicPartition, int]:
    first: dict[TopicPartition, int] = {}
    for record in message:
        first.setdefault(TopicPartition(record.topic, record.partition), record.offset)
    return first


async def _raw_decoder(message: KafkaAckableMessage) -> Any:
    return message.raw_message


__all__ = ["Batch", "Event", "Inbound", "Stopping", "Subscription"]
