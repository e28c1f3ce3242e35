"""Work that makes many objects is not walked through while it makes them, and cycles are freed at its end."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Callable

import pytest

from shared.runtime.collector import collected_at_the_end


class Knot:
    def __init__(self) -> None:
        self.itself = self


def collections_during(work: Callable[[], object]) -> int:
    met: list[str] = []

    def follow(phase: str, _info: dict[str, int]) -> None:
        met.append(phase)

    gc.callbacks.append(follow)
    try:
        work()
    finally:
        gc.callbacks.remove(follow)
    return met.count("start")


def many() -> list[list[int]]:
    return [[number] for number in range(200_000)]


def test_nothing_is_collected_within_and_cycles_are_freed_at_the_end() -> None:
    with collected_at_the_end():
        assert not gc.isenabled()
        assert collections_during(many) == 0
        knot = weakref.ref(Knot())
        assert knot() is not None
    assert gc.isenabled()
    assert knot() is None
    assert collections_during(many) > 0, "negative control: without it the collector comes by"


def test_it_is_on_again_after_an_error_and_stays_off_where_it_was_off() -> None:
    with pytest.raises(ZeroDivisionError), collected_at_the_end():
        _ = 1 / 0
    assert gc.isenabled()
    gc.disable()
    try:
        with collected_at_the_end():
            pass
        assert not gc.isenabled()
    finally:
        gc.enable()
