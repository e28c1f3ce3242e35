"""What is stored about reports follows from the topics alone; what is stored otherwise, or was never sent, is named."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Any

import pytest
from aiokafka.admin import RecordsToDelete
from aiokafka.structs import TopicPartition
from msgspec.structs import replace
from sqlalchemy import text

from services.scoring.obligations import recompute, store
from services.scoring.obligations.domain import with_reports
from services.scoring.obligations.facts import NOTHING
from services.scoring.obligations.standing import stand
from services.scoring.recomputing import recompute_command
from services.scoring.reliefs import decisions
from shared.consuming.batch import Event
from shared.contract.cloudevents import headers_of, source_of
from shared.contract.events import OWNERS, IntakeAvailable
from shared.contract.ids import new_id
from shared.kafka.clients import kept_offsets, make_admin, make_producer
from shared.runtime.settings import KafkaSettings
from tests.integration.scoring.rig import KEY, Rig, agency, key_of, local, regime
from tests.unit.scoring.samples import DEADLINE, submission, verdict

OTHER = key_of("H99.32", "2026-M10")
Recompute = Callable[..., tuple[int, str]]


@pytest.fixture
def kafka(kafka_bootstrap: str, topics: str) -> KafkaSettings:
    return KafkaSettings(bootstrap_servers=kafka_bootstrap, topic_prefix=topics)


@pytest.fixture
def recomputed(
    kafka: KafkaSettings, scoring_url: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Recompute:
    monkeypatch.setenv("SCORING_DATABASE_URL", scoring_url)
    monkeypatch.setenv("KAFKA_BOOTSTRAP_SERVERS", kafka.bootstrap_servers)
    monkeypatch.setenv("KAFKA_TOPIC_PREFIX", kafka.topic_prefix)

    def run(*arguments: str) -> tuple[int, str]:
        code = recompute_command(arguments)
        return code, capsys.readouterr().out

    return run


async def send(kafka: KafkaSettings, events: Sequence[Event[Any]]) -> None:
    producer = make_producer(kafka, "tests")
    await producer.start()
    try:
        for event in events:
            row = {
                "event_id": event.id, "type": event.type, "created_at": DEADLINE, "key": event.key,
                "traceparent": None, "headers": None,
            }  # fmt: skip
            topic = event.body.TOPIC
            await producer.send_and_wait(
                kafka.topic(topic), event.body.encode(), key=event.key.encode(),
                headers=headers_of(row, source_of(OWNERS[topic])),
            )  # fmt: skip
    finally:
        await producer.stop()


async def both(rig: Rig, kafka: KafkaSettings, *models: Any) -> None:
    """Scoring follows them, and they are on the topics."""
    await send(kafka, list(await rig.follow(*models)))


async def a_few(rig: Rig, kafka: KafkaSettings) -> None:
    await rig.registry(regime(), agency(), agency("H99.32"))
    await rig.generate()
    late = local(2026, 10, 20, 9)
    await both(rig, kafka, submission(), verdict(outcome="returned", present=2), submission(2, late))
    await both(rig, kafka, verdict(2, received_at=late), verdict(key=OTHER))
    await both(rig, kafka, IntakeAvailable(until=late))  # of its topic, but no report
    await rig.at(local(2026, 10, 21))


async def test_what_is_stored_follows_from_the_events_alone(
    rig: Rig, kafka: KafkaSettings, recomputed: Recompute
) -> None:
    await a_few(rig, kafka)
    code, said = await asyncio.to_thread(recomputed, "--from-events")
    assert (code, "Từ 5 sự kiện tính lại 2 nghĩa vụ, 0 sai lệch" in said) == (0, True), said
    code, said = await asyncio.to_thread(recomputed, "--from-events", KEY)
    assert (code, "Từ 4 sự kiện tính lại 1 nghĩa vụ" in said) == (0, True), said


async def test_a_spoiled_fact_is_named_with_all_that_followed_from_it(
    rig: Rig, kafka: KafkaSettings, recomputed: Recompute
) -> None:
    """Facts and all that was derived from them are spoiled alike, so that only the events know better."""
    await a_few(rig, kafka)
    made = await rig.obligation()
    spoiled = (await rig.obligation(OTHER)).facts
    async with rig.database.transaction() as tx:
        policy, calendar = rig.rules.policy(made.terms), rig.rules.calendar(made.terms)
        derived = stand(made.terms, spoiled, policy, calendar)
        other = replace(made, facts=spoiled, state=derived.state)
        await store.save(tx, [other], [])
    code, said = await asyncio.to_thread(recomputed, "--from-events")
    assert code == 1
    assert f"{KEY}  facts" in said
    assert f"{KEY}  on_time" in said
    assert f"{OTHER}  " not in said


async def test_what_no_event_says_and_what_is_missing_are_named(
    rig: Rig, kafka: KafkaSettings, recomputed: Recompute
) -> None:
    await a_few(rig, kafka)
    forged = key_of("H99.31", "2026-M11")
    await rig.follow(verdict(key=forged))  # nobody published it
    async with rig.database.transaction() as tx:
        await tx.execute(text("DELETE FROM obligations WHERE obligation = :key"), {"key": OTHER})
    code, said = await asyncio.to_thread(recomputed, "--from-events")
    assert code == 1
    assert f"{forged}  facts" in said
    assert OTHER in said
    assert KEY + "  " not in said


async def test_topics_that_were_cut_are_said_and_accuse_nobody(
    rig: Rig, kafka: KafkaSettings, recomputed: Recompute
) -> None:
    await a_few(rig, kafka)
    admin = make_admin(kafka, "tests")
    await admin.start()
    try:
        kept = await kept_offsets(kafka, [kafka.topic("submissions"), kafka.topic("verdicts")])
        await admin.delete_records(
            {
                TopicPartition(*place): RecordsToDelete(before_offset=offsets.start + 1)
                for place, offsets in kept.items()
                if len(offsets)
            }
        )
    finally:
        await admin.close()
    code, said = await asyncio.to_thread(recomputed, "--from-events")
    assert code == 4, said
    assert "không còn ở Kafka" in said


async def test_as_of_takes_a_relief_as_it_was_decided_by_then(rig: Rig, recomputed: Recompute) -> None:
    await rig.registry(regime(), agency())
    await rig.generate()
    await rig.follow(verdict(received_at=local(2026, 10, 20, 9), decided_at=local(2026, 10, 20, 9, 1)))
    await rig.at(local(2026, 10, 21))
    proposal = decisions.Proposal(DEADLINE - timedelta(hours=9), local(2026, 10, 20, 12), "Mất điện", "Trần Thị B")
    async with rig.database.transaction() as tx:
        await decisions.propose(tx, proposal, local(2026, 10, 22), timedelta(hours=1))
        await decisions.decide(tx, proposal.relief_id, "granted", "C", "có biên bản", local(2026, 10, 23, 8))
    await rig.at(local(2026, 10, 24))
    for moment, said in (
        ("2026-10-23T07:59:59+07:00", "fulfilled  90"),
        ("2026-10-23T08:00:00+07:00", "fulfilled  100"),
    ):
        code, told = await asyncio.to_thread(recomputed, KEY, "--as-of", moment)
        assert (code, said in told) == (0, True), told


def test_a_version_of_which_the_events_say_less_is_no_difference_where_they_were_cut() -> None:
    whole = with_reports(NOTHING, [(new_id(), submission()), (new_id(), verdict())])
    less = with_reports(NOTHING, [(new_id(), submission())])
    other = with_reports(NOTHING, [(new_id(), submission(officer_id="another"))])
    assert recompute.of_reports(whole, less, cut=True) is None
    assert recompute.of_reports(whole, less, cut=False) is not None
    assert recompute.of_reports(whole, other, cut=True) is not None
    assert recompute.of_reports(whole, whole, cut=False) is None
