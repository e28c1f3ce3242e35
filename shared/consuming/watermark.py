"""The watermark: the hour up to which a consumer group has applied its topics; no deadline after it is judged.

The watermark stands still while Kafka is away or the group lags; what depends on it runs later. It also stands still
after a topic has lost events: an empty log would otherwise count as applied before its owners replay it. After a
restart, the group's inbox shows that the log once held events.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient

from shared.kafka.aiokafka_internals import close, while_alive
from shared.kafka.clients import STOP_SECONDS, make_admin, make_reader
from shared.runtime.clock import Clock, monotonic_seconds
from shared.runtime.retry import Backoff
from shared.runtime.settings import KafkaSettings
from shared.telemetry.background_loop import BackgroundLoop
from shared.telemetry.logging import get_logger
from shared.telemetry.pulse import Pulse

log = get_logger()

LONGEST_PAUSE_SECONDS = 5.0
#: relays check every 30 s for lost events; after this long their replay has begun
LOST_LOG_SECONDS = 45.0


class Watermark(BackgroundLoop):
    """Compares the ends of `topics` with the group's committed offsets at intervals.

    `hour` (business time): every event in the topics at that hour has been applied. None until first known.
    `applied_before`: whether the service's store shows that the group has ever applied an event.
    """

    def __init__(
        self,
        kafka: KafkaSettings,
        consumer: str,
        topics: Sequence[str],
        clock: Clock,
        *,
        applied_before: Callable[[], Awaitable[bool]],
        interval_seconds: float = 0.5,
        lost_log_seconds: float = LOST_LOG_SECONDS,
    ) -> None:
        pulse = Pulse("caught up", patience_seconds=60.0, needs_kafka=True)
        super().__init__(f"{kafka.topic_prefix}{consumer} caught up", pulse, stop_seconds=0)
        self._kafka = kafka
        self._group = f"{kafka.topic_prefix}{consumer}"
        self._topics = [kafka.topic(topic) for topic in topics]
        self._clock = clock
        self._applied_before = applied_before
        self._interval_seconds = interval_seconds
        self._hour: datetime | None = None
        self._lost_log_seconds = lost_log_seconds
        self._ends: dict[TopicPartition, int] = {}
        self._still_until = 0.0
        self.pulses = (self._pulse,)

    def hour(self) -> datetime | None:
        return self._hour

    async def _run(self) -> None:
        backoff = Backoff(self._interval_seconds, LONGEST_PAUSE_SECONDS)
        while not self._stopping.is_set():
            reader = make_reader(self._kafka, "thongsuot-caught-up")
            admin = make_admin(self._kafka, "thongsuot-caught-up")
            try:
                await while_alive(reader, while_alive(admin, self._start(reader, admin)))
                backoff.reset()
                await while_alive(reader, while_alive(admin, self._watch(reader, admin)))
            except Exception as error:
                self._pulse.failed(error)
                if not backoff.failures:  # otherwise already logged
                    log.info(
                        "Cannot read the consumer group's progress.",
                        action="caught_up.unknown",
                        error=repr(error)[:500],
                    )
                await asyncio.sleep(backoff.next_seconds())
            finally:
                await close(reader, reader.stop, STOP_SECONDS)
                await close(admin, admin.close, STOP_SECONDS)

    async def _start(self, reader: AIOKafkaConsumer, admin: AIOKafkaAdminClient) -> None:
        await reader.start()
        await admin.start()

    async def _watch(self, reader: AIOKafkaConsumer, admin: AIOKafkaAdminClient) -> None:
        places = await self._partitions(admin)
        await self._look_for_loss_before(reader, admin, places)
        while True:
            hour = self._clock.now()
            ends = await reader.end_offsets(places)
            self._look_for_loss(ends)
            while True:
                reached = _reached(ends, await self._committed(admin)) and monotonic_seconds() >= self._still_until
                self._pulse.beat()
                await asyncio.sleep(self._interval_seconds)
                if reached:
                    break
            self._hour = hour

    def _look_for_loss(self, ends: dict[TopicPartition, int]) -> None:
        shorter = [place for place, end in self._ends.items() if ends.get(place, 0) < end]
        if shorter:
            self._stand_still(len(shorter))
        self._ends = ends

    async def _look_for_loss_before(
        self, reader: AIOKafkaConsumer, admin: AIOKafkaAdminClient, places: list[TopicPartition]
    ) -> None:
        # Each is read before what follows it in time, so that what a new system does meanwhile is not taken for a loss:
        # an event is applied, then its offset committed; and new events make the ends grow.
        applied = await self._applied_before()
        committed = await self._committed(admin)
        ends = await reader.end_offsets(places)
        shorter = [place for place, offset in committed.items() if ends.get(place, 0) < offset]
        # a cluster that comes back empty has lost its groups too
        if shorter or (applied and not committed):
            self._stand_still(len(shorter or places))

    def _stand_still(self, partitions: int) -> None:
        self._still_until = monotonic_seconds() + self._lost_log_seconds
        log.warning(
            "Topics have lost events; nothing is marked overdue until their owners have replayed them.",
            action="caught_up.log_lost",
            partitions=partitions,
        )

    async def _partitions(self, admin: AIOKafkaAdminClient) -> list[TopicPartition]:
        described = await admin.describe_topics(self._topics)
        places = [
            TopicPartition(topic["topic"], partition["partition"])
            for topic in described
            for partition in topic["partitions"]
        ]
        missing = set(self._topics) - {place.topic for place in places}
        if missing:
            raise LookupError(f"no such topics: {sorted(missing)}")
        return places

    async def _committed(self, admin: AIOKafkaAdminClient) -> dict[TopicPartition, int]:
        offsets = await admin.list_consumer_group_offsets(self._group)
        return {place: committed.offset for place, committed in offsets.items() if committed.offset >= 0}


def _reached(ends: dict[TopicPartition, int], committed: dict[TopicPartition, int]) -> bool:
    return all(committed.get(place, 0) >= end for place, end in ends.items())
