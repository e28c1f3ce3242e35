"""The durations and amounts of a run: QUICK for an impression (two to four minutes), full for figures to keep."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace

from tests.programs.bench.systems import NAMES, Name


@dataclass(frozen=True)
class Plan:
    """Durations in seconds. `periods` × agencies is how many obligations exist, so how many first versions."""

    name: str
    agencies: int
    periods: int
    rounds: int
    accept_seconds: float
    end_to_end_seconds: float
    latency_seconds: float
    outage_seconds: float
    after_outage_seconds: float
    limit_seconds: float
    relay_rows: int
    scale_instances: tuple[int, ...] = ()
    scale_seconds: float = 0
    stored: int = 0
    systems: tuple[Name, ...] = NAMES
    warm_up_seconds: float = 1
    neighbour_seconds: float = 0  # of each part beside a hostile agency
    rate_per_second: float = 0  # of the load; 0: as fast as the system answers
    stall_seconds: float = 10  # a drain without progress for so long is over
    only: tuple[str, ...] = ()  # only these parts; their rows replace those of the last table

    @property
    def deep(self) -> bool:
        return self.stored > 0


#: what can be measured alone, and how the names of its rows begin
PARTS = {
    "accepts": ("Nhận bền vững", "  so với hằng số", "Cửa HTTP"),
    "consumers": ("Bộ tiêu thụ", "  lúc rút"),
    "steady": ("POST → điểm", "Sau khi broker mất", "Relay", "Kafka: aiokafka"),
    "sizes": ("Lưu trữ mỗi bản", "Kafka mỗi bản"),
    "scale": ("Nhân bản / scale out",),
    "neighbour": ("Láng giềng / neighbour",),
}

QUICK = Plan("quick", 5000, 12, 1, 2, 5, 6, 6, 12, 2, 20_000, neighbour_seconds=5)
FULL = Plan("full", 12_000, 34, 3, 5, 10, 20, 60, 90, 5, 60_000, (1, 2, 4), 60, 10_000_000, neighbour_seconds=20)
#: for the smoke test, which shows that it runs, not how fast: a load that the slowest build carries beside other tests
TINY = Plan("tiny", 40, 24, 1, 3, 3, 2, 0, 0, 1, 2000, rate_per_second=60, stall_seconds=3)


def chosen() -> Plan:
    """By QUICK, ROUNDS, STORED (submissions already stored; 0: without that part), SYSTEMS (ours is always in), and
    ONLY (parts by name, see PARTS: these alone, put into the last table).
    """
    plan = TINY if os.environ.get("BENCH_PLAN") == "tiny" else QUICK if os.environ.get("QUICK") else FULL
    if rounds := os.environ.get("ROUNDS"):
        plan = replace(plan, rounds=int(rounds))
    if stored := os.environ.get("STORED"):
        plan = replace(plan, stored=int(stored))
        if plan.deep and not plan.scale_instances:
            plan = replace(plan, scale_instances=FULL.scale_instances, scale_seconds=FULL.scale_seconds)
    if systems := os.environ.get("SYSTEMS"):
        plan = replace(plan, systems=tuple(name for name in NAMES if name == "ours" or name in systems.split(",")))
    if only := os.environ.get("ONLY"):
        parts = tuple(only.split(","))
        # these measure first reports, so all systems must have obligations enough
        periods, names = (34, plan.systems) if {"accepts", "consumers", "steady"} & set(parts) else (10, NAMES[:1])
        agencies = 40 if parts == ("neighbour",) else FULL.agencies
        plan = replace(FULL, rounds=plan.rounds, agencies=agencies, periods=periods, systems=names, only=parts)
        if unknown := set(plan.only) - set(PARTS):
            raise SystemExit(
                f"ONLY: không có / there is no {', '.join(sorted(unknown))}; chọn / choose {', '.join(PARTS)}"
            )
    return plan
