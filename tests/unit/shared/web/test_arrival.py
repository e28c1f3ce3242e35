"""A request arrived when its head did, however long its body took; a body beyond its time keeps no moment open."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest
from fastapi import Request

from shared.runtime.clock import LOCAL_ZONE, Clock, ManualClock, monotonic_seconds
from shared.web.app import Application, read_body
from shared.web.arrival import Arrival, arrival_of
from tests.unit.shared.web.asking import bare_app
from tests.unit.shared.web.served import Talk, serving

DEADLINE = datetime(2026, 10, 20, 17, 0, tzinfo=LOCAL_ZONE)
BEFORE, AFTER = DEADLINE - timedelta(seconds=1), DEADLINE + timedelta(seconds=9)
HEAD = b"POST /v1/arrived HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\n"


def arrived_app(clock: Clock, begun: list[None]) -> Application:
    """Answers with the moment of arrival, and at the end of its path with that at which it began."""
    app = bare_app()

    @app.post("/v1/arrived")
    async def arrived(request: Request) -> dict[str, Any]:
        arrival = arrival_of(request.scope, clock, 60)
        begun.append(None)
        await read_body(request, 100)
        return {"arrived": arrival.moment(clock).isoformat(), "read": clock.now().isoformat()}

    assert isinstance(app, Application)
    return app


def _send(talk: Talk, clock: ManualClock, begun: list[None], head: bytes = HEAD) -> dict[str, Any]:
    """The head before the deadline, the body behind it."""
    before = len(begun)
    talk.say(head)
    deadline = monotonic_seconds() + 15
    while len(begun) == before:
        assert monotonic_seconds() < deadline
    clock.set(AFTER)
    talk.say(b"body")
    found: dict[str, Any] = talk.answer().json()
    return found


def test_a_body_that_comes_behind_the_deadline_belongs_to_its_head() -> None:
    clock, begun = ManualClock(BEFORE), list[None]()
    with serving(arrived_app(clock, begun), clock=clock) as served, served.connected() as talk:
        assert _send(talk, clock, begun) == {"arrived": BEFORE.isoformat(), "read": AFTER.isoformat()}
        # the next on the same connection has a head of its own
        assert _send(talk, clock, begun)["arrived"] == AFTER.isoformat()


@pytest.mark.parametrize("noted", [True, False])
def test_a_request_behind_a_slow_one_arrived_with_its_own_head(noted: bool) -> None:
    """Without the server's note it would have arrived when the application comes to it."""
    clock, begun = ManualClock(BEFORE), list[None]()
    app = arrived_app(clock, begun)

    @app.get("/v1/slow")
    async def slow() -> dict[str, str]:
        begun.append(None)
        clock.set(AFTER)
        return {}

    pipelined = b"GET /v1/slow HTTP/1.1\r\nHost: x\r\n\r\n" + HEAD + b"body"
    with serving(app, clock=clock if noted else None) as served, served.connected() as talk:
        talk.say(pipelined)
        talk.answer()
        assert talk.answer().json()["arrived"] == (BEFORE if noted else AFTER).isoformat()


@pytest.mark.parametrize(("held_seconds", "counts"), [(0.0, True), (59.0, True), (61.0, False)])
def test_a_moment_is_kept_open_no_longer_than_a_body_may_take(held_seconds: float, counts: bool) -> None:
    arrival = Arrival(BEFORE, monotonic_seconds() - held_seconds, 60)
    assert arrival.moment(ManualClock(AFTER)) == (BEFORE if counts else AFTER)
