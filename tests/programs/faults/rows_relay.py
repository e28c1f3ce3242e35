"""Rows 3 and 4: the relay dies between acknowledgement and delete, and two relays meet."""

from __future__ import annotations

import contextlib
import time
import urllib.request

from deploy.local.calls import call
from deploy.local.process import poll_until
from deploy.local.service import Service
from tests.programs.faults import people
from tests.programs.faults.ground import Province
from tests.programs.faults.matrix import Field, Unproved, row
from tests.programs.faults.sql import execute

#: the advisory lock that a relay's leader holds in its service's database
LEADER_LOCK = 0x7468_6F6E


@row(
    "3",
    "the relay dies between Kafka's acknowledgement and its delete",
    "I2",
    "I3",
    "I4",
    "I6",
    controls={"delete_before_ack": ["I2", "I4"], "naive_cursor": ["I6"]},
)
def relay_dies(field: Field) -> None:
    point = "relay.between_ack_and_delete=exit@3"
    names = ("intake", "validator", "scoring")
    with field.province(service_env={name: {"FAILPOINTS": point} for name in names}) as province:
        with field.stream(province) as running:
            for name in names:
                province.wait_exit(name)
                province.revive(name)
            for name, other in zip(names, ("before_send", "after_delete", "before_send"), strict=True):
                if field.controls:  # in the whole matrix only: the neighbouring points
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
        field.control("delete_before_ack", province, ledger)
    _cursor(field)


def _cursor(field: Field) -> None:
    """Show that a cursor misses what commits behind it: those rows stay in the outbox for ever."""
    wanted = {"intake": 2, "validator": 1, "scoring": 1, "notifier": 1, "board": 1}
    with field.province(services=wanted, service_env={"intake": {"FAULT_CONTROL": "naive_cursor"}}) as province:
        leader = _leader(province, "intake")
        if leader is None:
            raise Unproved("no instance of intake leads its relay")
        # the other takes ids and commits them later, behind those that the leader took and sent meanwhile
        slow = "intake" if leader != "intake" else "intake-2"
        province.set_env(slow, FAILPOINTS="intake.before_commit=sleep:0.15*100000")
        province.component(slow).restart()
        with field.load(province, 200, versions=8, clients=24, pause_seconds=0.05) as running:
            ledger = running.finish()
        field.control("naive_cursor", province, ledger)


@row(
    "4",
    "two relays: the leader is paused, its session dropped, and it comes back",
    "I2",
    "I3",
    "I4",
    controls={"competing_relays": ["I3"]},
)
def two_relays(field: Field) -> None:
    wanted = {"intake": 2, "validator": 2, "scoring": 1, "notifier": 1, "board": 1}
    with field.province(services=wanted) as province:
        with field.stream(province, request_timeout_seconds=3) as running:
            running.wait_for(60)
            dropped = taken = 0
            for service in ("intake", "validator"):
                leader = _leader(province, service)
                if leader is None:
                    raise Unproved(f"no instance of {service} leads its relay")
                other = next(name for name in (service, f"{service}-2") if name != leader)
                province.component(leader).pause()
                # its lead ends with its session; the other instance takes over during the pause
                dropped += call(lambda service=service: _drop_leader(province.database_urls[service]))  # type: ignore[misc]
                if not poll_until(lambda other=other: _leads(province, other), 20, 0.2):  # type: ignore[misc]
                    raise AssertionError(f"{other} did not take the lead while {leader} was paused")
                taken += 1
                time.sleep(1.5)  # the other one leads and sends, while the paused one still believes that it leads
                province.component(leader).resume()
            ledger = running.stop()
        if dropped != 2:
            raise Unproved(f"{dropped} sessions of leaders were ended, not one of each of two services")
        field.happened("sessions of a leader dropped", dropped)
        field.happened("leads taken by the other", taken)
        field.judge(province, ledger)
    if not field.controls:
        return
    # what teams write instead of a leader: every instance takes rows that no other holds
    control = {"FAULT_CONTROL": "competing_relays"}
    with field.province(services=wanted, service_env={"intake": control}) as province:
        with field.load(province, 300, versions=30, agencies=people.AGENCIES[:1], clients=8) as running:
            ledger = running.finish()
        field.control("competing_relays", province, ledger)


def _leads(province: Province, name: str) -> bool:
    """Return whether an instance says that it leads its service's relay."""
    component = province.component(name)
    assert isinstance(component, Service)
    with contextlib.suppress(OSError), urllib.request.urlopen(f"{component.url}/metrics", timeout=5) as answer:
        return "\nthongsuot_relay_leader 1.0" in answer.read().decode()
    return False


def _leader(province: Province, service: str, seconds: float = 20) -> str | None:
    """Return the instance that leads, by its own metric; there may be a moment without one."""
    found: list[str] = []

    def look() -> bool:
        found[:] = [name for name in (service, f"{service}-2") if _leads(province, name)]
        return len(found) == 1

    return found[0] if poll_until(look, seconds, 0.2) else None


async def _drop_leader(url: str) -> int:
    """End the session that holds the lead, as the server would after a network loss. Returns how many."""
    return await execute(
        url,
        "SELECT count(pg_terminate_backend(l.pid)) FROM pg_locks l JOIN pg_database d ON d.oid = l.database "
        "WHERE d.datname = current_database() AND l.locktype = 'advisory' AND l.granted "
        "AND l.classid = 0 AND l.objid = $1::bigint AND l.objsubid = 1",
        LEADER_LOCK,
    )
