"""Every metric is declared once, here or in a service's metrics.py, with its meaning, unit and bounded labels.

Names follow Prometheus' conventions: `thongsuot_…`, base units (seconds, bytes), `_total` for counters.
`CATALOGUE` is what docs/metrics.md is written from.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from prometheus_client import Counter, Gauge, Histogram

Kind = Literal["counter", "gauge", "histogram"]

#: upper bounds in seconds: from half a millisecond to half a minute
LATENCY_BUCKETS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
#: upper bounds of a count of rows or events
SIZE_BUCKETS = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000)

_NAME = re.compile(r"thongsuot(_[a-z0-9]+)+")


@dataclass(frozen=True, slots=True)
class Metric:
    """A declared metric. `unit`: seconds, bytes, rows, events, requests …, or `1` for a flag."""

    name: str
    kind: Kind
    help: str
    unit: str
    labels: tuple[str, ...]
    module: str  # that declares it
    #: label -> all its values, where they are fixed; those of DYNAMIC labels only the service knows
    values: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


#: labels whose values depend on the service: its consumers, topics, event types, tickers and routes
DYNAMIC = frozenset({"group", "topic", "type", "partition", "ticker", "method", "route", "status"})

#: every declared metric by name
CATALOGUE: dict[str, Metric] = {}
#: what counts each of them
COLLECTORS: dict[str, Counter | Gauge | Histogram] = {}


Values = Mapping[str, Sequence[str]]


def _declare(kind: Kind, name: str, help: str, unit: str, labels: Sequence[str], values: Values) -> tuple[str, ...]:
    if not _NAME.fullmatch(name):
        raise ValueError(f"metric {name!r}: names are thongsuot_… in lower case")
    if (kind == "counter") != name.endswith("_total"):
        raise ValueError(f"metric {name!r}: counters, and only counters, end in _total")
    if unit in ("seconds", "bytes") and not re.search(rf"_{unit}(_total)?$", name):
        raise ValueError(f"metric {name!r}: the unit {unit} belongs at the end of the name")
    if not help.endswith("."):
        raise ValueError(f"metric {name!r}: the help is a sentence")
    if name in CATALOGUE:
        raise ValueError(f"metric {name!r} is declared twice")
    unknown = set(labels) - set(values) - DYNAMIC
    if (kind != "gauge" and unknown) or set(values) - set(labels):
        raise ValueError(f"metric {name!r}: say what its labels can be: {sorted(unknown)}")
    # frame 0 is here, 1 is declare_…, 2 is the module that declares
    module = str(sys._getframe(2).f_globals["__name__"])
    possible = {label: tuple(options) for label, options in values.items()}
    CATALOGUE[name] = Metric(name, kind, help, unit, tuple(labels), module, possible)
    return tuple(labels)


def declare_counter(
    name: str, help: str, *, unit: str, labels: Sequence[str] = (), values: Values | None = None
) -> Counter:
    """A count that only grows; `name` ends in `_total`. `values`: what each label can be, where that is fixed."""
    counter = Counter(name, help, _declare("counter", name, help, unit, labels, values or {}))
    COLLECTORS[name] = counter
    return counter


def counted(counter: Counter, *labels: str) -> float:
    """What this process has counted so far under these labels."""
    child = counter.labels(*labels) if labels else counter
    return sum(
        sample.value for metric in child.collect() for sample in metric.samples if sample.name.endswith("_total")
    )


def declare_gauge(name: str, help: str, *, unit: str, labels: Sequence[str] = ()) -> Gauge:
    """A value that goes up and down."""
    gauge = Gauge(name, help, _declare("gauge", name, help, unit, labels, {}))
    COLLECTORS[name] = gauge
    return gauge


def declare_histogram(
    name: str,
    help: str,
    *,
    unit: str,
    labels: Sequence[str] = (),
    buckets: Sequence[float] = LATENCY_BUCKETS,
    values: Values | None = None,
) -> Histogram:
    """A distribution; `buckets` are upper bounds in `unit`."""
    declared = _declare("histogram", name, help, unit, labels, values or {})
    histogram = Histogram(name, help, declared, buckets=tuple(buckets))
    COLLECTORS[name] = histogram
    return histogram


# --- outbox and relay ---------------------------------------------------------------------------------------------
OUTBOX_BACKLOG_ROWS = declare_gauge(
    "thongsuot_outbox_backlog_rows", "Events stored in the outbox and not yet acknowledged by Kafka.", unit="rows"
)
OUTBOX_OLDEST_AGE_SECONDS = declare_gauge(
    "thongsuot_outbox_oldest_age_seconds",
    "Age of the oldest event in the outbox; 0 if none.",
    unit="seconds",
)
OUTBOX_SET_ASIDE_ROWS = declare_gauge(
    "thongsuot_outbox_set_aside_rows",
    "Events that Kafka does not take, and later events of their keys; see `outbox list`.",
    unit="rows",
)
OUTBOX_SET_ASIDE_OLDEST_AGE_SECONDS = declare_gauge(
    "thongsuot_outbox_set_aside_oldest_age_seconds",
    "Time since the oldest open event was set aside; 0 if none.",
    unit="seconds",
)
OUTBOX_SET_ASIDE_TOTAL = declare_counter(
    "thongsuot_outbox_set_aside_total",
    "Events set aside by the relay, by reason (too_large, refused, behind).",
    unit="events",
    labels=["reason"],
    values={"reason": ("too_large", "refused", "behind")},
)
RELAY_PUBLISHED_TOTAL = declare_counter(
    "thongsuot_relay_published_total", "Events that Kafka acknowledged to the relay.", unit="events", labels=["topic"]
)
RELAY_BATCH_ROWS = declare_histogram(
    "thongsuot_relay_batch_rows", "Outbox rows in one relay batch.", unit="rows", buckets=SIZE_BUCKETS
)
RELAY_BATCH_DURATION_SECONDS = declare_histogram(
    "thongsuot_relay_batch_duration_seconds", "Time from reading a relay batch to its deletion.", unit="seconds"
)
RELAY_PRODUCER_RECREATED_TOTAL = declare_counter(
    "thongsuot_relay_producer_recreated_total",
    "Times the relay replaced its producer after an error that cannot be retried.",
    unit="producers",
)
RELAY_LEADER = declare_gauge("thongsuot_relay_leader", "1 while this instance leads the relay, else 0.", unit="1")
REPLAY_PUBLISHED_TOTAL = declare_counter(
    "thongsuot_replay_published_total", "Events sent again from the archive.", unit="events", labels=["topic"]
)

# --- consumers (group = <service>.<consumer>) ---------------------------------------------------------------------
CONSUMER_LAG_EVENTS = declare_gauge(
    "thongsuot_consumer_lag_events",
    "Events of a partition that this group has not yet applied; NaN while Kafka does not answer.",
    unit="events",
    labels=["group", "topic", "partition"],
)
CONSUMER_KAFKA_SILENCE_SECONDS = declare_gauge(
    "thongsuot_consumer_kafka_silence_seconds",
    "Time since Kafka last answered this group's client; at most about 4 s while Kafka is up.",
    unit="seconds",
    labels=["group"],
)
CONSUMER_REMADE_TOTAL = declare_counter(
    "thongsuot_consumer_remade_total",
    "Times a group's client was broken and the service recreated all its clients, by reason (task_ended, "
    "polls_failed, commits_late, not_polling, no_partitions, stuck, not_joined).",
    unit="clients",
    labels=["group", "reason"],
    values={
        "reason": (
            "task_ended",
            "polls_failed",
            "commits_late",
            "not_polling",
            "no_partitions",
            "stuck",
            "not_joined",
        )
    },
)
CONSUMER_BATCH_EVENTS = declare_histogram(
    "thongsuot_consumer_batch_events",
    "Events in one consumed batch.",
    unit="events",
    labels=["group"],
    buckets=SIZE_BUCKETS,
)
CONSUMER_BATCH_DURATION_SECONDS = declare_histogram(
    "thongsuot_consumer_batch_duration_seconds",
    "Time to apply one consumed batch, commit included.",
    unit="seconds",
    labels=["group"],
)
CONSUMER_APPLIED_TOTAL = declare_counter(
    "thongsuot_consumer_applied_total", "Events applied exactly once.", unit="events", labels=["group", "type"]
)
CONSUMER_DUPLICATES_TOTAL = declare_counter(
    "thongsuot_consumer_duplicates_total",
    "Redelivered events dropped by the inbox.",
    unit="events",
    labels=["group", "type"],
)
CONSUMER_SKIPPED_TOTAL = declare_counter(
    "thongsuot_consumer_skipped_total",
    "Events of a type this consumer does not consume; unknown types count as `other`.",
    unit="events",
    labels=["group", "type"],
)
CONSUMER_DEFERRED_TOTAL = declare_counter(
    "thongsuot_consumer_deferred_total",
    "Events deferred until the record they name arrives.",
    unit="events",
    labels=["group", "type"],
)
CONSUMER_REJECTED_TOTAL = declare_counter(
    "thongsuot_consumer_rejected_total",
    "Events refused for their data and sent to the dead-letter topic.",
    unit="events",
    labels=["group", "type"],
)
CONSUMER_COMMIT_FAILURES_TOTAL = declare_counter(
    "thongsuot_consumer_commit_failures_total", "Offset commits that failed.", unit="commits", labels=["group"]
)
CONSUMER_REBALANCES_TOTAL = declare_counter(
    "thongsuot_consumer_rebalances_total", "Partition assignments received.", unit="rebalances", labels=["group"]
)
CONSUMER_RETRIES_TOTAL = declare_counter(
    "thongsuot_consumer_retries_total",
    "Retries of a batch after database or broker trouble.",
    unit="retries",
    labels=["group"],
)
CONSUMER_SPLITS_TOTAL = declare_counter(
    "thongsuot_consumer_splits_total",
    "Times a batch, or a part of one, was split because it kept failing while the database answered.",
    unit="batches",
    labels=["group"],
)
CONSUMER_DEFERRED_ALONE_TOTAL = declare_counter(
    "thongsuot_consumer_deferred_alone_total",
    "Events deferred to be applied alone, by reason (costly, failing).",
    unit="events",
    labels=["group", "reason"],
    values={"reason": ("costly", "failing")},
)
CONSUMER_GIVEN_UP_TOTAL = declare_counter(
    "thongsuot_consumer_given_up_total",
    "Events applied alone that became dead letters, by reason: unprepared (refused before the transaction), failing "
    "(others were applied meanwhile).",
    unit="events",
    labels=["group", "reason"],
    values={"reason": ("unprepared", "failing")},
)
CONSUMER_HALTED = declare_gauge(
    "thongsuot_consumer_halted",
    "1 while a consumer is halted because too many events are bad, else 0.",
    unit="1",
    labels=["group"],
)
CONSUMER_BAD_SENDERS = declare_gauge(
    "thongsuot_consumer_bad_senders",
    "Senders (agencies) with at least 50 bad events among the last 1,000; other senders are not affected.",
    unit="senders",
    labels=["group"],
)
OPEN_DEAD_LETTERS = declare_gauge(
    "thongsuot_open_dead_letters",
    "Dead letters neither replayed nor discarded; see `dead-letters list`.",
    unit="events",
    labels=["group"],
)
OPEN_DEAD_LETTERS_OLDEST_AGE_SECONDS = declare_gauge(
    "thongsuot_open_dead_letters_oldest_age_seconds",
    "Age of the oldest open dead letter; 0 if none.",
    unit="seconds",
    labels=["group"],
)
DEAD_LETTERS_TOTAL = declare_counter(
    "thongsuot_dead_letters_total", "Events published to the dead-letter topic.", unit="events", labels=["group"]
)
DEAD_LETTERS_PURGED_TOTAL = declare_counter(
    "thongsuot_dead_letters_purged_total",
    "Discarded dead letters deleted after the time in which they can be restored.",
    unit="events",
    labels=["group"],
)
DEFERRED_EVENTS = declare_gauge(
    "thongsuot_deferred_events", "Deferred events, which wait for a record they name.", unit="events", labels=["group"]
)
DEFERRED_OLDEST_AGE_SECONDS = declare_gauge(
    "thongsuot_deferred_events_oldest_age_seconds",
    "Age of the oldest deferred event; 0 if none. See `deferred list`.",
    unit="seconds",
    labels=["group"],
)

# --- tickers ------------------------------------------------------------------------------------------------------
TICKER_RUNS_TOTAL = declare_counter(
    "thongsuot_ticker_runs_total",
    "Runs of a ticker by result (ok, failed).",
    unit="runs",
    labels=["ticker", "result"],
    values={"result": ("ok", "failed")},
)
TICKER_ROWS_TOTAL = declare_counter(
    "thongsuot_ticker_rows_total", "Rows a ticker has handled.", unit="rows", labels=["ticker"]
)
TICKER_LAST_SUCCESS_TIMESTAMP_SECONDS = declare_gauge(
    "thongsuot_ticker_last_success_timestamp_seconds",
    "Unix time of a ticker's last run without error.",
    unit="seconds",
    labels=["ticker"],
)

BACKGROUND_LAST_SUCCESS_AGE_SECONDS = declare_gauge(
    "thongsuot_background_last_success_age_seconds",
    "Time since a background loop of this instance last succeeded; idle rounds count, and rounds while another "
    "instance leads.",
    unit="seconds",
    labels=["loop"],
)

# --- HTTP and database --------------------------------------------------------------------------------------------
HTTP_REQUESTS_TOTAL = declare_counter(
    "thongsuot_http_requests_total",
    "HTTP requests by method, route template and status class (2xx …); unknown paths count as `unmatched`.",
    unit="requests",
    labels=["method", "route", "status"],
)
HTTP_REQUEST_DURATION_SECONDS = declare_histogram(
    "thongsuot_http_request_duration_seconds",
    "Time from the first byte handed to the application to the last byte of its answer.",
    unit="seconds",
    labels=["method", "route", "status"],
)
HTTP_CONNECTIONS = declare_gauge("thongsuot_http_connections", "Open client connections.", unit="connections")
HTTP_REFUSED_TOTAL = declare_counter(
    "thongsuot_http_refused_total",
    "Connections and requests refused by the server before the application, by reason (malformed, wasteful_body, "
    "upgrade, coded_body, head_too_large, url_too_long, silent, slow_head, slow_body, slow_reader, gave_way, full, "
    "address_full).",
    unit="requests",
    labels=["reason"],
    values={
        "reason": (
            *("malformed", "wasteful_body", "upgrade", "coded_body", "head_too_large", "url_too_long", "silent"),
            *("slow_head", "slow_body", "slow_reader", "gave_way", "full", "address_full"),
        )
    },
)
OPERATOR_REFUSED_TOTAL = declare_counter(
    "thongsuot_operator_refused_total",
    "Requests to operator routes without a key that may operate, by reason (missing, wrong, limited, scope, spent).",
    unit="requests",
    labels=["reason"],
    values={"reason": ("missing", "wrong", "limited", "scope", "spent")},
)
DATABASE_POOL_IN_USE = declare_gauge(
    "thongsuot_database_pool_in_use", "Database connections in use.", unit="connections"
)


def document(title: str, metrics: Sequence[Metric]) -> str:
    """The section of docs/metrics.md for these metrics."""
    lines = [f"## {title}", "", "| metric | kind | unit | labels | meaning |", "|---|---|---|---|---|"]
    for metric in sorted(metrics, key=lambda metric: metric.name):
        labels = ", ".join(f"`{label}`" for label in metric.labels) or "–"
        lines.append(f"| `{metric.name}` | {metric.kind} | {metric.unit} | {labels} | {metric.help} |")
    return "\n".join([*lines, ""])
