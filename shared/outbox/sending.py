"""Rows become batches per partition, in row order; a row counts as sent only when its batch is acknowledged.

The producer's own batches cost a future and two waits per message; these cost one per partition. The batches of a
partition are sent one after the other: what comes behind a batch that was refused is not sent, so a key keeps its
order. A row that Kafka will never take is named, and nothing else is: its neighbours are sent.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from zlib import crc32

from aiokafka import AIOKafkaProducer
from aiokafka.errors import (
    CorruptRecordException,
    InvalidTimestampError,
    KafkaError,
    MessageSizeTooLargeError,
    PolicyViolationError,
    RecordListTooLargeError,
    RecordTooLargeError,
    UnknownError,
    UnsupportedForMessageFormatError,
)
from aiokafka.producer.message_accumulator import BatchBuilder

from shared.contract.cloudevents import headers_of
from shared.contract.events import REGISTRY
from shared.outbox.sizes import declared_limit

Place = tuple[str, int]
Row = Mapping[str, Any]
#: an aggregate's events: topic and key
Line = tuple[str, str]

#: refusals that say which record is at fault: it is too large
_TOO_LARGE = (MessageSizeTooLargeError, RecordTooLargeError, RecordListTooLargeError)
#: refusals that may be of one record or of everything (a clock that is wrong, a policy, a broker's own fault);
#: INVALID_RECORD, which aiokafka does not know, is an UnknownError
_SUSPECT = (
    CorruptRecordException,
    InvalidTimestampError,
    PolicyViolationError,
    UnknownError,
    UnsupportedForMessageFormatError,
)
#: topics whose newest event of a key replaces all before it: a later one does not queue behind one set aside
LAST_WORD_TOPICS = frozenset({REGISTRY})


@dataclass(frozen=True, slots=True)
class Refusal:
    """A row that Kafka does not take. `bytes`: of its batch of one; 0 where it was not measured."""

    row: Row
    error: KafkaError
    bytes: int

    @property
    def of_the_row(self) -> bool:
        """Whether the refusal says by itself that the row is at fault."""
        return isinstance(self.error, _TOO_LARGE)


@dataclass(slots=True)
class Sent:
    """What became of rows. Every row is in exactly one of `rows`, `refused`, `behind` and `left`."""

    #: acknowledged
    rows: list[Row] = field(default_factory=list)
    #: the offset of each partition's last batch
    positions: dict[Place, int] = field(default_factory=dict)
    refused: list[Refusal] = field(default_factory=list)
    #: rows of a key whose earlier row was refused, with that row's id
    behind: list[tuple[Row, int]] = field(default_factory=list)
    #: rows of a refused batch and of those after it: to be sent singly
    left: list[Row] = field(default_factory=list)
    #: a producer whose batch the broker refused has a gap in its sequence and sends no more
    producer_spent: bool = False
    #: Kafka refuses, and not for one row's sake: nothing is set aside for it
    trouble: KafkaError | None = None

    def take(self, more: Sent) -> None:
        """Add what a further round has come to; it went through what was left."""
        self.rows += more.rows
        for place, offset in more.positions.items():
            self.positions[place] = max(offset, self.positions.get(place, -1))
        self.refused += more.refused
        self.behind += more.behind
        self.left = more.left
        self.producer_spent |= more.producer_spent

    def take_back_suspects(self) -> bool:
        """Put rows that may not be at fault, and those behind them, back among what is left. Returns whether any."""
        suspects = {refusal.row["id"] for refusal in self.refused if not refusal.of_the_row}
        self.left = [refusal.row for refusal in self.refused if refusal.row["id"] in suspects]
        self.left += [row for row, front in self.behind if front in suspects]
        self.left.sort(key=lambda row: int(row["id"]))
        self.refused = [refusal for refusal in self.refused if refusal.row["id"] not in suspects]
        self.behind = [(row, front) for row, front in self.behind if front not in suspects]
        return bool(suspects)

    def settle(self) -> None:
        """A suspect is at fault where its topic took another row; else Kafka is, and the suspect stays where it is."""
        taking = {row["topic"] for row in self.rows}
        kept = [refusal for refusal in self.refused if refusal.of_the_row or refusal.row["topic"] in taking]
        dropped = [refusal for refusal in self.refused if not (refusal.of_the_row or refusal.row["topic"] in taking)]
        if dropped:
            fronts = {refusal.row["id"] for refusal in dropped}
            self.refused = kept
            self.behind = [(row, front) for row, front in self.behind if front not in fronts]
            self.trouble = dropped[0].error

    def fronts(self) -> dict[Line, int]:
        """The keys that may not go on, with the id of the row that was refused."""
        return {
            (refusal.row["topic"], refusal.row["key"]): refusal.row["id"]
            for refusal in self.refused
            if refusal.row["topic"] not in LAST_WORD_TOPICS
        }


def partition_of(key: bytes, partitions: Sequence[int]) -> int:
    """The partition of a key: CRC-32, librdkafka's `consistent`. Only the relay sends, so it alone has to agree."""
    return partitions[crc32(key) % len(partitions)]


async def send_rows(
    producer: AIOKafkaProducer,
    rows: Sequence[Row],
    *,
    prefix: str,
    source: bytes,
    timeout_seconds: float,
    limits: Mapping[str, int] | None = None,
    fronts: Mapping[Line, int] | None = None,
    singly: bool = False,
) -> Sent:
    """Send rows of `outbox` or its archive; topics get `prefix`.

    limits: `max.message.bytes` by topic, where known; else the declared one. fronts: keys that may not go on.
    singly: each row in a batch of its own, so that a refusal names its row.

    A position is the offset of its batch's first record: a log that ends behind it has all of the batch, for batches
    are whole; and Tansu says no more, it counts a batch as one when it says where a log ends.

    Raises KafkaError or TimeoutError; then any part may have been sent, and the caller sends all of it again.
    """
    sent = Sent()
    try:
        async with asyncio.timeout(timeout_seconds):
            chains = await _batches(producer, rows, sent, prefix, source, limits or {}, dict(fronts or {}), singly)
            await _all(_send(producer, prefix, place, chain, sent) for place, chain in chains.items())
    finally:
        sent.left.sort(key=lambda row: int(row["id"]))
    return sent


Chain = list[tuple[BatchBuilder, list[Row]]]


async def _batches(
    producer: AIOKafkaProducer,
    rows: Sequence[Row],
    sent: Sent,
    prefix: str,
    source: bytes,
    limits: Mapping[str, int],
    fronts: dict[Line, int],
    singly: bool,
) -> dict[Place, Chain]:
    partitions: dict[str, Sequence[int]] = {}
    chains: dict[Place, Chain] = {}
    for row in rows:
        topic, key = row["topic"], row["key"].encode()
        if (front := fronts.get((topic, row["key"]))) is not None:
            sent.behind.append((row, front))
            continue
        if topic not in partitions:
            partitions[topic] = sorted(await producer.partitions_for(prefix + topic))
        chain = chains.setdefault((topic, partition_of(key, partitions[topic])), [])
        headers = headers_of(row, source)
        if not singly and chain:
            added = chain[-1][0].append(timestamp=None, key=key, value=row["body"], headers=headers)
            if added is not None:
                chain[-1][1].append(row)
                continue
        builder = producer.create_batch()
        builder.append(timestamp=None, key=key, value=row["body"], headers=headers)  # the first always fits
        limit = limits.get(topic) or declared_limit(topic)
        if builder.size() > limit:
            error = MessageSizeTooLargeError(f"{builder.size()} bytes as encoded; the topic takes {limit}")
            sent.refused.append(Refusal(row, error, builder.size()))
            fronts.update(sent.fronts())
        else:
            chain.append((builder, [row]))
    return chains


async def _send(producer: AIOKafkaProducer, prefix: str, place: Place, chain: Chain, sent: Sent) -> None:
    for number, (builder, rows) in enumerate(chain):
        builder.close()  # it is complete: nothing is gained by lingering
        size = builder.size()
        future = await producer.send_batch(builder, prefix + place[0], partition=place[1])
        try:
            acknowledged = await future
        except (*_TOO_LARGE, *_SUSPECT) as error:
            sent.producer_spent = True
            after = [row for _, its in chain[number + 1 :] for row in its]
            if len(rows) == 1:
                sent.refused.append(Refusal(rows[0], error, size))
            else:
                after = [*rows, *after]
            sent.left += after
            return
        sent.positions[place] = max(acknowledged.offset, sent.positions.get(place, -1))
        sent.rows += rows


async def _all(sends: Any) -> None:
    tasks = [asyncio.ensure_future(send) for send in sends]
    try:
        await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
