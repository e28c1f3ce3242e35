"""The HTTP application of every service: health, readiness, metrics, documentation and problems in two languages.

One ASGI middleware binds the request id and the trace, limits the body while it streams in, measures by route
template, and turns every exception into RFC 9457 problem details. Infrastructure trouble is a 503 with Retry-After,
never a hang; an unforeseen error is a 500 that reveals nothing internal.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import cache, cached_property
from time import perf_counter
from typing import Any, Generic, TypeVar, cast

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from fastapi.openapi.utils import get_openapi
from opentelemetry.trace import format_trace_id
from prometheus_client import CONTENT_TYPE_LATEST, Counter, Histogram, generate_latest
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route, Router, request_response
from starlette.types import ASGIApp, Lifespan, Message, Receive, Scope, Send

from shared.telemetry import logging as logs
from shared.telemetry import metrics, tracing
from shared.telemetry.readiness import Check, Readiness
from shared.telemetry.redaction import redact
from shared.web import allowance, etags, pages, swagger
from shared.web.errors import KINDS, not_found, too_large
from shared.web.examples import add_examples
from shared.web.head import must_be_clear
from shared.web.limiter import STRANGERS_BURST, STRANGERS_PER_SECOND, Limiter
from shared.web.media import must_be_json
from shared.web.problems import PROBLEM_JSON, preferred_language, problem_for, problem_response
from shared.web.refusals import secured
from shared.web.routes import Routes
from shared.web.scopes import state_scopes

DEFAULT_BODY_LIMIT_BYTES = 1_048_576
READINESS_DEADLINE_SECONDS = 5.0
#: limits on computing /metrics and /readyz, which cost milliseconds each: sustained rate and burst
MADE_PER_SECOND, MADE_AT_ONCE = 5.0, 20

__all__ = [
    "PROBLEM_JSON",
    "create_app",
    "preferred_language",
    "problem_for",
    "problem_response",
    "read_body",
]

_REQUEST_ID = re.compile(rb"[A-Za-z0-9._-]{8,64}")
_METHODS = frozenset({"GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"})
_BODY = "thongsuot.body"
_UNMATCHED = "unmatched"

log = logs.get_logger()

T = TypeVar("T")


class _CountedBody:
    """The request's `receive`; it raises at the limit, whatever Content-Length claims."""

    __slots__ = ("_receive", "_seen_bytes", "declared_bytes", "limit_bytes")

    def __init__(self, receive: Receive, limit_bytes: int, declared_bytes: int) -> None:
        self._receive = receive
        self._seen_bytes = 0
        self.limit_bytes = limit_bytes
        self.declared_bytes = declared_bytes

    async def __call__(self) -> Message:
        if self.declared_bytes > self.limit_bytes:
            raise too_large(self.limit_bytes)
        message = await self._receive()
        if message["type"] == "http.request":
            self._seen_bytes += len(message.get("body", b""))
            if self._seen_bytes > self.limit_bytes:
                raise too_large(self.limit_bytes)
        return message


async def read_body(source: Request | Receive, limit_bytes: int) -> bytes:
    """The whole body, at most `limit_bytes`; it may be more than the application's default limit.

    Raises the 413 problem as soon as the limit is passed (at once where Content-Length already says so), and
    ClientDisconnect where the client went away.
    """
    if isinstance(source, Request):
        counted = source.scope.get(_BODY)
        if isinstance(counted, _CountedBody):
            counted.limit_bytes = limit_bytes
        receive = source.receive
    else:
        receive = source
    chunks: list[bytes] = []
    seen_bytes = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientDisconnect
        chunk = message.get("body", b"")
        seen_bytes += len(chunk)
        if seen_bytes > limit_bytes:
            raise too_large(limit_bytes)
        chunks.append(chunk)
        if not message.get("more_body", False):
            return b"".join(chunks) if len(chunks) > 1 else chunks[0]


async def _answer(request: Request, error: Exception) -> Response:
    if isinstance(error, HTTPException) and isinstance(error.__cause__, ClientDisconnect):
        raise error.__cause__
    problem = problem_for(error)
    app = request.scope.get("app")
    if problem.status == 405 and isinstance(app, Application):
        # Starlette's Allow lists only the methods of the first route that matched
        problem.headers["Allow"] = ", ".join(app.described.methods(request.scope["path"]))
    return problem_response(problem, request.scope)


def _refuse_unknown_query(scope: Scope) -> None:
    app = scope.get("app")
    if isinstance(app, Application):
        app.described.refuse_unknown_query(scope)


def _refuse_other_media(scope: Scope) -> None:
    app = scope.get("app")
    if isinstance(app, Application) and app.described.takes_json(scope):
        must_be_json(scope["headers"])


class RequestMiddleware:
    """The one ASGI layer around every service's application."""

    def __init__(self, app: ASGIApp, *, body_limit_bytes: int = DEFAULT_BODY_LIMIT_BYTES) -> None:
        self._app = app
        self._body_limit_bytes = body_limit_bytes
        self._children: dict[tuple[str, str, int], tuple[Counter, Histogram]] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        begun = perf_counter()
        request_id = traceparent = ""
        declared_bytes = credentials = 0
        hosts = []
        is_plain_json = is_coded = is_sent = False
        for name, value in scope["headers"]:
            if name == b"host":
                hosts.append(value)
            elif name == b"authorization":
                credentials += 1
            elif name == b"x-request-id":
                if _REQUEST_ID.fullmatch(value):
                    request_id = value.decode("ascii")
            elif name == b"traceparent":
                traceparent = value.decode("latin-1")
            elif name == b"content-type":
                is_plain_json = value == b"application/json"
            elif name == b"content-encoding":
                is_coded = True
            elif name == b"transfer-encoding":
                is_sent = True
            elif name == b"content-length" and value.isdigit():
                declared_bytes = int(value)
        span, span_token = tracing.begin_request(scope["method"], traceparent)
        if not request_id:
            request_id = format_trace_id(span.get_span_context().trace_id)
        echoed = (b"x-request-id", request_id.encode("ascii"))
        status = 0

        async def answer(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = secured([*message.get("headers", ()), echoed])
            await send(message)

        scope[_BODY] = counted = _CountedBody(receive, self._body_limit_bytes, declared_bytes)
        ids_token = logs.enter_ids({"request_id": request_id})
        try:
            must_be_clear(scope, hosts, credentials)
            if scope.get("query_string"):
                _refuse_unknown_query(scope)
            if (declared_bytes or is_sent) and (is_coded or not is_plain_json):
                _refuse_other_media(scope)
            await self._app(scope, counted, etags.tagged(scope, answer) if scope["method"] == "GET" else answer)
        except ClientDisconnect:
            status = status or 499
        except Exception as error:
            if status:  # the response has begun: only a broken connection can show the client that it failed
                log.exception("A response broke off.", action="http.broken_off", path=place_of(scope))
                tracing.ended_with(span, error)
                raise
            # in a function of its own: a local of this frame that named the error would form a cycle with its traceback
            await _explain(error, scope, counted, answer)
        finally:
            seconds = perf_counter() - begun
            self._measure(scope, status, seconds)
            if logs.debug_enabled():
                log.debug(
                    "A request was answered.",
                    action="http.answered",
                    method=scope["method"],
                    path=place_of(scope),
                    status=status,
                    seconds=round(seconds, 6),
                )
            tracing.detach(span_token)
            if span.is_recording():
                _end(span, scope, status)
            logs.leave_ids(ids_token)
            # `receive` refers to the server's request object, which holds this scope: without the pop this cycle would
            # keep every request and its body in memory until the garbage collector runs
            scope.pop(_BODY, None)

    def _measure(self, scope: Scope, status: int, seconds: float) -> None:
        method = scope["method"] if scope["method"] in _METHODS else "OTHER"
        key = (method, _route_of(scope), status // 100)
        children = self._children.get(key)
        if children is None:
            labels = (key[0], key[1], f"{key[2]}xx" if key[2] else "none")
            children = self._children[key] = (
                metrics.HTTP_REQUESTS_TOTAL.labels(*labels),
                metrics.HTTP_REQUEST_DURATION_SECONDS.labels(*labels),
            )
        children[0].inc()
        children[1].observe(seconds)


def _end(span: tracing.Span, scope: Scope, status: int) -> None:
    """End the span with OpenTelemetry's HTTP attributes, without query and address, which may be personal data."""
    method, route = scope["method"] if scope["method"] in _METHODS else "_OTHER", _route_of(scope)
    span.update_name(f"{method} {route}")
    span.set_attribute("http.request.method", method)
    span.set_attribute("http.route", route)
    if status:
        span.set_attribute("http.response.status_code", status)
    if status >= 500:
        span.set_status(tracing.StatusCode.ERROR)
    span.end()


async def _explain(error: Exception, scope: Scope, receive: Receive, send: Send) -> None:
    """Respond with the problem; log it if the operator needs to know."""
    problem = problem_for(error)
    if problem.status == 500:
        log.exception("A request failed.", action="http.failed", method=scope["method"], path=place_of(scope))
    elif problem is not error and problem.status == 503:
        log.warning(
            "A request met infrastructure trouble.",
            action="http.unavailable",
            path=place_of(scope),
            error=f"{type(error).__name__}: {error}",
        )
    await problem_response(problem, scope)(scope, receive, send)


def _route_of(scope: Scope) -> str:
    """The route's template (`/v1/submissions/{submission_id}`), so that labels stay few."""
    inner = scope.get("fastapi")
    context = inner.get("effective_route_context") if inner else None  # carries the prefix of an included router
    route = context if context is not None else scope.get("route")
    return getattr(route, "path_format", None) or getattr(route, "path", None) or _UNMATCHED


def place_of(scope: Scope) -> str:
    """What a log says of where a request went: the route's template, since a path may hold a token; else the path."""
    route = _route_of(scope)
    return str(scope["path"]) if route == _UNMATCHED else route


class Application(FastAPI):
    """FastAPI with shortcuts for routes that must be fast: (method, exact path) -> an application that bypasses it.

    Other methods of the path go through FastAPI, so mount the route there as well.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.shortcuts: dict[tuple[str, str], ASGIApp] = {}
        #: routes outside the OpenAPI document
        self.pages: list[Route] = []
        #: behind all routes, also those of `pages`
        self._behind = Router(redirect_slashes=False, default=self.router.not_found)
        #: what puts into the OpenAPI document that FastAPI cannot read from the routes
        self.document_parts: list[Callable[[dict[str, Any]], None]] = []

    def add_pages(self, routes: Sequence[Route]) -> None:
        """Mount routes outside the OpenAPI document, behind the service's own."""
        self.pages += routes
        self._behind.routes += routes
        self.router.default = self._behind

    def answer_elsewhere(self, endpoint: Callable[[Request], Awaitable[Response]]) -> None:
        """Answer so what no route does. A route that takes every path would take /readyz and /metrics too."""
        self._behind.default = request_response(endpoint)

    def openapi(self) -> dict[str, Any]:
        """The OpenAPI document, made once, after all routes are mounted."""
        if self.openapi_schema is None:
            document = get_openapi(
                title=self.title, version=self.version, description=self.description, routes=self.routes
            )
            document.setdefault("components", {}).setdefault("schemas", {})["ProblemDetails"] = pages.PROBLEM_SCHEMA
            state_scopes(self, document)
            for add in self.document_parts:
                add(document)
            etags.describe(document)
            allowance.describe(document)
            add_examples(document)
            self.openapi_schema = document
        return self.openapi_schema

    @cached_property
    def described(self) -> Routes:
        """Its routes; first read after all are mounted."""
        return Routes(self, self.pages)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            scope["app"] = self
            shortcut = self.shortcuts.get((scope["method"], scope["path"]))
            if shortcut is not None:
                await shortcut(scope, receive, send)
                return
        await super().__call__(scope, receive, send)


class _OwnRoute(Route):
    """A route whose metrics carry its template, as FastAPI's do."""

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        scope["route"] = self
        await super().handle(scope, receive, send)


class _Shared(Generic[T]):
    """Computes a public page for every request, up to a rate; requests above it share the last result.

    Prometheus and the orchestrator get a fresh result; a thousand requests a second cost at most `MADE_PER_SECOND`
    computations.
    """

    def __init__(self, make: Callable[[], Awaitable[T]]) -> None:
        self._make = make
        self._limiter = Limiter(MADE_PER_SECOND, MADE_AT_ONCE, max_names=1)
        self._last: asyncio.Future[T] | None = None

    async def get(self) -> T:
        """A fresh result, or one at most a fraction of a second old."""
        if self._last is None or not self._limiter.take(""):
            self._last = asyncio.ensure_future(self._make())
        return await asyncio.shield(self._last)


def create_app(
    service: str,
    *,
    title: str,
    description: str = "",
    readiness: Callable[[], Awaitable[Readiness]],
    lifespan: Lifespan[Any] | None = None,
    version: str = "1",
    body_limit_bytes: int = DEFAULT_BODY_LIMIT_BYTES,
    strangers: Limiter | None = None,
) -> Application:
    """The service's application: /healthz, /readyz, /metrics, /openapi.json, /docs, /problems, inside the middleware.

    These stand behind the service's own routes, so mount nothing at `/`.

    `readiness` is asked on each /readyz, with a deadline. `body_limit_bytes` bounds every body except those read by
    `read_body` with their own limit. `strangers` slows addresses whose requests have no good key or token.
    """
    app = Application(
        title=title,
        description=description,
        version=version,
        docs_url=None,  # FastAPI's pages call a CDN
        openapi_url=None,  # served below
        redoc_url=None,
        lifespan=lifespan,
        redirect_slashes=False,
        # RequestMiddleware makes the span and metrics; FastAPI's own would add a sixth to a request's cost
        telemetry={"tracing": False, "metrics": False, "logs": False},
        responses={"default": pages.PROBLEM_RESPONSE},
        # short, so that a client made of the document has functions one can read
        generate_unique_id_function=lambda route: route.name,
    )
    app.state.strangers = strangers or Limiter(STRANGERS_PER_SECOND, STRANGERS_BURST)
    app.add_middleware(cast(Any, RequestMiddleware), body_limit_bytes=body_limit_bytes)
    app.add_exception_handler(RequestValidationError, _answer)
    app.add_exception_handler(HTTPException, _answer)

    async def healthz(request: Request) -> Response:
        return _json({"service": service, "alive": True})

    async def ask_readiness() -> Readiness:
        return await _ask(readiness)

    async def make_metrics() -> bytes:
        return generate_latest()

    shared_readiness, shared_metrics = _Shared(ask_readiness), _Shared(make_metrics)

    async def readyz(request: Request) -> Response:
        state = await shared_readiness.get()
        return _json(
            {
                "service": service,
                "ready": state.ready,
                "checks": {
                    name: {"ok": check.ok, "detail": redact(check.detail)} for name, check in state.checks.items()
                },
            },
            status=200 if state.ready else 503,
            headers={} if state.ready else {"Retry-After": "1"},
        )

    async def show_metrics(request: Request) -> Response:
        return Response(await shared_metrics.get(), headers={"Content-Type": CONTENT_TYPE_LATEST})

    @cache
    def document() -> bytes:
        return _bytes(app.openapi())

    async def docs(request: Request) -> Response:
        return HTMLResponse(swagger.page(title), headers=swagger.HEADERS)

    async def docs_start(request: Request) -> Response:
        return Response(swagger.START, headers={"Cache-Control": "no-cache"}, media_type="text/javascript")

    def docs_asset(asset: swagger.Asset) -> Callable[[Request], Awaitable[Response]]:
        async def serve(request: Request) -> Response:
            return Response(swagger.content(asset), headers=swagger.ASSET_HEADERS, media_type=asset.media_type)

        return serve

    async def problems(request: Request) -> Response:
        return HTMLResponse(pages.problems_page(title, list(KINDS.values())), headers=pages.PAGE_HEADERS)

    async def problem_page(request: Request) -> Response:
        kind = KINDS.get(request.path_params["slug"])
        if kind is None:
            raise not_found("loại lỗi này", "such kind of problem")
        return HTMLResponse(pages.problems_page(title, [kind]), headers=pages.PAGE_HEADERS)

    async def openapi(request: Request) -> Response:
        return Response(document(), headers={"Cache-Control": "no-store"}, media_type="application/json")

    own = (
        ("/healthz", healthz),
        ("/readyz", readyz),
        ("/metrics", show_metrics),
        ("/openapi.json", openapi),
        ("/docs", docs),
        (swagger.START_PATH, docs_start),
        *((asset.path, docs_asset(asset)) for asset in swagger.ASSETS),
        ("/problems", problems),
        ("/problems/{slug}", problem_page),
    )
    # after the service's routes: every route in front costs a request about a microsecond
    app.add_pages([_OwnRoute(path, endpoint) for path, endpoint in own])
    return app


async def _ask(readiness: Callable[[], Awaitable[Readiness]]) -> Readiness:
    try:
        async with asyncio.timeout(READINESS_DEADLINE_SECONDS):
            return await readiness()
    except Exception as error:
        return Readiness(False, {"readiness": Check(False, f"{type(error).__name__}: {error}")})


def _json(document: Mapping[str, Any], status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    return Response(
        _bytes(document), status, {"Cache-Control": "no-store", **(headers or {})}, media_type="application/json"
    )


def _bytes(document: Mapping[str, Any]) -> bytes:
    return json.dumps(document, ensure_ascii=False).encode("utf-8", "backslashreplace")
