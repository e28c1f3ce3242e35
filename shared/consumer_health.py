"""How a subscription is doing: assignment, the age of its last poll, and when so much is bad that it must halt."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

from aiokafka import ConsumerRebalanceListener, TopicPartition

from shared import metrics
from shared.clock import monotonic_seconds


class Health:
    """What readiness looks at: assignment, the age of the last poll, a halt."""

    def __init__(self) -> None:
        self.assigned: set[TopicPartition] = set()
        self.ever_assigned = False
        self.last_turn = monotonic_seconds()
        self.busy_since: float | None = None
        self.failed_polls = 0  # in a row
        self.halted = False
        self.trouble = ""

    def turned(self) -> None:
        self.last_turn = monotonic_seconds()


class Listener(ConsumerRebalanceListener):  # type: ignore[misc]
    """Keeps the assignment in Health and counts rebalances."""

    def __init__(self, consumer: str, health: Health) -> None:
        self._consumer = consumer
        self._health = health

    async def on_partitions_revoked(self, revoked: Sequence[TopicPartition]) -> None:
        self._health.assigned = set()

    async def on_partitions_assigned(self, assigned: Sequence[TopicPartition]) -> None:
        self._health.assigned = set(assigned)
        self._health.ever_assigned = True
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
