"""Measures our own layers alone: the HTTP middleware around an empty application, and publishing without a database.

`python tests/programs/bench/hot_paths.py [TREE …]` measures checkouts in turns (default: this one). For each path it
prints the fastest of many short runs in microseconds, and its ratio to that of the first tree.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from time import perf_counter
from typing import Any

ROUNDS, RUNS, CALLS, EVENTS = 8, 40, 300, 20
_HEADERS = [(b"host", b"x"), (b"content-type", b"application/json"), (b"idempotency-key", b"0123456789")]
_TRACEPARENT = (b"traceparent", b"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01")


async def _nothing(scope: Any, receive: Any, send: Any) -> None:
    await send({"type": "http.response.start", "status": 204, "headers": []})
    await send({"type": "http.response.body", "body": b""})


async def _receive() -> dict[str, Any]:
    return {"type": "http.request", "body": b""}


async def _send(message: Any) -> None:
    pass


class _Transaction:
    async def execute(self, *arguments: Any) -> None:
        pass


async def measure() -> dict[str, float]:
    """Microseconds a call by path."""
    from shared.outbox import Outgoing, publish_encoded  # of the tree under measurement
    from shared.web.app import RequestMiddleware

    middleware: Any = RequestMiddleware(_nothing)
    events = [Outgoing("submissions", f"key-{number}", "t", b"{}") for number in range(EVENTS)]
    transaction: Any = _Transaction()

    def request(*more: tuple[bytes, bytes]) -> Callable[[], Awaitable[Any]]:
        def ask() -> Awaitable[Any]:
            scope = {
                "type": "http", "http_version": "1.1", "scheme": "http", "method": "POST", "path": "/v1/submissions",
                "headers": [*_HEADERS, *more], "query_string": b"",
            }  # fmt: skip
            return middleware(scope, _receive, _send)  # type: ignore[no-any-return]

        return ask

    paths: dict[str, Callable[[], Awaitable[Any]]] = {
        "request": request(),
        "request with traceparent": request(_TRACEPARENT),
        f"publish {EVENTS} events": lambda: publish_encoded(transaction, events),
    }
    quickest = dict.fromkeys(paths, float("inf"))
    for _ in range(RUNS):
        for name, path in paths.items():
            begun = perf_counter()
            for _ in range(CALLS):
                await path()
            quickest[name] = min(quickest[name], (perf_counter() - begun) / CALLS * 1e6)
    return quickest


def main(trees: list[Path]) -> None:
    found: dict[Path, dict[str, float]] = {tree: {} for tree in trees}
    for _ in range(ROUNDS):
        for tree in trees:
            told = subprocess.run(
                [sys.executable, Path(__file__).resolve(), "--measure"],
                env={"PYTHONPATH": str(tree)}, cwd=tree, check=True, capture_output=True, text=True,
            )  # fmt: skip
            for name, microseconds in json.loads(told.stdout).items():
                found[tree][name] = min(microseconds, found[tree].get(name, microseconds))
    for name, first in found[trees[0]].items():
        print(f"{name:26}", *(f"{of[name]:7.2f} us {of[name] / first:6.3f}" for of in found.values()))


if __name__ == "__main__":
    if sys.argv[1:] == ["--measure"]:
        print(json.dumps(asyncio.run(measure())))
    else:
        main([Path(argument).resolve() for argument in sys.argv[1:]] or [Path.cwd()])
