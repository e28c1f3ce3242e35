"""How a subscription is doing, told by what it achieves: a place in its group, answers of Kafka, events applied.

And when so much is bad that it must halt.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence

from aiokafka import ConsumerRebalanceListener, TopicPartition

from shared import metrics
from shared.clock import monotonic_seconds

#: a consumer that has not polled for so long, and handles nothing, has stalled
STALL_SECONDS = 30
#: a batch that takes longer than this makes the instance unready: it waits for something
LONG_BATCH_SECONDS = 30
#: without an answer of Kafka for so long, empty polls mean nothing (a member that waits to join hears every 30 s)
SILENCE_SECONDS = 45
#: a group that gives nothing back for so long after it took all partitions away is in trouble
REVOKED_SECONDS = 60
#: events that lie there, and none applied for so long
STUCK_SECONDS = 60


class Health:
    """What readiness looks at. Moments are seconds of the monotonic clock."""

    def __init__(self) -> None:
        now = monotonic_seconds()
        self.assigned: set[TopicPartition] = set()
        self.joined = False
        self.revoked_at: float | None = None
        self.last_turn = now
        self.last_answer = now
        self.moved_at = now
        self.lag = 0
        self.busy_since: float | None = None
        self.failed_polls = 0  # in a row
        self.halted = False
        self.trouble = ""
        self._next: dict[TopicPartition, int] = {}
        self._silent_until = now

    def turned(self) -> None:
        """The loop polls, or has ended a batch."""
        self.last_turn = monotonic_seconds()

    def answered(self, at: float) -> None:
        """Kafka's last answer was then; call it often, so that a silence is noticed while it lasts."""
        now = monotonic_seconds()
        self.last_answer = max(self.last_answer, at)
        if now - self.last_answer > SILENCE_SECONDS:
            self._silent_until = now

    def revoked(self) -> None:
        self.assigned = set()
        if self.joined and self.revoked_at is None:
            self.revoked_at = monotonic_seconds()

    def given(self, places: Sequence[TopicPartition]) -> None:
        """The group has given these; none at all is in order too, where members outnumber partitions."""
        self.assigned = set(places)
        self.joined = True
        self.revoked_at = None
        self.moved_at = monotonic_seconds()

    def applied(self, following: Mapping[TopicPartition, int], lag: int) -> None:
        """The first offset of each partition that is not applied yet, and how many events are not."""
        if lag == 0 or dict(following) != self._next:
            self.moved_at = monotonic_seconds()
        self._next, self.lag = dict(following), lag

    def state(self, *, kafka_matters: bool = True) -> tuple[bool, str]:
        """Whether it does its work, and a sentence. Without `kafka_matters` Kafka's silence is told but no fault."""
        now = monotonic_seconds()
        if self.halted:
            return False, "halted: too many records are bad"
        if not self.joined:
            return False, "has not joined its group yet"
        silence_seconds = now - self.last_answer
        seen = (
            f"{len(self.assigned)} partitions, {self.lag} events to apply, Kafka answered {silence_seconds:.0f} s ago"
        )
        if self.busy_since is not None:
            busy_seconds = now - self.busy_since
            if busy_seconds > LONG_BATCH_SECONDS:
                return False, f"one batch has taken {busy_seconds:.0f} s; {self.trouble or 'no error'}; {seen}"
        elif now - self.last_turn > STALL_SECONDS:
            return False, f"has not polled for {now - self.last_turn:.0f} s; {seen}"
        if silence_seconds > SILENCE_SECONDS:
            return not kafka_matters, f"Kafka is silent; {seen}"
        # what went on during a silence says nothing: it is counted from its end
        if self.revoked_at is not None:
            without_seconds = now - max(self.revoked_at, self._silent_until)
            if without_seconds > REVOKED_SECONDS:
                return False, f"its partitions were taken away {without_seconds:.0f} s ago and not given back; {seen}"
            return True, f"its partitions are being given out anew; {seen}"
        stuck_seconds = now - max(self.moved_at, self._silent_until)
        if self.lag and self.busy_since is None and stuck_seconds > STUCK_SECONDS:
            return False, f"none of its events was applied for {stuck_seconds:.0f} s; {seen}"
        return True, seen


class Listener(ConsumerRebalanceListener):  # type: ignore[misc]
    """Keeps the assignment in Health and counts rebalances."""

    def __init__(self, consumer: str, health: Health) -> None:
        self._consumer = consumer
        self._health = health

    async def on_partitions_revoked(self, revoked: Sequence[TopicPartition]) -> None:
        self._health.revoked()

    async def on_partitions_assigned(self, assigned: Sequence[TopicPartition]) -> None:
        self._health.given(assigned)
        metrics.CONSUMER_REBALANCES_TOTAL.labels(self._consumer).inc()


class DlqLimit:
    """Halts when among the last `window` records at least `least` were bad and they are more than `share`."""

    def __init__(self, *, window: int = 1000, least: int = 100, share: float = 0.5) -> None:
        self._recent: deque[tuple[int, int]] = deque()
        self._window, self._least, self._share = window, least, share

    def absurd(self, records: int, bad: int) -> bool:
        """Whether this batch, with what came before, is past the limit."""
        all_records = records + sum(r for r, _ in self._recent)
        all_bad = bad + sum(b for _, b in self._recent)
        return all_bad >= self._least and all_bad > self._share * all_records

    def note(self, records: int, bad: int) -> None:
        """Remember a batch that was applied."""
        self._recent.append((records, bad))
        while sum(r for r, _ in self._recent) > self._window:
            self._recent.popleft()
