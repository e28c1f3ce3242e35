"""One bad row stops nobody: work that fails for its data is halved down to the rows that fail alone.

Infrastructure trouble passes through untouched: it says nothing about a row.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

from shared.postgres.database import Transaction, is_infrastructure

T = TypeVar("T")
R = TypeVar("R")


async def each_alone(
    tx: Transaction,
    items: Sequence[T],
    work: Callable[[Sequence[T]], Awaitable[R]],
    *,
    passes: Callable[[BaseException], bool] = is_infrastructure,
) -> tuple[list[R], list[tuple[T, Exception]]]:
    """Do `work` on all items at once, or, where that fails, on each half; each part in a savepoint of its own.

    Returns what the parts that succeeded gave, in order, and the items that fail alone with their errors. `work` must
    do everything through `tx`: what it did before it failed is taken back. `passes`: errors that say nothing about a
    row and are raised.
    """
    if not items:
        return [], []
    try:
        async with tx.begin_nested():
            return [await work(items)], []
    except Exception as error:
        if passes(error):
            raise
        if len(items) == 1:
            return [], [(items[0], error)]
    half = len(items) // 2
    first, first_failed = await each_alone(tx, items[:half], work, passes=passes)
    second, second_failed = await each_alone(tx, items[half:], work, passes=passes)
    return [*first, *second], [*first_failed, *second_failed]
