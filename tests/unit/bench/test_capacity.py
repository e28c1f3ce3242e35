"""The capacity page is arithmetic on what was measured: checked here on round figures."""

from __future__ import annotations

from typing import Any

import pytest

from tests.programs.bench.capacity import bottleneck, costs, levels, markdown, need, peak_rate
from tests.programs.bench.path import SERVICES

#: of one submission: each service and its PostgreSQL, and Kafka
CPU_MS = 0.3 * len(SERVICES) + 0.1


def document() -> dict[str, Any]:
    measured: dict[str, float] = {
        "Nhận bền vững qua HTTP / durable accepts, 256 connections": 4000.0,
        "Từ nhận đến chấm điểm / end to end, 256 connections": 1500.0,
        "Relay, hộp thư đi đầy sẵn / prefilled outbox": 12_000.0,
        "Kafka mỗi bản / per submission: sự kiện / events": 4.0,
        "Kafka mỗi bản / per submission: thân / bodies": 4000.0,
        "  CPU kafka": 0.1,
    }
    for service in SERVICES:
        measured[f"  CPU {service}"] = 0.2
        measured[f"  CPU {service} postgres"] = 0.1
        measured[f"Bộ tiêu thụ / consumers of {service}, alone"] = 4000.0
        measured[f"Lưu trữ mỗi bản / stored per submission, {service}"] = 2500.0
    return {"rows": [{"measure": name, "ours": value} for name, value in measured.items()]}


def test_the_cost_of_one_submission_is_the_sum_of_its_parts() -> None:
    of_one = costs(document())
    assert of_one.all_cpu_ms == pytest.approx(CPU_MS)
    assert of_one.per_process["intake"] == pytest.approx(2000)  # it accepts and follows, one after the other
    assert of_one.event_bytes == 5400


def test_what_was_not_measured_is_not_guessed() -> None:
    given = document()
    given["rows"] = [row for row in given["rows"] if "prefilled" not in row["measure"]]
    with pytest.raises(KeyError):
        costs(given)


def test_a_nation_s_last_hour() -> None:
    # 1.3 M a year: 216,667 in the fullest month, 281,667 with what comes twice, 84,500 of them in the last hour
    assert peak_rate(1_300_000) == pytest.approx(23.47, abs=0.01)


def test_cores_processes_and_partitions_grow_with_the_rate() -> None:
    of_one = costs(document())
    small, large = need("small", 10, of_one), need("large", 12_000, of_one, 10_000_000)
    assert set(small.processes.values()) == {2}  # never fewer: one may be down
    assert small.partitions == 12
    assert large.cores == pytest.approx(12_000 * CPU_MS / 1000 / 0.6)
    assert large.processes["intake"] == 10
    assert large.partitions == 24
    assert large.database_gb_a_year is not None
    assert sum(large.database_gb_a_year.values()) == pytest.approx(32.5 * len(SERVICES))


def test_the_first_bottleneck_is_the_smallest_limit() -> None:
    of_one = costs(document())
    assert "1,500/s" in bottleneck(900, of_one)
    assert "relay of scoring" in bottleneck(3000, of_one)
    assert "6,000/s" in bottleneck(3000, of_one)


def test_the_page_names_every_level() -> None:
    of_one = costs(document())
    text = markdown(of_one, levels(of_one))
    for name in ("one machine", "ten machines", "a nation", "a continent"):
        assert name in text
