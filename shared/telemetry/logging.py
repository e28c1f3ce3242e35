"""Logs are JSON lines on stdout: a human sentence, a stable `action`, and the ids that tie one story together.

The sentence may change; the action may not. Keys and tokens never reach a line. trace_id and span_id are those of
the open span (shared/telemetry/tracing.py).
"""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Iterator, MutableMapping
from contextlib import ExitStack, contextmanager
from contextvars import ContextVar, Token
from typing import Any, TextIO

import structlog
from opentelemetry.trace import format_span_id, format_trace_id

from shared.runtime.clock import monotonic_seconds
from shared.telemetry import tracing
from shared.telemetry.redaction import redact

#: of one text in a line; a stranger's key may have a megabyte
MAX_TEXT_CHARACTERS = 8_000

_IDS: ContextVar[dict[str, Any] | None] = ContextVar("thongsuot_ids", default=None)
_DEBUG = [False]


def enter_ids(ids: dict[str, Any]) -> Token[dict[str, Any] | None]:
    """Replace the bound ids; give the token to `leave_ids`."""
    return _IDS.set(ids)


def leave_ids(token: Token[dict[str, Any] | None]) -> None:
    _IDS.reset(token)


@contextmanager
def bound(**ids: Any) -> Iterator[None]:
    """Every line logged in the block carries these ids: `with bound(consumer="scoring.follow"): …`."""
    token = _IDS.set({**(_IDS.get() or {}), **ids})
    try:
        yield
    finally:
        _IDS.reset(token)


@contextmanager
def about_event(event_id: Any, key: str | bytes | None, traceparent: str | None) -> Iterator[None]:
    """Lines in the block are of one event: its id, its key, and its own trace where it has one."""
    shown = key.decode("utf-8", "backslashreplace") if isinstance(key, bytes) else key
    with bound(event_id=str(event_id) if event_id else None, key=shown), ExitStack() as trace:
        if (cause := tracing.parse(traceparent)) is not None:
            trace.enter_context(tracing.span("about one event", cause))
        yield


def current_id(name: str) -> Any:
    """A bound id, or None: `current_id("request_id")`."""
    return (_IDS.get() or {}).get(name)


def _merge_bound(logger: Any, method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    for name, value in (_IDS.get() or {}).items():
        event.setdefault(name, value)
    open_span = tracing.current()
    if open_span is not None:
        event.setdefault("trace_id", format_trace_id(open_span.trace_id))
        event.setdefault("span_id", format_span_id(open_span.span_id))
    return event


def redact_keys(logger: Any, method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """structlog processor: no API key, bearer token or database password in any line, however deep."""
    for name, value in event.items():
        # redacted before it is shortened: half a key is no longer known as one
        event[name] = _shortened(redact(value, name))
    return event


def _shortened(value: Any) -> Any:
    """The beginning and the end (of a traceback: what was raised) of a text that is too long for a line."""
    if not isinstance(value, str) or len(value) <= MAX_TEXT_CHARACTERS:
        return value
    half = MAX_TEXT_CHARACTERS // 2
    return f"{value[:half]} … ({len(value) - 2 * half} characters left out) … {value[-half:]}"


def _std_action(logger: Any, method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Lines of libraries have no action of ours; they are named after the library."""
    record = event.get("_record")
    if record is not None:
        event.setdefault("action", f"library.{record.name.partition('.')[0]}")
    return event


def _text(value: Any, **options: Any) -> str:
    # lone surrogates (a client can send them in JSON) would make the stream raise: the line must always come out
    text = json.dumps(value, ensure_ascii=False, **options)
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


class OncePerMinute(logging.Filter):
    """Let each kind of line of these libraries through once a minute; the next one says how many were left out.

    A kind is logger, level and unformatted message. While Kafka is away aiokafka logs each of its attempts.
    """

    KINDS = 500

    def __init__(self, *libraries: str, seconds: float = 60.0) -> None:
        super().__init__()
        self._libraries = libraries
        self._seconds = seconds
        self._kinds: dict[tuple[str, int, str], list[float]] = {}  # when it was let through, how many were not since

    def filter(self, record: logging.LogRecord) -> bool:
        if record.name.partition(".")[0] not in self._libraries:
            return True
        kind = record.name, record.levelno, str(record.msg)[:200]
        now = monotonic_seconds()
        kind_count = self._kinds.get(kind)
        if kind_count is not None and now - kind_count[0] < self._seconds:
            kind_count[1] += 1
            return False
        if kind_count is not None and kind_count[1]:
            record.left_out = int(kind_count[1])
        if len(self._kinds) >= self.KINDS:
            self._kinds.clear()
        self._kinds[kind] = [now, 0]
        return True


def _set_up(
    service: str, instance: str, number: int, stream: TextIO | None
) -> tuple[list[structlog.types.Processor], list[structlog.types.Processor]]:
    """Configure structlog alone; returns what every line goes through first and last. No stream: stdout as it is."""

    def _who(logger: Any, method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
        event["service"] = service
        if instance:
            event["instance"] = instance
        return event

    _DEBUG[0] = number <= logging.DEBUG
    first: list[structlog.types.Processor] = [
        structlog.contextvars.merge_contextvars,
        _merge_bound,
        _who,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    last: list[structlog.types.Processor] = [
        structlog.processors.format_exc_info,
        redact_keys,
        structlog.processors.EventRenamer("message"),
        structlog.processors.JSONRenderer(serializer=_text, default=str),
    ]
    structlog.configure(
        processors=[*first, *last],
        wrapper_class=structlog.make_filtering_bound_logger(number),
        logger_factory=structlog.PrintLoggerFactory(stream),
        cache_logger_on_first_use=False,
    )
    return first, last


def configure(service: str, instance: str = "", level: str = "INFO", *, stream: TextIO | None = None) -> None:
    """Send our lines at `level`, and those of libraries at WARNING, to stdout (or `stream`) as JSON.

    `instance` names the process among its replicas. Calling it again replaces the earlier configuration.
    """
    out = stream or sys.stdout
    first, last = _set_up(service, instance, logging.getLevelNamesMapping()[level.upper()], out)
    handler = logging.StreamHandler(out)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[*first, structlog.stdlib.ExtraAdder()],
            processors=[_std_action, structlog.stdlib.ProcessorFormatter.remove_processors_meta, *last],
        )
    )
    handler.addFilter(OncePerMinute("aiokafka", "faststream", "opentelemetry"))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.WARNING)
    for name in ("uvicorn", "uvicorn.error", "uvicorn.access", "aiokafka", "faststream", "alembic", "asyncio"):
        library = logging.getLogger(name)
        library.handlers[:] = []
        library.propagate = True
        library.setLevel(logging.WARNING)
    logging.captureWarnings(True)


def debug_enabled() -> bool:
    """Whether debug lines come out; lets a hot path skip making them."""
    return _DEBUG[0]


def get_logger(**ids: Any) -> Any:
    """`log = get_logger(); log.info("A human sentence.", action="submission.stored", obligation=…)`."""
    return structlog.get_logger(**ids)


# Before `configure` (in tools, in tests) lines look the same. structlog's own default renders tracebacks with every
# local variable: it took seconds of the event loop, and shows secrets.
_set_up("unconfigured", "", logging.INFO, None)
