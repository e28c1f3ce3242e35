"""Ask an application in this process, with no server between."""

from __future__ import annotations

from typing import Any

import httpx
from fastapi import FastAPI

from shared.telemetry.readiness import Readiness
from shared.web.allowance import KeyAllowances
from shared.web.app import create_app


def bare_app(**options: Any) -> FastAPI:
    """An application with nothing of its own."""

    async def readiness() -> Readiness:
        return Readiness.of({})

    return create_app("test", title="Test", readiness=options.pop("readiness", readiness), **options)


def plenty(**options: Any) -> KeyAllowances:
    """An allowance that no test spends, unless it asks for a small one."""
    settings: dict[str, Any] = {"milliseconds_per_second": 1e6, "burst_milliseconds": 1e6, **options}
    return KeyAllowances(**{"sends_at_once": 100, "reads_at_once": 100, "waiting": 100, **settings})


async def ask(app: FastAPI, method: str, url: str, **options: Any) -> httpx.Response:
    """The application's answer."""
    transport = httpx.ASGITransport(app=app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
        return await client.request(method, url, **options)
