"""A stop has one deadline, and whatever one part does at its stop, the others are stopped and the database closed."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import Any, cast

import pytest
from fastapi import FastAPI

from deploy.local.service import Service as Supervised
from shared.postgres.database import Database
from shared.runtime.clock import monotonic_seconds
from shared.runtime.settings import ServiceSettings
from shared.service import service as stopping
from shared.service.service import CLOSING_SECONDS, REQUESTS_GRACE_SECONDS, Background, Service


class Part:
    """A background that notes what became of its stop."""

    def __init__(self, *, takes_seconds: float = 0, fails: bool = False) -> None:
        self._takes_seconds, self._fails = takes_seconds, fails
        self.state = "new"

    async def start(self) -> None:
        self.state = "running"

    async def stop(self) -> None:
        self.state = "stopping"
        with suppress(TimeoutError):
            await asyncio.wait_for(asyncio.Event().wait(), self._takes_seconds)
        if self._fails:
            raise RuntimeError("cannot stop")
        self.state = "stopped"


class Closed:
    """A database that knows only how to close."""

    def __init__(self, *, hangs: bool = False, before: Callable[[], None] = lambda: None) -> None:
        self.closed, self._hangs, self._before = False, hangs, before

    def reading(self) -> Any:
        raise ConnectionError("no database")

    def pool_in_use(self) -> int:
        return 0

    async def close(self) -> None:
        self._before()
        if self._hangs:
            await asyncio.sleep(3600)
        self.closed = True


def service(database: Closed, parts: list[Any], *, grace_seconds: float = 8) -> Service:
    backgrounds = cast(list[Background], parts)
    return Service("test", cast(Database, database), "127.0.0.1", 0, backgrounds, grace_seconds=grace_seconds)


async def live_and_stop(made: Service) -> float:
    """How long the stop took."""
    async with made.lifespan(FastAPI()):
        await asyncio.sleep(0)
        begun = monotonic_seconds()
    return monotonic_seconds() - begun


async def test_a_part_that_fails_at_its_stop_leaves_the_others_stopped_and_the_database_closed() -> None:
    parts, database = [Part(), Part(fails=True), Part(takes_seconds=0.05)], Closed()
    await live_and_stop(service(database, parts))
    assert [part.state for part in parts] == ["stopped", "stopping", "stopped"]
    assert database.closed


async def test_parts_stop_at_once_and_the_database_is_closed_after_the_last() -> None:
    parts = [Part(takes_seconds=0.3) for _ in range(5)]
    left: list[str] = []
    database = Closed(before=lambda: left.extend(part.state for part in parts))
    assert await live_and_stop(service(database, parts)) < 1.0, "one after the other it would be 1.5 s"
    assert left == ["stopped"] * 5


async def test_what_does_not_stop_is_left_at_the_deadline(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stopping, "REQUESTS_GRACE_SECONDS", 0.1)
    parts, database = [Part(takes_seconds=3600), Part()], Closed()
    assert await live_and_stop(service(database, parts, grace_seconds=0.2)) < 2
    assert [part.state for part in parts] == ["stopping", "stopped"]
    assert database.closed


async def test_a_database_that_does_not_close_does_not_hold_the_stop(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stopping, "CLOSING_SECONDS", 0.1)
    assert await live_and_stop(service(Closed(hangs=True), [Part()])) < 2


async def test_what_requests_took_is_gone_from_the_backgrounds_time(monkeypatch: pytest.MonkeyPatch) -> None:
    part, database = Part(takes_seconds=3600), Closed()
    made = service(database, [part], grace_seconds=8)
    async with made.lifespan(FastAPI()):
        made.asked_to_stop()
        assert made._asked_at is not None
        made._asked_at -= REQUESTS_GRACE_SECONDS + 8 - 0.2  # requests have taken nearly all of it
        begun = monotonic_seconds()
    assert monotonic_seconds() - begun < 2
    assert database.closed


def test_the_time_runs_from_the_first_time_of_asking(monkeypatch: pytest.MonkeyPatch) -> None:
    moments = iter([100.0, 200.0])
    monkeypatch.setattr(stopping, "monotonic_seconds", lambda: next(moments))
    made = service(Closed(), [])
    made.asked_to_stop()
    made.asked_to_stop()
    assert made._asked_at == 100.0


def test_a_stop_ends_before_the_supervisor_kills() -> None:
    grace_seconds = float(ServiceSettings.model_fields["grace_seconds"].default)
    assert grace_seconds == Service.__dataclass_fields__["grace_seconds"].default
    assert REQUESTS_GRACE_SECONDS + grace_seconds + CLOSING_SECONDS < Supervised.grace_seconds
