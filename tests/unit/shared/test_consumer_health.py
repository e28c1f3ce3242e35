"""Readiness tells a consumer that works from one that only runs; each branch alone turns it red, and only that one."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from aiokafka import TopicPartition

from shared import consumer_health
from shared.consumer_health import Health, Listener

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
    live(health, time, 45, answers=False)
    assert health.state()[0]
    live(health, time, 1, answers=False)
    assert health.state() == (False, "Kafka is silent; 1 partitions, 0 events to apply, Kafka answered 46 s ago")
    assert health.state(kafka_matters=False)[0], "intake goes on accepting without"
    live(health, time, 1)
    assert health.state()[0]


def test_partitions_that_are_not_given_back_are_not_ready(health: Health, time: Time) -> None:
    health.revoked()
    live(health, time, 60)
    assert health.state() == (
        True,
        "its partitions are being given out anew; 0 partitions, 0 events to apply, Kafka answered 0 s ago",
    )
    health.revoked()  # another round of the same: counted from the first
    live(health, time, 1)
    ready, told = health.state()
    assert not ready
    assert told.startswith("its partitions were taken away 61 s ago and not given back")
    health.given([OTHER])
    assert health.state()[0]


def _none_applied(health: Health, time: Time, seconds: int, *, moving: Callable[[int], int] = lambda n: 10) -> None:
    for second in range(seconds):
        live(health, time, 1)
        health.applied({PLACE: moving(second)}, 5)


def test_events_that_lie_there_while_nothing_moves_are_a_stall(health: Health, time: Time) -> None:
    _none_applied(health, time, 60)
    assert health.state()[0]
    _none_applied(health, time, 1)
    ready, told = health.state()
    assert not ready
    assert told.startswith("none of its events was applied for 61 s; 1 partitions, 5 events to apply")
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
