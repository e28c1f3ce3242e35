"""Rows 5 to 8: Kafka's answers are lost, Kafka is away, empty, led by another broker, or refuses.

A proxy plays the part of librdkafka's mock cluster: it lets the produce through to a real broker and puts the error
code into its answer, so that the relay meets the worst case, a refusal of records that are stored after all.
"""

from __future__ import annotations

import time
from collections.abc import Sequence

from aiokafka import AIOKafkaConsumer, TopicPartition

from deploy.local.calls import call
from deploy.local.kafka import KafkaBroker, TansuBroker
from deploy.local.process import poll_until
from shared.contract.services import SERVICES
from tests.programs.faults.ground import Ground, Province
from tests.programs.faults.load import Ledger, merged
from tests.programs.faults.matrix import RECEIPTS, Field, Unproved, row
from tests.programs.faults.proxy import is_produce
from tests.programs.faults.stores import Told, read_databases, read_topics

OUTAGE_SECONDS = 60.0
REPLAY_SECONDS = 120.0
FENCED_SECONDS = 40.0
#: NOT_LEADER_OR_FOLLOWER, NOT_ENOUGH_REPLICAS: retriable; TOPIC_AUTHORIZATION_FAILED, INVALID_RECORD: not
RETRIABLE, PERMANENT = [6, 19], [29, 87]
RELAYS = SERVICES
#: the points at which each relay dies while it sends its archive again
REPLAY_DEATHS = {
    "intake": "replay.begun",
    "validator": "replay.between_send_and_progress",
    "scoring": "replay.before_finish",
}


@row("5", "Kafka's answer to a produce is swallowed, the connection reset", "I2", "I3", "I4")
def produce_answer_lost(field: Field) -> None:
    with field.province() as province:
        proxy = field.ground.kafka_proxy
        before = proxy.lost_answers
        with field.stream(province) as running:
            running.wait_for(30)
            proxy.lose_answer(is_produce, times=20)
            running.wait_for(150)
            proxy.restore()
            field.happened("answers to a produce lost with their connection", proxy.lost_answers - before)
            before = proxy.lost_answers
            proxy.swallow_answers()
            time.sleep(4)
            proxy.restore()
            proxy.reset()  # a client whose answer was swallowed would wait for its timeout
            field.happened("answers swallowed in 4 s", proxy.lost_answers - before)
            ledger = running.stop()
        field.judge(province, ledger)


@row("6", "the broker is down for 60 s, and paused", "I1", "I4", "I6")
def broker_down(field: Field) -> None:
    with field.province() as province:
        broker = field.ground.component("kafka")
        ledgers = []
        with field.load(province, 100) as running:
            ledgers.append(running.finish())
        for how, seconds in (("down", OUTAGE_SECONDS), ("paused", OUTAGE_SECONDS / 4)):
            began = time.monotonic()
            if how == "down":
                broker.kill()
            else:
                broker.pause()
            # nothing is sent twice at once here, so every answer must be 2xx
            with field.load(province, 150, double_share=0.0) as running:
                ledgers.append(running.finish())
            field.happened(f"receipts while the broker was {how}", len(ledgers[-1].receipts))
            field.figure(f"slowest answer while {how}, s", round(ledgers[-1].slowest_seconds, 2))
            if other := {answer: n for answer, n in ledgers[-1].answers.items() if answer not in RECEIPTS}:
                raise AssertionError(f"not 2xx while the broker was {how}: {other}")
            time.sleep(max(0.0, seconds - (time.monotonic() - began)))
            if how == "down":
                broker.start()
                broker.wait_ready()
            else:
                broker.resume()
        field.judge(province, merged(ledgers))


def _missing(province: Province, bootstrap: str) -> list[Told]:
    """Count archived events that are missing in their topics."""
    stores = call(lambda: read_databases(province.database_urls))
    lying = {message.event_id for message in call(lambda: read_topics(bootstrap, province.prefix))}
    return [told for told in stores.told if told.sent and told.topic != "registry" and told.event_id not in lying]


def _until_replayed(field: Field, province: Province, bootstrap: str) -> None:
    """Wait until every archived event is in its topic again. Raises Unproved at the deadline."""
    began = time.monotonic()
    if not poll_until(lambda: not _missing(province, bootstrap), REPLAY_SECONDS, 1.0):
        missing = len(_missing(province, bootstrap))
        raise Unproved(f"{missing} archived events are not in the topics after {REPLAY_SECONDS} s")
    field.figure("replayed_seconds", round(time.monotonic() - began, 1))


def _outboxes_empty(province: Province) -> bool:
    return all(told.sent for told in call(lambda: read_databases(province.database_urls)).told)


def _lose_the_log(field: Field, ground: Ground, province: Province, *, services_down: bool) -> list[Ledger]:
    """Wipe Kafka: both applied events and those that scoring, which is down, has not read yet.

    `services_down`: Tansu creates a topic of one partition for anyone who asks, so nobody may ask before provisioning.
    """
    ledgers = []
    with field.load(province, 120) as running:
        ledgers.append(running.finish())
    field.settle(province, ledgers[0])
    province.component("scoring").stop()
    with field.load(province, 60) as running:
        ledgers.append(running.finish())
    if not poll_until(lambda: _outboxes_empty(province), 30, 0.5):
        raise Unproved("the outboxes were not empty before the broker was emptied")
    broker = ground.component("kafka")
    assert isinstance(broker, KafkaBroker | TansuBroker)
    broker.wipe()
    with field.load(province, 60) as running:
        ledgers.append(running.finish())
    names = ("intake", "validator", "notifier") if services_down else ()
    for name in names:
        province.component(name).stop()
    broker.start()
    broker.wait_ready()
    province.stack.provision_topics()
    field.happened("archived events that the emptied broker lacks", len(_missing(province, ground.kafka_direct)))
    for name in (*names, "scoring"):
        province.component(name).start()
    return ledgers


def _amnesia(field: Field, ground: Ground, province: Province, *, services_down: bool = False) -> None:
    for name, point in REPLAY_DEATHS.items():
        province.set_env(name, FAILPOINTS=f"{point}=exit")
        province.component(name).restart()
    ledgers = _lose_the_log(field, ground, province, services_down=services_down)
    deaths = 0
    for name in REPLAY_DEATHS:
        province.wait_exit(name, REPLAY_SECONDS)
        deaths += 1
        province.revive(name)
    field.happened("deaths while the archive was sent again", deaths)
    with field.load(province, 60) as running:
        ledgers.append(running.finish())
    _until_replayed(field, province, ground.kafka_direct)
    field.judge(province, merged(ledgers))
    lost = sum(len(province.log_lines(name, "relay.log_lost")) for name in ("intake", "validator", "scoring"))
    field.happened("relays that found the log lost", lost)


@row("7", "the broker comes back empty", "I2", "I4", "I7", controls={"no_replay": ["I2", "I4"]})
def broker_empty(field: Field) -> None:
    with field.province() as province:
        _amnesia(field, field.ground, province)
    if not field.controls:
        return
    with field.province(env={"FAULT_CONTROL": "no_replay"}) as province:
        ledgers = _lose_the_log(field, field.ground, province, services_down=False)
        field.control("no_replay", province, merged(ledgers))


@row("7b", "Tansu, in memory, comes back empty", "I2", "I4", "I7")
def tansu_empty(field: Field) -> None:
    with Ground(broker="tansu") as ground:
        inner = Field(ground, field.result, field.scale)
        with inner.province() as province:
            _amnesia(inner, ground, province, services_down=True)


async def _leaders(bootstrap: str, topics: Sequence[str]) -> dict[TopicPartition, int]:
    """Return the leader of each partition."""
    reader = AIOKafkaConsumer(bootstrap_servers=bootstrap, enable_auto_commit=False)
    await reader.start()
    try:
        for topic in topics:
            await reader._client.add_topic(topic)
        await reader._client.force_metadata_update()
        cluster = reader._client.cluster
        places = [TopicPartition(t, number) for t in topics for number in reader.partitions_for_topic(t) or ()]
        return {place: cluster.leader_for_partition(place) for place in places}
    finally:
        await reader.stop()


def _change_leaders(field: Field, ground: Ground, province: Province) -> None:
    """Kill one broker after the other; count the partitions that really changed leader."""
    topics = [province.prefix + topic for topic in ("submissions", "verdicts", "compliance")]

    def leaders() -> dict[TopicPartition, int]:
        return call(lambda: _leaders(ground.kafka_direct, topics))

    changes = 0
    for name in ("kafka-2", "kafka-3", "kafka"):
        before = leaders()
        moved: list[TopicPartition] = []

        def gone(before: dict[TopicPartition, int] = before, moved: list[TopicPartition] = moved) -> bool:
            now = leaders()
            moved[:] = [place for place, leader in before.items() if now.get(place) not in (leader, -1, None)]
            return bool(moved)

        ground.component(name).kill()
        # the controller waits some seconds for a silent broker before others lead
        if not poll_until(gone, FENCED_SECONDS, 1.0):
            raise Unproved(f"no partition of {name} went to another leader within {FENCED_SECONDS} s")
        changes += len(moved)
        ground.component(name).start()
        ground.component(name).wait_ready()
        time.sleep(2)
    field.happened("partitions that went to another leader", changes)


def _began_again(province: Province) -> int:
    """Return how often a relay replaced its producer."""
    said = ("relay.interrupted", "relay.isolating")  # for everything, or for what one batch left
    return sum(len(province.log_lines(name, action)) for name in RELAYS for action in said)


def _refuse(field: Field, ground: Ground, province: Province, code: int, *, permanent: bool) -> None:
    """Answer produce requests with this error until some were hit; after a permanent one a relay must begin again."""
    proxies = list(ground.kafka_proxies.values())
    before, began = sum(proxy.refused[code] for proxy in proxies), _began_again(province)

    def played() -> bool:
        return sum(proxy.refused[code] for proxy in proxies) > before

    for proxy in proxies:
        proxy.refuse_produces([code])
    if not poll_until(played, 30, 0.1):
        raise Unproved(f"no produce was answered with error {code} within 30 s")
    for proxy in proxies:
        proxy.refuse_produces([])
    if permanent and not poll_until(lambda: _began_again(province) > began, 20, 0.2):
        raise AssertionError(f"no relay began again with a new producer after error {code}")
    field.happened(f"answers with error {code}", sum(proxy.refused[code] for proxy in proxies))


@row("8", "leaders change; retriable and permanent produce errors", "I2", "I3", "I4")
def leaders_change(field: Field) -> None:
    with Ground(brokers=3) as ground:
        inner = Field(ground, field.result, field.scale)
        with inner.province() as province:
            with inner.stream(province) as running:
                running.wait_for(60)
                _change_leaders(field, ground, province)
                for code in RETRIABLE:
                    _refuse(field, ground, province, code, permanent=False)
                before = _began_again(province)
                for code in PERMANENT:
                    _refuse(field, ground, province, code, permanent=True)
                field.happened("relays that began again after a permanent error", _began_again(province) - before)
                ledger = running.stop()
            inner.judge(province, ledger)
