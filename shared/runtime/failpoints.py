"""Named points between two effects at which a test can end, delay or fail the process; absent unless enabled.

`FAILPOINTS="relay.between_ack_and_delete=exit@3"` names what happens at which point: `exit`, `sleep:SECONDS`, `raise`
or `closed` (what uvloop raises for a write on a closed transport), `*N` for N times, `@N` from the Nth passage on,
`/N` at every Nth passage. In this order: `closed*20@5/50`. Without the variable `hit` is an empty function: nothing is
looked up on a hot path.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(slots=True)
class _Point:
    act: str
    times: int
    passages: int  # still let pass before it acts
    every: int = 1


_armed: dict[str, _Point] = {}


def _parse(specification: str) -> dict[str, _Point]:
    armed = {}
    for part in filter(None, specification.split(",")):
        name, _, rest = part.partition("=")
        rest, _, every = rest.partition("/")
        rest, _, first = rest.partition("@")
        act, _, times = rest.partition("*")
        armed[name.strip()] = _Point(act.strip() or "exit", int(times or 1), int(first or 1) - 1, int(every or 1))
    return armed


def _hit(name: str) -> None:
    point = _armed.get(name)
    if point is None or point.times <= 0:
        return
    if point.passages > 0:
        point.passages -= 1
        return
    point.times -= 1
    point.passages = point.every - 1
    if point.act == "exit":
        os._exit(137)
    if point.act.startswith("sleep:"):
        time.sleep(float(point.act.removeprefix("sleep:")))
    if point.act == "raise":
        raise ConnectionError(f"failpoint {name}")
    if point.act == "closed":
        raise RuntimeError(f"unable to perform operation on <failpoint {name} closed=True>; the handler is closed")


def _absent(name: str) -> None:
    return


def arm(specification: str) -> None:
    """Enable failpoints in this process; for tests that run the code in their own process."""
    global hit
    _armed.clear()
    _armed.update(_parse(specification))
    hit = _hit if _armed else _absent


hit: Callable[[str], None] = _absent
if os.environ.get("FAILPOINTS"):
    arm(os.environ["FAILPOINTS"])
