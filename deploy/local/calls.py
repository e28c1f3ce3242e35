"""Calls that leave the caller's thread: short asynchronous ones, and several blocking ones at once."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine, Iterable
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from typing import Any, TypeVar

from deploy.local.errors import Aborted

T = TypeVar("T")


def in_thread(function: Callable[[], T]) -> T:
    """Run a blocking function that starts a loop of its own, whatever runs in this thread."""
    with ThreadPoolExecutor(max_workers=1, thread_name_prefix="local-stack-call") as pool:
        return pool.submit(function).result()


def call(make: Callable[[], Coroutine[Any, Any, T]]) -> T:
    """Run one coroutine to its end on a loop and a thread of its own."""
    return in_thread(lambda: asyncio.run(make()))


def together(things: Iterable[T], do: Callable[[T], object], abort: threading.Event) -> None:
    """All at once. The first error sets `abort`, so that the others give up, and is raised when they have."""
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
