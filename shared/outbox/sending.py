"""Sends rows in batches per partition, in row order; a row counts as sent only once Kafka acknowledges its batch.

The producer's own batches cost a future and two waits per message; these cost one per partition. The batches of a
partition go one after the other, and none follows a refused one, so a key keeps its order. A refusal names the row at
fault; all other rows are sent.
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

#: refusals that prove the record at fault: it is too large
_TOO_LARGE = (MessageSizeTooLargeError, RecordTooLargeError, RecordListTooLargeError)
#: refusals that may concern one record or all of them (a wrong clock, a policy, a broker's fault). aiokafka maps
#: INVALID_RECORD, which it does not know, to UnknownError.
_SUSPECT = (
    CorruptRecordException,
    InvalidTimestampError,
    PolicyViolationError,
    UnknownError,
    UnsupportedForMessageFormatError,
)
#: topics whose newest event of a key replaces earlier ones: a later event need not queue behind one set aside
LAST_WORD_TOPICS = frozenset({REGISTRY})


@dataclass(frozen=True, slots=True)
class Refusal:
    """A row that Kafka does not take. `bytes`: the size of a batch of this row alone."""

    row: Row
    error: KafkaError
    bytes: int

    @property
    def of_the_row(self) -> bool:
        """Whether the refusal proves the row at fault."""
        return isinstance(self.error, _TOO_LARGE)


@dataclass(slots=True)
class Sent:
    """The outcome of sending. Every row is in exactly one of `rows`, `refused`, `behind` and `left`."""

    #: acknowledged
    rows: list[Row] = field(default_factory=list)
    #: the offset of each partition's last batch
    positions: dict[Place, int] = field(default_factory=dict)
    refused: list[Refusal] = field(default_factory=list)
    #: rows of a key whose earlier row was refused, with that row's id
    behind: list[tuple[Row, int]] = field(default_factory=list)
    #: rows of a refused batch and of the batches after it: still to be sent one by one
    left: list[Row] = field(default_factory=list)
    #: whether a batch was refused: its producer has a gap in its sequence and cannot send any more
    producer_spent: bool = False
    #: a refusal that is not one row's fault: nothing is set aside for it
    trouble: KafkaError | None = None

    def take(self, more: Sent) -> None:
        """Add the outcome of a further round, which sent the rows in `left`."""
        self.rows += more.rows
        for place, offset in more.positions.items():
            self.positions[place] = max(offset, self.positions.get(place, -1))
        self.refused += more.refused
        self.behind += more.behind
        self.left = more.left
        self.producer_spent |= more.producer_spent

    def take_back_suspects(self) -> bool:
        """Move rows that may not be at fault, and those behind them, back to `left`. Returns whether there were any."""
        suspects = {refusal.row["id"] for refusal in self.refused if not refusal.of_the_row}
        self.left = [refusal.row for refusal in self.refused if refusal.row["id"] in suspects]
        self.left += [row for row, front in self.behind if front in suspects]
        self.left.sort(key=lambda row: int(row["id"]))
        self.refused = [refusal for refusal in self.refused if refusal.row["id"] not in suspects]
        self.behind = [(row, front) for row, front in self.behind if front not in suspects]
        return bool(suspects)

    def settle(self) -> None:
        """Decide about suspects: one is at fault if its topic took another row; else Kafka is, and it stays unsent."""
        taking = {row["topic"] for row in self.rows}
        kept = [refusal for refusal in self.refused if refusal.of_the_row or refusal.row["topic"] in taking]
        dropped = [refusal for refusal in self.refused if not (refusal.of_the_row or refusal.row["topic"] in taking)]
        if dropped:
            fronts = {refusal.row["id"] for refusal in dropped}
            self.refused = kept
            self.behind = [(row, front) for row, front in self.behind if front not in fronts]
            self.trouble = dropped[0].error

    def fronts(self) -> dict[Line, int]:
        """The keys that must wait, with the id of their refused row."""
        return {
            (refusal.row["topic"], refusal.row["key"]): refusal.row["id"]
            for refusal in self.refused
            if refusal.row["topic"] not in LAST_WORD_TOPICS
        }


def partition_of(key: bytes, partitions: Sequence[int]) -> int:
    """The partition of a key by CRC-32, as librdkafka's `consistent`. Only the relay sends, so no one else needs it."""
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

    limits: `max.message.bytes` by topic, where known; else the declared one applies. fronts: keys that must wait.
    singly: send each row in its own batch, so that a refusal names its row.

    A position is the offset of a batch's first record. A log that ends after it holds the whole batch, since batches
    are atomic; and Tansu counts a batch as one record in its end offset, so the last record's offset is unusable.

    Raises KafkaError or TimeoutError; then any of the rows may have been sent, and the caller sends all again.
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
        builder.append(
            timestamp=None, key=key, value=row["body"], headers=headers
        )  # a batch takes a first record of any size
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
        builder.close()  # complete: send without lingering
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
