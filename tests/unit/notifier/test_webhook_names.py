"""A name server that is silent delays its own names alone."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

import pytest

from services.notifier.channels.webhook.names import Names

Looking = asyncio.Task[Sequence[str]]
Resolve = Callable[[str, int], Awaitable[Sequence[str]]]


class SlowServer:
    """Answers at once for every name but `cham-*`, of which it says nothing until `answers` is set."""

    def __init__(self) -> None:
        self.answers = threading.Event()
        self.asked: list[str] = []

    def look_up(self, host: str, port: int) -> Sequence[str]:
        self.asked.append(host)
        if host.startswith("cham"):
            self.answers.wait()
        if host.startswith("khong-co"):
            raise OSError("Name or service not known")
        return ["203.0.113.7"]


@pytest.fixture
async def server() -> AsyncIterator[SlowServer]:
    made = SlowServer()
    yield made
    made.answers.set()


async def neighbours(resolve: Resolve, count: int) -> tuple[list[Looking], Looking]:
    """So many names that are not answered, and one asked for after them; all have had their turn."""
    slow = [asyncio.create_task(_of(resolve(f"cham-{number}.example", 443))) for number in range(count)]
    await asyncio.sleep(0)
    neighbour = asyncio.create_task(_of(resolve("nhanh.example", 443)))
    await asyncio.wait([neighbour], timeout=0.3)
    return slow, neighbour


async def _of(found: Awaitable[Sequence[str]]) -> Sequence[str]:
    return await found


async def test_a_neighbours_name_does_not_wait_for_those_that_are_not_answered(server: SlowServer) -> None:
    names = Names(server.look_up, at_once=16)
    slow, neighbour = await neighbours(names.resolve, 15)
    assert neighbour.done()
    assert await neighbour == ["203.0.113.7"]
    assert not any(one.done() for one in slow)
    server.answers.set()
    assert await asyncio.gather(*slow) == [["203.0.113.7"]] * 15


async def test_control_in_asyncios_common_threads_it_waits(server: SlowServer) -> None:
    loop = asyncio.get_running_loop()
    with ThreadPoolExecutor(6) as common:  # asyncio's own number on two cores

        async def resolve(host: str, port: int) -> Sequence[str]:
            return await loop.run_in_executor(common, server.look_up, host, port)

        slow, neighbour = await neighbours(resolve, 15)
        assert not neighbour.done()
        server.answers.set()
        await asyncio.gather(*slow, neighbour)


async def test_a_name_that_takes_too_long_is_given_up_and_asked_for_once(server: SlowServer) -> None:
    names = Names(server.look_up, seconds=0.01)
    for _ in range(3):
        with pytest.raises(OSError, match=r"within 0\.01 s"):
            await names.resolve("cham.example", 443)
    assert server.asked == ["cham.example"]  # the lookup that runs is waited for again


async def test_names_that_were_slow_leave_half_of_the_threads_to_the_others(server: SlowServer) -> None:
    names = Names(server.look_up, at_once=4, seconds=0.01)
    for number in range(2):
        with pytest.raises(OSError, match="within"):
            await names.resolve(f"cham-{number}.example", 443)
    server.answers.set()
    await asyncio.gather(*names._running.values())
    server.answers.clear()
    for host in ("cham-2.example", "cham-3.example"):  # the first two are known to be slow, these are new
        with pytest.raises(OSError, match="within"):
            await names.resolve(host, 443)
    with pytest.raises(OSError, match="too many"):
        await names.resolve("cham-0.example", 443)
    assert await names.resolve("nhanh.example", 443) == ["203.0.113.7"]
    # once it answers again, the name is like every other
    server.answers.set()
    await asyncio.gather(*names._running.values())
    assert await names.resolve("cham-0.example", 443) == ["203.0.113.7"]
    assert "cham-0.example" not in names._slow


async def test_an_address_is_its_own_and_a_name_that_is_not_there_is_said_so(server: SlowServer) -> None:
    names = Names(server.look_up)
    assert await names.resolve("203.0.113.9", 443) == ["203.0.113.9"]
    assert await names.resolve("2001:db8::1", 443) == ["2001:db8::1"]
    assert server.asked == []
    with pytest.raises(OSError, match="not known"):
        await names.resolve("khong-co.example", 443)
