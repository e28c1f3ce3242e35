"""The fuzz turns red for an answer of 5xx and for one that its document does not know; else it is green."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import UUID, uuid4

import pytest
import uvicorn
from fastapi import FastAPI, HTTPException, Response
from pydantic import BaseModel

from deploy.local.ports import HOST, Ports
from deploy.local.process import poll_until
from tests.programs.fuzz import __main__ as program
from tests.programs.fuzz.follow import follow
from tests.programs.fuzz.walks import closed, followable, walk


class Thing(BaseModel):
    thing_id: UUID


def _app(status: int) -> FastAPI:
    app = FastAPI()

    @app.get("/things/{code}")
    async def thing(code: str, size: int = 0) -> Response:
        return Response(status_code=status if size > 1 else 204)

    # what it promises: 204, and FastAPI's own 422
    app.openapi()["paths"]["/things/{code}"]["get"]["responses"]["204"] = {"description": "nothing"}
    return app


@contextmanager
def _served(app: FastAPI) -> Iterator[str]:
    ports = Ports()
    port = ports.free()
    server = uvicorn.Server(uvicorn.Config(app, host=HOST, port=port, log_level="critical", ws="none"))
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        assert poll_until(lambda: server.started, 30)
        yield f"http://{HOST}:{port}"
    finally:
        server.should_exit = True
        thread.join(30)
        ports.close()


@pytest.mark.parametrize(("status", "green"), [(204, True), (500, False), (418, False)])
def test_only_documented_answers_below_500_are_green(
    status: int, green: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(program, "REPORTS", tmp_path)
    monkeypatch.setattr(program, "CHECKS", ("not_a_server_error", "status_code_conformance"))
    with _served(_app(status)) as url:
        fuzzed = program.fuzz("control", url, "token", {"code": ["H99"]}, seed=1, cases=10)
    assert fuzzed.made > 10
    assert (fuzzed.code == 0) is green


def _linked(status: int) -> FastAPI:
    """Says `status` of a thing that another call has made, and 404 of every other."""
    app = FastAPI()
    made: set[str] = set()

    @app.post("/things", status_code=201)
    async def make() -> Thing:
        thing = Thing(thing_id=uuid4())
        made.add(str(thing.thing_id))
        return thing

    @app.get("/things/{thing_id}")
    async def read(thing_id: UUID) -> Thing:
        if status == 200 and str(thing_id) in made:
            return Thing(thing_id=thing_id)
        raise HTTPException(status if str(thing_id) in made else 404)

    app.openapi()["paths"]["/things/{thing_id}"]["get"]["responses"]["404"] = {"description": "none"}
    return app


@pytest.mark.parametrize(("status", "green"), [(404, True), (500, False)])
def test_a_walk_calls_with_what_it_was_answered(status: int, green: bool) -> None:
    with _served(_linked(status)) as url:
        walked = walk(url, "token", {}, program.CHECKS[:2], seed=1, walks=10)
    assert walked.requests > 10
    assert walked.linked > 0
    assert (not walked.faults) is green, walked.faults


LINK = "POST /things -> [201] read -> GET /things/{thing_id}"


def _named(status: int) -> FastAPI:
    """The same, with the link in its document, and an operation for operators alone."""
    app = _linked(status)
    paths = app.openapi()["paths"]
    read = {"operationId": paths["/things/{thing_id}"]["get"]["operationId"]}
    paths["/things"]["post"]["responses"]["201"]["links"] = {
        "read": {**read, "parameters": {"thing_id": "$response.body#/thing_id"}}
    }
    paths["/things"]["post"]["x-scope"] = "submit"
    return app


@pytest.mark.parametrize(("status", "good"), [(200, True), (404, False), (500, False)])
def test_each_named_link_is_followed_from_a_good_answer(status: int, good: bool) -> None:
    with _served(_named(status)) as url:
        followed = follow(url, "token", {}, ())
    assert (followed.links, followed.named) == ({LINK}, {LINK})
    assert (followed.good == {LINK}) is good
    assert bool(followed.faults) is (status == 500), followed.faults


def test_a_link_that_a_key_cannot_follow_is_not_counted() -> None:
    document = _named(404).openapi()
    assert closed(document, ("submit", "read")) == []
    shut = closed(document, ("operate",))
    assert shut == ["POST /things"]
    assert (followable(document, ()), followable(document, shut)) == ({LINK}, set())
