"""Rows 16 to 19: poison, duplicates and shuffles, dead letters whose way is cut, and dead letters fed twice."""

from __future__ import annotations

import contextlib
import threading
import uuid

from deploy.local import StackError
from deploy.local.calls import call
from deploy.local.process import poll_until
from tests.faults import raw
from tests.faults.ground import Province, operate
from tests.faults.invariants import newest_stands
from tests.faults.lag import lag
from tests.faults.load import Ledger, merged
from tests.faults.matrix import Field, row
from tests.faults.proxy import is_produce
from tests.faults.raw import Raw
from tests.faults.sql import execute
from tests.faults.stores import RECEIVED, Stores

#: consumers of the submissions topic: each gives every poison up for itself
READERS = ("validator", "scoring")


def _poisons(prefix: str, good: Raw) -> list[Raw]:
    """Six records that no consumer can read, each made of a good one, and one of a type nobody follows."""
    topic, kind = f"{prefix}submissions", RECEIVED.encode()

    def headers(**changes: bytes) -> tuple[tuple[str, bytes], ...]:
        named = {**dict(good.headers), "ce_id": str(uuid.uuid4()).encode(), **changes}
        return tuple(named.items())

    own = {"partition": good.partition, "topic": topic, "key": good.key}
    return [
        Raw(**own, value=b'{"submission_id": ', headers=headers()),  # type: ignore[arg-type]
        Raw(**own, value=good.value, headers=headers(ce_id=b"\xff\xfe not text", ce_type=kind)),  # type: ignore[arg-type]
        Raw(**own, value=good.value, headers=()),  # type: ignore[arg-type]
        Raw(**own, value=None, headers=headers()),  # type: ignore[arg-type]
        Raw(**own, value=b"[" * 900_000, headers=headers()),  # type: ignore[arg-type]
        Raw(topic, b"another/key/entirely", good.value, headers(), good.partition),
        Raw(**own, value=b"{}", headers=headers(ce_type=b"vn.thongsuot.submission.imagined.v9")),  # type: ignore[arg-type]
    ]


BAD = 6


def _submissions(field: Field, province: Province) -> list[Raw]:
    return call(lambda: raw.read(field.ground.kafka_direct, [f"{province.prefix}submissions"]))


@row("16", "poison: bad JSON, bad headers, null, huge, unknown type, among good ones", "I2", "I3", "I4", quick=True)
def poison(field: Field) -> None:
    with field.province() as province:
        with field.stream(province) as running:
            running.wait_for(60)
            good = _submissions(field, province)[0]
            for _ in range(3):  # each time in another batch, with good neighbours before and behind
                call(lambda: raw.produce(field.ground.kafka_direct, _poisons(province.prefix, good)))
                running.wait_for(running.stored + 20)
            ledger = running.stop()
        stores = field.judge(province, ledger)
        field.happened("dead letters", stores.buried)
        if stores.buried != 3 * BAD * len(READERS):
            raise AssertionError(f"{stores.buried} dead letters, not {3 * BAD * len(READERS)}")


@row("17", "duplicates three times, stale versions, shuffled across keys", "I2", "I3", "I7")
def duplicates(field: Field) -> None:
    with field.province() as province:
        ledger = _flooded(field, province)
        field.judge(province, ledger, instead={"I3": lambda _, stores: newest_stands(stores)})
    if not field.controls:
        return
    with field.province(service_env={"scoring": {"FAULT_CONTROL": "no_inbox"}}) as province:
        ledger = _flooded(field, province)
        field.control("no_inbox", province, ledger, ["I2"])


def _flooded(field: Field, province: Province) -> Ledger:
    with field.load(province, 240, versions=3) as running:
        ledger = running.finish()
    field.settle(province, ledger)
    topics = [f"{province.prefix}{name}" for name in ("submissions", "verdicts", "compliance")]
    lying = call(lambda: raw.read(field.ground.kafka_direct, topics))
    stale = []
    for message in field.dice.sample(lying, min(100, len(lying))):
        fresh_id = tuple((n, str(uuid.uuid4()).encode() if n == "ce_id" else v) for n, v in message.headers)
        stale.append(Raw(message.topic, message.key, message.value, fresh_id, message.partition))
    flood = [*lying, *lying, *lying, *stale]
    field.dice.shuffle(flood)
    call(lambda: raw.produce(field.ground.kafka_direct, flood))
    field.happened("messages sent again", len(flood))
    field.happened("of them old events under new ids", len(stale))
    with field.load(province, 60, versions=3) as running:
        after = running.finish()
    _until_read(field, province)
    return merged([ledger, after])


def _until_read(field: Field, province: Province) -> None:
    """Until every consumer has read its topics to the end, by its group's own offsets."""
    groups = ["intake.follow", "validator.submissions", "scoring.follow", "notifier.verdicts", "notifier.compliance"]
    names = [f"{province.prefix}{group}" for group in groups]
    if not poll_until(lambda: call(lambda: lag(field.ground.kafka_direct, names)) == 0, 90, 1.0):
        raise TimeoutError("the flood has not been read after 90 s")


@row("18", "the dead letter's own way fails at each step", "I2", "I4")
def dead_letter_way_fails(field: Field) -> None:
    points = ("deadletter.before_row", "deadletter.between_row_and_publish", "consumer.before_database_commit")
    with field.province() as province:
        with field.stream(province) as running:
            running.wait_for(40)
            good = _submissions(field, province)[0]
            deaths = 0
            for step, point in enumerate(points):
                for name in READERS:
                    province.component(name).kill()
                    # the first step fails twice and goes on, the others end the process
                    act = "raise*2" if step == 0 else "exit"
                    province.set_env(name, FAILPOINTS=f"{point}={act}")
                    province.component(name).start()
                call(lambda: raw.produce(field.ground.kafka_direct, _poisons(province.prefix, good)))
                for name in READERS:
                    if step:
                        province.wait_exit(name)
                        province.revive(name)
                    else:
                        province.component(name).wait_ready()
                    deaths += 1
            before = field.ground.kafka_proxy.lost_answers
            field.ground.kafka_proxy.lose_answer(is_produce, times=10)
            call(lambda: raw.produce(field.ground.kafka_direct, _poisons(province.prefix, good)))
            running.wait_for(running.stored + 40)
            ledger = running.stop()
        field.happened("steps that failed", deaths)
        field.happened("answers to a produce lost", field.ground.kafka_proxy.lost_answers - before)
        stores = field.judge(province, ledger)
        _every_letter_is_sent(field, province, stores, expected=(len(points) + 1) * BAD * len(READERS))


def _every_letter_is_sent(field: Field, province: Province, stores: Stores, *, expected: int) -> None:
    topics = [f"{province.prefix}{name}.dlq" for name in READERS]
    sent = {dict(message.headers)["ce_id"] for message in call(lambda: raw.read(field.ground.kafka_direct, topics))}
    field.happened("dead letters", stores.buried)
    field.figure("of them in their topics", len(sent))
    if not stores.buried == len(sent) == expected:
        raise AssertionError(f"{expected} letters were due, {stores.buried} are kept, {len(sent)} in the topics")


@row("19", "dead letters fed again twice at once", "I2", "I4", "I7")
def fed_twice(field: Field) -> None:
    agency, period = "X99.03", "2026-W05"
    key = f"{agency}/TUAN/{period}"
    defects = {name: {"FAULT_DEFECT": f"{name}.{inbound}={key}"} for name, inbound in
               (("validator", "submissions"), ("scoring", "follow"))}  # fmt: skip
    with field.province(service_env=defects) as province:
        with field.load(province, 480, versions=2) as running:
            ledger = running.finish()
        for name in READERS:
            letters = _letters(province, name)
            field.happened(f"dead letters of {name}", letters)
            province.set_env(name, FAULT_DEFECT="")
            province.component(name).restart()
        for name in READERS:
            feeders = [threading.Thread(target=_feed, args=(province, name)) for _ in range(2)]
            for feeder in feeders:
                feeder.start()
            for feeder in feeders:
                feeder.join()
        field.judge(province, ledger)


def _letters(province: Province, service: str) -> int:
    url = province.database_urls[service]
    query = "SELECT count(*) FROM dead_letter WHERE replayed_at IS NULL"
    poll_until(lambda: call(lambda: execute(url, query)) > 0, 60, 0.5)
    return call(lambda: execute(url, query))


def _feed(province: Province, service: str) -> None:
    """`dead-letters replay --all`; that another feeder was quicker is no error."""
    with contextlib.suppress(StackError):
        operate(service, province.database_urls[service], "dead-letters", "replay", "--all")
