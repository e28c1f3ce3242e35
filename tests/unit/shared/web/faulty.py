"""An application with a route for each thing that can go wrong, and what every problem must look like."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from decimal import Decimal
from typing import Annotated, Any
from uuid import UUID

import httpx
from fastapi import APIRouter, FastAPI, Path, Query
from fastapi.exceptions import HTTPException
from pydantic import AwareDatetime, BaseModel, Field
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response, StreamingResponse

from shared.runtime.trouble import InfrastructureTrouble
from shared.telemetry import tracing
from shared.telemetry.logging import current_id
from shared.web.app import read_body
from shared.web.errors import conflict, too_many
from tests.unit.shared.web.asking import ask, bare_app


class Report(BaseModel, extra="forbid"):
    """A body."""

    code: str = Field(min_length=2, max_length=5, pattern="^[A-Z]+$")
    amount: Decimal = Field(ge=0)
    count: int
    id: UUID | None = None
    at: AwareDatetime | None = None
    lines: list[dict[str, int]] = Field(default_factory=list, max_length=2)


class Breakdown(Exception):
    """Something nobody foresaw."""


def faulty_app(**options: Any) -> FastAPI:
    app = bare_app(**options)
    router = APIRouter(prefix="/v1")

    @router.post("/reports/{report_id}")
    async def post(
        report: Report, report_id: Annotated[int, Path()], dry: Annotated[bool, Query()] = False
    ) -> dict[str, Any]:
        return {"code": report.code}

    @router.post("/raw")
    async def raw(request: Request) -> dict[str, int]:
        return {"bytes": len(await read_body(request, 2_000))}

    @router.get("/fails/{how}")
    async def fails(how: str) -> Response:
        match how:
            case "problem":
                raise conflict("Đang xử lý.", "In progress.", headers={"Retry-After": "2"})
            case "busy":
                raise too_many(9)
            case "refused":
                raise ConnectionRefusedError("127.0.0.1:5432 refused")
            case "waits":
                raise InfrastructureTrouble("broker away")
            case "teapot":
                raise HTTPException(418, "short and stout")
            case "disconnect":
                raise ClientDisconnect
            case "midway":

                async def half() -> AsyncIterator[bytes]:
                    yield b"half"
                    raise Breakdown("secret-detail")

                return StreamingResponse(half())
            case _:
                raise Breakdown("secret-detail")

    @router.get("/whoami")
    async def whoami() -> dict[str, Any]:
        traceparent = tracing.traceparent()
        assert traceparent is not None
        _, trace_id, span_id, _ = traceparent.split("-")
        return {"request_id": current_id("request_id"), "trace_id": trace_id, "span_id": span_id}

    app.include_router(router)
    return app


APP = faulty_app(body_limit_bytes=1_000)


def problem_of(answer: httpx.Response, status: int, slug: str) -> dict[str, Any]:
    document: dict[str, Any] = answer.json()
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.headers["vary"] == "Accept-Language"
    assert document["status"] == status
    assert document["type"] == f"/problems/{slug}"
    assert document["request_id"] == answer.headers["x-request-id"]
    for name in ("title_vi", "title_en", "detail_vi", "detail_en"):
        assert document[name]
    return document


async def post(body: Any, url: str = "/v1/reports/1", **headers: str) -> httpx.Response:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    return await ask(APP, "POST", url, content=content, headers={"content-type": "application/json", **headers})


GOOD = {"code": "AB", "amount": "1.50", "count": 1}
