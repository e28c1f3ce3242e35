"""Rows 9 to 12: consumers die around their commits, members come and go, SIGTERM under load, slow handlers."""

from __future__ import annotations

import time
import urllib.request
from collections.abc import Mapping

from shared.contract.services import SERVICES
from tests.programs.faults.matrix import Field, row
from tests.programs.faults.members import Storm

CONSUMING = ("validator", "scoring", "notifier")


@row(
    "9",
    "a consumer dies before its database commit, and between it and the offset commit",
    "I2",
    "I4",
    "I7",
    controls={"ack_first": ["I2", "I4"], "no_inbox": ["I2"]},
)
def consumer_dies(field: Field) -> None:
    points = ["consumer.before_database_commit=exit@2", "consumer.between_database_and_offset_commit=exit@2"]
    if field.controls:  # the whole matrix only
        points += [
            "consumer.between_claim_and_effects=exit@2",
            "consumer.between_effects_and_deferral=exit@2,ticker.before_commit=exit@4",
        ]
    names = CONSUMING if field.controls else ("scoring",)
    with field.province() as province:
        deaths = 0
        with field.stream(province) as running:
            for point in points:
                for name in names:
                    province.component(name).kill()
                    province.set_env(name, FAILPOINTS=point)
                    province.component(name).start()
                for name in names:
                    province.wait_exit(name)
                    deaths += 1
                    province.revive(name)
            ledger = running.stop()
        field.happened("deaths of consumers", deaths)
        field.judge(province, ledger)
    if not field.controls:
        return
    # FastStream commits every 5 s what it has handed out: only a handler that takes longer shows the loss
    slow = {"FAULT_SLOW": "scoring.follow=7"}
    _control(field, "ack_first", "witness.scoring.follow=exit", slow)
    _control(field, "no_inbox", "consumer.between_database_and_offset_commit=exit@2")


def _control(field: Field, control: str, point: str, more: Mapping[str, str] | None = None) -> None:
    broken = {"FAULT_CONTROL": control, "FAILPOINTS": point, **(more or {})}
    with field.province(service_env={"scoring": broken}) as province:
        with field.stream(province) as running:
            province.wait_exit("scoring")
            province.revive("scoring", FAULT_SLOW="")
            ledger = running.stop()
        field.control(control, province, ledger)


@row("10", "rebalance storm with slow handlers", "I2", "I3", "I4")
def rebalance_storm(field: Field) -> None:
    wanted = {"intake": 1, "validator": 2, "scoring": 2, "notifier": 1, "board": 1}
    slow = {"FAULT_SLOW": "scoring.follow=0.4,validator.submissions=0.3,intake.follow=0.2"}
    with field.province(services=wanted, env=slow) as province:
        groups = [
            (f"{province.prefix}{consumer}", [f"{province.prefix}{topic}" for topic in topics])
            for consumer, topics in (
                ("scoring.follow", ("submissions", "verdicts")),
                ("validator.submissions", ("submissions",)),
                ("intake.follow", ("verdicts", "compliance")),
            )
        ]
        with field.stream(province) as running:
            running.wait_for(20)
            with Storm(field.ground.kafka_direct, groups, every_seconds=1.0, seed=field.seed) as storm:
                time.sleep(10)
                for name in ("scoring-2", "validator-2"):
                    province.component(name).kill()
                    province.component(name).start()
                time.sleep(10)
            ledger = running.stop()
        field.happened("members that came or went", storm.changes)
        field.judge(province, ledger)


@row("11", "SIGTERM under load", "I1", "I2", "I4")
def told_to_stop(field: Field) -> None:
    names = SERVICES
    with field.province() as province:
        with field.stream(province) as running:
            running.wait_for(40)
            stopped = 0
            for name in names:
                component = province.component(name)
                began = time.monotonic()
                code = component.stop()
                field.figure(f"{name} took, s", round(time.monotonic() - began, 1))
                stopped += len(province.log_lines(name, "service.stopped"))
                if code != 0 or not province.log_lines(name, "service.stopped"):
                    raise AssertionError(f"{name} ended with {code} on SIGTERM, not by itself within its grace")
                component.start()
                component.wait_ready()
            ledger = running.stop()
        field.happened("services that said they had stopped", stopped)
        field.judge(province, ledger)


@row("12", "a handler slower than max_poll_interval", "I2", "I4", "I6")
def slow_handler(field: Field) -> None:
    slow = {"FAULT_SLOW": "scoring.follow=6", "KAFKA_MAX_POLL_INTERVAL_SECONDS": "3"}
    wanted = {"intake": 1, "validator": 1, "scoring": 2, "notifier": 1, "board": 1}
    with field.province(services=wanted, service_env={"scoring": slow}) as province:
        with field.stream(province) as running:
            running.wait_for(40)
            time.sleep(25)  # partitions move to the other member while the first still works on them
            ledger = running.stop()
        field.judge(province, ledger)
        joined = sum(_rebalances(url, "scoring.follow") for url in province.stack.urls("scoring"))
        # two members join once each, or twice if the second comes late
        field.happened("members thrown out for their slowness, and back again", max(0, joined - 3))


def _rebalances(url: str, consumer: str) -> int:
    """Return how often an instance was given partitions, by its own metrics."""
    with urllib.request.urlopen(f"{url}/metrics", timeout=10) as answer:
        for line in answer.read().decode().splitlines():
            if line.startswith("thongsuot_consumer_rebalances_total{") and f'"{consumer}"' in line:
                return int(float(line.rpartition(" ")[2]))
    raise LookupError(f"{url} has no metric of rebalances of {consumer}")
