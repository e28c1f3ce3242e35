"""Looks up in the OpenAPI document which methods and query parameters a path takes, and refuses unknown parameters.

A route without a dry run would otherwise ignore `?dry_run=true` and act. The refusal also lists the errors of known
parameters, so that the client can fix all of them at once.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl

from fastapi import FastAPI
from fastapi._compat import ModelField
from fastapi.dependencies.models import Dependant
from fastapi.dependencies.utils import request_params_to_args
from fastapi.routing import iter_route_contexts
from starlette.datastructures import QueryParams
from starlette.routing import Route, compile_path
from starlette.types import Scope

from shared.web.errors import FieldError
from shared.web.validation import MAX_LISTED_ERRORS, bad_query, field_error, pointer_of


@dataclass(frozen=True, slots=True)
class _Operation:
    #: query parameters: name -> whether it may be repeated
    parameters: dict[str, bool] = field(default_factory=dict)
    #: as FastAPI's fields, those of the operation's dependencies included
    fields: tuple[ModelField, ...] = ()
    #: whether FastAPI reads a JSON body for it; others see to their bodies themselves
    takes_json: bool = False


@dataclass(slots=True)
class _Path:
    pattern: re.Pattern[str]
    operations: dict[str, _Operation] = field(default_factory=dict)


class Routes:
    """The routes of one application, read once from its OpenAPI document and its undocumented pages."""

    def __init__(self, app: FastAPI, pages: Iterable[Route]) -> None:
        self._paths: list[_Path] = []
        fields, with_body = _fields(app), _with_body(app)
        for template, operations in app.openapi()["paths"].items():
            path = _Path(compile_path(template)[0])
            for method, operation in operations.items():
                path.operations[method.upper()] = _Operation(
                    {
                        parameter["name"]: _is_list(parameter)
                        for parameter in operation.get("parameters", ())
                        if parameter["in"] == "query"
                    },
                    fields.get((method.upper(), template), ()),
                    (method.upper(), template) in with_body,
                )
            self._paths.append(path)
        for page in pages:
            self._paths.append(_Path(page.path_regex, {method: _Operation() for method in page.methods or ()}))

    def methods(self, path: str) -> list[str]:
        """All methods that the path takes."""
        return sorted({method for known in self._paths if known.pattern.match(path) for method in known.operations})

    def refuse_unknown_query(self, scope: Scope) -> None:
        """Raise a 400 problem that lists every error if the query has parameters that the operation does not take.

        A query with known parameters only passes; FastAPI checks their values.
        """
        known = self._operation(scope)
        if known is None:
            return  # 404 or 405
        query = scope["query_string"].decode("latin-1")
        faults = list(_faults(query, known.parameters))
        if faults:
            reported = {fault.pointer for fault in faults}
            _, values = request_params_to_args(known.fields, QueryParams(query))
            faults += [fault for fault in map(field_error, values) if fault.pointer not in reported]
            raise bad_query(faults[:MAX_LISTED_ERRORS])

    def takes_json(self, scope: Scope) -> bool:
        """Whether FastAPI reads a JSON body for this request."""
        known = self._operation(scope)
        return known is not None and known.takes_json

    def _operation(self, scope: Scope) -> _Operation | None:
        """None: 404 or 405."""
        path, method = scope["path"], scope["method"]
        operations = (known.operations for known in self._paths if known.pattern.match(path))
        return next((found[method] for found in operations if method in found), None)


def operations(app: FastAPI) -> set[tuple[str, str]]:
    """Method and path of every operation of the OpenAPI document, which itself takes 0.4 s of CPU to make.

    Shortcuts past FastAPI are in it too, described by hand.
    """
    return set(getattr(app, "shortcuts", ())) | {
        (method, str(context.path_format))
        for context in iter_route_contexts(app.routes)
        if isinstance(getattr(context, "dependant", None), Dependant) and context.include_in_schema
        for method in context.methods or ()
    }


def _fields(app: FastAPI) -> dict[tuple[str, str], tuple[ModelField, ...]]:
    """Method and path -> the query parameters of the operation and its dependencies."""
    found: dict[tuple[str, str], tuple[ModelField, ...]] = {}
    for context in iter_route_contexts(app.routes):
        dependant = getattr(context, "dependant", None)
        if isinstance(dependant, Dependant):
            for method in context.methods or ():
                found.setdefault((method, context.path_format or ""), tuple(_flat(dependant)))
    return found


def _with_body(app: FastAPI) -> set[tuple[str, str]]:
    """Method and path of what FastAPI reads a body for."""
    return {
        (method, context.path_format or "")
        for context in iter_route_contexts(app.routes)
        if isinstance(dependant := getattr(context, "dependant", None), Dependant) and dependant.body_params
        for method in context.methods or ()
    }


def _flat(dependant: Dependant) -> Iterable[ModelField]:
    yield from dependant.query_params
    for dependency in dependant.dependencies:
        yield from _flat(dependency)


def _faults(query: str, known: dict[str, bool]) -> Iterable[FieldError]:
    names = ", ".join(sorted(known))
    seen: set[str] = set()
    for name, value in parse_qsl(query, keep_blank_values=True):
        pointer = pointer_of([name[:100]])
        if name not in known:
            if name not in seen:
                yield FieldError(
                    pointer,
                    "Địa chỉ này không có tham số như vậy.",
                    "This address has no such parameter.",
                    f"Bỏ tham số này, hoặc dùng một trong: {names}." if names else "Bỏ tham số này.",
                    f"Leave it out, or use one of: {names}." if names else "Leave it out.",
                    "query",
                )
        elif name in seen and not known[name]:
            yield FieldError(
                pointer,
                "Tham số xuất hiện nhiều lần; không rõ giá trị nào được dùng.",
                "The parameter is given several times; it is not clear which value counts.",
                "Chỉ ghi một lần.",
                "Give it once.",
                "query",
            )
        elif "\x00" in value:
            yield FieldError(
                pointer,
                "Giá trị chứa ký tự NUL (%00).",
                "The value holds a NUL character (%00).",
                "Bỏ ký tự này.",
                "Remove it.",
                "query",
            )
        seen.add(name)


def _is_list(parameter: dict[str, Any]) -> bool:
    schema = parameter.get("schema", {})
    return schema.get("type") == "array" or any(option.get("type") == "array" for option in schema.get("anyOf", ()))
