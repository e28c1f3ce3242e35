"""Whoever has a key pays for what is asked with it, and is told so in headers that the document names."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import httpx
import pytest
from fastapi import Depends, FastAPI

from shared.access import SCOPES, Principal
from shared.runtime.clock import ManualClock
from shared.web import allowance
from shared.web.allowance import KeyAllowances, Metered, PrincipalAllowances
from shared.web.authentication import Anybody, Operators, new_key
from shared.web.callers import Callers
from shared.web.errors import not_found
from tests.fakes.keyring import FakeKeyring
from tests.unit.shared.web.asking import ask, bare_app, plenty

OPERATING, ROTATED, OTHER, AGENCY = new_key(), new_key(), new_key(), new_key()
KEYS = {
    OPERATING: Principal("operator", "nightly", None, frozenset(SCOPES)),
    ROTATED: Principal("operator", "nightly", None, frozenset(SCOPES)),
    OTHER: Principal("operator", "other", None, frozenset(SCOPES)),
    AGENCY: Principal("agency", "H99.01", "H99.01", frozenset({"read"})),
}
CLOCK = ManualClock(datetime(2026, 10, 16, tzinfo=UTC))
#: milliseconds: a request costs at least 0.25, so the second one has no credit
ONE: dict[str, Any] = {"milliseconds_per_second": 0.001, "burst_milliseconds": 0.1}


def limited(operators: KeyAllowances) -> FastAPI:
    """Routes for operators, for all with a key, and for everybody."""
    app = bare_app()
    app.add_middleware(Metered)
    keyring = FakeKeyring(KEYS)
    callers = Callers(keyring, PrincipalAllowances(plenty(), operators), CLOCK, ("read", "operate"))

    async def shown(name: str) -> dict[str, str]:
        if name == "none":
            raise not_found("mục này", "such item")
        return {"name": name}

    for path, admitted in (
        ("/v1/operated/{name}", Operators(keyring, CLOCK, operators)),
        ("/v1/called/{name}", callers),
        ("/v1/open/{name}", Anybody(per_second=0.001, burst=2)),
    ):
        app.add_api_route(path, shown, dependencies=[Depends(admitted)], name=path.split("/")[2])
    return app


async def get(app: FastAPI, path: str, key: Any = OPERATING) -> httpx.Response:
    return await ask(app, "GET", path, headers={"Authorization": f"Bearer {key.secret_text}"})


@pytest.mark.parametrize("path", ["/v1/operated/x", "/v1/called/x"])
async def test_an_operator_who_asks_too_much_waits_and_nobody_else_does(path: str) -> None:
    app = limited(plenty(policy="operator", **ONE))
    assert (await get(app, path)).status_code == 200
    refused = await get(app, path)
    assert (refused.status_code, refused.json()["type"]) == (429, "/problems/too-many-requests")
    assert int(refused.headers["retry-after"]) >= 1
    assert refused.headers["ratelimit"].startswith('"key";r=0;t=')
    assert (await get(app, "/v1/called/x", AGENCY)).status_code == 200, "agencies are not asked to pay for it"
    assert (await get(app, path, OTHER)).status_code == 200, "nor is another operator"


@pytest.mark.parametrize("path", ["/v1/operated/x", "/v1/called/x"])
async def test_a_key_that_asks_too_much_does_not_stop_another_of_its_owner(
    monkeypatch: pytest.MonkeyPatch, path: str
) -> None:
    monkeypatch.setattr(allowance, "REQUEST_MILLISECONDS", 1e6)
    app = limited(plenty(policy="operator", **ONE | {"burst_milliseconds": 0.9e6}))
    told = [await get(app, path, key) for key in (OPERATING, OPERATING, ROTATED)]
    assert [answer.status_code for answer in told] == [200, 429, 200]
    assert [answer.headers["ratelimit"].split(";")[1] for answer in told] == ["r=900000", "r=0", "r=900000"]


@pytest.mark.parametrize("path", ["/v1/operated/x", "/v1/called/x"])
async def test_without_a_limit_to_speak_of_an_operator_goes_on(path: str) -> None:
    """Negative control."""
    app = limited(plenty(policy="operator"))
    assert {(await get(app, path)).status_code for _ in range(20)} == {200}


LIMITS = frozenset({"ratelimit", "ratelimit-policy", "retry-after"})


async def test_the_headers_that_are_sent_are_those_that_the_document_names() -> None:
    app = limited(plenty(policy="operator", **ONE))
    paths = app.openapi()["paths"]
    told = {}
    for path, key, status in (
        ("/v1/operated/x", OPERATING, 200), ("/v1/operated/x", OPERATING, 429), ("/v1/operated/none", OTHER, 404),
        ("/v1/called/x", AGENCY, 200), ("/v1/called/none", AGENCY, 404), ("/v1/operated/x", new_key(), 401),
        ("/v1/open/x", AGENCY, 200), ("/v1/open/none", AGENCY, 404), ("/v1/open/x", AGENCY, 429),
    ):  # fmt: skip
        answer = await get(app, path, key)
        assert answer.status_code == status, path
        responses = paths[f"{path.rpartition('/')[0]}/{{name}}"]["get"]["responses"]
        response = responses.get(str(status), responses["default"])
        sent = LIMITS & set(answer.headers)
        named = {name.lower(): header for name, header in response.get("headers", {}).items()}
        assert sent <= named.keys(), path
        assert {name for name, header in named.items() if header.get("required")} <= sent
        told[path.split("/")[2], status] = sent
    of_a_key = LIMITS - {"retry-after"}
    assert told == {
        ("operated", 200): of_a_key, ("operated", 404): of_a_key, ("operated", 429): LIMITS, ("operated", 401): set(),
        ("called", 200): of_a_key, ("called", 404): of_a_key,
        ("open", 200): set(), ("open", 404): set(), ("open", 429): {"retry-after"},
    }  # fmt: skip
