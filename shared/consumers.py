"""All subscriptions of a service instance live and end together, on one client that is made anew when it is broken."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import suppress

from aiokafka import TopicPartition
from faststream.kafka import KafkaBroker

from shared import metrics
from shared.consumer import Subscription
from shared.kafka import make_broker
from shared.logging import get_logger
from shared.settings import KafkaSettings
from shared.until_done import LONGEST_BACKOFF_SECONDS

log = get_logger()

#: polls in a row that raise (FastStream pauses 5 s after each) before the client is taken for broken
FAILED_POLLS = 2
#: for a connection that is being made when the service stops
CONNECTING_SECONDS = 2.0


class Consumers:
    """All subscriptions of a service instance: connects when the cluster can be reached, stops within its grace.

    A client whose polls fail again and again is made anew: aiokafka's coordination and its fetching end for ever on an
    error that they did not expect (a write to a connection that was just reset).
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
        self._told: dict[str, set[TopicPartition]] = {s.name: set() for s in self.subscriptions}  # in the lag metric

    async def start(self) -> None:
        self._tasks = [asyncio.create_task(self._keep(), name=f"{self._service} consumers")]
        self._tasks += [asyncio.create_task(s.release_loop(), name=f"{s.name} release") for s in self.subscriptions]

    async def _keep(self) -> None:
        while not self._stopping.is_set():
            await self._connect()
            broken = ""
            while not broken and not self._stopping.is_set():
                with suppress(TimeoutError):
                    await asyncio.wait_for(self._stopping.wait(), 1)
                broken = ", ".join(s.name for s in self.subscriptions if s.health.failed_polls >= FAILED_POLLS)
            if broken and self._broker is not None:
                log.warning("A Kafka client is broken; all are made anew.", action="consumer.remade", consumers=broken)
                broker, self._broker = self._broker, None
                try:
                    await broker.stop()
                except Exception as error:  # whatever it leaves behind, a new client is needed all the same
                    log.warning("A broken client did not stop.", action="consumer.stop_failed", error=repr(error))
                for subscription in self.subscriptions:
                    subscription.health.revoked()

    async def _connect(self) -> None:
        delay_seconds = 0.2
        while not self._stopping.is_set():
            broker = make_broker(self._kafka, self._service, graceful_timeout_seconds=self._grace_seconds)
            for subscription in self.subscriptions:
                subscription.subscribe(broker)
            try:
                await broker.start()
                for subscription in self.subscriptions:
                    subscription.health.failed_polls = 0
                    subscription.watch()
            except Exception as error:
                log.warning("Kafka cannot be reached yet.", action="consumer.connecting", error=repr(error)[:2000])
                await broker.stop()
                for subscription in self.subscriptions:
                    subscription.health.turned()
                try:
                    await asyncio.wait_for(self._stopping.wait(), delay_seconds)
                except TimeoutError:
                    delay_seconds = min(delay_seconds * 2, LONGEST_BACKOFF_SECONDS)
            except BaseException:
                # stopped while connecting: a member left behind would hold partitions and never work on them
                await broker.stop()
                raise
            else:
                self._broker = broker
                return

    async def stop(self) -> None:
        """Finish the batches in hand within the grace; what is not finished is redelivered."""
        self._stopping.set()
        for subscription in self.subscriptions:
            subscription.stop()
        # a client cancelled while it connects leaves its connection open: it gets a moment to be done with that
        pending = (await asyncio.wait(self._tasks, timeout=CONNECTING_SECONDS))[1] if self._tasks else ()
        for task in pending:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._broker is not None:
            await self._broker.stop()

    def publish_lag(self) -> None:
        """Write each assigned partition's lag to its metric; what was taken away is another member's to tell."""
        for subscription in self.subscriptions:
            lags = subscription.lag()
            for place, lag in lags.items():
                metrics.CONSUMER_LAG_EVENTS.labels(*self._labels(subscription, place)).set(lag)
            told = self._told[subscription.name]
            for place in told - subscription.health.assigned:
                metrics.CONSUMER_LAG_EVENTS.remove(*self._labels(subscription, place))
            self._told[subscription.name] = told & subscription.health.assigned | set(lags)

    def _labels(self, subscription: Subscription, place: TopicPartition) -> tuple[str, str, str]:
        return subscription.name, place.topic[len(self._kafka.topic_prefix) :], str(place.partition)
