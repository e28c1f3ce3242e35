"""Rules about other reports are asked within a transaction, on the event loop: between two of them they may be ended.

The kernel's timer ends a single rule in the process beside (judge_process.py). Here the steps of each are bounded when
its form is published (rules/pack_compiler.py, MAX_EFFORT_BACK), so one rule is short; what all of a report take is not.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple

from services.validator.domain import Overran, Overrun
from shared.contract.events import Tier
from shared.runtime.cpu import work_seconds

#: CPU seconds of a report's rules about others. They take 20 ms by design.
LOOKING_REPORT_SECONDS = 0.25


class Limits(NamedTuple):
    """CPU seconds that a report's rules about others may take, and of these a tier's; one not named may take all."""

    seconds: float = LOOKING_REPORT_SECONDS
    tiers: Mapping[Tier, float] = MappingProxyType({})


#: for an operator's order, which keeps nobody waiting
UNLIMITED = Limits(math.inf)


class Stopwatch:
    """Of one report."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._began = self._since = work_seconds()
        self._taken: dict[Tier, float] = defaultdict(float)
        self._place: tuple[Tier, str] | None = None

    def enter(self, tier: Tier, rule: str) -> None:
        """Called before each rule. Raises Overran where those before it took too much."""
        now = work_seconds()
        place = self._place or (tier, rule)
        self._taken[place[0]] += now - self._since
        of_tier = self._limits.tiers.get(place[0], math.inf)
        if now - self._began > self._limits.seconds:
            raise Overran(Overrun("report", *place, self._limits.seconds))
        if self._taken[place[0]] > of_tier:
            raise Overran(Overrun("tier", *place, of_tier))
        self._since, self._place = now, (tier, rule)
