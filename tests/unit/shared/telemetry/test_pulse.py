"""A loop that died, or has not succeeded for long, is not ready and says why; one that rests or only warns is."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from shared.telemetry import pulse
from shared.telemetry.pulse import Pulse


@pytest.fixture
def later(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """Moves the monotonic clock forward."""
    now = [1000.0]
    monkeypatch.setattr(pulse, "monotonic_seconds", lambda: now[0])

    def move(seconds: float) -> None:
        now[0] += seconds

    return move


def test_a_loop_is_late_after_several_intervals_without_success(later: Callable[[float], None]) -> None:
    slow, quick = Pulse.every("slow", 60), Pulse.every("quick", 0.5)
    later(30)
    assert quick.check().ok
    later(1)
    quick.failed(RuntimeError("no such month"))
    found = quick.check()
    assert (found.ok, slow.check().ok) == (False, True)
    assert found.detail == "has not succeeded for 31 s, 1 failures in a row, the last: RuntimeError('no such month')"
    quick.beat()
    assert quick.check().detail == "0 s ago"
    later(600)
    assert not slow.check().ok


def test_failures_alone_are_no_fault_while_the_patience_lasts(later: Callable[[float], None]) -> None:
    loop = Pulse.every("loop", 1)
    for _ in range(29):
        later(1)
        loop.failed(OSError())
        assert loop.check().ok


def test_what_needs_kafka_or_only_warns_is_told_and_no_fault(later: Callable[[float], None]) -> None:
    relay, archive = Pulse("r", patience_seconds=60, needs_kafka=True), Pulse("a", patience_seconds=60, warns=True)
    later(61)
    assert not relay.check().ok
    told = relay.check(kafka_matters=False)
    assert (told.ok, told.detail) == (True, "WARNING has not succeeded for 61 s")
    assert archive.check().ok
    assert archive.check().detail.startswith("WARNING")
    archive.beat()
    archive.failed(RuntimeError("no partition"))
    assert "no partition" in archive.check().detail


async def test_a_task_that_has_ended_is_a_fault_until_it_is_stopped_on_purpose() -> None:
    async def dies() -> None:
        raise LookupError("gone")

    async def lives() -> None:
        await asyncio.Event().wait()

    loop = Pulse("lanes", patience_seconds=None)
    living, dead = asyncio.create_task(lives()), asyncio.create_task(dies())
    loop.watch(living)
    assert loop.check().ok
    loop.watch(living, dead)
    await asyncio.wait({dead})
    assert (loop.check().ok, loop.check().detail) == (False, "has ended: LookupError('gone')")
    loop.rest()
    assert loop.check().ok
    living.cancel()
