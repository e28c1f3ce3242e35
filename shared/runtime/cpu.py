"""What a piece of work takes of the processor, without the garbage collector's pauses.

A collection walks through the whole heap, for a second in a large process, and comes upon whoever happens to allocate
next. Whoever is charged for it, or put aside as slow, would pay for the garbage of all.
"""

from __future__ import annotations

import gc
import threading
from time import thread_time
from typing import Literal


class _Collected(threading.local):
    """Of each thread: CPU seconds of the collections that it has run, and when the present one began."""

    seconds = 0.0
    begun = 0.0


_collected = _Collected()


def _follow(phase: Literal["start", "stop"], _info: dict[str, int]) -> None:
    if phase == "start":
        _collected.begun = thread_time()
    else:
        _collected.seconds += thread_time() - _collected.begun


gc.callbacks.append(_follow)


def work_seconds() -> float:
    """CPU seconds of this thread so far, collections left out; only differences mean anything."""
    return thread_time() - _collected.seconds
