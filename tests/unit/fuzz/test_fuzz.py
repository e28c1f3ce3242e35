"""The fuzz turns red for an answer of 5xx and for one that its document does not know; else it is green."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import uvicorn
from fastapi import FastAPI, Response

from deploy.local.ports import HOST, Ports
from deploy.local.process import poll_until
from tests.programs.fuzz import __main__ as program


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
        made, code = program.fuzz("control", url, "token", {"code": ["H99"]}, seed=1, cases=10)
    assert made > 10
    assert (code == 0) is green
