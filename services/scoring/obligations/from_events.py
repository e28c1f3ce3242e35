"""Folds what came about reports again from the topics alone, and names what is stored otherwise. Writes nothing.

A partition of `submissions` and the same one of `verdicts` hold the same obligations, so that one partition's facts are
in memory at a time. What retention has cut off is said, never guessed.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection
from dataclasses import dataclass, field

from aiokafka.structs import TopicPartition
from msgspec.structs import replace

from services.scoring.obligations.facts import NOTHING, Facts, with_report
from shared.consuming.batch import Event, Record
from shared.consuming.parsing import parse
from shared.contract.events import SUBMISSIONS, VERDICTS, EventModel, SubmissionReceived, VerdictReached
from shared.kafka import aiokafka_internals
from shared.kafka.clients import STOP_SECONDS, kept_offsets, make_reader
from shared.runtime.settings import KafkaSettings

_MODELS: dict[bytes, type[EventModel]] = {model.TYPE.encode(): model for model in (SubmissionReceived, VerdictReached)}


@dataclass(slots=True)
class Part:
    """What one partition of both topics says. `cut`: its events before these offsets are gone."""

    facts: dict[str, Facts] = field(default_factory=dict)
    events: int = 0
    unreadable: int = 0
    cut: dict[str, int] = field(default_factory=dict)


async def parts(kafka: KafkaSettings, keys: Collection[str] | None = None) -> AsyncIterator[Part]:
    """Fold the topics as they are now, partition by partition; of all obligations, or of these."""
    kept = await kept_offsets(kafka, [kafka.topic(SUBMISSIONS), kafka.topic(VERDICTS)])
    numbers = sorted({number for _, number in kept})
    alike = all((kafka.topic(topic), number) in kept for topic in (SUBMISSIONS, VERDICTS) for number in numbers)
    groups = [[number] for number in numbers] if alike else [numbers]  # of unlike topics all must be held at once
    for group in groups:
        yield await _fold(kafka, {place: offsets for place, offsets in kept.items() if place[1] in group}, keys)


async def _fold(kafka: KafkaSettings, kept: dict[tuple[str, int], range], keys: Collection[str] | None) -> Part:
    part = Part(cut={f"{topic}/{number}": offsets.start for (topic, number), offsets in kept.items() if offsets.start})
    left = {TopicPartition(*place): offsets.stop for place, offsets in kept.items() if len(offsets)}
    if not left:
        return part
    reader = make_reader(kafka, "thongsuot-scoring-recompute")

    async def read() -> None:
        await reader.start()
        reader.assign(list(left))
        await reader.seek_to_beginning(*left)
        while left:
            for place, records in (await reader.getmany(timeout_ms=300, max_records=2_000)).items():
                for raw in records:
                    if place in left and raw.offset < left[place]:
                        _add(part, kafka, raw, keys)
            for place in list(left):
                if await reader.position(place) >= left[place]:
                    del left[place]

    try:
        await aiokafka_internals.while_alive(reader, read())
    finally:
        await aiokafka_internals.close(reader, reader.stop, STOP_SECONDS)
    return part


def _add(part: Part, kafka: KafkaSettings, raw: object, keys: Collection[str] | None) -> None:
    topic = raw.topic.removeprefix(kafka.topic_prefix)  # type: ignore[attr-defined]
    key = raw.key.decode("utf-8", "replace") if raw.key else ""  # type: ignore[attr-defined]
    if keys is not None and key not in keys:
        return
    record = Record(topic, raw.partition, raw.offset, raw.key, raw.value, raw.headers)  # type: ignore[attr-defined]
    event = parse(record, _MODELS)
    part.events += 1
    if not isinstance(event, Event):
        part.unreadable += 1
    elif isinstance(event.body, SubmissionReceived | VerdictReached):
        part.facts[event.key] = with_report(part.facts.get(event.key, NOTHING), event.body, event.id)


def with_reports_of(stored: Facts, derived: Facts) -> Facts:
    """The stored facts, but what the events say of reports: the rest (reliefs, sweeps) no report says."""
    return replace(stored, versions=derived.versions)
