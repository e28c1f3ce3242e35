"""Named points between two effects at which a test can end, delay or fail the process; absent unless enabled.

`FAILPOINTS="relay.between_ack_and_delete=exit*1"` names what happens at which point and how often. Without the
variable `hit` is an empty function: nothing is looked up on a hot path.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable

_armed: dict[str, tuple[str, int]] = {}


def _parse(specification: str) -> dict[str, tuple[str, int]]:
    armed = {}
    for part in filter(None, specification.split(",")):
        name, _, rest = part.partition("=")
        act, _, times = rest.partition("*")
        armed[name.strip()] = (act.strip() or "exit", int(times or 1))
    return armed


def _hit(name: str) -> None:
    act, times = _armed.get(name, ("", 0))
    if times <= 0:
        return
    _armed[name] = (act, times - 1)
    if act == "exit":
        os._exit(137)
    if act.startswith("sleep:"):
        time.sleep(float(act.removeprefix("sleep:")))
    if act == "raise":
        raise ConnectionError(f"failpoint {name}")


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
