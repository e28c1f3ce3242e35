"""Readiness tells a consumer that works from one that only runs; each branch alone turns it red, and only that one."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from aiokafka import TopicPartition

from shared.consuming import health as consumer_health
from shared.consuming.consumers import REMADE_REASONS
from shared.consuming.health import Health, Listener

PLACE, OTHER = TopicPartition("submissions", 0), TopicPartition("submissions", 1)


class Time:
    """The monotonic clock, moved by hand."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def time(monkeypatch: pytest.MonkeyPatch) -> Time:
    moment = Time()
    monkeypatch.setattr(consumer_health, "monotonic_seconds", moment)
    return moment


@pytest.fixture
def health(time: Time) -> Health:
    """Joined, with one partition and nothing to do."""
    made = Health()
    made.given([PLACE])
    made.applied({PLACE: 10}, 0)
    return made


def live(health: Health, time: Time, seconds: float, *, answers: bool = True, polls: bool = True) -> None:
    """Let time pass second by second, as the poll loop does: it polls, and Kafka answers."""
    for _ in range(int(seconds)):
        time.now += 1
        if polls:
            health.turned()
        health.answered(time.now if answers else 0.0)
        if answers and not health.lag:
            health.applied(dict.fromkeys(health.assigned, 10), 0)


def test_a_consumer_that_has_not_joined_is_not_ready(time: Time) -> None:
    assert Health().state() == (False, "has not joined its group yet")


def test_a_member_that_polls_and_is_answered_stays_ready_and_says_what_it_has(health: Health, time: Time) -> None:
    live(health, time, 1000)
    assert health.state() == (True, "1 partitions, 0 events to apply, Kafka answered 0 s ago")


def test_a_member_without_partitions_is_ready_where_members_outnumber_partitions(health: Health, time: Time) -> None:
    health.revoked()
    health.given([])
    live(health, time, 1000)
    assert health.state() == (True, "0 partitions, 0 events to apply, Kafka answered 0 s ago")


def test_a_halted_consumer_is_not_ready(health: Health) -> None:
    health.halted = True
    assert health.state() == (False, "halted: too many records are bad")


def test_a_long_batch_is_not_ready_and_names_the_trouble(health: Health, time: Time) -> None:
    health.busy_since, health.trouble = time.now, "ConnectionRefusedError()"
    live(health, time, 30, polls=False)
    assert health.state()[0]
    live(health, time, 1, polls=False)
    ready, told = health.state()
    assert not ready
    assert told.startswith("one batch has taken 31 s; ConnectionRefusedError()")
    health.busy_since = None
    health.turned()
    assert health.state()[0]


def test_a_loop_that_does_not_turn_is_not_ready(health: Health, time: Time) -> None:
    live(health, time, 31, polls=False)
    ready, told = health.state()
    assert not ready
    assert told.startswith("has not polled for 31 s")


def test_empty_polls_without_an_answer_of_kafka_are_no_sign_of_life(health: Health, time: Time) -> None:
    live(health, time, 10, answers=False)
    assert health.state()[0]
    assert not health.silent
    live(health, time, 1, answers=False)
    told = "Kafka is silent; 1 partitions, an unknown number of events to apply, Kafka answered 11 s ago"
    assert health.state() == (False, told)
    assert health.state(kafka_matters=False) == (True, told), "intake goes on accepting without"
    live(health, time, 1)
    assert health.state()[0]


def test_a_stalled_event_loop_is_not_kafkas_silence(health: Health, time: Time) -> None:
    for _ in range(3):
        time.now += 30  # nothing ran; then the loop turns once, and only then hears what has come meanwhile
        health.turned()
        health.answered(0.0)
        assert not health.silent
        health.answered(time.now)
    live(health, time, 6, answers=False)
    time.now += 30
    health.answered(time.now - 29.5)  # it answered at once; nobody was there to hear
    assert health.silent_seconds <= consumer_health.LONGEST_LOOK_SECONDS


def test_a_fetch_that_is_not_answered_any_more_is_no_sign_that_nothing_comes(health: Health, time: Time) -> None:
    def fetched(seconds: int, *, answered: bool) -> None:
        for _ in range(seconds):
            time.now += 1
            health.turned()
            health.answered(time.now)
            health.applied({PLACE: 10}, 0, int(time.now) if answered else 7)

    fetched(200, answered=True)
    assert health.state()[0]
    fetched(61, answered=False)
    assert health.state()[0]
    fetched(1, answered=False)
    assert health.state()[1].startswith("has fetched nothing for 61 s")
    assert health.broken() == "stuck"
    fetched(1, answered=True)
    assert (health.state()[0], health.broken()) == (True, "")


def test_partitions_that_are_not_given_back_are_not_ready(health: Health, time: Time) -> None:
    health.revoked()
    live(health, time, 60)
    assert health.state() == (
        True,
        "its partitions are being reassigned; 0 partitions, 0 events to apply, Kafka answered 0 s ago",
    )
    health.revoked()  # another round of the same: counted from the first
    live(health, time, 1)
    ready, told = health.state()
    assert not ready
    assert told.startswith("its partitions were revoked 61 s ago and not assigned again")
    health.given([OTHER])
    assert health.state()[0]


def _none_applied(health: Health, time: Time, seconds: int, *, moving: Callable[[int], int] = lambda n: 10) -> None:
    health.lag = health.lag or 5
    for second in range(seconds):
        live(health, time, 1)
        health.applied({PLACE: moving(second)}, 5)


def test_events_that_lie_there_while_nothing_moves_are_a_stall(health: Health, time: Time) -> None:
    _none_applied(health, time, 60)
    assert health.state()[0]
    _none_applied(health, time, 1)
    ready, told = health.state()
    assert not ready
    assert told.startswith("has applied none of its events for 61 s; 1 partitions, 5 events to apply")
    health.applied({PLACE: 11}, 4)
    assert health.state()[0]


def test_a_lag_that_is_worked_on_is_no_stall(health: Health, time: Time) -> None:
    _none_applied(health, time, 500, moving=lambda second: 10 + second)
    assert health.state()[0]


def test_a_batch_in_hand_is_no_stall(health: Health, time: Time) -> None:
    _none_applied(health, time, 61)
    health.busy_since = time.now
    assert health.state()[0]


def test_what_stood_still_while_kafka_was_silent_is_counted_from_its_return(health: Health, time: Time) -> None:
    health.applied({PLACE: 10}, 5)
    health.revoked()
    live(health, time, 300, answers=False)
    for _ in range(60):
        live(health, time, 1)
        assert health.state()[0], "the group needs its time to form again"
    live(health, time, 2)
    assert not health.state(kafka_matters=False)[0]


async def test_the_group_tells_of_what_it_takes_and_gives(time: Time) -> None:
    health = Health()
    listener = Listener("scoring.health_test", health)
    await listener.on_partitions_revoked([])
    assert health.revoked_at is None, "before the first joining nothing was taken"
    await listener.on_partitions_assigned([PLACE, OTHER])
    assert (health.assigned, health.joined) == ({PLACE, OTHER}, True)
    await listener.on_partitions_revoked([PLACE, OTHER])
    assert health.assigned == set()
    assert health.revoked_at == time.now


# --- when another client is needed --------------------------------------------------------------------------------


def _fail_polls(health: Health, time: Time) -> None:
    health.failed_polls = 2


def _commit_late(health: Health, time: Time) -> None:
    health.late_commits = 2


def _stop_polling(health: Health, time: Time) -> None:
    live(health, time, 31, polls=False)


def _lose_partitions(health: Health, time: Time) -> None:
    health.revoked()
    live(health, time, 61)


def _stand_still(health: Health, time: Time) -> None:
    _none_applied(health, time, 62)


TROUBLES = [
    (_fail_polls, "polls_failed"),
    (_commit_late, "commits_late"),
    (_stop_polling, "not_polling"),
    (_lose_partitions, "no_partitions"),
    (_stand_still, "stuck"),
]


@pytest.mark.parametrize(("trouble", "reason"), TROUBLES, ids=[reason for _, reason in TROUBLES])
def test_a_client_that_makes_no_progress_is_broken_and_its_successor_is_not(
    health: Health, time: Time, trouble: Callable[[Health, Time], None], reason: str
) -> None:
    assert health.broken() == ""
    trouble(health, time)
    assert health.broken() == reason
    assert reason in REMADE_REASONS
    health.forget_client()
    health.given([PLACE])
    assert health.broken() == ""


@pytest.mark.parametrize(
    "trouble", [_commit_late, _stop_polling, _lose_partitions, _stand_still], ids=lambda function: function.__name__
)
def test_where_something_else_is_waited_for_another_client_would_change_nothing(
    health: Health, time: Time, trouble: Callable[[Health, Time], None]
) -> None:
    trouble(health, time)
    health.busy_since = time.now
    assert health.broken() == "", "the database"
    health.busy_since, health.halted = None, True
    assert health.broken() == "", "an operator"
    health.halted = False
    assert health.broken() != ""
    live(health, time, 11, answers=False)
    assert health.broken() == "", "Kafka"
    live(health, time, 1)
    assert health.broken() == "", "and it is counted from Kafka's return"
