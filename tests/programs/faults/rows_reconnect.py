"""Row 26: Kafka's connections break repeatedly under load, and no client stalls for good.

By itself a stall occurred about once in twenty rounds. Here every n-th write of each client meets a transport that
uvloop has closed, which is the cause, so that a round without the protections stalls almost certainly.
"""

from __future__ import annotations

import time
import urllib.request

from deploy.local.calls import call
from shared.contract.services import SERVICES
from tests.programs.faults.ground import Province
from tests.programs.faults.load import Load
from tests.programs.faults.matrix import Field, Unproved, row
from tests.programs.faults.proxy import is_commit, is_produce
from tests.programs.faults.stores import FOLLOWS, Stores, read_databases

TURNS, TURNS_OF_THE_CONTROL = 10, 4
CAUGHT_UP_SECONDS = 30.0
#: in every process each 60th write to Kafka fails
CLOSED = "kafka.send=closed*1000000/60"


def _behind(before: Stores, now: Stores) -> list[str]:
    """Return earlier events that are still in an outbox, or neither applied nor dead at a consumer."""
    sent = {told.event_id for told in now.told if told.sent}
    there = {*now.inbox, *now.dead}
    found = []
    for told in before.told:
        if told.event_id not in sent:
            found.append(f"{told.type} {told.event_id} is still in {told.owner}'s outbox")
        elif told.topic != "registry":
            found += [
                f"{told.type} {told.event_id} has not reached {consumer}"
                for consumer, kinds in FOLLOWS.items()
                if told.type in kinds and (consumer, told.event_id) not in there
            ]
    return found


def _turn(field: Field, province: Province, number: int) -> tuple[float, list[str]]:
    """Lose answers and cut Kafka's connections for 1 to 6 s; return how long all were behind, and what is left."""
    kafka, database = field.ground.kafka_proxy, field.ground.database_proxy
    proxy, request, times = ((database, is_commit, 12), (kafka, is_produce, 6))[number % 2]
    before = proxy.lost_answers
    proxy.lose_answer(request, times=times)
    time.sleep(field.dice.uniform(0.5, 1.5))
    kafka.cut()
    time.sleep(field.dice.uniform(1, 6))
    database.restore()
    kafka.restore()
    began = time.monotonic()
    field.happened(f"answers lost in turn {number + 1}", proxy.lost_answers - before)
    told = call(lambda: read_databases(province.database_urls))
    while True:
        left = _behind(told, call(lambda: read_databases(province.database_urls)))
        seconds = time.monotonic() - began
        if not left or seconds > CAUGHT_UP_SECONDS:
            return seconds, left
        time.sleep(0.5)


def _turns(field: Field, province: Province, running: Load, turns: int) -> tuple[float, list[str]]:
    """Return the slowest turn, and what was behind after the first turn that did not catch up."""
    running.wait_for(40)
    slowest = 0.0
    for number in range(turns):
        seconds, left = _turn(field, province, number)
        slowest = max(slowest, seconds)
        if left:
            return slowest, [f"turn {number + 1}, after {seconds:.0f} s: {trace}" for trace in left]
    return slowest, []


@row(
    "26",
    "answers lost, Kafka's connections cut for 1 to 6 s, writes on closed transports, again and again",
    "I2",
    "I4",
    "I6",
    controls={"nothing_watched": ["I6"]},
)
def connections_break(field: Field) -> None:
    with field.province(env={"FAILPOINTS": CLOSED}) as province:
        with field.stream(province) as running:
            slowest, left = _turns(field, province, running, TURNS)
            ledger = running.stop()
        field.figure("turns", TURNS)
        field.figure("slowest turn, s", round(slowest, 1))
        outages = sum(len(province.log_lines(name, "kafka.away")) for name in SERVICES)
        field.happened("outages that services noticed", outages)
        field.figure("clients made anew", _remade(province))
        field.result.wrongs.setdefault("I6", []).extend(left)
        field.judge(province, ledger)
    if not field.controls:
        return
    with field.province(env={"FAILPOINTS": CLOSED, "FAULT_CONTROL": "nothing_watched"}) as province:
        with field.stream(province) as running:
            _, left = _turns(field, province, running, TURNS_OF_THE_CONTROL)
            running.stop()
        if not left:
            raise Unproved(f"nobody stalled in {TURNS_OF_THE_CONTROL} turns without the protections")
        field.red("nothing_watched", "I6", left)


def _remade(province: Province) -> dict[str, int]:
    """Return how often clients were replaced, by consumer and reason."""
    found: dict[str, int] = {}
    for name in SERVICES:
        with urllib.request.urlopen(f"{province.stack.url(name)}/metrics", timeout=10) as answer:
            for line in answer.read().decode().splitlines():
                if line.startswith("thongsuot_consumer_remade_total{") and not line.endswith(" 0.0"):
                    labels, _, value = line.rpartition(" ")
                    found[labels.partition("{")[2].rstrip("}")] = int(float(value))
    return found
