"""Turns every exception of a request into RFC 9457 problem details in two languages that reveal nothing internal."""

from __future__ import annotations

import json

from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.types import Scope

from shared.postgres.database import is_infrastructure
from shared.telemetry import logging as logs
from shared.web import validation
from shared.web.errors import (
    BAD_REQUEST,
    FORBIDDEN,
    KINDS,
    METHOD_NOT_ALLOWED,
    Language,
    Problem,
    ProblemKind,
    internal,
    not_found,
    unauthorized,
    unavailable,
)
from shared.web.preferences import ranked

PROBLEM_JSON = "application/problem+json"


def preferred_language(accept_language: str) -> Language:
    """`vi` unless Accept-Language (RFC 9110 §12.5.4) ranks English strictly higher."""
    rank = {"vi": 0.0, "en": 0.0}
    default = 0.0
    for name, quality in ranked(accept_language):
        primary = name.partition("-")[0]
        if primary in rank:
            rank[primary] = max(rank[primary], quality)
        elif primary == "*":
            default = quality
    return "en" if rank["en"] > max(rank["vi"], default) else "vi"


def problem_response(problem: Problem, scope: Scope) -> Response:
    """The problem in the client's preferred language; `_vi` and `_en` members hold both."""
    accept = ""
    for name, value in scope.get("headers", ()):
        if name == b"accept-language":
            accept = value.decode("latin-1")
    language = preferred_language(accept)
    document = problem.document(language, instance=scope.get("path", ""), request_id=logs.current_id("request_id"))
    # JSON can carry lone surrogates; the response that quotes them must still encode
    body = json.dumps(document, ensure_ascii=False, default=str).encode("utf-8", "backslashreplace")
    headers = {"Content-Language": language, "Vary": "Accept-Language", "Cache-Control": "no-store", **problem.headers}
    return Response(body, problem.status, headers, media_type=PROBLEM_JSON)


def problem_for(error: BaseException) -> Problem:
    """The problem for an exception."""
    match error:
        case Problem():
            return error
        case RequestValidationError():
            return validation.problem_of(error)
        case HTTPException():
            return _of_http_exception(error)
    if is_infrastructure(error):
        return unavailable(1)
    return internal()


def _of_http_exception(error: HTTPException) -> Problem:
    # FastAPI wraps any error of reading the body in a 400; the cause is the real error
    cause = error.__cause__
    if isinstance(cause, Problem):
        return cause
    headers = dict(error.headers or {})
    match error.status_code:
        case 401:
            return unauthorized()
        case 403:
            kind = FORBIDDEN
        case 404:
            return not_found()
        case 405:
            kind = METHOD_NOT_ALLOWED
        case 400:
            kind = BAD_REQUEST
        case _:
            kind = ProblemKind(
                f"http-{error.status_code}", error.status_code, "Yêu cầu không thực hiện được",
                "The request cannot be served", str(error.detail), str(error.detail),
            )  # fmt: skip
            KINDS.setdefault(kind.slug, kind)  # so that its link has a page
    return Problem.of(kind, headers=headers)
