"""The one place that uses aiokafka's private parts.

tests/unit/shared/kafka/test_aiokafka_internals.py fails if an upgrade moves them.

aiokafka works in background tasks. An error that a task does not expect ends it for good, and the public interface
does not show it. This module translates such errors into ones that aiokafka expects, reports whether a client's tasks
still run, and closes a client in any state.

`mend()` patches aiokafka's classes for the whole process when this module is imported.
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

#: first and longest pause between two attempts to connect to a node; jitter shortens each by up to a half. The longest
#: bounds how late a client notices that Kafka is back.
FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 0.1, 3.0
#: between two checks of a client's tasks while a call waits for them
TASKS_LOOK_SECONDS = 1.0

Result = TypeVar("Result")


class TaskEnded(KafkaError):  # type: ignore[misc]
    """A background task of a client has ended, so the client will never finish the call."""


# --- translating uvloop's errors ----------------------------------------------------------------------------------


def _is_closed(error: RuntimeError) -> bool:
    return "handler is closed" in str(error)


def _translated(send: Callable[..., Any]) -> Callable[..., Any]:
    """Turn uvloop's RuntimeError for a write on a closed transport into aiokafka's error of a broken connection.

    aiokafka catches OSError there, which asyncio's own transports raise; a RuntimeError ends the sending task.
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
    """Let one caller at a time connect to a node, with growing pauses; aiokafka itself does not pause.

    A node in its pause counts as not ready while another node is available; otherwise callers wait for it.
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
                return None  # another caller has just failed
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
    """Logs once per process when a node becomes unreachable, and once when it is reachable again."""

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


# --- inspecting a client ------------------------------------------------------------------------------------------


def client_of(owner: Any) -> AIOKafkaClient:
    """The client inside a consumer, a producer or an admin client."""
    return owner.client if hasattr(owner, "client") else owner._client


def tasks(owner: Any) -> dict[str, asyncio.Task[Any]]:
    """The existing background tasks of a consumer, producer or admin client, by purpose.

    They do not include connections' readers: when a reader ends, its connection closes and a new one is made.
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


#: tasks that may also end normally; others start them again
_MAY_END = ("heartbeat", "committed offsets")


def ended(owner: Any) -> str:
    """The background task of a running client that has ended, and why; empty while all run or after a close."""
    if owner._closed:
        return ""
    for name, task in tasks(owner).items():
        if not task.done():
            continue
        # a task cancelled before its first step also cancels the client that awaits it, which ends the client
        error = asyncio.CancelledError() if task.cancelled() else task.exception()
        if name not in _MAY_END or (error is not None and not task.cancelled()):
            return f"{name}: {error!r}"
    return ""


async def while_alive(owner: Any, work: Coroutine[Any, Any, Result]) -> Result:
    """Await work that needs a client's background tasks. Raises TaskEnded if one of them ends first."""
    doing = asyncio.ensure_future(work)
    try:
        while not doing.done():
            if what := ended(owner):
                raise TaskEnded(f"the client's task has ended: {what}")
            watched = {task for task in tasks(owner).values() if not task.done()}
            # the timeout finds tasks that start later: a client has none before it starts
            await asyncio.wait({doing, *watched}, timeout=TASKS_LOOK_SECONDS, return_when=asyncio.FIRST_COMPLETED)
        return await doing
    finally:
        if not doing.done():
            doing.cancel()
            await asyncio.gather(doing, return_exceptions=True)


def last_answer(owner: Any) -> float:
    """When the cluster last answered on an open connection, in monotonic seconds; 0 if there is none.

    An empty poll proves nothing: aiokafka also returns one while the cluster is away.
    """
    return max((connection._last_action for connection in client_of(owner)._conns.values()), default=0.0)


def ask(owner: Any) -> None:
    """Request the cluster's metadata without waiting, so that a live cluster answers."""
    client_of(owner).force_metadata_update()


async def know_topic(owner: Any, topic: str) -> None:
    """Fetch a topic's partitions; a client without a subscription knows no topic until it asks."""
    client = client_of(owner)
    await client.add_topic(topic)
    await client.force_metadata_update()


def pace_fetches(consumer: Any, least_bytes: int, longest_wait_ms: int) -> None:
    """Change the fetch settings of a running consumer; aiokafka reads them for every fetch."""
    consumer._fetcher._fetch_min_bytes, consumer._fetcher._fetch_max_wait_ms = least_bytes, longest_wait_ms


def positions(consumer: Any, places: Iterable[TopicPartition]) -> dict[TopicPartition, int]:
    """The next offset to deliver from each of these partitions that is assigned and has a position."""
    subscribed = consumer._subscription.subscription
    assignment = subscribed.assignment if subscribed is not None else None
    if assignment is None:
        return {}
    states = {place: assignment.state_value(place) for place in places}
    return {place: state.position for place, state in states.items() if state is not None and state.has_valid_position}


# --- closing a client ---------------------------------------------------------------------------------------------


async def close(owner: Any, stop: Callable[[], Coroutine[Any, Any, Any]], seconds: float) -> None:
    """Stop a client within `seconds`, then cancel what is left of it. Never raises."""
    stopping = asyncio.ensure_future(stop())
    try:
        await asyncio.wait({stopping}, timeout=seconds)
        # a stop that cancels a task before its first step ends as cancelled itself
        error: BaseException | None = TimeoutError()
        if stopping.done():
            error = None if stopping.cancelled() else stopping.exception()
        if error is not None:  # from tasks that had ended, or a cluster that does not answer
            log.info("A Kafka client did not stop cleanly.", action="kafka.stop", error=repr(error)[:500])
    finally:
        stopping.cancel()
        abandon(owner)
        if not stopping.done():
            await asyncio.wait({stopping}, timeout=1)


def abandon(owner: Any) -> None:
    """Cancel all of a client's tasks that still run and close its connections; harmless after a close."""
    owner._closed = True
    client = client_of(owner)
    fetcher = getattr(owner, "_fetcher", None)
    left: list[asyncio.Task[Any]] = [*tasks(owner).values(), *getattr(fetcher, "_pending_tasks", ())]
    for task in left:
        if not task.done():
            task.cancel()
        elif not task.cancelled():
            task.exception()  # already logged: keeps asyncio from logging it again
    for connection in list(client._conns.values()):
        connection.close(reason=CloseReason.SHUTDOWN)


# --- patching -----------------------------------------------------------------------------------------------------

_ORIGINALS: Mapping[str, Any] = {
    "send": AIOKafkaConnection.send,
    "_send_sasl_token": AIOKafkaConnection._send_sasl_token,
    "_get_conn": AIOKafkaClient._get_conn,
    "bootstrap": AIOKafkaClient.bootstrap,
}


def mend() -> None:
    """Patch aiokafka to treat a closed transport as a broken connection and to pause between attempts to connect."""
    AIOKafkaConnection.send = _translated(_ORIGINALS["send"])
    AIOKafkaConnection._send_sasl_token = _translated(_ORIGINALS["_send_sasl_token"])
    AIOKafkaClient._get_conn = _paced(_ORIGINALS["_get_conn"])
    AIOKafkaClient.bootstrap = _noted(_ORIGINALS["bootstrap"])


mend()
