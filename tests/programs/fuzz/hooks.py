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

from tests.programs.fuzz.bodies import GOOD

KNOWN: dict[str, list[str]] = json.loads(os.environ.get("FUZZ_KNOWN", "{}"))
#: of the cases, one in so many keeps what was made up
MADE_UP_ONE_IN = 3
#: what answers told
TOLD: set[str] = set()
MOST_TOLD = 50_000
_CALLS = itertools.count(1)
_ID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}|TT-H99[.0-9A-Z]*-[0-9]+")


@schemathesis.hook
def after_call(context: Any, case: Any, response: Any) -> None:
    """Remember the ids of a good answer."""
    if response.status_code < 300 and len(TOLD) < MOST_TOLD:
        TOLD.update(_ID.findall(response.text))


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
    if not query or _number(query) % MADE_UP_ONE_IN == 0 or not {"after", "dry_run"} & {one.name for one in parameters}:
        return query
    needed = {one.name for one in parameters if one.is_required}
    return {name: value for name, value in query.items() if name in needed or str(value) in TOLD}


@schemathesis.hook
def map_headers(context: Any, headers: dict[str, Any] | None) -> dict[str, Any] | None:
    """Make anew what is made, and edit what is in its first version."""
    taken = {parameter.name for parameter in context.operation.headers} & {"Idempotency-Key", "If-Match"}
    if not taken or _number(headers) % MADE_UP_ONE_IN == 0:
        return headers
    fresh = {"Idempotency-Key": f"walk-{next(_CALLS)}", "If-Match": '"1"'}
    return {**(headers or {}), **{name: fresh[name] for name in taken}}


@schemathesis.hook
def map_body(context: Any, body: Any) -> Any:
    """Send what is accepted."""
    good = GOOD.get(context.operation.label)
    pick = _number(body)
    return body if good is None or pick % MADE_UP_ONE_IN == 0 else good(pick)


def _number(value: Any) -> int:
    return sum(str(value).encode())
