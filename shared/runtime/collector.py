"""Keeps Python's garbage collector from walking again and again through what no collection can free."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager

#: allocations that stay before young objects are looked through, and how many such rounds before older ones are
GC_THRESHOLDS = (50_000, 10, 20)


def spare_the_collector() -> None:
    """Keep what was imported out of every collection, and collect less often. For a process that serves.

    By default each few batches of events walk through the whole heap, modules and models included: a third of a
    consumer's time. Requests and batches leave few cycles, so what is collected later is little. A batch of 500 events
    makes more than 5,000 objects that live at once: at such a threshold each batch is walked through for nothing.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(*GC_THRESHOLDS)


@contextmanager
def collected_at_the_end() -> Iterator[None]:
    """No collection within the block, one behind it. For bounded work that makes many objects and hardly a cycle.

    Reading thousands of rows makes the collector walk through them while they are made: half of the time it takes to
    derive them again. What nobody refers to is freed all the same; cycles wait for the end.
    """
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()
            gc.collect()
