"""The batch runtime under every Kafka door: a batch's effects and its inbox claims commit together, then its offsets.

Nothing is acknowledged before it is applied, parked or buried. Infrastructure trouble is waited out inside the
handler (FastStream's NACK has no delay); an absurd share of bad records halts the consumer instead of draining its
topic into the dead-letter topic.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from aiokafka import ConsumerRecord, TopicPartition
from aiokafka.errors import KafkaError
from faststream import AckPolicy
from faststream.kafka import KafkaBroker
from faststream.kafka.message import KafkaAckableMessage

from shared import failpoints, metrics
from shared.applying import Applier, Inbound
from shared.batch import Batch, Event, Record
from shared.clock import Clock, monotonic_seconds
from shared.consumer_health import DlqLimit, Health, Listener
from shared.db import Database
from shared.events import MODELS
from shared.isolating import Progress
from shared.logging import bound, get_logger
from shared.parsing import Bad, Parsed, Skipped, parse
from shared.releasing import Patience, Releaser
from shared.settings import KafkaSettings
from shared.until_done import Stopping, UntilDone

log = get_logger()

#: how long one poll waits for a first record; it returns at once when one comes
POLL_MILLISECONDS = 1000
#: (bytes, milliseconds): the broker answers a fetch when it has so many bytes, or after so long. While nothing comes,
#: the first event is sent at once, and few fetches are idle; while events come, an answer is made worth a transaction
FETCH_WHILE_IDLE = 1, 500
FETCH_WHILE_BUSY = 256 * 1024, 100
#: of each partition in one answer (a larger record still comes, alone): bounds what is fetched ahead of a backlog
FETCH_PARTITION_BYTES = 256 * 1024


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
        self._until_done = UntilDone(
            self._applier, database, clock, self.health, dlq_limit or DlqLimit(), self._progress, self
        )
        self._ack_policy = ack_policy  # another policy only in negative controls
        self._stopping = asyncio.Event()
        self._subscriber: Any = None
        self._in_hand: dict[TopicPartition, int] = {}  # the first offset of each partition in the batch in hand

    def subscribe(self, broker: KafkaBroker) -> None:
        """Register with FastStream. The group id carries the topic prefix: systems that share a cluster stay apart."""
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
        """Wrap the client's calls once it runs: polls prove that the loop turns, commits and stops can fail."""
        consumer = self._subscriber.consumer
        getmany, commit, stop = consumer.getmany, consumer.commit, consumer.stop

        async def polled(*places: Any, timeout_ms: int = 0, max_records: int | None = None) -> Any:
            # FastStream sleeps after an empty poll; waiting here until something comes costs neither time nor CPU
            self._in_hand = {}
            while True:
                self.health.turned()
                try:
                    messages = await getmany(*places, timeout_ms=POLL_MILLISECONDS, max_records=max_records)
                    if not messages:
                        _check_fetching(consumer)
                except Exception:
                    self.health.failed_polls += 1
                    raise
                self.health.failed_polls = 0
                self._in_hand = {place: records[0].offset for place, records in messages.items() if records}
                self.health.answered(_last_answer(consumer))
                _pace(consumer, FETCH_WHILE_BUSY if messages else FETCH_WHILE_IDLE)
                if messages or not self._subscriber.running:
                    return messages

        async def committed(*args: Any, **kwargs: Any) -> Any:
            failpoints.hit("consumer.between_database_and_offset_commit")
            try:
                return await commit(*args, **kwargs)
            except Exception as error:
                metrics.CONSUMER_COMMIT_FAILURES_TOTAL.labels(self.name).inc()
                log.warning(
                    "Offsets were not committed; the batch will come again and the inbox will drop it.",
                    action="consumer.commit_failed",
                    consumer=self.name,
                    error=repr(error),
                )
                raise

        async def stopped() -> None:
            try:
                await stop()
            except KafkaError:  # told by fetching that had ended: what comes behind it must be closed all the same
                await consumer._client.close()

        consumer.getmany, consumer.commit, consumer.stop = polled, committed, stopped

    def lag(self) -> dict[TopicPartition, int]:
        """Events not yet applied of each assigned partition, as far as the client knows; Health is told too.

        All before the client's position was applied, except the batch in hand.
        """
        consumer = self._subscriber.consumer if self._subscriber is not None else None
        lags: dict[TopicPartition, int] = {}
        following: dict[TopicPartition, int] = {}
        self.health.answered(_last_answer(consumer) if consumer is not None else 0.0)
        subscribed = consumer._subscription.subscription if consumer is not None else None
        assignment = subscribed.assignment if subscribed is not None else None
        if consumer is None or assignment is None:
            return lags
        for place in self.health.assigned:
            state = assignment.state_value(place)
            if state is None or not state.has_valid_position:
                continue
            following[place] = min(state.position, self._in_hand.get(place, state.position))
            end = consumer.highwater(place)
            if end is not None:
                lags[place] = max(0, end - following[place])
        self.health.applied(following, sum(lags.values()))
        return lags

    async def _deliver(self, message: tuple[ConsumerRecord, ...]) -> None:
        prefix_length = len(self._kafka.topic_prefix)
        records = [Record(r.topic[prefix_length:], r.partition, r.offset, r.key, r.value, r.headers) for r in message]
        self.health.busy_since = monotonic_seconds()
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
        # FastStream's nack goes back in the first record's partition only; a batch spans many.
        consumer = self._subscriber.consumer
        if consumer is None:
            return
        first: dict[TopicPartition, int] = {}
        for record in message:
            first.setdefault(TopicPartition(record.topic, record.partition), record.offset)
        for place, offset in first.items():
            if place in consumer.assignment():
                consumer.seek(place, offset)

    async def process(self, records: Sequence[Record]) -> None:
        """Apply records until they are applied. Raises only Stopping (and cancellation)."""
        events: list[Event[Any]] = []
        bad: list[Bad] = []
        for record in records:
            parsed = await self._parse(record)
            if isinstance(parsed, Event):
                events.append(parsed)
            elif isinstance(parsed, Bad):
                bad.append(parsed)
            else:
                self._skipped(parsed)
        metrics.CONSUMER_BATCH_EVENTS.labels(self.name).observe(len(records))
        if not events and not bad:
            return
        with bound(consumer=self.name), metrics.CONSUMER_BATCH_DURATION_SECONDS.labels(self.name).time():
            await self._apply_until_done(events, bad, len(records))

    async def _parse(self, record: Record) -> Parsed:
        while True:
            try:
                return parse(record, self._models)
            except MemoryError as error:
                await self.wait_out(error, 0.2)

    def _skipped(self, skipped: Skipped) -> None:
        kind = skipped.type if skipped.type in MODELS else "other"  # whoever writes events does not write our labels
        metrics.CONSUMER_SKIPPED_TOTAL.labels(self.name, kind).inc()

    async def _apply_until_done(self, events: list[Event[Any]], bad: list[Bad], records: int) -> None:
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

    async def halt(self, rejected: int, records: int) -> None:
        self.health.halted = True
        metrics.CONSUMER_HALTED.labels(self.name).set(1)
        log.critical(
            "Too many records are bad: this looks like a broken deploy. The consumer halts; nothing is lost.",
            action="consumer.halted",
            rejected=rejected,
            records=records,
        )
        await self._stopping.wait()
        raise Stopping(self.name)

    async def _stopped_within(self, seconds: float) -> bool:
        try:
            await asyncio.wait_for(self._stopping.wait(), seconds)
        except TimeoutError:
            return False
        return True

    async def release_loop(self) -> None:
        """Feed what is deferred, again and again; by state, so that nothing missed stays missed."""
        await asyncio.gather(
            self._release_loop(self._releaser.known), self._release_loop(lambda: self._releaser.alone(self._stopping))
        )

    async def _release_loop(self, release: Callable[[], Awaitable[int]]) -> None:
        while not self._stopping.is_set():
            try:
                fed = await release()
            except Exception as error:
                fed = 0
                log.warning(
                    "Deferred events could not be fed; trying again.",
                    action="consumer.release_failed",
                    consumer=self.name,
                    error=repr(error)[:2000],
                )
            if not fed:
                await self._stopped_within(self._release_seconds)

    def stop(self) -> None:
        """Let a waiting batch end without commit."""
        self._stopping.set()


def _check_fetching(consumer: Any) -> None:
    # aiokafka's fetching ends for ever on an error that it did not expect (a write to a connection that was just
    # reset); its polls then go on and find nothing, without a word
    if consumer._fetcher.error_future.done():
        raise KafkaError("the client has stopped fetching")


def _last_answer(consumer: Any) -> float:
    # an empty poll is no sign of life: aiokafka returns it just so while the cluster is away
    return max((connection._last_action for connection in consumer._client._conns.values()), default=0.0)


def _pace(consumer: Any, wanted: tuple[int, int]) -> None:
    # aiokafka takes these once, at construction, but reads them for every fetch
    consumer._fetcher._fetch_min_bytes, consumer._fetcher._fetch_max_wait_ms = wanted


async def _raw_decoder(message: KafkaAckableMessage) -> Any:
    return message.raw_message


__all__ = ["Batch", "DlqLimit", "Event", "Inbound", "Stopping", "Subscription"]
