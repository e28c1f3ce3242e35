"""How agencies behave: what an agency does about a duty depends only on the seed and the duty, never on timing."""

from __future__ import annotations

import random
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from typing import Literal, get_args

from shared.runtime.clock import LOCAL_ZONE

#: đúng hạn, hay trễ, cẩu thả, im lặng
Temperament = Literal["punctual", "late", "sloppy", "silent"]
SHARES: dict[Temperament, float] = {"punctual": 0.70, "late": 0.12, "sloppy": 0.13, "silent": 0.05}
#: a punctual agency sends within this share of its time, to leave room for a correction
PROMPT_SHARE = 0.6
#: share of ad hoc reports with nothing to report (NIL)
NIL_SHARE = 0.55


@dataclass(frozen=True, slots=True)
class Duty:
    """One obligation as the agency reads it from the public interface."""

    obligation: str
    regime: str
    period: str
    deadline: datetime
    figures_closed_on: date | None  # last day of the cut-off; None: ad hoc
    issued_at: datetime | None = None  # of the request; None: periodic


@dataclass(frozen=True, slots=True)
class Plan:
    """An agency's plan: when it sends (None: never), with how many mistakes, and whether it corrects them."""

    send_at: datetime | None
    mistakes: int = 0
    corrects: bool = True
    nil: bool = False


def temperaments(codes: Iterable[str], seed: int) -> dict[str, Temperament]:
    """A temperament for each agency, in the shares above; every temperament occurs among twenty agencies or more."""
    ordered = sorted(codes)
    random.Random(seed).shuffle(ordered)
    given: dict[str, Temperament] = {}
    start = 0
    for place, temperament in enumerate(get_args(Temperament)):
        left = len(ordered) - start
        last = place == len(SHARES) - 1
        count = left if last else min(left, max(1, round(len(ordered) * SHARES[temperament])))
        given |= dict.fromkeys(ordered[start : start + count], temperament)
        start += count
    return given


def plan(temperament: Temperament, duty: Duty, *, seen_at: datetime, nil_allowed: bool, seed: int) -> Plan:
    """The plan of one agency for one duty. Nothing is sent before the figures are closed or the duty is known."""
    rng = random.Random(f"{seed}/{duty.obligation}")
    nil = nil_allowed and rng.random() < NIL_SHARE
    in_time = _in_time(duty, seen_at, rng)
    behind = max(seen_at, duty.deadline) + timedelta(hours=rng.uniform(6, 90))
    match temperament:
        case "punctual":
            return Plan(in_time, nil=nil)
        case "late":
            return Plan(behind if rng.random() < 0.55 else in_time, nil=nil)
        case "sloppy":
            mistakes = 0 if nil else rng.choice((0, 1, 1, 2, 3))
            return Plan(in_time, mistakes, corrects=rng.random() < 0.85, nil=nil)
        case "silent":
            return Plan(behind if rng.random() < 0.15 else None, nil=nil)


#: whether a duty will be met in time: certainly, only if corrected soon enough, or not
Prospect = Literal["in_time", "open", "not_in_time"]


def prospect(chosen: Plan, duty: Duty, *, margin: timedelta) -> Prospect:
    """The prospect of a plan. Within `margin` of the deadline it stays open."""
    if chosen.send_at is None or chosen.send_at > duty.deadline or (chosen.mistakes and not chosen.corrects):
        return "not_in_time"
    if chosen.mistakes or chosen.send_at + margin >= duty.deadline:
        return "open"
    return "in_time"


def _in_time(duty: Duty, seen_at: datetime, rng: random.Random) -> datetime:
    """A moment in the first part of the time between cut-off and deadline, or the earliest possible one."""
    first = max(seen_at, duty.issued_at or seen_at)
    if duty.figures_closed_on is not None:
        closed = datetime.combine(duty.figures_closed_on + timedelta(days=1), time(0, 30), LOCAL_ZONE)
        first = max(seen_at, closed)
    left = max(duty.deadline - first, timedelta(0))
    return first + left * rng.uniform(0, PROMPT_SHARE)
