"""Rows 3 and 4: the relay dies between acknowledgement and delete, and two relays meet."""

from __future__ import annotations

import time

from deploy.local.calls import call
from tests.faults import people
from tests.faults.matrix import Field, row
from tests.faults.sql import execute


@row("3", "the relay dies between Kafka's acknowledgement and its delete", "I2", "I3", "I4", quick=True)
def relay_dies(field: Field) -> None:
    point = "relay.between_ack_and_delete=exit@3"
    names = ("intake", "validator", "scoring")
    with field.province(service_env={name: {"FAILPOINTS": point} for name in names}) as province:
        with field.stream(province) as running:
            for name in names:
                province.wait_exit(name)
                province.revive(name)
            for name, other in zip(names, ("before_send", "after_delete", "before_send"), strict=True):
                if field.controls:  # the whole matrix only: the points around it
                    province.component(name).kill()
                    province.set_env(name, FAILPOINTS=f"relay.{other}=exit@2")
                    province.component(name).start()
                    province.wait_exit(name)
                    province.revive(name)
            ledger = running.stop()
        field.happened("deaths of relays", len(names) * (2 if field.controls else 1))
        stores = field.judge(province, ledger)
        repeated = len(stores.messages) - len({message.event_id for message in stores.messages})
        field.happened("messages that are in a topic twice", repeated)
    if not field.controls:
        return
    broken = {"intake": {"FAILPOINTS": point, "FAULT_CONTROL": "delete_before_ack"}}
    with field.province(service_env=broken) as province:
        with field.stream(province) as running:
            province.wait_exit("intake")
            province.revive("intake", FAULT_CONTROL="")
            ledger = running.stop()
        field.control("delete_before_ack", province, ledger, ["I2", "I4"])


@row("4", "two relays: the leader is paused, its session dropped, and it comes back", "I2", "I3", "I4")
def two_relays(field: Field) -> None:
    wanted = {"intake": 2, "validator": 2, "scoring": 1, "notifier": 1}
    with field.province(services=wanted) as province:
        with field.stream(province, request_timeout_seconds=3) as running:
            running.wait_for(60)
            dropped = 0
            for service in ("intake", "validator"):
                province.component(service).pause()
                # its lead ends with its session; the other instance takes over while it sleeps
                dropped += call(lambda service=service: _drop_relay(province.database_urls[service], service))  # type: ignore[misc]
                time.sleep(2.5)
                province.component(service).resume()
            ledger = running.stop()
        field.happened("sessions of a leader dropped", dropped)
        field.judge(province, ledger)
    if not field.controls:
        return
    # what teams write instead of a leader: every instance takes the rows that no other one holds
    control = {"FAULT_CONTROL": "competing_relays"}
    with field.province(services=wanted, service_env={"intake": control}) as province:
        with field.load(province, 300, versions=30, agencies=people.AGENCIES[:1], clients=8) as running:
            ledger = running.finish()
        field.control("competing_relays", province, ledger, ["I3"], seconds=25)


async def _drop_relay(url: str, service: str) -> int:
    """End the relay's session as the server would after a lost network. Returns how many."""
    return await execute(
        url,
        "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE application_name = $1 "
        "AND pid <> pg_backend_pid()",
        f"{service} relay",
    )
