"""One trace runs from a request through every event to scores and mails: OpenTelemetry's contexts, W3C's header.

Spans always carry ids (https://www.w3.org/TR/trace-context/), for logs and for the `traceparent` of events. They are
recorded and exported only after `switch_on`; until then the SDK is not even loaded, and a span costs about as much as
drawing its id.
"""

from __future__ import annotations

import importlib
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from contextvars import Token
from random import Random
from threading import Thread
from typing import Any, Protocol

from opentelemetry import context as contexts
from opentelemetry.context import Context
from opentelemetry.trace import (
    INVALID_SPAN,
    Link,
    NonRecordingSpan,
    Span,
    SpanContext,
    SpanKind,
    Status,
    StatusCode,
    TraceFlags,
    Tracer,
    get_current_span,
    set_span_in_context,
)
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

__all__ = [
    "Span",
    "SpanContext",
    "SpanKind",
    "StatusCode",
    "attach",
    "begin",
    "begin_request",
    "current",
    "detach",
    "ended_with",
    "links_to",
    "parse",
    "record_with",
    "recording",
    "span",
    "switch_off",
    "switch_on",
    "traceparent",
    "well_formed",
]

#: how long a stop waits for the last spans to be exported
LAST_SPANS_SECONDS = 1.0
MAX_TRACEPARENT_CHARACTERS = 512

_PROPAGATOR = TraceContextTextMapPropagator()
_TRACEPARENT = re.compile(r"(?!ff)[0-9a-f]{2}-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?")
_NO_TRACE, _NO_SPAN = "0" * 32, "0" * 16
_SAMPLED = TraceFlags(TraceFlags.SAMPLED)
_NOTHING = Context()
#: ids by chance of its own: whoever seeds the common one would have the same ids come again, and a server in a thread
#: would draw from it while somebody else relies on its state
_getrandbits = Random().getrandbits  # noqa: S311 - no secret
#: where a context keeps its span
(_SPAN_KEY,) = set_span_in_context(INVALID_SPAN, _NOTHING)


class Provider(Protocol):
    """What makes tracers: the SDK's TracerProvider, or a test's."""

    def get_tracer(self, instrumenting_module_name: str) -> Tracer: ...


class _Recording:
    """What spans are recorded with in this process: nothing, until it is switched on."""

    tracer: Tracer | None = None
    provider: Any = None
    exporter: Any = None


def parse(traceparent: str | None) -> SpanContext | None:
    """The context in a `traceparent`; None where it is missing or malformed: then a new trace begins.

    It reads what OpenTelemetry's propagator reads, at a fraction of its cost (docs/decisions/0016).
    """
    if (found := _read(traceparent)) is None:
        return None
    return SpanContext(int(found[0], 16), int(found[1], 16), True, TraceFlags(int(found[2], 16)))


def well_formed(traceparent: str) -> bool:
    """Whether `parse` would find a context in it."""
    return _read(traceparent) is not None


def _read(traceparent: str | None) -> tuple[str, str, str] | None:
    """Trace, span and flags in hexadecimal."""
    if not traceparent or len(traceparent) > MAX_TRACEPARENT_CHARACTERS:
        return None
    match = _TRACEPARENT.fullmatch(traceparent)
    if match is None:
        return None
    trace_id, span_id, flags, more = match.groups()
    if trace_id == _NO_TRACE or span_id == _NO_SPAN or (more and traceparent.startswith("00")):
        return None
    return trace_id, span_id, flags


def traceparent(of: Span | None = None) -> str | None:
    """The `traceparent` that goes out with what is done now (or in that span); None outside of every span."""
    if of is None and not get_current_span().get_span_context().is_valid:
        return None
    carrier: dict[str, str] = {}
    _PROPAGATOR.inject(carrier, set_span_in_context(of) if of is not None else None)
    return carrier.get("traceparent")


def current() -> SpanContext | None:
    """The context of the span that is open here, or None."""
    found = get_current_span().get_span_context()
    return found if found.is_valid else None


def begin(
    name: str,
    parent: SpanContext | None = None,
    kind: SpanKind = SpanKind.INTERNAL,
    *,
    links: Sequence[Link] = (),
    attributes: Mapping[str, Any] | None = None,
) -> Span:
    """A span of the parent's trace, or the root of a new one. Whoever begins it ends it."""
    if _Recording.tracer is not None:
        within = set_span_in_context(NonRecordingSpan(parent), _NOTHING) if parent is not None else _NOTHING
        begun = _Recording.tracer.start_span(name, within, kind, attributes, links)
        if begun.get_span_context().is_valid:
            return begun  # otherwise OTEL_SDK_DISABLED turns the SDK off
    if parent is None:
        return NonRecordingSpan(SpanContext(_getrandbits(128) or 1, _getrandbits(64) or 1, False, _SAMPLED))
    return NonRecordingSpan(SpanContext(parent.trace_id, _getrandbits(64) or 1, False, parent.trace_flags))


def begin_request(method: str, traceparent: str) -> tuple[Span, Token[Context]]:
    """The span of a request, begun and attached; as `begin` and `attach`, without what these cost each request."""
    if _Recording.tracer is not None:
        span = begin(method, parse(traceparent), SpanKind.SERVER)
    elif traceparent and (found := _read(traceparent)) is not None:
        flags = _SAMPLED if found[2] == "01" else TraceFlags(int(found[2], 16))
        span = NonRecordingSpan(SpanContext(int(found[0], 16), _getrandbits(64) or 1, False, flags))
    else:
        span = NonRecordingSpan(SpanContext(_getrandbits(128) or 1, _getrandbits(64) or 1, False, _SAMPLED))
    return span, contexts.attach(Context({_SPAN_KEY: span}))


def attach(span: Span) -> Token[Context]:
    """Make it the current one; give the token to `detach`, in the same task."""
    return contexts.attach(set_span_in_context(span))


def detach(token: Token[Context]) -> None:
    contexts.detach(token)


def ended_with(span: Span, error: BaseException) -> None:
    """The span's work came to nothing."""
    if span.is_recording():
        span.record_exception(error)
        span.set_status(Status(StatusCode.ERROR, type(error).__name__))


@contextmanager
def span(
    name: str,
    parent: SpanContext | None = None,
    kind: SpanKind = SpanKind.INTERNAL,
    *,
    links: Sequence[Link] = (),
    attributes: Mapping[str, Any] | None = None,
) -> Iterator[Span]:
    """As `begin`, for the length of the block, where it is the current one."""
    begun = begin(name, parent, kind, links=links, attributes=attributes)
    token = attach(begun)
    try:
        yield begun
    except BaseException as error:
        ended_with(begun, error)
        raise
    finally:
        detach(token)
        begun.end()


def links_to(traceparents: Iterable[str | None]) -> list[Link]:
    """A link to each of these contexts, once; the SDK keeps the first OTEL_SPAN_LINK_COUNT_LIMIT (128)."""
    found = {text: parse(text) for text in traceparents if text}
    return [Link(context) for context in found.values() if context is not None]


def recording() -> bool:
    """Whether spans are recorded; lets what handles batches skip describing them."""
    return _Recording.tracer is not None


def record_with(provider: Provider | None) -> None:
    """Record spans with this provider from here on; None: no longer."""
    _Recording.provider = provider
    _Recording.tracer = provider.get_tracer("thongsuot") if provider is not None else None


class PackagesMissing(Exception):
    """Tracing was switched on where its packages are not installed."""


def switch_on(service: str, instance: str) -> None:
    """Record spans, and export them over OTLP/HTTP as the OTEL_… variables say. Raises PackagesMissing."""
    try:
        resources = importlib.import_module("opentelemetry.sdk.resources")
        sdk = importlib.import_module("opentelemetry.sdk.trace")
        export = importlib.import_module("opentelemetry.sdk.trace.export")
        otlp = importlib.import_module("opentelemetry.exporter.otlp.proto.http.trace_exporter")
    except ImportError as error:
        raise PackagesMissing(f"{error}; install requirements-tracing.txt") from error
    resource = resources.Resource.create(
        {"service.namespace": "thongsuot", "service.name": service, "service.instance.id": instance}
    )
    # its own goodbye at exit would wait for a collector that is away
    provider = sdk.TracerProvider(resource=resource, shutdown_on_exit=False)
    exporter = otlp.OTLPSpanExporter()
    provider.add_span_processor(export.BatchSpanProcessor(exporter))
    record_with(provider)
    _Recording.exporter = exporter


def switch_off(seconds: float = LAST_SPANS_SECONDS) -> None:
    """Export what is left, for so long at most: no stop waits for a collector, and no thread goes on behind it."""
    provider, exporter = _Recording.provider, _Recording.exporter
    record_with(None)
    _Recording.exporter = None
    if provider is None:
        return

    def shut_down() -> None:
        with suppress(Exception):
            provider.shutdown()

    last = Thread(target=shut_down, name="last spans", daemon=True)
    last.start()
    last.join(seconds)
    if last.is_alive() and exporter is not None:
        exporter.shutdown()  # it gives up what it would try again
        last.join(seconds)
