"""Rows 9 to 12: consumers die around their commits, members come and go, SIGTERM under load, slow handlers."""

from __future__ import annotations

from tests.faults.matrix import Field, row

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
    points = ("consumer.before_database_commit=exit@5", "consumer.between_database_and_offset_commit=exit@5")
    with field.province() as province:
        deaths = 0
        with field.load(province, 400, pause_seconds=0.05) as running:
            for point in points:
                for name in CONSUMING:
                    province.component(name).kill()
                    province.set_env(name, FAILPOINTS=point)
                    province.component(name).start()
                for name in CONSUMING:
                    province.wait_exit(name)
                    deaths += 1
                    province.revive(name)
            ledger = running.finish()
        field.happened("deaths of consumers", deaths)
        field.judge(province, ledger)
    _control(field, "ack_first", "consumer.before_database_commit=exit@5", ["I2", "I4", "I7"])
    _control(field, "no_inbox", "consumer.between_database_and_offset_commit=exit@5", ["I2"])


def _control(field: Field, control: str, point: str, invariants: list[str]) -> None:
    with field.province(service_env={"scoring": {"FAULT_CONTROL": control, "FAILPOINTS": point}}) as province:
        with field.load(province, 160, pause_seconds=0.02) as running:
            province.wait_exit("scoring")
            province.revive("scoring")
            ledger = running.finish()
        field.control(control, province, ledger, invariants)
