"""Pauses double up to their bound, begin anew after a success, and are spread only downwards."""

from __future__ import annotations

import random

from shared.runtime.retry import Backoff
from shared.telemetry import tracing


def test_pauses_double_up_to_the_longest_and_begin_anew_after_a_success() -> None:
    backoff = Backoff(0.5, 3)
    assert [backoff.next_seconds() for _ in range(5)] == [0.5, 1, 2, 3, 3]
    assert backoff.failures == 5
    backoff.reset()
    assert (backoff.failures, backoff.next_seconds()) == (0, 0.5)


def test_no_pause_is_longer_than_the_longest_however_long_the_first() -> None:
    assert Backoff(10, 1).next_seconds() == 1


def test_an_outage_of_years_costs_no_more_than_one_of_minutes() -> None:
    backoff = Backoff(0.1, 5)
    assert {backoff.next_seconds() for _ in range(100_000)} == {0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 5}


def test_spread_pauses_differ_and_keep_their_bounds() -> None:
    pauses = set()
    for _ in range(200):
        backoff = Backoff(1, 4, spread=0.5)
        pauses.add(backoff.next_seconds())
        assert 1 <= backoff.next_seconds() <= 2
    assert 0.5 <= min(pauses) < max(pauses) <= 1
    assert len(pauses) > 100


def test_pauses_and_ids_leave_the_common_chance_alone() -> None:
    """Whoever has seeded it, such as a property test beside a server's thread, relies on its state."""
    random.seed(7)
    before = random.getstate()
    Backoff(1, 10, spread=0.5).next_seconds()
    tracing.detach(tracing.begin_request("GET", "")[1])
    assert random.getstate() == before
