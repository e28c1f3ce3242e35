"""Principal × route × agency: what each operation of the services answers whoever calls it.

The routes are those of the OpenAPI documents, and what is expected follows from `x-scope` alone: a new route is in the
matrix as soon as it is served.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any

import httpx
import pytest
from fastapi import Depends, FastAPI

from services.board.main import build as board
from services.board.settings import BoardSettings
from services.notifier.main import build as notifier
from services.notifier.settings import NotifierSettings
from services.scoring.main import build as scoring
from services.scoring.settings import ScoringSettings
from services.validator.main import build as validator
from services.validator.settings import ValidatorSettings
from shared.access import SCOPES, Office, Principal, Scope, Term
from shared.projection.keyring import CopiedKeyring
from shared.runtime.settings import CommonSettings, KafkaSettings
from shared.web.authentication import PUBLIC
from tests.integration.intake.rig import COMMUNE, DEPARTMENT, Intake, Province, intake, load, report
from tests.integration.intake.test_following import apply, opened
from tests.integration.intake.test_principals import PEOPLE, key_of
from tests.unit.shared.web.asking import bare_app

NOWHERE = "postgresql://nobody@127.0.0.1:1/nothing"
OTHERS: dict[str, tuple[Callable[..., Any], type]] = {
    "validator": (validator, ValidatorSettings),
    "scoring": (scoring, ScoringSettings),
    "notifier": (notifier, NotifierSettings),
    "board": (board, BoardSettings),
}
METHODS = frozenset({"get", "post", "put", "patch", "delete"})


@dataclass(frozen=True, slots=True)
class Caller:
    """Who calls, with a key: where it reads without `?agency=`, and the agencies for which it may what."""

    name: str
    key: str
    own: str | None
    may: Mapping[str, frozenset[str]]  # scope -> agencies ("*": whatever has none)

    def can(self, scope: str) -> bool:
        return bool(self.may.get(scope))


EVERY = frozenset({DEPARTMENT, COMMUNE})
NOBODY = Caller("nobody", "", None, {})


async def callers(province: Province) -> list[Caller]:
    """One of each kind, and of each kind one that may less."""
    await load(province.url, PEOPLE)
    url, own, other = province.url, frozenset({DEPARTMENT}), frozenset({COMMUNE})
    return [
        NOBODY,
        Caller("agency", province.keys[DEPARTMENT], DEPARTMENT, {"submit": own, "read": own}),
        Caller("other agency", province.keys[COMMUNE], COMMUNE, {"submit": other, "read": other}),
        Caller("reading key", await key_of(url, "agency", DEPARTMENT, ["read"]), DEPARTMENT, {"read": own}),
        Caller("chair", await key_of(url, "person", "chu-tich"), DEPARTMENT, {"read": EVERY, "review": EVERY}),
        Caller("officer", await key_of(url, "person", "so"), DEPARTMENT, {"submit": own, "read": own}),
        Caller("out of office", await key_of(url, "person", "cu"), DEPARTMENT, {}),
        Caller("operator", await key_of(url, "operator", "van-hanh"), None, {"operate": frozenset({"*"})}),
    ]


def expected(caller: Caller, scope: str, agency: str | None) -> set[int]:
    """The only refusals that the answer may be; empty: it is let in."""
    if scope == PUBLIC:
        return set()
    if not caller.key:
        return {401}
    scopes = scope.split(" ")
    if not any(caller.can(one) for one in scopes):
        return {403}
    reached = frozenset[str]().union(*(caller.may.get(one, frozenset()) for one in scopes))
    target = agency or caller.own
    return set() if "*" in reached or target in reached else {404}


def operations(app: FastAPI) -> list[tuple[str, str, dict[str, Any]]]:
    return [
        (method, path, operation)
        for path, found in app.openapi()["paths"].items()
        for method, operation in found.items()
        if method in METHODS
    ]


def unstated(app: FastAPI) -> list[str]:
    """Operations that say of no scope who may call them."""
    allowed = {PUBLIC, *SCOPES}
    return [
        f"{method} {path}"
        for method, path, operation in operations(app)
        if not operation.get("x-scope") or set(operation["x-scope"].split(" ")) - allowed
    ]


Ask = Callable[[str, str, Mapping[str, str], str], Awaitable[httpx.Response]]


async def violations(app: FastAPI, who: list[Caller], values: Mapping[str, str], ask: Ask) -> list[str]:
    """What is answered otherwise than the document says, for each caller, route and agency."""
    found = []
    for method, template, operation in operations(app):
        path = re.sub(r"\{([^}]*)\}", lambda part: values.get(part[1], "x"), template)
        takes = any(one["name"] == "agency" for one in operation.get("parameters", ()))
        for caller in who:
            for agency in (None, DEPARTMENT, COMMUNE) if takes and operation["x-scope"] == "read" else (None,):
                answer = await ask(method, path, {"agency": agency} if agency else {}, caller.key)
                found += untold(answer, operation, known=bool(caller.key))
                must = expected(caller, operation["x-scope"], agency)
                if (
                    not must
                    and method == "get"
                    and "{submission_id}" in template
                    and values
                    and (agency or caller.own) != DEPARTMENT
                ):
                    must = {404}  # another agency's
                if not must and "{" not in template and method == "get" and values:
                    must = {200}
                # what else is let in may find nothing there, or be told that its body is none
                good = answer.status_code in must if must else answer.status_code not in (401, 403)
                if not good:
                    found.append(
                        f"{caller.name}: {method} {path} {agency}: {answer.status_code}, not {must or 'let in'}"
                    )
    return found


LIMITS = frozenset({"ratelimit", "ratelimit-policy", "retry-after"})


def untold(answer: httpx.Response, operation: Mapping[str, Any], *, known: bool) -> list[str]:
    """Headers of the limits that an answer has and its document does not name, or lacks for a known key."""
    responses = operation["responses"]
    response = responses.get(str(answer.status_code), responses["default"])
    named, sent = {name.lower() for name in response.get("headers", ())}, set(answer.headers)
    faults = [f"{answer.request.url}: {answer.status_code}: {name} not named" for name in LIMITS & sent - named]
    if known and answer.is_success and "security" in operation:
        faults += [f"{answer.request.url}: {name} not sent" for name in LIMITS - {"retry-after"} - sent]
    return faults


def asking(client: httpx.AsyncClient) -> Ask:
    async def ask(method: str, path: str, query: Mapping[str, str], key: str) -> httpx.Response:
        headers = {"Idempotency-Key": "matrix", "Content-Type": "application/json"}
        if key:
            headers["Authorization"] = f"Bearer {key}"
        content = b'{"matrix": true}' if method in ("post", "put", "patch") else None
        return await client.request(method.upper(), path, params=dict(query), headers=headers, content=content)

    return ask


async def values_of(client: Intake) -> dict[str, str]:
    """What the department has, by the names of path parameters."""
    sent = await client.post(report())
    await apply(client.province.url, [opened(DEPARTMENT)])
    return {
        "submission_id": sent.json()["submission_id"],
        "regime": "KTXH",
        "code": "KTXH",
        "period": "2026-M10",
    }


async def test_intake_answers_each_principal_for_each_agency_as_its_document_says(province: Province) -> None:
    async with intake(province, unauthorized_burst=10_000) as client:
        assert unstated(client.service.app) == []
        values = await values_of(client)
        found = await violations(client.service.app, await callers(province), values, asking(client.client))
    assert found == []


def principal(caller: Caller) -> Principal:
    """As a service's copy would give it."""
    scopes = frozenset(scope for scope in SCOPES if scope in caller.may)
    if "operate" in scopes:
        return Principal("operator", caller.name, caller.own, scopes)
    if caller.name in ("agency", "other agency", "reading key"):
        return Principal("agency", caller.own or "", caller.own, scopes)
    role = {"officer": "reporting_officer", "chair": "chair"}.get(caller.name)
    offices = () if role is None else (Office(role, caller.own or "", Term(date(2020, 1, 1))),)
    return Principal("person", caller.name, caller.own, scopes, offices)


@pytest.fixture(params=OTHERS)
def other(request: pytest.FixtureRequest) -> FastAPI:
    build, settings = OTHERS[request.param]
    service = build(
        settings=settings(database_url=NOWHERE),
        common=CommonSettings(),
        kafka=KafkaSettings(bootstrap_servers="127.0.0.1:1"),
    )
    service.app.state.strangers._burst = 10_000.0
    return service.app  # type: ignore[no-any-return]


async def test_the_other_services_answer_each_principal_as_their_documents_say(
    other: FastAPI, province: Province, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is let in meets a database that is not there: 503."""
    assert unstated(other) == []
    who = await callers(province)
    known = {caller.key.split("_")[1]: principal(caller) for caller in who if caller.key}
    monkeypatch.setattr(CopiedKeyring, "at_once", lambda keyring, presented: known[presented.key_id])
    transport = httpx.ASGITransport(app=other, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
        assert await violations(other, who, {}, asking(client)) == []


@dataclass(frozen=True)
class Careless:
    """A dependency that states a scope and checks nothing."""

    states_scope: Scope = "operate"

    async def __call__(self) -> None:
        return


async def test_a_route_that_forgets_its_check_is_found() -> None:
    """Negative control: one that states nothing, and one that states a scope and lets everybody in."""
    app = bare_app()

    async def shown() -> dict[str, bool]:
        return {"shown": True}

    app.add_api_route("/v1/silent", shown)
    assert unstated(app) == ["get /v1/silent"]
    careless = bare_app()
    careless.add_api_route("/v1/careless", shown, dependencies=[Depends(Careless())])
    assert unstated(careless) == []
    transport = httpx.ASGITransport(app=careless)
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
        found = await violations(careless, [NOBODY], {}, asking(client))
    assert found == ["nobody: get /v1/careless None: 200, not {401}"]
    bare: dict[str, Any] = {"security": [], "responses": {"default": {}}}
    answer = httpx.Response(200, headers={"RateLimit": "x"}, request=httpx.Request("GET", "http://test/v1/x"))
    assert untold(answer, bare, known=True) == [
        "http://test/v1/x: 200: ratelimit not named", "http://test/v1/x: ratelimit-policy not sent",
    ]  # fmt: skip
