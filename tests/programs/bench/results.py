"""Turns measurements into rows: medians over interleaved rounds, ratios between the systems, goals."""

from __future__ import annotations

import math
import os
from collections import defaultdict
from dataclasses import dataclass, field
from statistics import median

from tests.programs.bench.neighbour import PACE_PER_SECOND, Beside
from tests.programs.bench.path import SERVICES
from tests.programs.bench.rounds import Drained, EndToEnd, Outage
from tests.programs.bench.scale import Scaled
from tests.programs.bench.stored import Grown
from tests.programs.bench.systems import NAMES, Name
from tests.programs.bench.table import Row, Table

GOAL_ACCEPTS = 3500
GOAL_OF_CONSTANT = 0.60
GOAL_END_TO_END = 1800
GOAL_OF_FLOOR = 0.70
GOAL_OF_CONVENTIONAL = 6.0
GOAL_P99_SECONDS = 1.0
GOAL_DRAIN = 2.0
GOAL_PEAK_MIB = 150
GOAL_GROWTH = 0.90
GOAL_BESIDE = 3.0
WIDE = 256


@dataclass
class Measured:
    """Everything one run has measured, by system."""

    accepts: dict[Name, dict[int, list[float]]] = field(default_factory=lambda: defaultdict(lambda: defaultdict(list)))
    end_to_end: dict[Name, dict[int, list[EndToEnd]]] = field(
        default_factory=lambda: defaultdict(lambda: defaultdict(list))
    )
    consumers: dict[Name, dict[str, Drained]] = field(default_factory=dict)
    relay: dict[Name, float] = field(default_factory=dict)
    latency_rate: dict[Name, float] = field(default_factory=dict)
    latency: dict[Name, tuple[float, float]] = field(default_factory=dict)  # p50, p99 seconds
    outages: dict[Name, Outage] = field(default_factory=dict)
    constant: dict[int, float] = field(default_factory=dict)  # by connections: what HTTP carries, nothing stored
    bare: dict[int, float] = field(default_factory=dict)  # … and without application and middleware
    pgbench: dict[int, float] = field(default_factory=dict)
    produced: float = math.nan
    scaled: list[Scaled] = field(default_factory=list)
    grown: Grown | None = None
    beside: dict[str, Beside] = field(default_factory=dict)  # by kind of hostility
    stored_bytes: dict[str, float] = field(default_factory=dict)  # by service, of one submission, indexes included
    events_of_one: tuple[float, float] | None = None  # events and bytes of their bodies

    def accepted(self, name: Name, connections: int) -> float | None:
        values = self.accepts[name][connections]
        return median(values) if values else None

    def rate(self, name: Name, connections: int) -> float | None:
        values = [run.per_second for run in self.end_to_end[name][connections]]
        return median(values) if values else None


def _over(mine: float | None, other: float | None) -> float | None:
    return mine / other if mine is not None and other and other > 0 else None


def _at_least(value: float | None, goal: float) -> bool | None:
    return None if value is None else value >= goal


def _at_most(value: float | None, goal: float) -> bool | None:
    return None if value is None else value <= goal


def rows(measured: Measured, table: Table) -> None:
    """Replace the table's rows of the main part by those of what has been measured so far."""
    table.rows.clear()
    for connections in sorted(measured.accepts["ours"]):
        _accepts(measured, table, connections)
    for connections in sorted(measured.end_to_end["ours"]):
        _end_to_end(measured, table, connections)
    _latency(measured, table)
    _outage(measured, table)
    _consumers(measured, table)
    _costs(measured, table)
    _sizes(measured, table)
    _grown(measured, table)
    _scaled(measured, table)
    _beside(measured, table)
    for connections, value in measured.constant.items():
        bare = measured.bare[connections]
        table.add(
            Row(f"Tầng HTTP / HTTP layer, hằng số / constant, {connections} connections", "answers/s", value,
                limit=bare, ratio=_over(value, bare), ratio_to="limit",
                note="limit: the same server without application and middleware")
        )  # fmt: skip
    for size, value in measured.pgbench.items():
        what = "một bản mỗi commit / one submission per commit" if size == 1 else f"{size} bản / per commit"
        table.add(Row(f"pgbench, cùng INSERT / same inserts, {what}", "submissions/s", limit=value))
    if not math.isnan(measured.produced):
        table.add(Row("Kafka: aiokafka trần / bare producer, acks=all", "events/s", limit=measured.produced))


def _accepts(measured: Measured, table: Table, connections: int) -> None:
    ours, floor, conventional = (measured.accepted(name, connections) for name in NAMES)
    limit = measured.constant.get(connections)
    label = f"Nhận bền vững qua HTTP / durable accepts, {connections} connections"
    share = _over(ours, limit)
    note = "intake alone, its relay running; limit: the same app answering a constant"
    table.add(
        Row(label, "submissions/s", ours, floor, conventional, limit, _over(ours, floor), "floor",
            f"≥ {GOAL_ACCEPTS}", _at_least(ours, GOAL_ACCEPTS), note)
    )  # fmt: skip
    table.add(
        Row(f"  so với hằng số / of the constant app, {connections} connections", "share",
            share, _over(floor, limit), _over(conventional, limit), 1.0 if limit else None, share, "limit",
            f"≥ {GOAL_OF_CONSTANT:.0%}", _at_least(share, GOAL_OF_CONSTANT),
            "in the way: intake is one Python process on one core, and the constant app neither knows keys, nor reads, "
            "judges, hashes, stores or relays; PostgreSQL and the load generator share the other core")
    )  # fmt: skip


def _end_to_end(measured: Measured, table: Table, connections: int) -> None:
    ours, floor, conventional = (measured.rate(name, connections) for name in NAMES)
    label = f"Từ nhận đến chấm điểm / end to end, {connections} connections"
    wide = connections == WIDE
    to_floor, to_conventional = _over(ours, floor), _over(ours, conventional)
    table.add(
        Row(label, "submissions/s", ours, floor, conventional, None, to_floor, "floor",
            f"≥ {GOAL_END_TO_END}" if wide else "", _at_least(ours, GOAL_END_TO_END) if wide else None,
            "all services on its way and the load generator; from the first request until the last verdict is scored"
            + _cpu_bound(measured, connections))
    )  # fmt: skip
    if wide:
        table.add(
            Row("  so với sàn / of the floor", "share", to_floor, 1.0 if floor else None, _over(conventional, floor),
                None, to_floor, "floor", f"≥ {GOAL_OF_FLOOR:.0%}", _at_least(to_floor, GOAL_OF_FLOOR))
        )  # fmt: skip
        table.add(
            Row("  so với thông thường / over conventional", "times", to_conventional, _over(floor, conventional),
                1.0 if conventional else None, None, to_conventional, "conventional", f"≥ {GOAL_OF_CONVENTIONAL:.0f}×",
                _at_least(to_conventional, GOAL_OF_CONVENTIONAL))
        )  # fmt: skip


def _cpu_bound(measured: Measured, connections: int) -> str:
    """Return what limits the rate: the CPU that all parts spend on one submission, without the load generator."""
    runs = [run for run in measured.end_to_end["ours"][connections] if run.scored]
    if not runs:
        return ""
    spent_ms = median(1000 * sum(run.cpu.values()) / run.scored for run in runs)
    cores = os.cpu_count() or 1
    return (
        f"; in the way: {spent_ms:.2f} ms of CPU each, so {cores} cores carry {1000 * cores / spent_ms:.0f}/s at most"
    )


def _latency(measured: Measured, table: Table) -> None:
    if not measured.latency:
        return
    p50 = {name: measured.latency[name][0] for name in measured.latency}
    p99 = {name: measured.latency[name][1] for name in measured.latency}
    at = ", ".join(f"{name} {rate:.0f}/s" for name, rate in measured.latency_rate.items())
    note = f"from intake's receipt to the commit of the score; steady load: {at}"
    table.add(
        Row("POST → điểm / to scored, p50", "s", p50.get("ours"), p50.get("floor"), p50.get("conventional"), None,
            _over(p50.get("ours"), p50.get("floor")), "floor")
    )  # fmt: skip
    table.add(
        Row("POST → điểm / to scored, p99", "s", p99.get("ours"), p99.get("floor"), p99.get("conventional"), None,
            _over(p99.get("ours"), p99.get("floor")), "floor", f"≤ {GOAL_P99_SECONDS:.0f} s",
            _at_most(p99.get("ours"), GOAL_P99_SECONDS), note)
    )  # fmt: skip


def _outage(measured: Measured, table: Table) -> None:
    if not measured.outages:
        return
    ours, floor = measured.outages.get("ours"), measured.outages.get("floor")

    def ratio(outage: Outage | None) -> float | None:
        return outage.drained_per_second / outage.arrivals_per_second if outage else None

    note = ""
    if ours:
        note = (
            f"{ours.arrivals_per_second:.0f}/s arrived throughout, {ours.refused} refused; backlog {ours.backlog}; "
            f"first score {ours.resumed_after_seconds:.1f} s after the broker was ready, "
            f"{'caught up' if ours.caught_up else 'NOT caught up'} {ours.drain_seconds:.1f} s later"
        )
    drained = _at_least(ratio(ours), GOAL_DRAIN)
    table.add(
        Row("Sau khi broker mất / drain after the broker was away", "× arrivals", ratio(ours), ratio(floor), None, None,
            _over(ratio(ours), ratio(floor)), "floor", f"≥ {GOAL_DRAIN:.0f}×",
            drained and bool(ours and ours.caught_up), note)
    )  # fmt: skip


def _consumers(measured: Measured, table: Table) -> None:
    if measured.relay:
        table.add(
            Row("Relay, hộp thư đi đầy sẵn / prefilled outbox", "events/s", measured.relay.get("ours"),
                measured.relay.get("floor"), None, measured.produced, _over(measured.relay.get("ours"),
                measured.relay.get("floor")), "floor", note="acknowledged by Kafka, deleted and archived")
        )  # fmt: skip
    for service in SERVICES:
        drained = {name: found[service] for name, found in measured.consumers.items() if service in found}
        if not drained:
            continue
        rates = {name: one.per_second for name, one in drained.items()}
        costs = {name: one.cpu_ms for name, one in drained.items()}
        stores = {name: one.database_cpu_ms for name, one in drained.items()}
        for what, unit, values in (
            (f"Bộ tiêu thụ / consumers of {service}, alone", "submissions/s", rates),
            (f"  lúc rút / draining: CPU {service}", "ms", costs),
            (f"  lúc rút / draining: CPU {service} postgres", "ms", stores),
        ):
            table.add(
                Row(what, unit, values.get("ours"), values.get("floor"), values.get("conventional"), None,
                    _over(values.get("ours"), values.get("floor")), "floor")
            )  # fmt: skip


def _costs(measured: Measured, table: Table) -> None:
    runs = {name: measured.end_to_end[name][WIDE] for name in NAMES if measured.end_to_end[name][WIDE]}
    if not runs:
        return

    def cost(name: Name, part: str) -> float | None:
        values = [1000 * run.cpu.get(part, 0.0) / run.scored for run in runs.get(name, ()) if run.scored]
        return median(values) if values else None

    parts = [*SERVICES, *(f"{service} postgres" for service in SERVICES), "postgres rest", "kafka"]
    python = {name: _sum(cost(name, service) for service in SERVICES) for name in runs}
    table.add(
        Row("CPU Python mỗi bản / per submission, 4 services", "ms", python.get("ours"), python.get("floor"),
            python.get("conventional"), None, _over(python.get("ours"), python.get("floor")), "floor")
    )  # fmt: skip
    for part in parts:
        values = {name: cost(name, part) for name in runs}
        table.add(
            Row(f"  CPU {part}", "ms", values.get("ours"), values.get("floor"), values.get("conventional"), None,
                _over(values.get("ours"), values.get("floor")), "floor")
        )  # fmt: skip
    for service in SERVICES:
        peaks = {name: max((run.peak_mib.get(service, 0.0) for run in found), default=0.0)
                 for name, found in runs.items()}  # fmt: skip
        table.add(
            Row(f"Bộ nhớ cao nhất / peak memory, {service}", "MiB", peaks.get("ours"), peaks.get("floor"),
                peaks.get("conventional"), None, _over(peaks.get("ours"), peaks.get("floor")), "floor",
                f"≤ {GOAL_PEAK_MIB}", _at_most(peaks.get("ours"), GOAL_PEAK_MIB))
        )  # fmt: skip


def _sizes(measured: Measured, table: Table) -> None:
    for service, size in measured.stored_bytes.items():
        note = "growth of the database by first reports: rows, indexes, inbox, archive of sent events"
        table.add(Row(f"Lưu trữ mỗi bản / stored per submission, {service}", "bytes", size, note=note))
    if measured.events_of_one is not None:
        events, size = measured.events_of_one
        table.add(Row("Kafka mỗi bản / per submission: sự kiện / events", "events", events))
        table.add(Row("Kafka mỗi bản / per submission: thân / bodies", "bytes", size))


def _grown(measured: Measured, table: Table) -> None:
    grown = measured.grown
    if grown is None:
        return
    sizes = ", ".join(f"{service} {size / 1e9:.1f} GB" for service, size in grown.database_bytes.items())
    note = (
        f"limit: the same just before, with {grown.stored_before:,} stored; reports of obligations that have one; "
        f"databases then: {sizes}"
    )
    for what, before, after in (
        ("nhận / accepts", grown.accepts_before, grown.accepts_after),
        ("đến điểm / end to end", grown.end_to_end_before, grown.end_to_end_after),
    ):
        share = _over(after, before)
        table.add(
            Row(f"Với {grown.stored_after:,} bản đã lưu / stored: {what}, {WIDE} connections", "submissions/s", after,
                limit=before, ratio=share, ratio_to="before", goal=f"≥ {GOAL_GROWTH:.0%}",
                met=_at_least(share, GOAL_GROWTH), note=note)
        )  # fmt: skip


def _scaled(measured: Measured, table: Table) -> None:
    alone = {one.service: one.per_second for one in measured.scaled if one.instances == 1}
    for one in measured.scaled:
        table.add(
            Row(f"Nhân bản / scale out: {one.service} × {one.instances}", "submissions/s", one.per_second,
                ratio=_over(one.per_second, alone.get(one.service)), ratio_to="one",
                note=f"fairness {one.fairness:.2f} (least over most events of a process); one topic of 12 partitions")
        )  # fmt: skip


def _beside(measured: Measured, table: Table) -> None:
    labels = {"refused": "256 KiB bị từ chối / refused", "pages": "?limit=1000"}
    for kind, one in measured.beside.items():
        told = ", ".join(f"{count} × {status}" for status, count in sorted(one.answers.items()))
        times = _over(one.p99_beside, one.p99_quiet)
        table.add(
            Row(f"Láng giềng / neighbour's p99 beside {PACE_PER_SECOND}/s {labels[kind]}", "ms",
                one.p99_beside * 1000, limit=one.p99_quiet * 1000, ratio=times, ratio_to="limit",
                goal=f"≤ {GOAL_BESIDE:.0f}×", met=_at_most(times, GOAL_BESIDE),
                note=f"limit: the same without the hostile agency, which was answered {told}")
        )  # fmt: skip


def _sum(values: object) -> float | None:
    found = [value for value in values if value is not None]  # type: ignore[attr-defined]
    return sum(found) if found else None
