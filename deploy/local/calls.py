"""Runs short asynchronous calls in a thread of their own, and several blocking calls at once."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine, Iterable
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from typing import Any, TypeVar

from deploy.local.errors import Aborted

T = TypeVar("T")


def in_thread(function: Callable[[], T]) -> T:
    """Run a blocking function that starts an event loop, even if this thread runs one already."""
    with ThreadPoolExecutor(max_workers=1, thread_name_prefix="local-stack-call") as pool:
        return pool.submit(function).result()


def call(make: Callable[[], Coroutine[Any, Any, T]]) -> T:
    """Run one coroutine to its end on its own loop and thread."""
    return in_thread(lambda: asyncio.run(make()))


def together(things: Iterable[T], do: Callable[[T], object], abort: threading.Event) -> None:
    """Run all at once. The first error sets `abort` to make the others give up, and is raised once they have."""
    listed = list(things)
    if not listed:
        return
    with ThreadPoolExecutor(max_workers=len(listed), thread_name_prefix="local-stack") as pool:
        futures = [pool.submit(do, thing) for thing in listed]
        try:
            wait(futures, return_when=FIRST_EXCEPTION)
        except BaseException:  # Ctrl-C
            abort.set()
            raise
        if any(future.done() and future.exception() for future in futures):
            abort.set()
    errors = [error for future in futures if (error := future.exception()) is not None]
    if errors:
        raise next((error for error in errors if not isinstance(error, Aborted)), errors[0])
