"""The health of a subscription: its group membership, Kafka's answers, and events applied."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from aiokafka import ConsumerRebalanceListener, TopicPartition

from shared.runtime.clock import monotonic_seconds
from shared.telemetry import metrics

#: a consumer that has not polled for this long, without a batch to work on, has stalled
STALL_SECONDS = 30
#: a batch that takes longer makes the instance unready
LONG_BATCH_SECONDS = 30
#: once Kafka has not answered for this long, empty polls and a lag of 0 prove nothing. An idle client asks after 4 s
#: (subscription.ASK_AFTER_SECONDS), so a live Kafka answers in time even while a member waits to join
SILENCE_SECONDS = 10
#: longest time between two checks that counts as Kafka's silence: a stalled event loop is not Kafka's fault
LONGEST_LOOK_SECONDS = 2
#: commits in a row without an answer, while Kafka answers other calls: this client's coordination hangs
LATE_COMMITS = 2
#: polls in a row that raise before the client counts as broken; FastStream pauses 5 s after each
FAILED_POLLS = 2
#: a group that assigns no partitions for this long after it revoked them is in trouble
REVOKED_SECONDS = 60
#: the client is stuck once no event was applied and no fetch came back empty for this long
STUCK_SECONDS = 60


class Health:
    """The state that readiness derives from. Moments are seconds of the monotonic clock."""

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
        self.silent_seconds = 0.0
        self.failed_polls = 0  # in a row
        self.late_commits = 0  # in a row
        self.halted = False
        self.halted_for = "too many records are bad"
        self.trouble = ""
        self._next: dict[TopicPartition, int] = {}
        self._fetched_ms: int | None = None
        self._silent_until = now
        self._looked_at = now

    def turned(self) -> None:
        """Record that the loop polls or has finished a batch."""
        self.last_turn = monotonic_seconds()

    def answered(self, at: float) -> None:
        """Record Kafka's last answer; call it every second, so that a silence is noticed while it lasts."""
        now = monotonic_seconds()
        unseen_seconds = min(now - self._looked_at, LONGEST_LOOK_SECONDS)
        self._looked_at = now
        if at > self.last_answer:
            self.last_answer = at
            self.silent_seconds = min(max(0.0, now - at), unseen_seconds)
        else:
            self.silent_seconds += unseen_seconds
        if self.silent:
            self._silent_until = now
            self.late_commits = 0  # Kafka answered no call at all

    @property
    def silent(self) -> bool:
        """Whether Kafka has not answered for so long that the lag is unknown."""
        return self.silent_seconds > SILENCE_SECONDS

    def forget_client(self) -> None:
        """Reset what concerns the client, which is being replaced."""
        self.revoked()
        self.failed_polls = self.late_commits = 0
        self.turned()

    def broken(self) -> str:
        """Why the client must be recreated although it reports no error (consumers.REMADE_REASONS), or empty.

        Empty while the service waits for its database, is halted, or Kafka is silent: a new client would not help.
        """
        now = monotonic_seconds()
        if self.failed_polls >= FAILED_POLLS:
            return "polls_failed"
        if self.halted or self.busy_since is not None or self.silent:
            return ""
        if self.late_commits >= LATE_COMMITS:
            return "commits_late"
        if now - max(self.last_turn, self._silent_until) > STALL_SECONDS:
            return "not_polling"
        if self.revoked_at is not None:
            return "no_partitions" if now - max(self.revoked_at, self._silent_until) > REVOKED_SECONDS else ""
        return "stuck" if self._stuck_seconds(now) > STUCK_SECONDS else ""

    def revoked(self) -> None:
        self.assigned = set()
        if self.joined and self.revoked_at is None:
            self.revoked_at = monotonic_seconds()

    def given(self, places: Sequence[TopicPartition]) -> None:
        """Record an assignment; an empty one is normal where members outnumber partitions."""
        self.assigned = set(places)
        self.joined = True
        self.revoked_at = None
        self.moved_at = monotonic_seconds()

    def applied(self, following: Mapping[TopicPartition, int], lag: int, fetched_ms: int | None = None) -> None:
        """Record the next offset to apply of each partition, and the lag as far as known.

        `fetched_ms`: when the client last had an answer to a fetch; without a new answer, a lag of 0 proves nothing.
        """
        idle = lag == 0 and set(following) >= self.assigned and (fetched_ms is None or fetched_ms != self._fetched_ms)
        if not self.assigned or idle or dict(following) != self._next:
            self.moved_at = monotonic_seconds()
        self._next, self.lag, self._fetched_ms = dict(following), lag, fetched_ms

    def _stuck_seconds(self, now: float) -> float:
        """How long there has been neither an applied event nor an empty fetch. 0 while a batch is in progress."""
        if self.busy_since is not None or not self.assigned:
            return 0.0
        return now - max(self.moved_at, self._silent_until)

    def state(self, *, kafka_matters: bool = True) -> tuple[bool, str]:
        """Whether the subscription is healthy, and a sentence. Without `kafka_matters`, Kafka's silence is no fault."""
        now = monotonic_seconds()
        if self.halted:
            return False, f"halted: {self.halted_for}"
        if not self.joined:
            return False, "has not joined its group yet"
        lag = "an unknown number of" if self.silent else str(self.lag)
        seen = f"{len(self.assigned)} partitions, {lag} events to apply, Kafka answered {self.silent_seconds:.0f} s ago"
        if self.busy_since is not None:
            busy_seconds = now - self.busy_since
            if busy_seconds > LONG_BATCH_SECONDS:
                return False, f"one batch has taken {busy_seconds:.0f} s; {self.trouble or 'no error'}; {seen}"
        elif now - self.last_turn > STALL_SECONDS:
            return False, f"has not polled for {now - self.last_turn:.0f} s; {seen}"
        if self.silent:
            return not kafka_matters, f"Kafka is silent; {seen}"
        # time during Kafka's silence does not count
        if self.revoked_at is not None:
            without_seconds = now - max(self.revoked_at, self._silent_until)
            if without_seconds > REVOKED_SECONDS:
                return False, f"its partitions were revoked {without_seconds:.0f} s ago and not assigned again; {seen}"
            return True, f"its partitions are being reassigned; {seen}"
        if (stuck_seconds := self._stuck_seconds(now)) > STUCK_SECONDS:
            what = "has applied none of its events" if self.lag else "has fetched nothing"
            return False, f"{what} for {stuck_seconds:.0f} s; {seen}"
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
