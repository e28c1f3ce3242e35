"""Every series of a counter is there from the start: one that is born at 3 has no increase that an alarm could see."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import product
from typing import TYPE_CHECKING

from shared.contract.events import MODELS
from shared.outbox.relay import Relay, published_topics
from shared.service.ticker import Ticker
from shared.telemetry.metrics import CATALOGUE, COLLECTORS, Metric
from shared.web.routes import operations

if TYPE_CHECKING:
    from shared.service.service import Service

_STATUSES = ("2xx", "3xx", "4xx", "5xx")


def touch(service: Service) -> None:
    """Make the series of all counters (and histograms) that the service declares, at 0."""
    for metric in counted(service.name):
        for labels in label_sets(metric, service):
            COLLECTORS[metric.name].labels(*labels)


def counted(service: str) -> list[Metric]:
    """What the service counts under labels. A histogram per route would be thousands of series: born with a request."""
    modules = ("shared.telemetry.metrics", f"services.{service}.metrics")
    return [
        metric
        for metric in CATALOGUE.values()
        if metric.module in modules
        and metric.labels
        and (metric.kind == "counter" or (metric.kind == "histogram" and "route" not in metric.labels))
    ]


def label_sets(metric: Metric, service: Service) -> Iterator[tuple[str, ...]]:
    """Every combination of labels that the metric can have in this service."""
    subscriptions = service.consumers.subscriptions if service.consumers else ()
    if "route" in metric.labels:
        yield from ((method, route, status) for method, route in _routes(service) for status in _STATUSES)
    elif "type" in metric.labels:
        for subscription in subscriptions:
            for kind in (*_types(subscription.inbound.topics), "unreadable", "other"):
                yield (subscription.name, kind)
    else:
        possible: dict[str, Sequence[str]] = {
            **metric.values,
            "group": [subscription.name for subscription in subscriptions],
            "topic": published_topics(service.name) if any(isinstance(b, Relay) for b in service.backgrounds) else [],
            "ticker": [background.name for background in service.backgrounds if isinstance(background, Ticker)],
        }
        yield from product(*(possible[label] for label in metric.labels))


def _types(topics: Sequence[str]) -> list[str]:
    return [model.TYPE for model in MODELS.values() if model.TOPIC in topics]


def _routes(service: Service) -> Iterator[tuple[str, str]]:
    app = getattr(service, "app", None)
    if app is not None:
        yield from sorted(operations(app))
