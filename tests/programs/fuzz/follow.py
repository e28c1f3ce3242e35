"""Follows every link that a service's document names, each once, from an answer that was good.

Walks choose at random and meet the same few links again and again; this goes where they did not, round by round: what
one round made is where the next one goes on.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import schemathesis
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from tests.programs.fuzz.bodies import GOOD
from tests.programs.fuzz.walks import followable

ROUNDS = 5
#: what undoes things goes last: nothing leads on from them
_LAST = re.compile(r"DELETE |/withdrawal|/end$")
_CALLS = itertools.count(1)
#: of each answer; what a call without a key is answered, single calls ask
_CHECKS = [
    not_a_server_error, status_code_conformance, content_type_conformance, response_headers_conformance,
    response_schema_conformance,
]  # fmt: skip


@dataclass(frozen=True, slots=True)
class _Answer:
    """A good answer, with the path parameters of its call."""

    given: Mapping[str, str]
    body: Any


@dataclass
class Followed:
    """The links that were followed, those of them that led to a good answer, and what was wrong."""

    calls: int = 0
    links: set[str] = field(default_factory=set)
    good: set[str] = field(default_factory=set)
    named: set[str] = field(default_factory=set)
    faults: list[str] = field(default_factory=list)


class Following:
    """One service with one key. shut: operations that the key cannot call."""

    def __init__(self, url: str, token: str, known: Mapping[str, Sequence[str]], shut: Collection[str]) -> None:
        self._url = url
        self._headers = {"Authorization": f"Bearer {token}"}
        self._known = known
        self._schema = schemathesis.openapi.from_url(f"{url}/openapi.json", headers=self._headers)
        document = self._schema.raw_schema
        self._operations = {
            f"{method.upper()} {path}": operation
            for path, found in document["paths"].items()
            for method, operation in found.items()
            if f"{method.upper()} {path}" not in shut
        }
        self._answers: dict[tuple[str, str], list[_Answer]] = {}
        self._etags: dict[str, str] = {}
        self.followed = Followed(named=followable(document, shut))

    def run(self) -> Followed:
        """Call what needs nothing or what is known, then follow links until no round leads further."""
        for label in sorted(self._operations, key=_order):
            names = re.findall(r"\{(\w+)\}", label)
            if all(self._known.get(name) for name in names):
                self._call(label, {name: self._known[name][0] for name in names})
        for _ in range(ROUNDS):
            before = len(self.followed.links), len(self.followed.good)
            for link in sorted(self.followed.named - self.followed.good, key=lambda one: _order(_parts(one)[3])):
                self._follow(link)
            if before == (len(self.followed.links), len(self.followed.good)):
                break
        return self.followed

    def _follow(self, link: str) -> None:
        source, status, name, target = _parts(link)
        rule = self._operations[source]["responses"][status]["links"][name]["parameters"]
        for answer in reversed(self._answers.get((source, status), [])):
            found = {parameter: _resolved(expression, answer) for parameter, expression in rule.items()}
            if all(found.values()):
                self.followed.links.add(link)
                if self._call(target, {name: str(value) for name, value in found.items()}):
                    self.followed.good.add(link)
                return

    def _call(self, label: str, given: Mapping[str, str]) -> bool:
        """Call it, twice under one key where it takes one: what was done before is answered otherwise."""
        method, _, path = label.partition(" ")
        operation, number = self._operations[label], next(_CALLS)
        named = {one["name"].lower(): one for one in operation.get("parameters", ())}
        asked = {
            name: self._known[name][0]
            for name, one in named.items()
            if one["in"] == "query" and one.get("required") and self._known.get(name)
        } | ({"why": "fuzz", "dry_run": "true"} if "why" in named else {})
        headers, good = {}, False
        place = re.sub(r"\{(\w+)\}", lambda part: given[part[1]], path)
        if "if-match" in named:
            headers["If-Match"] = self._etags.get(place, '"1"')
        if "idempotency-key" in named:
            headers["Idempotency-Key"] = f"follow-{number}"
        for _ in range(2 if "idempotency-key" in named else 1):
            case = self._schema[path][method].Case(
                path_parameters=dict(given), query=asked, headers=headers, **_body(label, operation, number)
            )
            response = case.call(base_url=self._url, headers={**self._headers, **headers})
            self.followed.calls += 1
            try:
                case.validate_response(response, checks=_CHECKS)
            except (AssertionError, BaseExceptionGroup) as error:
                self.followed.faults.append(f"{error}\n{case.as_curl_command()}")
            if response.status_code < 300:
                good = True
                body = response.json() if response.content and b"{" in response.content[:1] else None
                self._answers.setdefault((label, str(response.status_code)), []).append(_Answer(given, body))
                if etag := response.headers.get("etag"):
                    self._etags[place] = etag[0] if isinstance(etag, list) else etag
        return good


def follow(url: str, token: str, known: Mapping[str, Sequence[str]], shut: Collection[str]) -> Followed:
    """Follow what can be followed with this token."""
    return Following(url, token, known, shut).run()


def _order(label: str) -> tuple[bool, bool, str]:
    return bool(_LAST.search(label)), not label.startswith("GET "), label


def _parts(link: str) -> tuple[str, str, str, str]:
    found = re.fullmatch(r"(.*?) -> \[(\d+)\] (\S+) -> (.*)", link)
    assert found is not None, link
    return found[1], found[2], found[3], found[4]


def _body(label: str, operation: Mapping[str, Any], number: int) -> dict[str, Any]:
    content = operation.get("requestBody", {}).get("content", {}).get("application/json")
    if content is None:
        return {}
    body = GOOD[label](number) if label in GOOD else content.get("example", {})
    return {"body": body, "media_type": "application/json"}


def _resolved(expression: str, answer: _Answer) -> Any:
    """What a runtime expression gives of an answer; None where it gives nothing."""
    if expression.startswith("$request.path."):
        return answer.given.get(expression.removeprefix("$request.path."))
    found = answer.body
    for part in expression.partition("#/")[2].split("/"):
        if isinstance(found, list):
            found = found[int(part)] if part.isdigit() and int(part) < len(found) else None
        else:
            found = found.get(part) if isinstance(found, Mapping) else None
    return found
