"""Rows 9 to 12: consumers die around their commits, members come and go, SIGTERM under load, slow handlers."""

from __future__ import annotations

import time

from tests.faults.matrix import Field, row
from tests.faults.members import Storm

CONSUMING = ("validator", "scoring", "notifier")


@row(
    "9",
    "a consumer dies before its database commit, and between it and the offset commit",
    "I2",
    "I4",
    "I7",
    quick=True,
)
def consumer_dies(field: Field) -> None:
    points = ("consumer.before_database_commit=exit@2", "consumer.between_database_and_offset_commit=exit@2")
    with field.province() as province:
        deaths = 0
        with field.stream(province) as running:
            for point in points:
                for name in CONSUMING:
                    province.component(name).kill()
                    province.set_env(name, FAILPOINTS=point)
                    province.component(name).start()
                for name in CONSUMING:
                    province.wait_exit(name)
                    deaths += 1
                    province.revive(name)
            ledger = running.stop()
        field.happened("deaths of consumers", deaths)
        field.judge(province, ledger)
    if not field.controls:
        return
    _control(field, "ack_first", "witness.scoring.follow=exit@4", ["I2", "I4", "I7"])
    _control(field, "no_inbox", "consumer.between_database_and_offset_commit=exit@2", ["I2"])


def _control(field: Field, control: str, point: str, invariants: list[str]) -> None:
    with field.province(service_env={"scoring": {"FAULT_CONTROL": control, "FAILPOINTS": point}}) as province:
        with field.stream(province) as running:
            province.wait_exit("scoring")
            province.revive("scoring")
            ledger = running.stop()
        field.control(control, province, ledger, invariants)


@row("10", "rebalance storm with slow handlers", "I2", "I3", "I4")
def rebalance_storm(field: Field) -> None:
    wanted = {"intake": 1, "validator": 2, "scoring": 2, "notifier": 1}
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
    names = ("intake", "validator", "scoring", "notifier")
    with field.province() as province:
        with field.stream(province) as running:
            running.wait_for(40)
            for name in names:
                component = province.component(name)
                began = time.monotonic()
                code = component.stop()
                field.figure(f"{name} took, s", round(time.monotonic() - began, 1))
                if code != 0:
                    raise AssertionError(f"{name} ended with {code} on SIGTERM, within {component.grace_seconds} s")
                component.start()
                component.wait_ready()
            ledger = running.stop()
        field.happened("services stopped", len(names))
        field.judge(province, ledger)


@row("12", "a handler slower than max_poll_interval", "I2", "I4", "I6")
def slow_handler(field: Field) -> None:
    slow = {"scoring": {"FAULT_SLOW": "scoring.follow=6", "KAFKA_MAX_POLL_INTERVAL_SECONDS": "3"}}
    with field.province(service_env=slow) as province:
        with field.load(province, 120) as running:
            ledger = running.finish()
        field.judge(province, ledger)
        late = len(province.log_lines("scoring", "consumer.commit_failed"))
        field.happened("offset commits refused because the member was thrown out", late)
