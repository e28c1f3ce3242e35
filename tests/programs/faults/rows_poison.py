"""Rows 16 to 19: poison, duplicates and stale versions, trouble while burying, and dead letters replayed twice."""

from __future__ import annotations

import json
import random
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace
from uuid import UUID

import asyncpg

from deploy.local.calls import call
from deploy.local.process import poll_until
from shared.contract.cloudevents import source_of
from shared.contract.events import OWNERS
from shared.contract.services import SERVICES
from shared.contract.subscriptions import SUBSCRIPTIONS
from tests.programs.faults import people, raw
from tests.programs.faults.ground import Province
from tests.programs.faults.invariants import CHECKS, newest_stands
from tests.programs.faults.load import Ledger, merged
from tests.programs.faults.matrix import Field, Unproved, row
from tests.programs.faults.raw import Raw
from tests.programs.faults.sql import execute
from tests.programs.faults.stores import REACHED, READS, RECEIVED, Stores

AGENCY, REGIME, KEY = (f"vn.thongsuot.registry.{kind}.v1" for kind in ("agency", "regime", "key"))
#: topic -> types of which some reader follows each, and every reader one
TYPES = {
    "submissions": (RECEIVED,),
    "verdicts": (REACHED,),
    "compliance": ("vn.thongsuot.obligation.changed.v1",),
    "registry": (AGENCY, REGIME, KEY),
    "notifications": ("vn.thongsuot.notification.recorded.v1",),
}
#: topic -> consumers that must make a dead letter of what cannot be read
READERS = {topic: tuple(name for name, topics in READS.items() if topic in topics) for topic in TYPES}
#: topic and type -> the consumers that follow it: others skip it. A type on another topic nobody skips
FOLLOWERS = {
    (topic, kind): tuple(name for name in READERS[topic] if any(kind == model.TYPE for model in SUBSCRIPTIONS[name]))
    for topic, kinds in TYPES.items()
    for kind in kinds
}
#: fields of the bodies that hold a date or moment
MOMENTS = ("received_at", "deadline", "effective_from", "created_at", "opened_on", "at")
BURY_SECONDS = 60.0
HUGE_BYTES = 1_000_000

Place = tuple[str, str, int, int]  # consumer, topic, partition, offset


def _identifier(dice: random.Random) -> str:
    return str(UUID(int=dice.getrandbits(128), version=4))


def _headers(topic: str, kind: bytes | None, event_id: bytes) -> tuple[tuple[str, bytes], ...]:
    named = [("ce_specversion", b"1.0"), ("ce_id", event_id), ("ce_source", source_of(OWNERS[topic]))]
    return (*named, *([("ce_type", kind)] if kind is not None else []))


def make_poison(
    dice: random.Random, topic: str, samples: Sequence[Raw], event_type: str = ""
) -> tuple[list[Raw], list[Raw]]:
    """Make records that no consumer of the topic and type can read, or that none follows."""
    event_type = event_type or TYPES[topic][0]
    kind = event_type.encode()
    sample = dice.choice(
        [record for record in samples if record.topic == topic and record.header("ce_type") == event_type]
    )
    other = next(TYPES[topic_name][0] for topic_name in TYPES if topic_name != topic).encode()
    good = json.loads(sample.value or b"{}")
    moment = next(name for name in MOMENTS if name in good)

    def message(value: bytes | None, headers: tuple[tuple[str, bytes], ...], key: bytes | None = sample.key) -> Raw:
        return Raw(topic, key, value, headers)

    def fresh() -> bytes:
        return _identifier(dice).encode()

    bad = [
        message(b'{"obligation": "X99.01/TUAN', _headers(topic, kind, fresh())),
        message(b"\xff\xfe\x00\x01", _headers(topic, kind, fresh())),
        message(b"[]", _headers(topic, kind, fresh())),
        message(b"{}", _headers(topic, kind, fresh()), key=None),
        message(b"null", _headers(topic, kind, fresh())),
        message(None, _headers(topic, kind, fresh())),
        message(sample.value, _headers(topic, None, fresh())),
        message(sample.value, ()),
        message(sample.value, _headers(topic, kind, b"\xc3\x28not a uuid")),
        message(sample.value, _headers(topic, kind, b"")),
        message(sample.value, _headers(topic, kind, fresh()), key=b"another/key/than-the-body"),
        message(b'{"x": "' + b"x" * HUGE_BYTES + b'"}', _headers(topic, kind, fresh())),
        message(json.dumps({**good, "version": "many"}).encode(), _headers(topic, kind, fresh())),
        message(json.dumps({**good, moment: "yesterday"}).encode(), _headers(topic, kind, fresh())),
        message(("[" * 20_000).encode(), _headers(topic, kind, fresh())),
        message(sample.value, (*_headers(topic, kind, fresh()), ("ce_source", b"/stranger"))),
        message(sample.value, _headers(topic, other, fresh())),
        message(json.dumps({**good, "version": 0}).encode(), _headers(topic, kind, fresh())),
    ]
    if topic in ("registry", "compliance"):  # compacted: the broker itself refuses records without a key
        bad = [record for record in bad if record.key is not None]
    strange = [
        message(sample.value, _headers(topic, b"vn.thongsuot.unheard.of.v9", fresh())),
        message(b"", _headers(topic, b"\xff\xfe", fresh())),
    ]
    return bad, strange


def _forged(dice: random.Random, samples: Sequence[Raw]) -> list[Raw]:
    """Make submissions that only a handler can refuse: another submission under a version that has its verdict."""
    newest: dict[bytes, Raw] = {}
    for sample in samples:
        if sample.topic == "submissions" and sample.key is not None:
            newest[sample.key] = sample  # in order: the last is the newest
    forged = []
    for key in sorted(newest)[:6]:
        body = {**json.loads(newest[key].value or b"{}"), "submission_id": _identifier(dice)}
        headers = _headers("submissions", RECEIVED.encode(), _identifier(dice).encode())
        forged.append(Raw("submissions", key, json.dumps(body, ensure_ascii=False).encode(), headers))
    return forged


def _kept_by_the_board(forged: Raw) -> str:
    """How reconcile names the report that the board keeps of a forged submission: it takes intake's word for it."""
    body = json.loads(forged.value or b"{}")
    return f"{body['obligation']} {body['submission_id']}"


async def _letters(url: str) -> list[tuple[Place, Raw, str]]:
    """Read the dead letters' rows: place, bytes, reason."""
    connection = await asyncpg.connect(url, timeout=20)
    try:
        rows = await connection.fetch(
            'SELECT consumer, topic, partition, "offset", key, value, error_class, error_text FROM dead_letter'
        )
    finally:
        await connection.close()
    return [
        (
            (r["consumer"], r["topic"], r["partition"], r["offset"]),
            Raw(r["topic"], r["key"], r["value"], (), r["partition"], r["offset"]),
            f"{r['error_class']}: {r['error_text']}",
        )
        for r in rows
    ]


def all_letters(province: Province) -> list[tuple[Place, Raw, str]]:
    return [
        letter
        for url in province.database_urls.values()
        for letter in call(lambda url=url: _letters(url))  # type: ignore[misc]
    ]


def wanted_letters(bad: Iterable[Raw], forged: Iterable[Raw] = ()) -> dict[Place, Raw]:
    wanted = {
        (consumer, *message.place): message
        for message in bad
        for consumer in FOLLOWERS.get((message.topic, message.header("ce_type")), READERS[message.topic])
    }
    return wanted | {("validator.submissions", *message.place): message for message in forged}


def buried(province: Province, bootstrap: str, wanted: dict[Place, Raw]) -> list[str]:
    """I4 for poison: each lies once as a row and as a message of its dead-letter topic, byte for byte, with a why."""
    found = []
    letters = all_letters(province)
    rows = Counter(place for place, _, _ in letters)
    for place, original, why in letters:
        expected = wanted.get(place)
        if expected is None:
            found.append(f"{place} was buried although nothing is wrong with it: {why[:300]}")
        elif (original.key, original.value) != (expected.key, expected.value):
            found.append(f"{place}: the row does not hold the original bytes")
        elif len(why) < 10:
            found.append(f"{place}: no reason is given")
    found += [f"{place} is neither applied nor buried" for place in wanted if not rows[place]]
    found += [f"{place} has {times} rows" for place, times in rows.items() if times > 1]
    topics = [f"{service}.dlq" for service in SERVICES]
    lying: dict[Place, list[Raw]] = {}
    for message in raw.read(bootstrap, province.prefix, topics):
        place = (
            message.header("dlq_consumer"),
            message.header("dlq_topic"),
            int(message.header("dlq_partition")),
            int(message.header("dlq_offset")),
        )
        lying.setdefault(place, []).append(message)
    for place, expected in wanted.items():
        copies = lying.get(place, [])
        if len({copy.header("ce_id") for copy in copies}) != 1:
            found.append(f"{place}: {len(copies)} different messages in the dead-letter topic")
        elif copies[0].value != expected.value:
            found.append(f"{place}: the dead-letter topic does not hold the original bytes")
    return found


def until_buried(field: Field, province: Province, wanted: dict[Place, Raw], seconds: float = BURY_SECONDS) -> None:
    def all_there() -> bool:
        return wanted.keys() <= {place for place, _, _ in all_letters(province)}

    field.figure("all buried", poll_until(all_there, seconds))


def settled_load(field: Field, province: Province, posts: int, agencies: Sequence[str]) -> Ledger:
    with field.load(province, posts, agencies=agencies) as running:
        ledger = running.finish()
    field.settle(province, ledger)
    return ledger


@row(
    "16",
    "poison among good events, in every shape and every topic",
    "I2",
    "I4",
    "I7",
    controls={"drop_poison": ["I4"]},
)
def poison(field: Field) -> None:
    half = len(people.AGENCIES) // 2
    bootstrap = field.ground.kafka_direct
    with field.province() as province:
        ledgers = [settled_load(field, province, 80, people.AGENCIES[:half])]
        samples = raw.read(bootstrap, province.prefix, READERS)
        # slowly enough that the poison comes among its events, not after them
        with field.load(province, 160, agencies=people.AGENCIES[half:], pause_seconds=0.2) as running:
            sent: list[Raw] = []
            strange: list[Raw] = []
            for topic, event_type in [(name, kind) for name, kinds in TYPES.items() for kind in kinds]:
                bad, unheard = make_poison(field.dice, topic, samples, event_type)
                field.dice.shuffle(bad)
                sent += raw.send(bootstrap, province.prefix, bad)
                strange += raw.send(bootstrap, province.prefix, unheard)
            forged = raw.send(bootstrap, province.prefix, _forged(field.dice, samples))
            ledgers.append(running.finish())
        wanted = wanted_letters(sent, forged)
        if spared := set(READS) - {consumer for consumer, *_ in wanted}:
            raise Unproved(f"no poison for {', '.join(sorted(spared))}")
        until_buried(field, province, wanted)
        field.happened("messages no one can read", len(sent))
        field.happened("events of unknown types", len(strange))
        field.happened("events that only a handler can refuse", len(forged))
        # one consumer may apply what another refuses; reconcile rightly says that nobody published it
        strangers = {str(record.header("ce_id")) for record in (*sent, *forged) if record.header("ce_id")}
        strangers |= {_kept_by_the_board(record) for record in forged}
        field.judge(province, merged(ledgers), strangers=strangers)
        field.result.wrongs["I4"] += buried(province, bootstrap, wanted)
    if not field.controls:
        return
    with field.province(env={"FAULT_CONTROL": "drop_poison"}) as province:
        ledger = settled_load(field, province, 30, people.AGENCIES[:half])
        samples = raw.read(bootstrap, province.prefix, READERS)
        sent = raw.send(bootstrap, province.prefix, make_poison(field.dice, "submissions", samples)[0])
        with field.load(province, 30, agencies=people.AGENCIES[half:]) as running:
            ledger = merged([ledger, running.finish()])
        field.rest(province, ledger)
        field.red("drop_poison", "I4", buried(province, bootstrap, wanted_letters(sent)))


def _fuzz(field: Field, province: Province) -> tuple[list[Raw], list[Raw]]:
    """Send three more copies of each event, and one under a new id, all shuffled, each in its partition."""
    bootstrap = field.ground.kafka_direct
    events = [
        record
        for record in raw.read(bootstrap, province.prefix, ("submissions", "verdicts", "compliance"))
        if record.header("ce_type")
    ]
    copies = [replace(record, offset=-1) for record in events for _ in range(3)]
    stale = []
    for record in events:
        headers = {**dict(record.headers), "ce_id": _identifier(field.dice).encode()}
        stale.append(replace(record, headers=tuple(headers.items()), offset=-1))
    mixed = copies + stale
    field.dice.shuffle(mixed)
    raw.send(bootstrap, province.prefix, mixed)
    return copies, stale


def _without(stores: Stores, stale: Sequence[Raw]) -> Stores:
    """Return the stores without the strangers' events: the rest must be in order."""
    strangers = {record.header("ce_id") for record in stale}
    return replace(
        stores,
        messages=[message for message in stores.messages if message.event_id not in strangers],
        witnessed=[line for line in stores.witnessed if line.event_id not in strangers],
    )


@row(
    "17",
    "duplicates three times, stale versions, shuffled across keys",
    "I2",
    "I3",
    "I7",
    controls={"no_inbox": ["I2"], "any_version_counts": ["I3", "I7"]},
)
def duplicates(field: Field) -> None:
    with field.province() as province:
        ledgers = []
        with field.load(province, 80, versions=3, agencies=people.AGENCIES[:5]) as running:
            ledgers.append(running.finish())
        field.settle(province, ledgers[0])
        with field.load(province, 80, versions=3, agencies=people.AGENCIES[:5]) as running:
            copies, stale = _fuzz(field, province)
            ledgers.append(running.finish())
        field.happened("copies", len(copies))
        field.happened("old events under new ids", len(stale))
        _until_applied(province, stale)

        def in_order(ledger: Ledger, stores: Stores) -> list[str]:
            return CHECKS["I3"](ledger, _without(stores, stale))

        strangers = {record.header("ce_id") for record in stale}
        field.judge(province, merged(ledgers), instead={"I3": in_order}, strangers=strangers)
    if not field.controls:
        return
    for control in ("no_inbox", "any_version_counts"):
        with field.province(service_env={"scoring": {"FAULT_CONTROL": control}}) as province:
            with field.load(province, 45, versions=3, agencies=people.AGENCIES[:3]) as running:
                ledger = running.finish()
            field.settle(province, ledger)
            _, stale = _fuzz(field, province)
            _until_applied(province, stale, consumer="scoring.follow")
            stores = field.read(province, field.rest(province, ledger))
            for invariant in field.result.controls[control]:
                # the topics are out of order on purpose: of I3 only the final state counts
                found = newest_stands(stores) if invariant == "I3" else CHECKS[invariant](ledger, stores)
                field.red(control, invariant, found)
            if "I7" in field.result.controls[control]:
                code, told = province.reconcile()
                strangers = {record.header("ce_id") for record in stale}
                differing = [
                    difference for difference in told.get("differences", ()) if difference["key"] not in strangers
                ]
                field.figure(f"{control}: reconcile ends with", code)
                field.figure(f"{control}: differences beside the strangers' own events", len(differing))
                if not differing:
                    raise Unproved(f"reconcile finds no difference without {control}: exit code {code}")


def _until_applied(province: Province, stale: Sequence[Raw], consumer: str = "", seconds: float = 90) -> None:
    """Wait until the strangers' events have been handled. Raises Unproved at the deadline."""
    for name in [consumer] if consumer else ["scoring.follow", "validator.submissions", "intake.follow"]:
        followed = {model.TYPE for model in SUBSCRIPTIONS[name]}
        ids = [record.header("ce_id") for record in stale if record.header("ce_type") in followed]
        url = province.database_urls[name.partition(".")[0]]

        def through(name: str = name, ids: list[str] = ids, url: str = url) -> bool:
            query = "SELECT count(*) FROM fault_witness WHERE consumer = $1 AND event_id = ANY($2::uuid[])"
            return call(lambda: execute(url, query, name, ids)) >= len(ids)

        if not poll_until(through, seconds):
            raise Unproved(f"{name} has not taken the {len(ids)} old events within {seconds} s")
