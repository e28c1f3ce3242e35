"""The one place that uses aiokafka's private parts.

tests/unit/shared/kafka/test_aiokafka_internals.py fails if an upgrade moves them.

aiokafka does its work in background tasks, each of which ends for ever on an error it does not expect, and nothing of
its public interface says so. Here such errors become the ones it expects, and whoever holds a client can see whether
its tasks still run, and can close it whatever state it is in.

`mend()` changes aiokafka's classes for the whole process; it runs when this module is imported.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar
from weakref import WeakKeyDictionary

from aiokafka import TopicPartition
from aiokafka.client import AIOKafkaClient, ConnectionGroup
from aiokafka.conn import AIOKafkaConnection, CloseReason
from aiokafka.errors import KafkaConnectionError, KafkaError

from shared.runtime import failpoints
from shared.runtime.clock import monotonic_seconds
from shared.runtime.retry import Backoff
from shared.telemetry.logging import get_logger

log = get_logger()

#: between two attempts to connect to a node: the first pause, and the longest; each is shortened by up to a half, by
#: chance. The longest bounds how late a client notices that Kafka is back.
FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 0.1, 3.0
#: between two looks at which tasks a client has, while something waits for them
TASKS_LOOK_SECONDS = 1.0

Result = TypeVar("Result")


class TaskEnded(KafkaError):  # type: ignore[misc]
    """A background task of a client has ended: the client will never finish what was asked of it."""


# --- what uvloop says, as aiokafka expects it ---------------------------------------------------------------------


def _is_closed(error: RuntimeError) -> bool:
    return "handler is closed" in str(error)


def _translated(send: Callable[..., Any]) -> Callable[..., Any]:
    """Make uvloop's RuntimeError for a write on a transport it has closed the error of a broken connection.

    aiokafka catches OSError there, as asyncio's own transports raise; a RuntimeError ends the task that was sending.
    """

    def translating(self: AIOKafkaConnection, *args: Any, **kwargs: Any) -> Any:
        try:
            failpoints.hit("kafka.send")
            return send(self, *args, **kwargs)
        except RuntimeError as error:
            if not _is_closed(error):
                raise
            self.close(reason=CloseReason.CONNECTION_BROKEN)
            raise KafkaConnectionError(f"Connection at {self.host}:{self.port} broken: {error}") from error

    return translating


# --- pauses between attempts to connect ---------------------------------------------------------------------------


@dataclass(slots=True)
class _Node:
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    backoff: Backoff = field(default_factory=lambda: Backoff(FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS, spread=0.5))
    not_before: float = 0.0

    def failed(self) -> None:
        self.not_before = monotonic_seconds() + self.backoff.next_seconds()

    def reached(self) -> None:
        self.backoff.reset()
        self.not_before = 0.0


_nodes: WeakKeyDictionary[AIOKafkaClient, dict[Any, _Node]] = WeakKeyDictionary()


def _paced(get_conn: Callable[..., Coroutine[Any, Any, Any]]) -> Callable[..., Coroutine[Any, Any, Any]]:
    """Let one caller at a time try to connect to a node, with growing pauses. aiokafka itself makes none.

    While other nodes can be asked, a node in its pause counts as not ready; while none can, callers wait.
    """

    async def pacing(self: AIOKafkaClient, node_id: Any, **options: Any) -> Any:
        connection = self._conns.get((node_id, options.get("group", ConnectionGroup.DEFAULT)))
        if connection is not None and connection.connected():
            return connection
        nodes = _nodes.setdefault(self, {})
        node = nodes.setdefault(node_id, _Node())
        failures = node.backoff.failures
        async with node.lock:
            if node.backoff.failures > failures:
                return None  # somebody else has just tried
            now = monotonic_seconds()
            if node.not_before > now:
                others = (broker.nodeId for broker in self.cluster.brokers() if broker.nodeId != node_id)
                if any(other not in nodes or nodes[other].not_before <= now for other in others):
                    return None
                await asyncio.sleep(node.not_before - now)
            connection = await get_conn(self, node_id, **options)
            address = _address(self, node_id)
            if connection is None:
                node.failed()
                outages.failed(address)
            else:
                node.reached()
                outages.reached(address)
            return connection

    return pacing


def _noted(bootstrap: Callable[..., Coroutine[Any, Any, None]]) -> Callable[..., Coroutine[Any, Any, None]]:
    async def noting(self: AIOKafkaClient) -> None:
        addresses = [f"{host}:{port}" for host, port, _ in self.hosts]
        try:
            await bootstrap(self)
        except KafkaError:
            for address in addresses:
                outages.failed(address)
            raise
        for address in addresses:
            outages.reached(address)

    return noting


def _address(client: AIOKafkaClient, node_id: Any) -> str:
    broker = client.cluster.broker_metadata(node_id)
    return f"{broker.host}:{broker.port}" if broker is not None else str(node_id)


class Outages:
    """Tells once when a node cannot be reached, and once when it can again, whichever clients found out."""

    def __init__(self) -> None:
        self._since: dict[str, float] = {}

    def failed(self, address: str) -> None:
        if address not in self._since:
            self._since[address] = monotonic_seconds()
            log.warning("Kafka cannot be reached; attempts go on.", action="kafka.away", node=address)

    def reached(self, address: str) -> None:
        since = self._since.pop(address, None)
        if since is not None:
            seconds = round(monotonic_seconds() - since, 1)
            log.warning("Kafka can be reached again.", action="kafka.back", node=address, seconds=seconds)


outages = Outages()


# --- looking into a client ----------------------------------------------------------------------------------------


def client_of(owner: Any) -> AIOKafkaClient:
    """The client inside a consumer, a producer or an admin client."""
    return owner.client if hasattr(owner, "client") else owner._client


def tasks(owner: Any) -> dict[str, asyncio.Task[Any]]:
    """The background tasks of a consumer, producer or admin client that now exist, by what they do.

    Readers of connections are none of them: whatever ends a reader closes its connection, and a new one is made.
    """
    coordinator = getattr(owner, "_coordinator", None)
    found = {
        "metadata": client_of(owner)._sync_task,
        "coordination": getattr(coordinator, "_coordination_task", None),
        "heartbeat": getattr(coordinator, "_heartbeat_task", None),
        "committed offsets": getattr(coordinator, "_commit_refresh_task", None),
        "positions": getattr(coordinator, "_reset_committed_task", None),
        "fetching": getattr(getattr(owner, "_fetcher", None), "_fetch_task", None),
        "sending": getattr(getattr(owner, "_sender", None), "_sender_task", None),
    }
    return {name: task for name, task in found.items() if task is not None}


#: these end in order too, and are begun again by others
_MAY_END = ("heartbeat", "committed offsets")


def ended(owner: Any) -> str:
    """Which background task of a running client has ended, and why; empty while all run, or once it was closed."""
    if owner._closed:
        return ""
    for name, task in tasks(owner).items():
        if not task.done():
            continue
        # a client that cancels a task before its first turn meets the cancellation itself, and ends of it
        error = asyncio.CancelledError() if task.cancelled() else task.exception()
        if name not in _MAY_END or (error is not None and not task.cancelled()):
            return f"{name}: {error!r}"
    return ""


async def while_alive(owner: Any, work: Coroutine[Any, Any, Result]) -> Result:
    """Await what needs a client's background tasks. Raises TaskEnded where one of them ends first."""
    doing = asyncio.ensure_future(work)
    try:
        while not doing.done():
            if what := ended(owner):
                raise TaskEnded(f"the client's task has ended: {what}")
            watched = {task for task in tasks(owner).values() if not task.done()}
            # the deadline is for tasks that come later: a client has none before it has started
            await asyncio.wait({doing, *watched}, timeout=TASKS_LOOK_SECONDS, return_when=asyncio.FIRST_COMPLETED)
        return await doing
    finally:
        if not doing.done():
            doing.cancel()
            await asyncio.gather(doing, return_exceptions=True)


def last_answer(owner: Any) -> float:
    """When the cluster last answered on one of the open connections, monotonic seconds; 0 where there is none.

    An empty poll is no sign of life: aiokafka returns it just so while the cluster is away.
    """
    return max((connection._last_action for connection in client_of(owner)._conns.values()), default=0.0)


def ask(owner: Any) -> None:
    """Have the cluster asked for its metadata, so that a live one answers; nothing waits for it."""
    client_of(owner).force_metadata_update()


async def know_topic(owner: Any, topic: str) -> None:
    """Fetch a topic's partitions; a client without subscription knows no topic until it has asked for it."""
    client = client_of(owner)
    await client.add_topic(topic)
    await client.force_metadata_update()


def pace_fetches(consumer: Any, least_bytes: int, longest_wait_ms: int) -> None:
    """aiokafka takes these once, at construction, but reads them for every fetch."""
    consumer._fetcher._fetch_min_bytes, consumer._fetcher._fetch_max_wait_ms = least_bytes, longest_wait_ms


def positions(consumer: Any, places: Iterable[TopicPartition]) -> dict[TopicPartition, int]:
    """The next offset that is handed out of each of these partitions, of those that are assigned and have one."""
    subscribed = consumer._subscription.subscription
    assignment = subscribed.assignment if subscribed is not None else None
    if assignment is None:
        return {}
    states = {place: assignment.state_value(place) for place in places}
    return {place: state.position for place, state in states.items() if state is not None and state.has_valid_position}


# --- closing a client ---------------------------------------------------------------------------------------------


async def close(owner: Any, stop: Callable[[], Coroutine[Any, Any, Any]], seconds: float) -> None:
    """Stop a client in order within so long; nothing of it goes on afterwards, however its stop went. Never raises."""
    stopping = asyncio.ensure_future(stop())
    try:
        await asyncio.wait({stopping}, timeout=seconds)
        # a stop ends with a cancellation too, where it cancels a task before its first turn
        error: BaseException | None = TimeoutError()
        if stopping.done():
            error = None if stopping.cancelled() else stopping.exception()
        if error is not None:  # of tasks that had ended, or of a cluster that does not answer
            log.info("A Kafka client did not stop cleanly.", action="kafka.stop", error=repr(error)[:500])
    finally:
        stopping.cancel()
        abandon(owner)
        if not stopping.done():
            await asyncio.wait({stopping}, timeout=1)


def abandon(owner: Any) -> None:
    """Cancel whatever of a client still runs and close its connections; it may have been closed already."""
    owner._closed = True
    client = client_of(owner)
    fetcher = getattr(owner, "_fetcher", None)
    left: list[asyncio.Task[Any]] = [*tasks(owner).values(), *getattr(fetcher, "_pending_tasks", ())]
    for task in left:
        if not task.done():
            task.cancel()
        elif not task.cancelled():
            task.exception()  # it is logged; asyncio need not log it again
    for connection in list(client._conns.values()):
        connection.close(reason=CloseReason.SHUTDOWN)


# --- mending ------------------------------------------------------------------------------------------------------

_ORIGINALS: Mapping[str, Any] = {
    "send": AIOKafkaConnection.send,
    "_send_sasl_token": AIOKafkaConnection._send_sasl_token,
    "_get_conn": AIOKafkaClient._get_conn,
    "bootstrap": AIOKafkaClient.bootstrap,
}


def mend() -> None:
    """Have aiokafka meet a closed transport as a broken connection, and pause between attempts to connect."""
    AIOKafkaConnection.send = _translated(_ORIGINALS["send"])
    AIOKafkaConnection._send_sasl_token = _translated(_ORIGINALS["_send_sasl_token"])
    AIOKafkaClient._get_conn = _paced(_ORIGINALS["_get_conn"])
    AIOKafkaClient.bootstrap = _noted(_ORIGINALS["bootstrap"])


mend()
