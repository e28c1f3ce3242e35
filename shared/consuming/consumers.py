"""Runs all subscriptions of a service instance and recreates their Kafka clients when one is broken."""

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

#: interval of checking the clients
LOOK_SECONDS = 1.0
#: how long a stop waits for a connection that is being made
CONNECTING_SECONDS = 2.0
#: how long to wait for the first assignment; a slow member may delay it for a minute
JOIN_SECONDS = 120.0
#: how long clients may take to close, in addition to the grace for current batches
CLOSING_SECONDS = 6.0
#: pause before clients are recreated: first, longest (it doubles), and how long a client must live to reset it
FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS, LIVED_SECONDS = 1.0, 120.0, 60.0
#: "Kafka cannot be reached yet" is logged at most this often
LOG_SECONDS = 60.0
#: reasons to recreate clients, as labels of the metric
REMADE_REASONS = (
    "task_ended",  # a background task of aiokafka
    "polls_failed",
    "commits_late",
    "not_polling",
    "no_partitions",
    "stuck",  # events to apply, and none is applied
    "not_joined",  # the client never got an assignment
)


class Consumers:
    """All subscriptions of a service instance; connects once the cluster is reachable, stops within its grace.

    Recreates the clients, with growing pauses, when one has lost a background task, keeps failing to poll or commit, or
    makes no progress although it has events to apply and Kafka answers.
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
        # partitions with a published lag, by consumer
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
            log.warning("A Kafka client is broken; recreating all.", action="consumer.remade", consumers=broken)
            for name, reason in broken.items():
                metrics.CONSUMER_REMADE_TOTAL.labels(name, reason).inc()
            broker, self._broker = self._broker, None
            if broker is not None:
                await self._close(broker)
            if monotonic_seconds() - began > LIVED_SECONDS:
                backoff.reset()
            await self._pause(backoff.next_seconds())

    async def _watch(self) -> dict[str, str]:
        """Wait until a client is broken or the service stops. Returns the broken ones with the reason."""
        seen: dict[str, str] = {}
        while True:
            await self._pause(LOOK_SECONDS)
            if self._stopping.is_set():
                return {}
            before, seen = seen, self._broken()
            # only if seen twice: right after a stall of the event loop, every client looks broken
            if broken := {name: reason for name, reason in seen.items() if before.get(name) == reason}:
                return broken

    def _broken(self) -> dict[str, str]:
        found = {subscription.name: subscription.broken() for subscription in self.subscriptions}
        return {name: reason for name, reason in found.items() if reason}

    async def _pause(self, seconds: float) -> None:
        """Wait `seconds` or until the service stops; meanwhile keep Kafka's last answer up to date."""
        deadline = monotonic_seconds() + seconds
        while not self._stopping.is_set() and (left_seconds := deadline - monotonic_seconds()) > 0:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), min(left_seconds, LOOK_SECONDS))
            for subscription in self.subscriptions:
                subscription.listen()

    async def _connect(self) -> dict[str, str]:
        """Connect until the clients have joined or the service stops. Returns the broken ones, if any."""
        backoff, logged_at = Backoff(0.2, LONGEST_BACKOFF_SECONDS), 0.0
        while not self._stopping.is_set():
            broker = make_broker(self._kafka, self._service, graceful_timeout_seconds=self._grace_seconds)
            for subscription in self.subscriptions:
                subscription.subscribe(broker)
            try:
                broken = await self._start(broker)
            except Exception as error:
                if monotonic_seconds() - logged_at > LOG_SECONDS:
                    log.warning("Kafka cannot be reached yet.", action="consumer.connecting", error=repr(error)[:2000])
                    logged_at = monotonic_seconds()
                await self._close(broker)
                await self._pause(backoff.next_seconds())
            except BaseException:
                # a member left behind would hold partitions without consuming them
                await self._close(broker)
                raise
            else:
                self._broker = broker
                return broken
        return {}

    async def _start(self, broker: KafkaBroker) -> dict[str, str]:
        """Start the clients and watch them from the start. Raises what their start raises."""
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
        """Stop the clients in order; abandon what is left of them at the deadline."""
        try:
            await asyncio.wait_for(broker.stop(), self._grace_seconds + CLOSING_SECONDS)
        except Exception as error:  # a new client is needed in any case
            log.warning("A Kafka client did not stop in order.", action="consumer.stop_failed", error=repr(error))
        finally:
            for subscription in self.subscriptions:
                subscription.abandon()

    async def stop(self) -> None:
        """Finish the current batches within the grace; Kafka redelivers the rest."""
        self._stopping.set()
        for pulse in self.pulses:
            pulse.rest()
        for subscription in self.subscriptions:
            subscription.stop()
        # a client cancelled while it connects would leave its connection open: wait a moment for it
        pending = (await asyncio.wait(self._tasks, timeout=CONNECTING_SECONDS))[1] if self._tasks else ()
        for task in pending:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._broker is not None:
            await self._close(self._broker)

    def publish_lag(self) -> None:
        """Publish the lag of each assigned partition; drop the series of partitions that moved to another member."""
        for subscription in self.subscriptions:
            lags = subscription.lag()
            metrics.CONSUMER_KAFKA_SILENCE_SECONDS.labels(subscription.name).set(subscription.health.silent_seconds)
            for place, lag in lags.items():
                # during Kafka's silence the true lag is unknown
                events = math.nan if subscription.health.silent else lag
                metrics.CONSUMER_LAG_EVENTS.labels(*self._labels(subscription, place)).set(events)
            published = self._published[subscription.name]
            for place in published - subscription.health.assigned:
                metrics.CONSUMER_LAG_EVENTS.remove(*self._labels(subscription, place))
            self._published[subscription.name] = published & subscription.health.assigned | set(lags)

    def _labels(self, subscription: Subscription, place: TopicPartition) -> tuple[str, str, str]:
        return subscription.name, place.topic[len(self._kafka.topic_prefix) :], str(place.partition)
