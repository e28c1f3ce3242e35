"""What we know of aiokafka's insides is so in the installed version, and our changes to it do what they say.

After an upgrade that turns one of these red, read the new version's source and change aiokafka_internals.py.
"""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable, Coroutine
from types import SimpleNamespace
from typing import Any

import pytest
import uvloop
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka import client as client_module
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.client import AIOKafkaClient
from aiokafka.conn import AIOKafkaConnection
from aiokafka.consumer.fetcher import Fetcher
from aiokafka.consumer.group_coordinator import GroupCoordinator, NoGroupCoordinator
from aiokafka.consumer.subscription_state import SubscriptionState
from aiokafka.errors import KafkaConnectionError
from aiokafka.producer.sender import Sender
from aiokafka.protocol.admin import ApiVersionRequest
from aiokafka.structs import BrokerMetadata
from structlog.testing import capture_logs

from shared.kafka import aiokafka_internals
from shared.runtime.clock import monotonic_seconds


async def until(condition: Callable[[], bool]) -> None:
    """Let other tasks run until it holds."""
    deadline = monotonic_seconds() + 5
    while not condition():
        assert monotonic_seconds() < deadline
        await asyncio.sleep(0.001)


# --- where things are ---------------------------------------------------------------------------------------------


async def test_clients_carry_their_parts_under_the_names_we_use() -> None:
    consumer, producer, admin = AIOKafkaConsumer(), AIOKafkaProducer(), AIOKafkaAdminClient()
    for owner in (consumer, producer, admin):
        client = aiokafka_internals.client_of(owner)
        assert isinstance(client, AIOKafkaClient)
        assert (client._sync_task, client._conns, owner._closed) == (None, {}, False)
        assert aiokafka_internals.tasks(owner) == {}
        assert aiokafka_internals.ended(owner) == ""
    assert (consumer._coordinator, consumer._fetcher) == (None, None)
    assert producer._sender is not None
    assert aiokafka_internals.positions(consumer, [TopicPartition("t", 0)]) == {}
    assert AIOKafkaConnection("127.0.0.1", 1)._last_action <= monotonic_seconds()
    await producer.stop()
    await consumer.stop()
    await admin.close()


async def test_the_tasks_of_a_member_and_of_a_sender_have_the_names_we_use() -> None:
    client, subscription = AIOKafkaClient(), SubscriptionState()
    coordinator = GroupCoordinator(client, subscription, group_id="g")
    alone = NoGroupCoordinator(client, subscription)
    fetcher, sender = Fetcher(client, subscription), Sender(client, acks=1, txn_manager=None,
        message_accumulator=None, retry_backoff_ms=1, request_timeout_ms=1)  # fmt: skip
    owner = SimpleNamespace(client=client, _coordinator=coordinator, _fetcher=fetcher, _sender=sender, _closed=False)
    try:
        assert set(aiokafka_internals.tasks(owner)) == {"coordination", "fetching"}
        assert (coordinator._heartbeat_task, coordinator._commit_refresh_task, sender._sender_task) == (None,) * 3
        assert set(aiokafka_internals.tasks(SimpleNamespace(client=client, _coordinator=alone))) == {"positions"}
        assert fetcher._pending_tasks == set()
        aiokafka_internals.pace_fetches(owner, 7, 8)
        assert (fetcher._fetch_min_bytes, fetcher._fetch_max_wait_ms) == (7, 8)
        assert "self._fetch_min_bytes" in inspect.getsource(Fetcher._get_actions_per_node)
    finally:
        await until(lambda: alone._reset_committed_task.get_coro().cr_await is not None)  # it has had its first turn
        aiokafka_internals.abandon(owner)
        await alone.close()
        await asyncio.gather(*aiokafka_internals.tasks(owner).values(), return_exceptions=True)


def test_what_we_replace_takes_what_it_took() -> None:
    for name, wanted in {
        "send": "(self, request, expect_response=True)",
        "_send_sasl_token": "(self, payload, expect_response=True)",
        "_get_conn": "(self, node_id, *, group=<ConnectionGroup.DEFAULT: 0>, no_hint=False)",
        "bootstrap": "(self)",
    }.items():
        assert str(inspect.signature(aiokafka_internals._ORIGINALS[name])) == wanted
    # who looks for an OSError at these two writes would still be deceived by uvloop
    for name in ("send", "_send_sasl_token"):
        assert "except OSError" in inspect.getsource(aiokafka_internals._ORIGINALS[name])


# --- a write on a closed transport --------------------------------------------------------------------------------


async def _write_on_a_closed_transport(send: Callable[..., Any]) -> None:
    """uvloop has closed the transport, and the connection does not know yet."""
    server = await asyncio.start_server(lambda reader, writer: writer.close(), "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    connection = AIOKafkaConnection("127.0.0.1", port)
    connection._reader, connection._writer = await asyncio.open_connection("127.0.0.1", port)
    connection._read_task, connection._closed_fut = asyncio.create_task(_never()), asyncio.Future()
    connection._writer.transport.abort()
    await until(lambda: "closed=True" in repr(connection._writer.transport))
    try:
        with pytest.raises(KafkaConnectionError, match="handler is closed"):
            send(connection, ApiVersionRequest())
        assert not connection.connected(), "and the connection knows now"
    finally:
        connection._read_task = connection._read_task or asyncio.current_task()
        connection.close()
        server.close()


@pytest.mark.parametrize("name", ["send", "_send_sasl_token"])
def test_a_write_on_a_closed_transport_is_a_broken_connection(name: str) -> None:
    payload = (lambda connection, request: connection._send_sasl_token(b"x")) if name != "send" else None
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_write_on_a_closed_transport(payload or AIOKafkaConnection.send))


def test_without_the_translation_uvloop_raises_what_aiokafka_does_not_expect() -> None:
    with (
        asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner,
        pytest.raises(RuntimeError, match="handler is closed"),
    ):
        runner.run(_write_on_a_closed_transport(aiokafka_internals._ORIGINALS["send"]))


def test_another_runtime_error_is_not_hidden() -> None:
    def fails(connection: AIOKafkaConnection, request: Any) -> None:
        raise RuntimeError("no running event loop")

    with pytest.raises(RuntimeError, match="no running"):
        aiokafka_internals._translated(fails)(None, None)


# --- pauses between attempts --------------------------------------------------------------------------------------


class Cluster:
    """Nodes that can be reached or not; counts the attempts to connect."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *nodes: int) -> None:
        self.up: set[int] = set()
        self.attempts = 0
        self.client = AIOKafkaClient()
        self.client.cluster._brokers = {node: BrokerMetadata(node, "127.0.0.1", node, None) for node in nodes}
        monkeypatch.setattr(client_module, "create_conn", self._create)

    async def _create(self, host: str, port: int, **options: Any) -> Any:
        self.attempts += 1
        await asyncio.sleep(0)
        if port not in self.up:
            raise ConnectionRefusedError(port)
        return SimpleNamespace(connected=lambda: True, close=lambda reason=None: asyncio.sleep(0))

    async def hammer(self, seconds: float, callers: int = 5) -> None:
        """As aiokafka's tasks do: try again at once, or after its own 100 ms."""
        deadline = monotonic_seconds() + seconds

        async def caller(number: int) -> None:
            while monotonic_seconds() < deadline:
                await self.client._get_conn(1)
                await asyncio.sleep(0.1 if number else 0)

        await asyncio.gather(*(caller(number) for number in range(callers)))


async def test_a_node_that_is_away_is_tried_with_growing_pauses_and_told_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(aiokafka_internals, "outages", aiokafka_internals.Outages())
    cluster = Cluster(monkeypatch, 1)
    with capture_logs() as lines:
        await cluster.hammer(1.5)
        assert 3 <= cluster.attempts <= 8
        cluster.up.add(1)
        began = monotonic_seconds()
        assert await cluster.client._get_conn(1) is not None
        assert monotonic_seconds() - began < aiokafka_internals.LONGEST_PAUSE_SECONDS + 1
        assert await cluster.client._get_conn(1) is not None
    assert [line["action"] for line in lines] == ["kafka.away", "kafka.back"]
    assert lines[1]["seconds"] >= 1.5


async def test_without_the_pauses_a_node_that_is_away_is_tried_without_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(AIOKafkaClient, "_get_conn", aiokafka_internals._ORIGINALS["_get_conn"])
    cluster = Cluster(monkeypatch, 1)
    await cluster.hammer(0.5)
    assert cluster.attempts > 50


async def test_who_can_ask_another_node_does_not_wait_for_the_one_that_is_away(monkeypatch: pytest.MonkeyPatch) -> None:
    cluster = Cluster(monkeypatch, 1, 2)
    cluster.up.add(2)
    for _ in range(6):
        assert await cluster.client._get_conn(1) is None
    assert cluster.attempts == 1
    assert await cluster.client._get_conn(2) is not None


async def test_a_caller_that_is_cancelled_while_it_waits_hinders_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    cluster = Cluster(monkeypatch, 1)
    for _ in range(4):
        await cluster.client._get_conn(1)
    waiting = asyncio.create_task(cluster.client._get_conn(1))
    await until(lambda: aiokafka_internals._nodes[cluster.client][1].lock.locked())
    waiting.cancel()
    cluster.up.add(1)
    assert await asyncio.wait_for(cluster.client._get_conn(1), 5) is not None


# --- watching and closing -----------------------------------------------------------------------------------------


def _owner(**tasks: Coroutine[Any, Any, Any]) -> Any:
    made = {f"_{name}_task": asyncio.ensure_future(work) for name, work in tasks.items()}
    client = SimpleNamespace(_sync_task=made.pop("_sync_task", None), _conns={})
    return SimpleNamespace(client=client, _coordinator=SimpleNamespace(**made), _closed=False)


async def _fails() -> None:
    raise RuntimeError("unexpected")


async def _ends() -> None:
    return


async def _done() -> str:
    return "done"


async def _never() -> None:
    await asyncio.Event().wait()


async def test_a_task_that_has_ended_is_noticed() -> None:
    for owner, wanted in (
        (_owner(sync=_fails()), "metadata: RuntimeError('unexpected')"),
        (_owner(sync=_ends()), "metadata: None"),
        (_owner(coordination=_fails()), "coordination: RuntimeError('unexpected')"),
        (_owner(heartbeat=_fails()), "heartbeat: RuntimeError('unexpected')"),
        (_owner(heartbeat=_ends()), ""),  # between two generations there is none
        (_owner(sync=_never()), ""),
        (_owner(coordination=_raises(asyncio.CancelledError())), "coordination: CancelledError()"),
        (_owner(heartbeat=_raises(asyncio.CancelledError())), ""),
    ):
        await until(lambda owner=owner, wanted=wanted: bool(aiokafka_internals.ended(owner)) == bool(wanted))  # type: ignore[misc]
        assert aiokafka_internals.ended(owner) == wanted
        owner._closed = True
        assert aiokafka_internals.ended(owner) == "", "a closed client has no tasks to lose"
        aiokafka_internals.abandon(owner)


async def test_what_needs_a_task_that_has_ended_is_not_waited_for() -> None:
    waiting = asyncio.Event()

    async def later() -> None:
        await waiting.wait()
        raise RuntimeError("unexpected")

    owner = _owner(sync=later())
    asyncio.get_running_loop().call_later(0.02, waiting.set)
    with pytest.raises(aiokafka_internals.TaskEnded, match="metadata"):
        await asyncio.wait_for(aiokafka_internals.while_alive(owner, _never()), 5)
    alive = _owner(sync=_never())
    assert await aiokafka_internals.while_alive(alive, _done()) == "done"
    with pytest.raises(ZeroDivisionError):
        await aiokafka_internals.while_alive(alive, _raises(ZeroDivisionError()))
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(aiokafka_internals.while_alive(alive, _never()), 0.05)
    aiokafka_internals.abandon(alive)


async def _raises(error: BaseException) -> None:
    raise error


async def test_a_client_whose_stop_hangs_or_fails_is_closed_all_the_same() -> None:
    for stop in (_never, _fails, lambda: _raises(asyncio.CancelledError())):
        closed: list[Any] = []
        owner = _owner(sync=_never(), coordination=_never())
        connection = SimpleNamespace(close=lambda reason=None, closed=closed: closed.append(reason))
        owner.client._conns = {1: connection}
        tasks = list(aiokafka_internals.tasks(owner).values())
        await aiokafka_internals.close(owner, stop, 0.05)
        await asyncio.gather(*tasks, return_exceptions=True)
        assert all(task.cancelled() for task in tasks)
        assert len(closed) == 1
