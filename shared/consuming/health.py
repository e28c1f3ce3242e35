"""The health of a subscription, judged by results: membership of its group, answers of Kafka, events applied."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from aiokafka import ConsumerRebalanceListener, TopicPartition

from shared.runtime.clock import monotonic_seconds
from shared.telemetry import metrics

#: a consumer that has not polled for so long, and handles nothing, has stalled
STALL_SECONDS = 30
#: a batch that takes longer than this makes the instance unready: it waits for something
LONG_BATCH_SECONDS = 30
#: without an answer of Kafka for so long, empty polls and a lag of 0 mean nothing. A client that hears nothing asks
#: after 4 s (consumer.ASK_AFTER_SECONDS), so a living Kafka is heard even where a member waits long to join
SILENCE_SECONDS = 10
#: of the time between two looks counts as silence at most this: a stalled event loop is not Kafka's silence
LONGEST_LOOK_SECONDS = 2
#: commits in a row that had no answer in time, while Kafka answers others: this client's coordination hangs
LATE_COMMITS = 2
#: polls in a row that raise (FastStream pauses 5 s after each) before the client is taken for broken
FAILED_POLLS = 2
#: a group that gives nothing back for so long after it took all partitions away is in trouble
REVOKED_SECONDS = 60
#: none of the events that lie there applied for so long, or no answer to a fetch that says that none do
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
        """The loop polls, or has ended a batch."""
        self.last_turn = monotonic_seconds()

    def answered(self, at: float) -> None:
        """Kafka's last answer was then; call it every second, so that a silence is noticed while it lasts."""
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
            self.late_commits = 0  # nobody was answered

    @property
    def silent(self) -> bool:
        """Kafka has not answered for so long that nothing is known of what lies in the topics."""
        return self.silent_seconds > SILENCE_SECONDS

    def forget_client(self) -> None:
        """The client is gone; what counts is what the next one does."""
        self.revoked()
        self.failed_polls = self.late_commits = 0
        self.turned()

    def broken(self) -> str:
        """Why another client is needed although nobody says so: a reason (consumers.REMADE_REASONS), or empty.

        Where the service waits for its database or was halted, or Kafka is silent, another client changes nothing.
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
        """The group has given these; none at all is in order too, where members outnumber partitions."""
        self.assigned = set(places)
        self.joined = True
        self.revoked_at = None
        self.moved_at = monotonic_seconds()

    def applied(self, following: Mapping[TopicPartition, int], lag: int, fetched_ms: int | None = None) -> None:
        """The first offset of each partition that is not applied yet, and how many events are not, as far as known.

        `fetched_ms`: when the client last had an answer to a fetch; without one, a lag of 0 is no news.
        """
        idle = lag == 0 and set(following) >= self.assigned and (fetched_ms is None or fetched_ms != self._fetched_ms)
        if not self.assigned or idle or dict(following) != self._next:
            self.moved_at = monotonic_seconds()
        self._next, self.lag, self._fetched_ms = dict(following), lag, fetched_ms

    def _stuck_seconds(self, now: float) -> float:
        """How long nothing was applied, nor seen that there is nothing to apply. 0 while it works on a batch."""
        if self.busy_since is not None or not self.assigned:
            return 0.0
        return now - max(self.moved_at, self._silent_until)

    def state(self, *, kafka_matters: bool = True) -> tuple[bool, str]:
        """Whether it does its work, and a sentence. Without `kafka_matters`, Kafka's silence is shown but no fault."""
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
        # what went on during a silence says nothing: it is counted from its end
        if self.revoked_at is not None:
            without_seconds = now - max(self.revoked_at, self._silent_until)
            if without_seconds > REVOKED_SECONDS:
                return False, f"its partitions were taken away {without_seconds:.0f} s ago and not given back; {seen}"
            return True, f"its partitions are being given out anew; {seen}"
        if (stuck_seconds := self._stuck_seconds(now)) > STUCK_SECONDS:
            what = "none of its events was applied" if self.lag else "nothing was fetched"
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
