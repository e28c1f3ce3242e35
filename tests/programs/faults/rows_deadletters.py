"""Rows 18 and 19: trouble while a record is buried, and dead letters replayed twice."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from deploy.local import StackError
from deploy.local.calls import call
from deploy.local.process import poll_until
from tests.programs.faults import people, raw
from tests.programs.faults.ground import Province, operate
from tests.programs.faults.lag import lag
from tests.programs.faults.load import merged
from tests.programs.faults.matrix import Field, Unproved, row
from tests.programs.faults.proxy import is_commit, is_produce
from tests.programs.faults.raw import Raw
from tests.programs.faults.rows_poison import (
    READERS,
    all_letters,
    buried,
    make_poison,
    settled_load,
    until_buried,
    wanted_letters,
)
from tests.programs.faults.sql import execute

#: where writing a dead letter is interrupted: in the process, before Kafka, before PostgreSQL
STEPS = (
    "deadletter.before_row=exit",
    "deadletter.between_row_and_publish=exit",
    "consumer.before_database_commit=exit@2",
    "consumer.between_database_and_offset_commit=exit@2",
)


@row(
    "18",
    "the produce to the dead-letter topic fails, at each step",
    "I2",
    "I4",
    controls={"bury_later": ["I4"]},
)
def burying_fails(field: Field) -> None:
    bootstrap = field.ground.kafka_direct
    with field.province() as province:
        ledgers = [settled_load(field, province, 40, people.AGENCIES[:8])]
        samples = raw.read(bootstrap, province.prefix, READERS)
        sent: list[Raw] = []

        def send_some() -> None:
            bad, _ = make_poison(field.dice, "submissions", samples)
            sent.extend(raw.send(bootstrap, province.prefix, field.dice.sample(bad, 5)))

        with field.stream(province, agencies=people.AGENCIES[8:]) as running:
            deaths = 0
            for step in STEPS:
                province.component("validator").kill()
                province.set_env("validator", FAILPOINTS=step)
                province.component("validator").start()
                send_some()
                province.wait_exit("validator")
                deaths += 1
                province.revive("validator")
            field.happened("deaths while burying", deaths)
            kafka, database = field.ground.kafka_proxy, field.ground.database_proxy
            for what, proxy, request, times in (
                ("a produce", kafka, is_produce, 6),
                ("COMMIT", database, is_commit, 12),
            ):
                before = proxy.lost_answers
                send_some()
                proxy.lose_answer(request, times=times)
                time.sleep(3)
                field.happened(f"answers to {what} lost", proxy.lost_answers - before)
            kafka.cut()
            send_some()
            time.sleep(4)
            kafka.restore()
            ledgers.append(running.stop())
        wanted = wanted_letters(sent)
        until_buried(field, province, wanted)
        field.happened("messages no one can read", len(sent))
        field.judge(province, merged(ledgers))
        field.result.wrongs["I4"] += buried(province, bootstrap, wanted)
    if not field.controls:
        return
    # the record is given up and acknowledged; its dead letter would be written a moment later
    with field.province(service_env={"validator": {"FAULT_CONTROL": "bury_later"}}) as province:
        ledger = settled_load(field, province, 20, people.AGENCIES[:8])
        samples = raw.read(bootstrap, province.prefix, READERS)
        sent = raw.send(bootstrap, province.prefix, make_poison(field.dice, "submissions", samples)[0])
        group = {f"{province.prefix}validator.submissions": [f"{province.prefix}submissions"]}
        if not poll_until(lambda: call(lambda: lag(bootstrap, group)) == 0, 12, 0.2):
            raise Unproved("the poison was not acknowledged in time")
        province.component("validator").kill()
        province.revive("validator", FAULT_CONTROL="")
        field.rest(province, ledger)
        field.red("bury_later", "I4", buried(province, bootstrap, wanted_letters(sent)))


def _replay(province: Province, service: str) -> int:
    """Run `dead-letters replay --all`; return how many letters it sent. 0 if there was nothing to replay."""
    try:
        said = operate(service, province.database_urls[service], "dead-letters", "replay", "--all")
    except StackError as error:
        # the latter: the inbox knows them all
        if any(said in error.message() for said in ("nothing to replay", "fed 0 again")):
            return 0
        raise
    return int(said.split()[2])


def _execute(province: Province, service: str, statement: str) -> None:
    call(lambda: execute(province.database_urls[service], statement))


DEFECTIVE = ("intake", "validator", "scoring")


@row(
    "19",
    "dead letters replayed twice, at once and again",
    "I2",
    "I4",
    "I7",
    controls={"stamp and inbox forgotten": ["I2"]},
)
def replayed_twice(field: Field) -> None:
    refused = ",".join(people.AGENCIES[:6])
    bad_deploy: dict[str, Any] = {
        service: {"FAULT_CONTROL": "defective_handler", "FAULT_REFUSES": refused} for service in DEFECTIVE
    }
    with field.province(service_env=bad_deploy) as province:
        with field.load(province, 160) as running:
            ledger = running.finish()
        field.settle(province, ledger)
        field.happened("dead letters of a defective deploy", len(all_letters(province)))
        for service in DEFECTIVE:
            # a replayed letter is handled, and its consumer dies before the letter leaves the list
            point = "consumer.between_release_and_removal=exit"
            province.set_env(service, FAULT_CONTROL="", FAULT_REFUSES="", FAILPOINTS=point)
            province.component(service).restart()
        fed = again = deaths = 0
        for service in ("validator", "scoring", "intake"):
            with ThreadPoolExecutor(2) as pool:
                fed += sum(pool.map(lambda _: _replay(province, service), range(2)))  # noqa: B023
            again += _replay(province, service)
            province.wait_exit(service)
            deaths += 1
            province.revive(service)
        field.happened("letters fed", fed)
        field.figure("fed by the second replay", again)
        field.happened("deaths between what is fed again and its removal", deaths)
        field.judge(province, ledger)
        if again:
            field.result.wrongs["I2"].append(f"the second replay fed {again} letters again")
        if not field.controls:
            return
        # the stamp is the first protection, the inbox the second
        letters = {place for place, _, _ in all_letters(province)}
        for service in DEFECTIVE:
            _execute(province, service, "UPDATE dead_letter SET replayed_at = NULL")
        without_stamp = sum(_replay(province, service) for service in DEFECTIVE)
        field.figure("fed with the stamps forgotten", without_stamp)
        if without_stamp:
            field.result.wrongs["I2"].append(f"{without_stamp} of {len(letters)} letters were fed again")
        for service in DEFECTIVE:
            for statement in (
                "UPDATE dead_letter SET replayed_at = NULL",
                "DELETE FROM inbox USING dead_letter d "
                "WHERE inbox.consumer = d.consumer AND inbox.event_id = d.event_id",
            ):
                _execute(province, service, statement)
            _replay(province, service)
        field.control("stamp and inbox forgotten", province, ledger)
