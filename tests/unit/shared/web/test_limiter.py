"""A loud name is slowed by itself, and what is remembered of names has a bound in bytes."""

from __future__ import annotations

import sys

import pytest

from shared.web import limiter
from shared.web.limiter import MAX_NAMES, Limiter


@pytest.fixture
def now(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    moment = [100.0]
    monkeypatch.setattr(limiter, "monotonic_seconds", lambda: moment[0])
    return moment


def test_a_bucket_lets_a_burst_through_then_the_rate(now: list[float]) -> None:
    bucket = Limiter(2, 3)
    assert [bucket.take("a") for _ in range(4)] == [0, 0, 0, 1]
    assert bucket.take("b") == 0
    now[0] += 0.5
    assert [bucket.take("a"), bucket.take("a")] == [0, 1]


def test_waiting_is_told_in_whole_seconds(now: list[float]) -> None:
    bucket = Limiter(0.1, 1)
    bucket.take("a")
    assert bucket.take("a") == 10


def test_memory_stays_bounded_and_the_loud_are_not_forgotten_first(now: list[float]) -> None:
    bucket = Limiter(1, 2, max_names=10)
    for number in range(1000):
        bucket.take(f"name-{number}")
        now[0] += 0.001
    assert len(bucket._buckets) <= 10
    bucket.take("name-999")
    assert bucket.take("name-999") == 1


def test_what_is_remembered_has_a_bound_in_bytes(now: list[float]) -> None:
    bucket = Limiter(1, 2)
    for number in range(2 * MAX_NAMES):
        bucket.take(f"{number}-" + "x" * 100_000 if number % 100 == 0 else f"2001:db8:{number:x}::/64")
    held = sum(sys.getsizeof(name) + sys.getsizeof(kept) for name, kept in bucket._buckets.items())
    assert held + sys.getsizeof(bucket._buckets) < 500 * MAX_NAMES
    assert max(map(len, bucket._buckets)) <= 64
