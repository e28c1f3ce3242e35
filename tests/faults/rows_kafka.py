"""Rows 5 to 8: Kafka's answers are lost, Kafka is away, empty, led by another broker, or says no."""

from __future__ import annotations

import time

from deploy.local.calls import call
from deploy.local.kafka import KafkaBroker, TansuBroker
from tests.faults.ground import Ground, Province
from tests.faults.load import merged
from tests.faults.matrix import Field, Unproved, row
from tests.faults.proxy import is_produce
from tests.faults.stores import read_databases, read_topics

OUTAGE_SECONDS = 60.0
REPLAY_SECONDS = 120.0
#: NOT_LEADER_OR_FOLLOWER, NOT_ENOUGH_REPLICAS: retriable; TOPIC_AUTHORIZATION_FAILED, INVALID_RECORD: not
RETRIABLE, PERMANENT = [6, 19], [29, 87]


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
            proxy.reset()  # what waits for a swallowed answer would wait for its timeout
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
            with field.load(province, 150) as running:
                ledgers.append(running.finish())
            field.happened(f"receipts while the broker was {how}", len(ledgers[-1].receipts))
            field.figure(f"slowest answer while {how}, s", round(ledgers[-1].slowest_seconds, 2))
            if ledgers[-1].gave_up:
                raise AssertionError(f"intake did not answer 2xx while the broker was {how}")
            time.sleep(max(0.0, seconds - (time.monotonic() - began)))
            if how == "down":
                broker.start()
                broker.wait_ready()
            else:
                broker.resume()
        field.judge(province, merged(ledgers))


def _until_replayed(field: Field, province: Province, bootstrap: str) -> None:
    """Until every archived event lies in its topic again. Raises Unproved at the deadline."""
    began = time.monotonic()
    while True:
        stores = call(lambda: read_databases(province.database_urls))
        lying = {message.event_id for message in call(lambda: read_topics(bootstrap, province.prefix))}
        missing = [
            told for told in stores.told if told.sent and told.topic != "registry" and told.event_id not in lying
        ]
        if not missing:
            field.figure("replayed_seconds", round(time.monotonic() - began, 1))
            return
        if time.monotonic() - began > REPLAY_SECONDS:
            raise Unproved(f"{len(missing)} archived events are not in the topics after {REPLAY_SECONDS} s")
        time.sleep(1)


def _amnesia(field: Field, ground: Ground, province: Province, *, services_down: bool = False) -> None:
    """`services_down`: Tansu makes a topic of one partition for whoever asks, so nobody may ask before provisioning."""
    ledgers = []
    with field.load(province, 120) as running:
        ledgers.append(running.finish())
    field.settle(province, ledgers[0])
    broker = ground.component("kafka")
    assert isinstance(broker, KafkaBroker | TansuBroker)
    broker.wipe()
    with field.load(province, 60) as running:
        ledgers.append(running.finish())
    names = ("intake", "validator", "scoring", "notifier") if services_down else ()
    for name in names:
        province.component(name).stop()
    broker.start()
    broker.wait_ready()
    province.stack.provision_topics()
    for name in names:
        province.component(name).start()
    for name in names:
        province.component(name).wait_ready()
    with field.load(province, 60) as running:
        ledgers.append(running.finish())
    _until_replayed(field, province, ground.kafka_direct)
    field.judge(province, merged(ledgers))
    lost = sum(len(province.log_lines(name, "relay.log_lost")) for name in ("intake", "validator", "scoring"))
    field.happened("relays that found the log lost", lost)


@row("7", "the broker comes back empty", "I2", "I4", "I7")
def broker_empty(field: Field) -> None:
    with field.province() as province:
        _amnesia(field, field.ground, province)


@row("7b", "Tansu, in memory, comes back empty", "I2", "I4", "I7")
def tansu_empty(field: Field) -> None:
    with Ground(broker="tansu") as ground:
        inner = Field(ground, field.result, field.scale)
        with inner.province() as province:
            _amnesia(inner, ground, province, services_down=True)


@row("8", "leaders change; retriable and permanent produce errors", "I2", "I3", "I4")
def leaders_change(field: Field) -> None:
    with Ground(brokers=3) as ground:
        inner = Field(ground, field.result, field.scale)
        with inner.province() as province:
            with inner.stream(province) as running:
                running.wait_for(60)
                for name in ("kafka-2", "kafka-3", "kafka"):
                    ground.component(name).kill()
                    time.sleep(3)
                    ground.component(name).start()
                    ground.component(name).wait_ready()
                    time.sleep(2)
                field.happened("brokers killed", 3)
                proxies = list(ground.kafka_proxies.values())
                for proxy in proxies:
                    proxy.refuse_produces([*RETRIABLE, *PERMANENT] * 2)
                ledger = running.stop()
            field.happened("produce answers that said no", sum(proxy.refused_answers for proxy in proxies))
            inner.judge(province, ledger)
            recreated = sum(len(province.log_lines(n, "relay.interrupted")) for n in ("intake", "validator", "scoring"))
            field.happened("relays that began again with a new producer", recreated)
