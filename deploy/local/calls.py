"""Short asynchronous calls from synchronous code, also where an event loop already runs in this thread."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

T = TypeVar("T")


def call(make: Callable[[], Coroutine[Any, Any, T]]) -> T:
    """Run one coroutine to its end on a loop and a thread of its own."""
    with ThreadPoolExecutor(max_workers=1, thread_name_prefix="local-stack-call") as pool:
        return pool.submit(lambda: asyncio.run(make())).result()
