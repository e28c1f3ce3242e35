"""Compares the events in the topics since the demo began with the archives of the outboxes.

An archived event that is not in its topic was lost after the relay sent it; an event in a topic that was never
archived has another source. `notifications` has no consumer, so only this check would notice a loss there.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from deploy.kafka import provision
from shared.consuming.batch import Record
from shared.consuming.rereading import reread
from shared.kafka.clients import end_offsets
from shared.runtime.settings import KafkaSettings

#: next offset by (topic, partition)
Offsets = Mapping[tuple[str, int], int]
READ_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Archived:
    """An event in its owner's archive."""

    event_id: str
    key: str


@dataclass(frozen=True, slots=True)
class Unlike:
    """The difference between a topic and its owner's archive, in events."""

    missing: int = 0  # archived, but not in the topic
    unknown: int = 0  # in the topic, but not archived

    def __bool__(self) -> bool:
        return self.missing + self.unknown > 0


async def ends(settings: KafkaSettings, topics: Iterable[str]) -> Offsets:
    """The next offset of every declared partition of these topics."""
    partitions = {topic.name: topic.partitions for topic in provision.load()}
    return await end_offsets(settings, [(topic, n) for topic in topics for n in range(partitions[topic])])


def since(start: Offsets, end: Offsets, topic: str) -> int:
    """Records written to a topic between two reads; a recreated topic counts from its beginning."""
    return sum(
        offset - (before if (before := start.get(place, 0)) <= offset else 0)
        for place, offset in end.items()
        if place[0] == topic
    )


async def event_ids(settings: KafkaSettings, topics: Sequence[str], start: Offsets) -> dict[str, Counter[str]]:
    """By topic, the count of each event id from `start` to the present end; "" stands for a missing id."""
    end = await ends(settings, topics)
    found: dict[str, Counter[str]] = {topic: Counter() for topic in topics}

    def count(record: Record) -> None:
        found[record.topic][(dict(record.headers).get("ce_id") or b"").decode("ascii", "replace")] += 1

    async with asyncio.timeout(READ_SECONDS):
        await reread(settings, {place: range(start.get(place, 0), offset) for place, offset in end.items()}, count)
    return found


def compare(archived: Sequence[Archived], lying: Iterable[str], *, compacted: bool) -> Unlike:
    """Compare a topic's event ids with the archive, which is in the order of its events.

    A compacted topic must hold only the newest event of each key.
    """
    there = set(lying)
    must = {event.key: event.event_id for event in archived}.values() if compacted else (e.event_id for e in archived)
    return Unlike(len(set(must) - there), len(there - {event.event_id for event in archived}))


def compacted_topics() -> frozenset[str]:
    """The topics declared with `cleanup.policy: compact`."""
    return frozenset(topic.name for topic in provision.load() if topic.compacted)
