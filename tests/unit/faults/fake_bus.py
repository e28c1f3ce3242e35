"""A Kafka, three databases and the backbone's rules in memory, with every crash a test may ask for.

A consumer's transaction is a copy that is taken over or thrown away; what it does around it (claim, effects, outbox,
offsets) follows the rules of the backbone, each of which can be broken for a control.
"""

from __future__ import annotations

import copy
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal
from uuid import UUID, uuid4

End = Literal["applied", "died_before_database", "died_before_offsets"]
RelayEnd = Literal["sent", "died_after_ack"]
#: what a handler gets and changes: its state, and events to publish as (topic, key, body)
Handler = Callable[[dict[str, Any], Sequence["Lying"]], list[tuple[str, str, Any]]]
PARTITIONS = 2


@dataclass(frozen=True, slots=True)
class Lying:
    """An event in a partition of a topic."""

    event_id: UUID
    key: str
    body: Any


@dataclass(frozen=True, slots=True)
class Rules:
    """What protects; each can be taken away."""

    inbox: bool = True
    offsets_after_database: bool = True
    delete_after_ack: bool = True


def partition_of(key: str) -> int:
    return sum(key.encode()) % PARTITIONS


@dataclass
class Bus:
    """Topics as lists; they only grow."""

    logs: dict[tuple[str, int], list[Lying]] = field(default_factory=dict)

    def log(self, topic: str, partition: int) -> list[Lying]:
        return self.logs.setdefault((topic, partition), [])

    def send(self, topic: str, lying: Lying) -> None:
        self.log(topic, partition_of(lying.key)).append(lying)


@dataclass
class Outbox:
    """Rows wait here until they are sent; their owner's relay may die between the two."""

    rules: Rules
    rows: list[tuple[str, Lying]] = field(default_factory=list)

    def publish(self, events: Sequence[tuple[str, str, Any]]) -> None:
        self.rows += [(topic, Lying(uuid4(), key, body)) for topic, key, body in events]

    def relay(self, bus: Bus, count: int, end: RelayEnd) -> None:
        batch = self.rows[:count]
        if not self.rules.delete_after_ack:
            del self.rows[: len(batch)]
            if end == "died_after_ack":
                return  # died between its delete and the broker's acknowledgement
        for topic, lying in batch:
            bus.send(topic, lying)
        if self.rules.delete_after_ack and end == "sent":
            del self.rows[: len(batch)]


@dataclass
class Consumer:
    """A group of one member on some topics, with its database."""

    topics: tuple[str, ...]
    handle: Handler
    rules: Rules
    state: dict[str, Any]
    outbox: Outbox
    inbox: set[UUID] = field(default_factory=set)
    applied: Counter[UUID] = field(default_factory=Counter)
    committed: dict[tuple[str, int], int] = field(default_factory=dict)
    position: dict[tuple[str, int], int] = field(default_factory=dict)

    @classmethod
    def of(cls, topics: tuple[str, ...], handle: Handler, rules: Rules, state: dict[str, Any]) -> Consumer:
        return cls(topics, handle, rules, state, Outbox(rules))

    def commit(self) -> None:
        """Tell the broker how far one has come; a moment of its own, some time after the database's commit."""
        self.committed = dict(self.position)

    def rebalance(self) -> int:
        """Partitions go and come back: reading begins again at the committed offsets. Returns what comes again."""
        again = sum(place - self.committed.get(at, 0) for at, place in self.position.items())
        self.position = dict(self.committed)
        return again

    def waiting(self, bus: Bus) -> list[tuple[str, int]]:
        """Partitions with something to read."""
        places = [(topic, partition) for topic in self.topics for partition in range(PARTITIONS)]
        return [place for place in places if self.position.get(place, 0) < len(bus.log(*place))]

    def deliver(self, bus: Bus, place: tuple[str, int], count: int, end: End) -> None:
        begin = self.position.get(place, 0)
        batch = bus.log(*place)[begin : begin + count]
        if not self.rules.offsets_after_database:
            self.committed[place] = begin + len(batch)
        if end == "died_before_database":
            self.rebalance()
            return
        fresh = []
        for lying in batch:
            if not self.rules.inbox or lying.event_id not in self.inbox:
                self.inbox.add(lying.event_id)
                fresh.append(lying)
        state = copy.deepcopy(self.state)
        told = self.handle(state, fresh)
        self.state = state
        self.outbox.publish(told)
        self.applied.update(lying.event_id for lying in fresh)
        if end == "died_before_offsets":
            self.rebalance()
            return
        self.position[place] = begin + len(batch)
