"""A metric is declared once, with a name that says its unit, and its page tells all of it."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from typing import Any

import pytest

from shared.telemetry import metrics
from shared.telemetry.metrics import CATALOGUE, declare_counter, declare_gauge, declare_histogram


def _name(suffix: str) -> str:
    return f"thongsuot_test_{uuid.uuid4().hex}_{suffix}"


@pytest.fixture(autouse=True)
def catalogue(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metrics, "CATALOGUE", dict(CATALOGUE))


def test_a_metric_remembers_what_it_is() -> None:
    name = _name("rows")
    declare_gauge(name, "Rows that wait.", unit="rows", labels=["topic"]).labels("registry").set(3)
    assert metrics.CATALOGUE[name] == metrics.Metric(name, "gauge", "Rows that wait.", "rows", ("topic",), __name__)


def test_a_second_declaration_is_refused() -> None:
    name = _name("total")
    declare_counter(name, "Events.", unit="events")
    with pytest.raises(ValueError, match="twice"):
        declare_counter(name, "Events.", unit="events")


@pytest.mark.parametrize(
    ("declare", "name", "unit", "why"),
    [
        (declare_counter, "thongsuot_test_events", "events", "_total"),
        (declare_gauge, "thongsuot_test_events_total", "events", "_total"),
        (declare_gauge, "test_events", "events", "thongsuot_"),
        (declare_gauge, "thongsuot_Test", "events", "lower case"),
        (declare_histogram, "thongsuot_test_duration", "seconds", "end of the name"),
        (declare_gauge, "thongsuot_test_size", "bytes", "end of the name"),
    ],
)
def test_a_name_that_misleads_is_refused(declare: Callable[..., Any], name: str, unit: str, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        declare(name, "A sentence.", unit=unit)
    assert name not in metrics.CATALOGUE


def test_a_help_that_is_no_sentence_is_refused() -> None:
    with pytest.raises(ValueError, match="sentence"):
        declare_gauge(_name("rows"), "rows", unit="rows")


def test_the_page_tells_name_kind_unit_labels_and_meaning() -> None:
    text = metrics.document("Nền", [CATALOGUE["thongsuot_consumer_lag_events"]])
    line = text.splitlines()[-1]
    assert line == (
        "| `thongsuot_consumer_lag_events` | gauge | events | `group`, `topic`, `partition` |"
        " Events of a partition that this group has not yet applied; NaN while Kafka does not answer. |"
    )


def test_no_label_takes_values_without_bound() -> None:
    unbounded = {"key", "agency", "obligation", "event_id", "path", "user", "request_id", "error"}
    assert {(m.name, label) for m in CATALOGUE.values() for label in m.labels if label in unbounded} == set()
