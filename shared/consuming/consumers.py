"""All subscriptions of a service instance live and end together, on one client that is made anew when it is broken."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Sequence
from contextlib import suppress

from aiokafka import TopicPartition
from faststream.kafka import KafkaBroker

from shared.consuming.subscription import Subscription
from shared.consuming.until_done import LONGEST_BACKOFF_SECONDS
from shared.kafka.clients import make_broker
from shared.runtime.clock import monotonic_seconds
from shared.runtime.retry import Backoff
from shared.runtime.settings import KafkaSettings
from shared.telemetry import metrics
from shared.telemetry.logging import get_logger
from shared.telemetry.pulse import Pulse

log = get_logger()

#: between two looks at the clients
LOOK_SECONDS = 1.0
#: for a connection that is being made when the service stops
CONNECTING_SECONDS = 2.0
#: for the first assignment of all subscriptions; a slow member of the group may hold it up for a minute
JOIN_SECONDS = 120.0
#: beside the grace for batches in hand: for clients to close
CLOSING_SECONDS = 6.0
#: before a client is made anew again: doubled each time, forgotten once one has lived for so long
FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS, LIVED_SECONDS = 1.0, 120.0, 60.0
#: "Kafka cannot be reached yet" is logged at most this often
TELL_SECONDS = 60.0
#: why clients are made anew, as the metric's label says it
REMADE_REASONS = (
    "task_ended",  # a background task of aiokafka
    "polls_failed",
    "commits_late",
    "not_polling",
    "no_partitions",
    "stuck",  # events lie there and none is applied
    "not_joined",  # the client was started and never got an assignment
)


class Consumers:
    """All subscriptions of a service instance: connects when the cluster can be reached, stops within its grace.

    A client that has lost one of its tasks, whose polls or commits fail again and again, or that makes no progress
    although there is something to do and Kafka answers, is made anew, whatever the reason; with growing pauses.
    """

    def __init__(
        self, service: str, kafka: KafkaSettings, subscriptions: Sequence[Subscription], *, grace_seconds: float = 8
    ) -> None:
        self._service = service
        self._kafka = kafka
        self.subscriptions = tuple(subscriptions)
        self._grace_seconds = grace_seconds
        self._broker: KafkaBroker | None = None
        self._tasks: list[asyncio.Task[None]] = []
        self._stopping = asyncio.Event()
        self._pulse = Pulse("consumers", patience_seconds=None)
        self.pulses = (self._pulse, *(pulse for subscription in self.subscriptions for pulse in subscription.pulses))
        # partitions whose lag is in the metric, by consumer
        self._published: dict[str, set[TopicPartition]] = {s.name: set() for s in self.subscriptions}
        for subscription in self.subscriptions:
            for reason in REMADE_REASONS:
                metrics.CONSUMER_REMADE_TOTAL.labels(subscription.name, reason)

    async def start(self) -> None:
        self._tasks = [asyncio.create_task(self._keep(), name=f"{self._service} consumers")]
        self._pulse.watch(*self._tasks)
        for subscription in self.subscriptions:
            task = asyncio.create_task(subscription.release_loop(), name=f"{subscription.name} release")
            for pulse in subscription.pulses:
                pulse.watch(task)
            self._tasks.append(task)

    async def _keep(self) -> None:
        backoff = Backoff(FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS)
        while not self._stopping.is_set():
            began = monotonic_seconds()
            broken = await self._connect() or await self._watch()
            if self._stopping.is_set():
                return
            log.warning("A Kafka client is broken; all are made anew.", action="consumer.remade", consumers=broken)
            for name, reason in broken.items():
                metrics.CONSUMER_REMADE_TOTAL.labels(name, reason).inc()
            broker, self._broker = self._broker, None
            if broker is not None:
                await self._close(broker)
            if monotonic_seconds() - began > LIVED_SECONDS:
                backoff.reset()
            await self._pause(backoff.next_seconds())

    async def _watch(self) -> dict[str, str]:
        """Until a client is broken or the service stops. Returns the broken ones with the reason."""
        seen: dict[str, str] = {}
        while True:
            await self._pause(LOOK_SECONDS)
            if self._stopping.is_set():
                return {}
            before, seen = seen, self._broken()
            # seen twice: behind a stall of the event loop everything looks old until its tasks have had a turn
            if broken := {name: reason for name, reason in seen.items() if before.get(name) == reason}:
                return broken

    def _broken(self) -> dict[str, str]:
        found = {subscription.name: subscription.broken() for subscription in self.subscriptions}
        return {name: reason for name, reason in found.items() if reason}

    async def _pause(self, seconds: float) -> None:
        """Wait, or until the service stops; Kafka is listened to all the while."""
        deadline = monotonic_seconds() + seconds
        while not self._stopping.is_set() and (left_seconds := deadline - monotonic_seconds()) > 0:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), min(left_seconds, LOOK_SECONDS))
            for subscription in self.subscriptions:
                subscription.listen()

    async def _connect(self) -> dict[str, str]:
        """Until the clients have their partitions or the service stops. Returns the broken ones, where there are."""
        backoff, told_at = Backoff(0.2, LONGEST_BACKOFF_SECONDS), 0.0
        while not self._stopping.is_set():
            broker = make_broker(self._kafka, self._service, graceful_timeout_seconds=self._grace_seconds)
            for subscription in self.subscriptions:
                subscription.subscribe(broker)
            try:
                broken = await self._start(broker)
            except Exception as error:
                if monotonic_seconds() - told_at > TELL_SECONDS:
                    log.warning("Kafka cannot be reached yet.", action="consumer.connecting", error=repr(error)[:2000])
                    told_at = monotonic_seconds()
                await self._close(broker)
                await self._pause(backoff.next_seconds())
            except BaseException:
                # stopped while connecting: a member left behind would hold partitions and never work on them
                await self._close(broker)
                raise
            else:
                self._broker = broker
                return broken
        return {}

    async def _start(self, broker: KafkaBroker) -> dict[str, str]:
        """Start the clients and watch them from their first moment. Raises what their start raises."""
        starting = asyncio.ensure_future(broker.start())
        deadline = monotonic_seconds() + JOIN_SECONDS
        try:
            while not starting.done():
                await asyncio.wait({starting}, timeout=0.1)
                for subscription in self.subscriptions:
                    subscription.watch()
                    subscription.listen()
                    subscription.health.turned()
                if starting.done():
                    break
                broken = self._broken()
                if not broken and monotonic_seconds() > deadline:
                    broken = {s.name: "not_joined" for s in self.subscriptions if not s.health.assigned}
                if broken:
                    return broken
            await starting
            for subscription in self.subscriptions:
                subscription.watch()
            return {}
        finally:
            if not starting.done():
                starting.cancel()
                await asyncio.gather(starting, return_exceptions=True)

    async def _close(self, broker: KafkaBroker) -> None:
        """Stop the clients in order, or else at the deadline; nothing of them goes on afterwards."""
        try:
            await asyncio.wait_for(broker.stop(), self._grace_seconds + CLOSING_SECONDS)
        except Exception as error:  # whatever it leaves behind, a new client is needed all the same
            log.warning("A broken client did not stop.", action="consumer.stop_failed", error=repr(error))
        finally:
            for subscription in self.subscriptions:
                subscription.abandon()

    async def stop(self) -> None:
        """Finish the batches in hand within the grace; what is not finished is redelivered."""
        self._stopping.set()
        for pulse in self.pulses:
            pulse.rest()
        for subscription in self.subscriptions:
            subscription.stop()
        # a client cancelled while it connects leaves its connection open: it gets a moment to be done with that
        pending = (await asyncio.wait(self._tasks, timeout=CONNECTING_SECONDS))[1] if self._tasks else ()
        for task in pending:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._broker is not None:
            await self._close(self._broker)

    def publish_lag(self) -> None:
        """Write each assigned partition's lag to its metric; a partition that was taken away is another member's."""
        for subscription in self.subscriptions:
            lags = subscription.lag()
            metrics.CONSUMER_KAFKA_SILENCE_SECONDS.labels(subscription.name).set(subscription.health.silent_seconds)
            for place, lag in lags.items():
                # what came since Kafka's last answer nobody knows
                events = math.nan if subscription.health.silent else lag
                metrics.CONSUMER_LAG_EVENTS.labels(*self._labels(subscription, place)).set(events)
            published = self._published[subscription.name]
            for place in published - subscription.health.assigned:
                metrics.CONSUMER_LAG_EVENTS.remove(*self._labels(subscription, place))
            self._published[subscription.name] = published & subscription.health.assigned | set(lags)

    def _labels(self, subscription: Subscription, place: TopicPartition) -> tuple[str, str, str]:
        return subscription.name, place.topic[len(self._kafka.topic_prefix) :], str(place.partition)
