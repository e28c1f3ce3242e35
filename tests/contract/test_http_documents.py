"""Every operation of every service: who may call it stands in its document and is so; what nobody reads is refused."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from fastapi.dependencies.models import Dependant
from fastapi.routing import iter_route_contexts

from services.board.main import build as board
from services.board.settings import BoardSettings
from services.intake.main import build as intake
from services.intake.settings import IntakeSettings
from services.notifier.main import build as notifier
from services.notifier.settings import NotifierSettings
from services.scoring.main import build as scoring
from services.scoring.settings import ScoringSettings
from services.validator.main import build as validator
from services.validator.settings import ValidatorSettings
from shared.runtime.settings import CommonSettings, KafkaSettings
from shared.web.bodies import Body
from shared.web.links import Link, with_links
from tests.unit.test_operating_page import chosen, page_of_the_proxy

NOWHERE = "postgresql://nobody@127.0.0.1:1/nothing"
COMMON = CommonSettings()
BUILDS: dict[str, tuple[Callable[..., Any], type]] = {
    "intake": (intake, IntakeSettings),
    "validator": (validator, ValidatorSettings),
    "scoring": (scoring, ScoringSettings),
    "notifier": (notifier, NotifierSettings),
    "board": (board, BoardSettings),
}
#: with it, letters link to a page of the service
LINKED = {"public_url": "https://h99.example", "answer_key": "k" * 32}
#: open to everybody
PUBLIC = {
    ("validator", "/v1/findings"),
    *(
        ("scoring", path)
        for path in (
            "/v1/policies",
            "/v1/policies/{version}",
            "/v1/calendars",
            "/v1/calendars/{version}",
            "/v1/calendar/{year}",
        )
    ),
}


@pytest.fixture(params=BUILDS)
def served(request: pytest.FixtureRequest) -> tuple[str, FastAPI]:
    build, settings = BUILDS[request.param]
    service = build(
        settings=settings(database_url=NOWHERE, **(LINKED if request.param == "notifier" else {})),
        common=COMMON,
        kafka=KafkaSettings(bootstrap_servers="127.0.0.1:1"),
    )
    app = service.app
    app.state.strangers._burst = 10_000.0  # this test is a stranger hundreds of times
    return request.param, app


def operations(app: FastAPI) -> list[tuple[str, str, dict[str, Any]]]:
    return [
        (method.upper(), path, operation)
        for path, found in app.openapi()["paths"].items()
        for method, operation in found.items()
    ]


def test_the_proxy_of_the_page_forwards_what_agencies_and_people_call_and_no_more(served: tuple[str, FastAPI]) -> None:
    """Operators alone call the rest of validator, scoring and notifier: from inside."""
    name, app = served
    config = page_of_the_proxy()
    for _, path, operation in operations(app):
        if not path.startswith("/v1/") or path.startswith("/v1/exports/"):
            continue
        body = chosen(config, re.sub(r"\{[^}]*\}", "x", path)) or ""
        is_called = name == "intake" or operation.get("x-scope", "operate") != "operate"
        assert (f"proxy_pass http://{name};" in body) is is_called, path
    hidden = [
        context.path_format or ""
        for context in iter_route_contexts(app.routes)
        if isinstance(getattr(context, "dependant", None), Dependant) and not context.include_in_schema
    ]
    for path in hidden if name != "board" else ():  # pages that letters link to
        assert f"proxy_pass http://{name};" in (chosen(config, re.sub(r"\{[^}]*\}", "x", path)) or ""), path
    assert bool(hidden) is (name in ("notifier", "board"))
    without = config.replace("http://validator;", "http://intake;")
    assert "http://validator;" not in (chosen(without, "/v1/validations") or ""), "negative control"


async def ask(app: FastAPI, method: str, url: str, **options: Any) -> httpx.Response:
    transport = httpx.ASGITransport(app=app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
        return await client.request(method, re.sub(r"\{[^}]*\}", "x", url), **options)


def test_the_document_says_who_may_call_each_operation(served: tuple[str, FastAPI]) -> None:
    name, app = served
    schemes = app.openapi()["components"]["securitySchemes"]
    assert {scheme["scheme"] for scheme in schemes.values()} == {"bearer"}
    assert set(schemes) <= {"agencyKey", "operatorKey"}
    for method, path, operation in operations(app):
        if (name, path) in PUBLIC:
            assert "security" not in operation, path
            continue
        (requirement,) = operation["security"]
        expected = "operatorKey" if operation["x-scope"] == "operate" else "agencyKey"
        assert list(requirement) == [expected], (method, path)
        assert expected in schemes


def test_every_operation_says_how_it_refuses(served: tuple[str, FastAPI]) -> None:
    """Whatever its status: a refusal that no document knows is one that no generated client reads."""
    _, app = served
    for _, path, operation in operations(app):
        assert "application/problem+json" in operation["responses"]["default"]["content"], path


#: POSTs that make nothing that a repetition could make twice, and why
MAKES_NOTHING = {
    ("intake", "withdraw_information_request"): "a request is withdrawn once; the same reason again is the same call",
    ("intake", "decide_waiver"): "a request is decided once; the same decision of the same person is the same call",
    ("intake", "resume_webhook"): "a webhook that is active stays so",
    ("validator", "validate"): "a dry run stores nothing",
    ("notifier", "answer_escalation"): "a notice has one answer in force; the same words again are the same call",
    ("notifier", "hand_on"): "a person is handed a notice once; the same words again are the same call",
    ("notifier", "end_silence"): "a silence ends once; afterwards 409",
}


def keyless(name: str, app: FastAPI) -> set[tuple[str, str]]:
    """The POSTs of a service that ask for no Idempotency-Key."""
    return {
        (name, operation["operationId"])
        for method, _, operation in operations(app)
        if method == "POST"
        and all(parameter["name"] != "Idempotency-Key" for parameter in operation.get("parameters", ()))
    }


def test_every_post_that_makes_something_names_its_idempotency_key(served: tuple[str, FastAPI]) -> None:
    name, app = served
    assert keyless(name, app) == {exempt for exempt in MAKES_NOTHING if exempt[0] == name}
    app.openapi_schema = None
    app.add_api_route("/v1/careless", lambda: None, methods=["POST"], name="careless")
    assert (name, "careless") in keyless(name, app), "negative control"


def field_of(document: dict[str, Any], schema: dict[str, Any], pointer: str) -> dict[str, Any] | None:
    """The schema of what a JSON Pointer names in an answer of this schema; None where there is no such field."""
    if "$ref" in schema:
        schema = document["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
    if "oneOf" in schema:
        return next((found for one in schema["oneOf"] if (found := field_of(document, one, pointer)) is not None), None)
    _, _, rest = pointer.partition("/")
    if not rest:
        return schema
    part, _, _ = rest.partition("/")
    inner = schema.get("items") if part == "0" else schema.get("properties", {}).get(part)
    return None if inner is None else field_of(document, inner, rest[len(part) :])


def test_every_link_reads_what_the_answer_has(served: tuple[str, FastAPI]) -> None:
    name, app = served
    document = app.openapi()
    followed = 0
    for _, path, operation in operations(app):
        for response in operation["responses"].values():
            for link in response.get("links", {}).values():
                followed += 1
                schema = response["content"]["application/json"]["schema"]
                for place in link["parameters"].values():
                    kind, _, where = place.partition("#")
                    if kind == "$response.body":
                        assert field_of(document, schema, where) is not None, (path, link)
                    else:
                        assert f"{{{kind.removeprefix('$request.path.')}}}" in path, (path, link)
    assert bool(followed) is (name != "board")
    page = {
        "type": "object",
        "properties": {"items": {"type": "array", "items": {"properties": {"id": {"type": "string"}}}}},
    }
    assert field_of(document, page, "/items/0/id") == {"type": "string"}
    assert field_of(document, page, "/items/0/code") is None, "negative control"


def test_a_link_that_leads_nowhere_is_refused(served: tuple[str, FastAPI]) -> None:
    _, app = served
    source = next(operation["operationId"] for _, _, operation in operations(app) if "200" in operation["responses"])
    for link in (Link((source,), ("nowhere",), {}), Link((source,), (source,), {"not_of_its_path": "/id"})):
        with pytest.raises(ValueError, match="link"):
            with_links([link])(app.openapi())


def test_every_operation_names_the_headers_of_its_limits(served: tuple[str, FastAPI]) -> None:
    """On every answer to a key what is left of its allowance, and on a refusal for too much when to come back."""
    _, app = served
    components = app.openapi()["components"]["headers"]
    for method, path, operation in operations(app):
        for status, response in operation["responses"].items():
            named = response.get("headers", {})
            of_a_key = {"RateLimit", "RateLimit-Policy"} & named.keys()
            assert len(of_a_key) == (2 if "security" in operation else 0), (method, path, status)
            references = [header["$ref"].rpartition("/")[2] for header in named.values() if "$ref" in header]
            assert set(references) <= set(components)
        refused = operation["responses"]["429"]
        assert refused["headers"]["Retry-After"]["required"]
        assert set(refused["content"]) == {"application/problem+json"}, (method, path)


async def test_what_the_document_says_is_closed_is_closed(served: tuple[str, FastAPI]) -> None:
    _, app = served
    for method, path, operation in operations(app):
        if "security" in operation:
            for headers in ({}, {"Authorization": "Bearer wrong"}):
                answer = await ask(app, method, path, headers=headers)
                assert (answer.status_code, answer.json()["type"]) == (401, "/problems/unauthorized"), (method, path)
                assert answer.headers["www-authenticate"].startswith("Bearer")


async def test_every_json_body_is_refused_where_it_says_to_be_something_else(served: tuple[str, FastAPI]) -> None:
    _, app = served
    reading = {path for path, _ in bodies(app)}
    json = "application/json"
    for method, path, _ in operations(app):
        if path not in reading or method not in ("POST", "PUT"):
            continue
        for headers, status in (
            ({"Content-Type": "text/plain"}, 415),
            ({"Content-Type": f"{json}; charset=latin-1"}, 415),
            ({"Content-Type": json, "Content-Encoding": "gzip"}, 415),
            ({}, 415),
            ({"Content-Type": f"{json}; charset=UTF-8", "Content-Encoding": "identity"}, 401),
            ({"Content-Type": json}, 401),
        ):
            answer = await ask(app, method, path, headers=headers, content=b"{}")
            assert answer.status_code == status, (method, path, headers)
        assert (await ask(app, method, path)).status_code == 401, "without a body there is nothing of another type"


async def test_every_operation_refuses_a_parameter_that_it_does_not_have(served: tuple[str, FastAPI]) -> None:
    _, app = served
    for method, path, _ in operations(app):
        answer = await ask(app, method, f"{path}?no_such_parameter=true")
        assert answer.status_code == 400, (method, path)
        assert answer.json()["errors"][0]["pointer"] == "/no_such_parameter"


def test_every_list_can_be_asked_for_by_its_tag(served: tuple[str, FastAPI]) -> None:
    _, app = served
    schemas = app.openapi()["components"]["schemas"]
    lists = 0
    for method, path, operation in operations(app):
        schema = operation["responses"].get("200", {}).get("content", {}).get("application/json", {}).get("schema", {})
        named = schemas.get(schema.get("$ref", "").rpartition("/")[2], schema)
        is_list = method == "GET" and "items" in named.get("properties", {})
        lists += is_list
        taken = {parameter["name"] for parameter in operation.get("parameters", ())}
        assert ("If-None-Match" in taken, "304" in operation["responses"]) == (is_list, is_list), (method, path)
        # every answer with a cursor is a list
        assert is_list or "after" not in taken or "exports" in path, (method, path)
    assert lists


async def test_every_path_names_its_methods(served: tuple[str, FastAPI]) -> None:
    _, app = served
    for path, found in app.openapi()["paths"].items():
        answer = await ask(app, "PATCH", path)
        assert answer.status_code == 405
        assert set(answer.headers["allow"].split(", ")) >= {method.upper() for method in found}, path


def bodies(app: FastAPI) -> Iterator[tuple[str, object]]:
    """The JSON bodies that FastAPI reads, with the path of their operation."""
    for context in iter_route_contexts(app.routes):
        dependant = getattr(context, "dependant", None)
        if isinstance(dependant, Dependant):
            yield from ((str(context.path_format), field.field_info.annotation) for field in dependant.body_params)


def test_every_body_refuses_what_no_database_stores(served: tuple[str, FastAPI]) -> None:
    """A NUL or half of a surrogate pair would fail at the first statement it reaches, as an unforeseen error."""
    name, app = served
    found = list(bodies(app))
    assert bool(found) == (name in ("intake", "notifier")), found
    for path, body in found:
        assert isinstance(body, type), path
        assert issubclass(body, Body), (path, body)
