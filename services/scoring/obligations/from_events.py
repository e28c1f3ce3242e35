"""Folds what came about reports again from the topics alone, and names what is stored otherwise. Writes nothing.

A partition of `submissions` and the same one of `verdicts` hold the same obligations, so that one partition's facts are
in memory at a time. What retention has cut off is said, never guessed.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection
from dataclasses import dataclass, field

from msgspec.structs import replace

from services.scoring.obligations.facts import NOTHING, AboutReport, Facts, with_report
from shared.consuming.batch import Record
from shared.consuming.parsing import Bad, Skipped, parse
from shared.consuming.rereading import reread
from shared.contract.events import (
    SUBMISSIONS,
    VERDICTS,
    EventModel,
    NotJudged,
    StepTaken,
    SubmissionReceived,
    VerdictReached,
)
from shared.kafka.clients import kept_offsets
from shared.runtime.settings import KafkaSettings

_MODELS: dict[bytes, type[EventModel]] = {
    model.TYPE.encode(): model for model in (SubmissionReceived, VerdictReached, NotJudged, StepTaken)
}


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

    def take(record: Record) -> None:
        if keys is not None and (record.key or b"").decode("utf-8", "replace") not in keys:
            return
        event = parse(record, _MODELS)
        if isinstance(event, Skipped):
            return  # what intake tells of itself
        part.events += 1
        if isinstance(event, Bad):
            part.unreadable += 1
        elif isinstance(event.body, AboutReport):
            part.facts[event.key] = with_report(part.facts.get(event.key, NOTHING), event.body, event.id)

    await reread(kafka, kept, take)
    return part


def with_reports_of(stored: Facts, derived: Facts) -> Facts:
    """The stored facts, but what the events say of reports: the rest (reliefs, sweeps) no report says."""
    return replace(stored, versions=derived.versions)
