"""Writes into the OpenAPI document which scope each operation asks for, as its dependencies say: `x-scope`.

An operation without a dependency that asks for one gets none, so a route that forgets its check shows.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from fastapi import FastAPI
from fastapi.dependencies.models import Dependant
from fastapi.routing import iter_route_contexts


def state_scopes(app: FastAPI, document: dict[str, Any]) -> None:
    """Add `x-scope` to the operations of the document."""
    for context in iter_route_contexts(app.routes):
        dependant = getattr(context, "dependant", None)
        if not isinstance(dependant, Dependant):
            continue
        stated = sorted(set(_scopes(dependant)))
        operations = document["paths"].get(context.path_format or "", {})
        for method in context.methods or ():
            if stated and method.lower() in operations:
                operations[method.lower()]["x-scope"] = " ".join(stated)


def _scopes(dependant: Dependant) -> Iterator[str]:
    stated = getattr(dependant.call, "states_scope", None)
    if stated is not None:
        yield stated
    for dependency in dependant.dependencies:
        yield from _scopes(dependency)
