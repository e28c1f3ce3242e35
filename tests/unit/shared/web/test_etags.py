"""A page that a client holds is not sent again; whatever is no page, or another page, is."""

from __future__ import annotations

from typing import Any

import pytest
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse

from shared.web.app import Application
from tests.unit.shared.web.asking import ask, bare_app


def _app(items: list[str]) -> Application:
    app = bare_app()
    assert isinstance(app, Application)

    @app.get("/v1/things")
    async def things(response: Response) -> dict[str, Any]:
        response.headers["Link"] = '</v1/things?after=x>; rel="next"'
        return {"items": items, "next": None}

    @app.get("/v1/thing")
    async def thing() -> dict[str, Any]:
        return {"items_of": items}

    @app.get("/v1/stream")
    async def stream(request: Request) -> Response:
        async def parts() -> Any:
            yield b'{"items":'
            yield b"[]}"

        return StreamingResponse(parts(), media_type="application/json")

    @app.get("/v1/failing")
    async def failing() -> Response:
        return JSONResponse({"items": []}, status_code=206)

    @app.post("/v1/things")
    async def make() -> dict[str, Any]:
        return {"items": items}

    return app


async def test_a_page_that_is_held_is_not_sent_again_and_one_that_changed_is() -> None:
    items = ["a"]
    app = _app(items)
    first = await ask(app, "GET", "/v1/things")
    tag = first.headers["etag"]
    assert tag.startswith('W/"')
    again = await ask(app, "GET", "/v1/things", headers={"If-None-Match": tag})
    assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", tag)
    assert again.headers["link"] == first.headers["link"]
    assert again.headers["x-request-id"]
    assert "content-type" not in again.headers
    items.append("b")
    changed = await ask(app, "GET", "/v1/things", headers={"If-None-Match": tag})
    assert (changed.status_code, changed.json()["items"]) == (200, ["a", "b"])
    assert changed.headers["etag"] != tag


@pytest.mark.parametrize("held", ["{tag}", '"x", {tag}', "*", "{strong}"])
async def test_a_tag_is_found_among_others_and_compared_weakly(held: str) -> None:
    app = _app(["a"])
    tag = (await ask(app, "GET", "/v1/things")).headers["etag"]
    asked = held.format(tag=tag, strong=tag.removeprefix("W/"))
    assert (await ask(app, "GET", "/v1/things", headers={"If-None-Match": asked})).status_code == 304


@pytest.mark.parametrize("held", ['"x"', "", "W/", '"'])
async def test_another_tag_or_none_gets_the_page(held: str) -> None:
    assert (await ask(_app(["a"]), "GET", "/v1/things", headers={"If-None-Match": held})).status_code == 200


@pytest.mark.parametrize(
    ("method", "path"), [("GET", "/v1/thing"), ("GET", "/v1/stream"), ("GET", "/v1/failing"), ("POST", "/v1/things")]
)
async def test_what_is_no_page_passes_untouched(method: str, path: str) -> None:
    answer = await ask(_app([]), method, path, headers={"If-None-Match": "*"})
    assert answer.status_code in (200, 206)
    assert "etag" not in answer.headers
    assert answer.content
