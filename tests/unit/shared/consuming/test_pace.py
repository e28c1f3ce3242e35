"""How long batches gather: briefly while little comes, longer the more comes, and never beyond a stated bound."""

from __future__ import annotations

from shared.consuming.applying import GATHER_FOR_A_SCORE_MILLISECONDS, GATHER_MILLISECONDS
from shared.consuming.subscription import (
    FETCH_BUSY_MILLISECONDS,
    FETCH_WHILE_IDLE,
    IDLE_MILLISECONDS,
    fetch_pace,
)
from shared.outbox.relay import GATHER_SECONDS, LONGEST_SECONDS, pause_after


def test_a_consumer_that_got_nothing_asks_for_the_first_event_at_once() -> None:
    assert fetch_pace(0, GATHER_MILLISECONDS) == FETCH_WHILE_IDLE


def test_the_more_events_come_the_longer_a_fetch_waits_up_to_what_its_consumer_may() -> None:
    waits = [fetch_pace(events, GATHER_FOR_A_SCORE_MILLISECONDS)[1] for events in range(1, 600)]
    assert waits[0] - FETCH_BUSY_MILLISECONDS <= 2
    assert waits == sorted(waits)
    assert waits[-1] == GATHER_FOR_A_SCORE_MILLISECONDS < fetch_pace(599, GATHER_MILLISECONDS)[1]


def test_who_is_behind_asks_for_what_is_there() -> None:
    assert fetch_pace(500, GATHER_MILLISECONDS, behind=True) == FETCH_WHILE_IDLE


def test_a_poll_outwaits_every_busy_fetch_so_that_a_busy_consumer_never_counts_as_idle() -> None:
    assert fetch_pace(10**6, GATHER_MILLISECONDS)[1] < IDLE_MILLISECONDS


def test_a_relay_gathers_longer_while_more_rows_come_and_rests_while_none_do() -> None:
    assert pause_after(1, LONGEST_SECONDS) < pause_after(10, GATHER_SECONDS) < pause_after(1000, GATHER_SECONDS)
    assert pause_after(1000, GATHER_SECONDS) == LONGEST_SECONDS
    assert GATHER_SECONDS < pause_after(0, GATHER_SECONDS) <= LONGEST_SECONDS
