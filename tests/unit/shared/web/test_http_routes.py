"""A query parameter that nobody reads does nothing in silence nowhere; Allow names all that a path takes."""

from __future__ import annotations

from typing import Annotated, Any, cast

import pytest
from fastapi import APIRouter, Depends, Query
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from shared.web import routes
from shared.web.app import Application, RequestMiddleware
from shared.web.paging import PageRequest, page_request
from tests.unit.shared.web.asking import ask, bare_app


def _app() -> tuple[Application, list[str]]:
    app = bare_app()
    assert isinstance(app, Application)
    done: list[str] = []
    router = APIRouter(prefix="/v1")

    @router.post("/things")
    async def make(loud: bool = False) -> dict[str, Any]:
        done.append("made")
        return {}

    @router.get("/things")
    async def things(limit: int = 1, kind: Annotated[list[str] | None, Query()] = None) -> dict[str, Any]:
        return {"limit": limit, "kind": kind}

    @router.put("/things/{name}")
    async def put(name: str) -> dict[str, Any]:
        done.append(name)
        return {}

    @router.get("/listed")
    async def listed(
        page: Annotated[PageRequest, Depends(page_request)], kind: Annotated[str, Query(max_length=2)] = ""
    ) -> dict[str, Any]:
        return {"limit": page.limit, "kind": kind}

    app.include_router(router)

    class Fast:
        """An application, not a function, as Starlette tells them apart."""

        async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
            done.append("fast")
            await send({"type": "http.response.start", "status": 201, "headers": []})
            await send({"type": "http.response.body", "body": b""})

    @app.delete("/v1/fast")
    async def documented() -> None:
        """The other method of the fast path."""

    @app.post("/v1/fast")
    async def fast_documented() -> None:
        """As it stands in the document."""

    route = Route("/v1/fast", cast(Any, Fast()), methods=["POST"])
    app.shortcuts["POST", "/v1/fast"] = RequestMiddleware(route.app)
    app.router.routes.insert(0, route)
    return app, done


@pytest.mark.parametrize(
    ("method", "url", "pointers"),
    [
        ("POST", "/v1/things?dry_run=true", ["/dry_run"]),
        ("POST", "/v1/things?loud=1&a=1&b=2&a=3", ["/a", "/b"]),
        ("POST", "/v1/things?Loud=1", ["/Loud"]),
        ("POST", "/v1/things?dry_run", ["/dry_run"]),
        ("PUT", "/v1/things/one?x=1", ["/x"]),
        ("GET", "/v1/things?limit=1&limit=2", ["/limit"]),
        ("GET", "/v1/things?limit=1%00", ["/limit"]),
        ("GET", "/v1/things?~a/b=1", ["/~0a~1b"]),
        ("POST", "/v1/fast?dry_run=true", ["/dry_run"]),
        ("GET", "/healthz?x=1", ["/x"]),
        ("GET", "/metrics?name=x", ["/name"]),
        ("GET", "/problems/not-found?x", ["/x"]),
    ],
)
async def test_a_parameter_that_nobody_reads_is_refused_and_nothing_is_done(
    method: str, url: str, pointers: list[str]
) -> None:
    app, done = _app()
    answer = await ask(app, method, url)
    assert answer.status_code == 400
    document = answer.json()
    assert [error["pointer"] for error in document["errors"]] == pointers
    assert {error["in"] for error in document["errors"]} == {"query"}
    assert all(error["fix_vi"] and error["fix_en"] for error in document["errors"])
    assert done == []


@pytest.mark.parametrize(
    ("url", "pointers"),
    [
        ("/v1/listed?limit=0&colour=red&kind=long&after=!", {"/colour", "/limit", "/kind", "/after"}),
        ("/v1/listed?limit=a&limit=b&colour=red&kind=long", {"/colour", "/limit", "/kind"}),
        ("/v1/listed?colour=red", {"/colour"}),
    ],
)
async def test_unknown_parameters_and_wrong_values_of_known_ones_are_told_at_once(url: str, pointers: set[str]) -> None:
    app, _ = _app()
    answer = await ask(app, "GET", url)
    assert answer.status_code == 400
    told = [error["pointer"] for error in answer.json()["errors"]]
    assert set(told) == pointers
    assert len(told) == len(pointers), "each once"


async def test_wrong_values_alone_are_told_at_once_the_unreadable_ones_too() -> None:
    app, _ = _app()
    answer = await ask(app, "GET", "/v1/listed?limit=0&kind=long&after=!")
    assert answer.status_code == 400, "a cursor that is none makes the query unreadable"
    assert {error["pointer"] for error in answer.json()["errors"]} == {"/limit", "/kind", "/after"}
    answer = await ask(app, "GET", "/v1/listed?limit=0&kind=long")
    assert answer.status_code == 422
    assert {error["pointer"] for error in answer.json()["errors"]} == {"/limit", "/kind"}


async def test_without_the_look_at_known_values_only_the_unknown_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """Negative control."""
    monkeypatch.setattr(routes, "request_params_to_args", lambda *_: ({}, []))
    answer = await ask(_app()[0], "GET", "/v1/listed?limit=0&colour=red")
    assert [error["pointer"] for error in answer.json()["errors"]] == ["/colour"]


async def test_known_parameters_pass() -> None:
    app, done = _app()
    assert (await ask(app, "GET", "/v1/things?limit=3&kind=a&kind=b")).json() == {"limit": 3, "kind": ["a", "b"]}
    assert (await ask(app, "POST", "/v1/things?loud=true")).status_code == 200
    assert (await ask(app, "POST", "/v1/fast?")).status_code == 201
    assert (await ask(app, "PUT", "/v1/things/one")).status_code == 200
    assert done == ["made", "fast", "one"]


async def test_thousands_of_unknown_parameters_are_told_a_hundred_times() -> None:
    app, _ = _app()
    answer = await ask(app, "POST", "/v1/things?" + "&".join(f"p{n}" for n in range(1_500)))
    assert (answer.status_code, len(answer.json()["errors"])) == (400, 100)


@pytest.mark.parametrize(
    ("path", "allow"),
    [
        ("/v1/things", "GET, POST"),
        ("/v1/things/one", "PUT"),
        ("/v1/fast", "DELETE, POST"),
        ("/healthz", "GET, HEAD"),
        ("/problems/x", "GET, HEAD"),
    ],
)
@pytest.mark.parametrize("query", ["", "?unknown=1"])
async def test_a_wrong_method_is_told_all_methods_of_the_path(path: str, allow: str, query: str) -> None:
    answer = await ask(_app()[0], "PATCH", path + query)
    assert (answer.status_code, answer.headers.get_list("allow")) == (405, [allow])
    assert answer.json()["type"] == "/problems/method-not-allowed"


async def test_what_is_nowhere_stays_not_found() -> None:
    assert (await ask(_app()[0], "GET", "/v1/nowhere?x=1")).status_code == 404
