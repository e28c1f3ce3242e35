"""Derives the capacity of N machines from the cost of one submission.

`python -m tests.programs.bench.capacity` fills docs/capacity.md.

All measured figures come from one run's .local/bench.json; all assumptions are declared here and printed beside them.
"""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.programs.bench.path import SERVICES
from tests.programs.bench.plot import into_page
from tests.programs.bench.table import OUTPUT

PAGE = Path("docs") / "capacity.md"
BEGIN, END = "<!-- table: python -m tests.programs.bench.capacity -->", "<!-- end of table -->"

#: planned share of a core, a process or a relay; the rest is for bursts, vacuum and a machine that is down
PLANNED_SHARE = 0.6
#: versions sent for one obligation (returned and sent again)
VERSIONS_OF_ONE = 1.3
#: share of the fullest month's reports that come in the last hour before a deadline; that month against 1/12
LAST_HOUR_SHARE, FULLEST_MONTH = 0.3, 2.0
#: events each service sends per submission, by its own relay
SENT_BY = {"intake": 1, "validator": 1, "scoring": 2}
KAFKA_RETENTION_DAYS, KAFKA_REPLICATION = 14, 3
#: bytes of key, headers and framing of an event beside its body
ENVELOPE_BYTES = 350
CORES_OF_A_MACHINE = 2
YEAR_HOURS = 24 * 365
NATION_OBLIGATIONS_A_YEAR = 1_300_000


@dataclass(frozen=True)
class Costs:
    """Costs of one submission, end to end: CPU milliseconds by part, bytes by database; the rate of one process."""

    cpu_ms: Mapping[str, float]
    stored_bytes: Mapping[str, float]
    event_bytes: float
    per_process: Mapping[str, float]  # submissions per second of one process of each service, alone
    relay_events: float
    machine_rate: float

    @property
    def all_cpu_ms(self) -> float:
        return sum(self.cpu_ms.values())


@dataclass(frozen=True)
class Need:
    """What a load needs."""

    name: str
    rate: float  # submissions per second in the fullest hour
    obligations_a_year: float | None
    cores: float
    processes: Mapping[str, int]
    partitions: int
    database_gb_a_year: Mapping[str, float] | None
    kafka_gb: float | None
    bottleneck: str


def costs(document: Mapping[str, Any]) -> Costs:
    """Read a benchmark's rows. Raises KeyError if the run did not measure something."""
    ours = {row["measure"].strip(): row["ours"] for row in document["rows"] if row["ours"] is not None}
    parts = [*SERVICES, *(f"{service} postgres" for service in SERVICES), "kafka"]
    alone = {service: ours[f"Bộ tiêu thụ / consumers of {service}, alone"] for service in SERVICES}
    accepts = ours["Nhận bền vững qua HTTP / durable accepts, 256 connections"]
    # one process of intake accepts and follows in turn
    alone["intake"] = 1 / (1 / accepts + 1 / alone["intake"])
    return Costs(
        {part: max(0.0, ours[f"CPU {part}"]) for part in parts},
        {service: ours[f"Lưu trữ mỗi bản / stored per submission, {service}"] for service in SERVICES},
        ours["Kafka mỗi bản / per submission: thân / bodies"]
        + ENVELOPE_BYTES * ours["Kafka mỗi bản / per submission: sự kiện / events"],
        alone,
        ours["Relay, hộp thư đi đầy sẵn / prefilled outbox"],
        ours["Từ nhận đến chấm điểm / end to end, 256 connections"],
    )


def peak_rate(obligations_a_year: float) -> float:
    """Return submissions per second in the last hour before the fullest month's deadline."""
    in_month = obligations_a_year / 12 * FULLEST_MONTH * VERSIONS_OF_ONE
    return in_month * LAST_HOUR_SHARE / 3600


def need(name: str, rate: float, of_one: Costs, obligations_a_year: float | None = None) -> Need:
    """Cores, processes and partitions for `rate` submissions per second; what a year of it stores."""
    processes = {
        service: max(2, math.ceil(rate / (PLANNED_SHARE * of_one.per_process[service]))) for service in SERVICES
    }
    a_year = None if obligations_a_year is None else obligations_a_year * VERSIONS_OF_ONE
    return Need(
        name,
        rate,
        obligations_a_year,
        rate * of_one.all_cpu_ms / 1000 / PLANNED_SHARE,
        processes,
        max(12, 12 * math.ceil(2 * max(processes.values()) / 12)),
        None if a_year is None else {s: a_year * size / 1e9 for s, size in of_one.stored_bytes.items()},
        None if a_year is None else a_year / 12 * FULLEST_MONTH * of_one.event_bytes * KAFKA_REPLICATION
        * KAFKA_RETENTION_DAYS / 30 / 1e9,
        bottleneck(rate, of_one),
    )  # fmt: skip


def bottleneck(rate: float, of_one: Costs) -> str:
    """Return which limit is reached first when the rate grows beyond `rate` on that many machines."""
    if rate <= of_one.machine_rate:
        return f"CPU của một máy / the one machine's CPU, at {of_one.machine_rate:,.0f}/s"
    limits = {
        f"relay của {service} (một leader) / the relay of {service} (one leader)": of_one.relay_events / sent
        for service, sent in SENT_BY.items()
    }
    for service in SERVICES:
        # one PostgreSQL primary of 32 cores for each service's database
        limits[f"PostgreSQL của {service} / of {service}, 32 cores"] = (
            32 * PLANNED_SHARE * 1000 / max(of_one.cpu_ms[f"{service} postgres"], 1e-6)
        )
    name, limit = min(limits.items(), key=lambda pair: pair[1])
    return f"{name}, at {limit:,.0f}/s"


def levels(of_one: Costs) -> list[Need]:
    """One machine, ten, a nation, a continent."""
    ten = 10 * CORES_OF_A_MACHINE * PLANNED_SHARE * 1000 / of_one.all_cpu_ms
    nation, continent = NATION_OBLIGATIONS_A_YEAR, 50 * NATION_OBLIGATIONS_A_YEAR
    return [
        need("một máy / one machine", of_one.machine_rate * PLANNED_SHARE, of_one),
        need("mười máy / ten machines", ten, of_one),
        need("một quốc gia / a nation", peak_rate(nation), of_one, nation),
        need("một châu lục / a continent (50 nations)", peak_rate(continent), of_one, continent),
        need("… tất cả trong một giờ / all of its month in one hour", peak_rate(continent) / LAST_HOUR_SHARE, of_one,
             continent),
    ]  # fmt: skip


def markdown(of_one: Costs, found: list[Need]) -> str:
    """Return the two tables of the page."""
    lines = ["| một bản / one submission | CPU, ms | stored, bytes | one process, /s |", "|---|---:|---:|---:|"]
    for service in SERVICES:
        python, database = of_one.cpu_ms[service], of_one.cpu_ms[f"{service} postgres"]
        lines.append(
            f"| {service} | {python:.3f} + PostgreSQL {database:.3f} | {of_one.stored_bytes[service]:,.0f} | "
            f"{of_one.per_process[service]:,.0f} |"
        )
    lines += [
        f"| Kafka | {of_one.cpu_ms['kafka']:.3f} | {of_one.event_bytes:,.0f} × {KAFKA_REPLICATION} | |",
        f"| **tất cả / all** | **{of_one.all_cpu_ms:.3f}** | **{sum(of_one.stored_bytes.values()):,.0f}** | "
        f"{of_one.machine_rate:,.0f} on 2 cores, load generator included |",
        "",
        "| | nghĩa vụ mỗi năm / obligations a year | bản mỗi giây / submissions/s | cores | processes "
        "(intake, validator, scoring, notifier) | partitions | databases, GB a year | Kafka, GB | "
        "điểm nghẽn đầu tiên / first bottleneck |",
        "|---|---:|---:|---:|---|---:|---:|---:|---|",
    ]
    for one in found:
        obligations = "—" if one.obligations_a_year is None else f"{one.obligations_a_year:,.0f}"
        databases = "—" if one.database_gb_a_year is None else f"{sum(one.database_gb_a_year.values()):,.1f}"
        kafka = "—" if one.kafka_gb is None else f"{one.kafka_gb:,.1f}"
        processes = ", ".join(str(one.processes[service]) for service in SERVICES)
        lines.append(
            f"| {one.name} | {obligations} | {one.rate:,.0f} | {one.cores:,.1f} | {processes} | {one.partitions} | "
            f"{databases} | {kafka} | {one.bottleneck} |"
        )
    return "\n".join(lines)


def main() -> int:
    """Fill the page from the last full run; return 3 if it lacks something."""
    try:
        of_one = costs(json.loads(OUTPUT.read_text("utf-8")))
    except (OSError, KeyError) as missing:
        print(f"Chạy make bench trước / run make bench (STORED=… or in full) first: {missing}", file=sys.stderr)
        return 3
    into_page(PAGE, markdown(of_one, levels(of_one)), BEGIN, END)
    return 0


if __name__ == "__main__":
    sys.exit(main())
