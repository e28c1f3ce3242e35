"""Gives schemathesis what exists, so that its cases get past the first refusal: ids, codes, bodies that are accepted.

FUZZ_KNOWN is a JSON object: parameter name -> list of values. An id that an answer gave is never put in the place of
another: a walk follows what it was told.
"""

from __future__ import annotations

import itertools
import json
import os
import re
from typing import Any

import schemathesis
from schemathesis.generation.meta import TestPhase

from tests.programs.fuzz.bodies import GOOD

KNOWN: dict[str, list[str]] = json.loads(os.environ.get("FUZZ_KNOWN", "{}"))
#: of the cases, one in so many keeps what was made up
MADE_UP_ONE_IN = 3
#: what answers told: ids, and of what can be edited the ETag by its path
TOLD: set[str] = set()
ETAGS: dict[str, str] = {}
MOST_TOLD = 50_000
_CALLS = itertools.count(1)
_ID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}|TT-H99[.0-9A-Z]*-[0-9]+")


@schemathesis.hook
def after_call(context: Any, case: Any, response: Any) -> None:
    """Remember the ids of a good answer, and its ETag."""
    if response.status_code < 300 and len(TOLD) < MOST_TOLD:
        TOLD.update(_ID.findall(response.text))
        if etag := response.headers.get("etag"):
            ETAGS[case.formatted_path] = etag[0] if isinstance(etag, list) else etag


@schemathesis.hook
def map_path_parameters(context: Any, path_parameters: dict[str, Any] | None) -> dict[str, Any] | None:
    """Put known values in, chosen by the case itself, so that the same seed gives the same case."""
    if not path_parameters:
        return path_parameters
    pick = _number(path_parameters)
    if pick % MADE_UP_ONE_IN == 0:
        return path_parameters
    return {
        name: KNOWN[name][pick % len(KNOWN[name])] if KNOWN.get(name) and str(value) not in TOLD else value
        for name, value in path_parameters.items()
    }


@schemathesis.hook
def map_query(context: Any, query: dict[str, Any] | None) -> dict[str, Any] | None:
    """Ask for whole lists and for what lasts: nothing goes on from a made-up filter or cursor, or from a dry run."""
    parameters = list(context.operation.query)
    pick = _number(query)
    if not query or pick % MADE_UP_ONE_IN == 0 or not {"after", "dry_run"} & {one.name for one in parameters}:
        return query
    needed = {one.name for one in parameters if one.is_required}
    known = {name: KNOWN[name][pick % len(KNOWN[name])] for name in needed if KNOWN.get(name)}
    return {name: value for name, value in query.items() if name in needed or str(value) in TOLD} | known


@schemathesis.hook
def map_headers(context: Any, headers: dict[str, Any] | None) -> dict[str, Any] | None:
    """Make anew what is made."""
    taken = "Idempotency-Key" in {parameter.name for parameter in context.operation.headers}
    if not taken or _number(headers) % MADE_UP_ONE_IN == 0:
        return headers
    return {**(headers or {}), "Idempotency-Key": f"walk-{next(_CALLS)}"}


@schemathesis.hook
def map_case(context: Any, case: Any) -> Any:
    """On a walk, edit what is in the version that was read."""
    takes = "if-match" in {parameter.name for parameter in context.operation.headers}
    if takes and case.meta.phase.name == TestPhase.STATEFUL and _number(case.path_parameters) % MADE_UP_ONE_IN:
        case.headers.pop("if-none-match", None)
        case.headers["if-match"] = ETAGS.get(case.formatted_path, '"1"')
    return case


@schemathesis.hook
def map_body(context: Any, body: Any) -> Any:
    """Send what is accepted."""
    good = GOOD.get(context.operation.label)
    pick = _number(body)
    return body if good is None or pick % MADE_UP_ONE_IN == 0 else good(pick)


def _number(value: Any) -> int:
    return sum(str(value).encode())
