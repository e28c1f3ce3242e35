"""The access matrix: principal × route × agency, made of the OpenAPI documents, for each service's own test of it.

What is expected follows from `x-scope` and from who reaches which agency: a new route is in the matrix as soon as it is
served. `violations` asks what may be asked with an agency's name; `trespasses` asks for what two agencies have, by id.
"""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import httpx
from fastapi import FastAPI

from shared.access import SCOPES
from shared.web.authentication import PUBLIC

WRITING = frozenset({"post", "put", "patch"})
METHODS = WRITING | {"get", "delete"}


@dataclass(frozen=True, slots=True)
class Caller:
    """Who calls, with a key: where it reads without `?agency=`, and the agencies for which it may what."""

    name: str
    key: str
    own: str | None
    may: Mapping[str, frozenset[str]]  # scope -> agencies ("*": all, and whatever has none)
    dead: bool = False  # the key is expired or revoked

    def can(self, scope: str) -> bool:
        return bool(self.may.get(scope))


NOBODY = Caller("nobody", "", None, {})


def expected(caller: Caller, scope: str, agency: str | None) -> set[int]:
    """The only refusals that the answer may be; empty: it is let in."""
    if scope == PUBLIC:
        return set()
    if not caller.key or caller.dead:
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


#: method, path, query, key, and a body that is good (None: one that is none)
Ask = Callable[[str, str, Mapping[str, str], str, Any], Awaitable[httpx.Response]]


async def violations(
    app: FastAPI, who: Sequence[Caller], values: Mapping[str, str], ask: Ask, agencies: Sequence[str] = ()
) -> list[str]:
    """What is answered otherwise than the document says, for each caller, route and agency.

    values: what the first agency has, by the names of path parameters.
    """
    found = []
    for method, template, operation in operations(app):
        path = re.sub(r"\{([^}]*)\}", lambda part: values.get(part[1], "x"), template)
        takes = any(one["name"] == "agency" for one in operation.get("parameters", ()))
        for caller in who:
            for agency in (None, *agencies) if takes and operation["x-scope"] == "read" else (None,):
                answer = await ask(method, path, {"agency": agency} if agency else {}, caller.key, None)
                found += untold(answer, operation, known=bool(caller.key) and not caller.dead)
                must = expected(caller, operation["x-scope"], agency)
                if (
                    not must
                    and method == "get"
                    and "{submission_id}" in template
                    and values
                    and (agency or caller.own) != agencies[0]
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


def unlimited(app: FastAPI) -> httpx.AsyncClient:
    """A client of the application that no limit on strangers stops, and that is shown its faults as answers."""
    app.state.strangers._burst = 10_000.0
    return httpx.AsyncClient(
        transport=httpx.ASGITransport(app=app, raise_app_exceptions=False), base_url="http://service.test"
    )


def asking(client: httpx.AsyncClient) -> Ask:
    async def ask(method: str, path: str, query: Mapping[str, str], key: str, body: Any) -> httpx.Response:
        headers = {"Idempotency-Key": uuid.uuid4().hex, "Content-Type": "application/json"}
        if key:
            headers["Authorization"] = f"Bearer {key}"
        if body is not None and method in ("put", "delete"):
            headers["If-Match"] = '"1"'
        content = json.dumps({"matrix": True} if body is None else body) if method in WRITING else None
        return await client.request(method.upper(), path, params=dict(query), headers=headers, content=content)

    return ask


@dataclass(frozen=True, slots=True)
class Thing:
    """What one agency has: the routes whose template begins with `route` show it for its id.

    scopes: whoever has one of these for the agency reaches it; empty: one of those that the route states. more: other
    parameters of such routes. query: what a list that needs it is asked, to show the thing.
    """

    route: str
    agency: str
    id: str
    scopes: frozenset[str] = frozenset()
    more: tuple[tuple[str, str], ...] = ()
    query: tuple[tuple[str, str], ...] = ()

    def of(self, template: str) -> bool:
        return template.startswith(self.route)

    @property
    def path(self) -> dict[str, str]:
        """Its id, by the name of the parameter with which `route` ends, and the others."""
        return {self.route.rpartition("{")[2].rstrip("}"): self.id, **dict(self.more)}

    def reached_by(self, caller: Caller, scopes: Sequence[str]) -> bool:
        return any(
            {self.agency, "*"} & caller.may.get(one, frozenset())
            for one in scopes
            if not self.scopes or one in self.scopes
        )


async def trespasses(
    app: FastAPI,
    who: Sequence[Caller],
    things: Sequence[Thing],
    ask: Ask,
    values: Mapping[str, str],
    empty: Collection[str] = (),
    of_nobody: Collection[str] = (),
    lists: Mapping[str, str] | None = None,
) -> list[str]:
    """What is answered to somebody who does not reach it, or kept from somebody who does; last, what nobody saw.

    Each thing is asked for by everybody: by those who do not reach it with a body that is good, so that only the check
    of its owner refuses them; by those who do with one that is none, so that it stays as it is. values: of other path
    parameters. empty: routes where there is nothing yet, for anybody. of_nobody: beginnings of routes that show
    nothing of one agency; of any other route, two agencies must have something. lists: those of things whose address
    has a parameter, with the address that lists them.
    """
    lists = lists or {}
    found, seen, readable = untried(app, things, of_nobody, lists), set[Thing](), set[Thing]()
    for method, template, operation in operations(app):
        scopes = operation["x-scope"].split(" ")
        named_in_query = {one["name"] for one in operation.get("parameters", ()) if one["in"] == "query"}
        takes = "agency" in named_in_query
        content = operation.get("requestBody", {}).get("content", {})
        good = next(iter(content.values()))["example"] if content else {}
        named = [thing for thing in things if thing.of(template) and template not in lists]
        readable |= set(named) if method == "get" else set()
        listed = method == "get" and ("{" not in template or template in lists) and scopes != [PUBLIC]
        for caller in who:
            for query in asked_of_lists(things, named_in_query) if listed else ():
                answer = await ask(method, lists.get(template, template), query, caller.key, None)
                call = f"{caller.name}: {method} {template} {query or ''}"
                found += [f"{call} shows {thing}" for thing in things if shows(answer, thing, caller)]
            for thing in named:
                path = re.sub(r"\{([^}]*)\}", lambda part: {**values, **thing.path}[part[1]], template)  # noqa: B023
                reaches = thing.reached_by(caller, scopes) and template not in empty
                query = ({"agency": thing.agency} if takes else {}) | ({"why": "x"} if "why" in named_in_query else {})
                answer = await ask(method, path, query, caller.key, None if reaches else good)
                call = f"{caller.name}: {method} {path} of {thing.agency}"
                if not right(answer, method, caller, scopes, reaches=reaches):
                    found.append(f"{call}: {answer.status_code}, {'reached' if reaches else 'not reached'}")
                found += [
                    f"{call} shows {other}" for other in things if other.id != thing.id and shows(answer, other, caller)
                ]
                seen |= {thing} if reaches and answer.status_code == 200 else set()
    return [*found, *(f"nobody saw {thing}" for thing in things if thing in readable - seen)]


def untried(app: FastAPI, things: Sequence[Thing], of_nobody: Collection[str], lists: Collection[str]) -> list[str]:
    """Routes by whose address something of one agency is shown or changed, of which no two agencies have anything."""
    found = []
    for method, template, operation in operations(app):
        owners = {thing.agency for thing in things if thing.of(template)}
        open_to_all = operation["x-scope"] == PUBLIC or template.startswith(tuple(of_nobody))
        if "{" in template and template not in lists and not open_to_all and len(owners) < 2:
            found.append(f"{method} {template}: nothing of two agencies to ask for")
    return found


def asked_of_lists(things: Sequence[Thing], named: Collection[str]) -> list[dict[str, str]]:
    """Every query by which a list with these parameters shows one of the things."""
    queries = [{"agency": agency} for agency in sorted({thing.agency for thing in things})] if "agency" in named else []
    more = [dict(thing.query) for thing in things if thing.query and {name for name, _ in thing.query} <= set(named)]
    return queries + more or [{}]


def right(answer: httpx.Response, method: str, caller: Caller, scopes: Sequence[str], *, reaches: bool) -> bool:
    """Whether the answer is what it must be to one who asks for a thing of an agency."""
    if not caller.key or caller.dead:
        return answer.status_code == 401
    if not any(map(caller.can, scopes)):
        return answer.status_code == 403
    if not reaches:
        return answer.status_code == 404
    if method == "get":
        return answer.status_code == 200
    # it has no body that is one; or the table of steps lets only others take that step
    return answer.status_code not in (401, 404) and not answer.is_server_error


def shows(answer: httpx.Response, thing: Thing, caller: Caller) -> bool:
    """Whether the answer tells somebody of a thing who may do nothing for its agency."""
    anything = any({thing.agency, "*"} & agencies for agencies in caller.may.values())
    return thing.id in answer.text and not anything
