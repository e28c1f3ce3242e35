"""Work is charged without the garbage collector's pauses, and with all else that it does."""

from __future__ import annotations

import gc
import threading
import time
from collections.abc import Iterator

import pytest

from shared.runtime.cpu import work_seconds

#: enough to make a collection cost many times what the clock resolves
_OBJECTS = 300_000


@pytest.fixture(autouse=True)
def no_collection_by_itself() -> Iterator[None]:
    gc.disable()
    yield
    gc.enable()


def charged_and_taken(elsewhere: bool = False) -> tuple[float, float]:
    """Collect a large heap once; what is charged for it, and the CPU it took."""
    heap: list[list[object]] = [[] for _ in range(_OBJECTS)]
    charged, taken = work_seconds(), time.thread_time()
    if elsewhere:
        other = threading.Thread(target=gc.collect)
        other.start()
        other.join()
    else:
        gc.collect()
    charged, taken = work_seconds() - charged, time.thread_time() - taken
    assert len(heap) == _OBJECTS
    return charged, taken


def test_a_collection_is_charged_to_nobody() -> None:
    charged, taken = charged_and_taken()
    assert taken > 0.002
    assert charged < taken / 4


def test_a_collection_that_nobody_follows_is_charged() -> None:
    kept, gc.callbacks[:] = list(gc.callbacks), []
    try:
        charged, taken = charged_and_taken()
    finally:
        gc.callbacks[:] = kept
    assert charged > taken / 2


def test_work_itself_is_charged() -> None:
    charged, taken = work_seconds(), time.thread_time()
    while time.thread_time() - taken < 0.02:
        sum(range(1000))
    assert work_seconds() - charged >= 0.02


def test_a_collection_of_another_thread_gives_no_credit() -> None:
    charged, taken = charged_and_taken(elsewhere=True)
    assert charged >= 0  # a counter of all threads would have taken the other one's collection off
    assert charged == pytest.approx(taken, abs=0.001)
