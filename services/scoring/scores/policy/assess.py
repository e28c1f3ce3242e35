"""The lines an obligation deserves follow from its facts alone: no order of events, no clock, no earlier score."""

from __future__ import annotations

from datetime import date, datetime
from decimal import ROUND_HALF_UP, Decimal
from functools import lru_cache
from typing import Literal

from msgspec import Struct

from services.scoring.calendar import WorkingCalendar
from services.scoring.scores.policy.data import Completeness, Policy
from shared.runtime.clock import LOCAL_ZONE

Component = Literal["timeliness", "completeness"]


class Facts(Struct, frozen=True):
    """What a score depends on. `first_accepted_at` is the receipt of the first accepted version, not the verdict's."""

    deadline: datetime
    first_accepted_at: datetime | None
    overdue: bool
    required_items: int | None  # of the version in force; None: no verdict yet
    present_items: int | None


class Due(Struct, frozen=True):
    """One line an obligation deserves."""

    component: Component
    clause: str
    points: Decimal
    cause: str
    cause_en: str


def assess(facts: Facts, policy: Policy, calendar: WorkingCalendar) -> tuple[Due, ...]:
    """The lines in force for these facts; their points sum to the score exactly. Raises CalendarGap."""
    timeliness = _timeliness(facts, policy, calendar)
    if facts.required_items is None or facts.present_items is None:
        return timeliness
    required, present = facts.required_items, facts.present_items
    line = Due(
        "completeness",
        policy.clauses.complete,
        completeness_points(policy.completeness, required, present),
        f"Có {present}/{required} mục bắt buộc",
        f"{present} of {required} required items given",
    )
    return (*timeliness, line)


def _timeliness(facts: Facts, policy: Policy, calendar: WorkingCalendar) -> tuple[Due, ...]:
    rule, clauses = policy.timeliness, policy.clauses
    received = facts.first_accepted_at
    if received is None:
        if not facts.overdue:
            return ()
        hour = _local_text(facts.deadline)
        return (
            Due(
                "timeliness",
                clauses.overdue,
                rule.overdue,
                f"Quá hạn {hour}, chưa có báo cáo đạt",
                f"Nothing acceptable by the deadline, {hour}",
            ),
        )
    hour = _local_text(received)
    base = Due("timeliness", clauses.on_time, rule.full, f"Nhận báo cáo lúc {hour}", f"Report received {hour}")
    if received <= facts.deadline:
        return (base,)
    days = working_days_late(facts.deadline, received, calendar)
    off = -min(rule.off_per_working_day * days, rule.full - rule.floor)
    late = Due(
        "timeliness",
        clauses.late,
        off,
        f"Nộp muộn {days} ngày làm việc so với hạn {_local_text(facts.deadline)}",
        f"{days} working day(s) after the deadline, {_local_text(facts.deadline)}",
    )
    return (base, late)


def working_days_late(deadline: datetime, received: datetime, calendar: WorkingCalendar) -> int:
    """Working days begun after the deadline, at least 1: late on the same day, or over a weekend, counts as one."""
    after, until = deadline.astimezone(LOCAL_ZONE).date(), received.astimezone(LOCAL_ZONE).date()
    return max(1, calendar.working_days_between(after, until))


def completeness_points(rule: Completeness, required: int, present: int) -> Decimal:
    """full × present / required, rounded half up once, at the end; all of it where nothing is required (a NIL report).

    More present than required counts as all: a form cannot be more than complete.
    """
    if required <= 0 or present >= required:
        return rule.full
    return (rule.full * max(0, present) / required).quantize(_step(rule.fraction_digits), ROUND_HALF_UP)


@lru_cache(maxsize=16)
def _step(fraction_digits: int) -> Decimal:
    return Decimal(1).scaleb(-fraction_digits)


@lru_cache(maxsize=4096)
def _local_text(moment: datetime) -> str:
    local = moment.astimezone(LOCAL_ZONE)
    return f"{local:%H:%M} {_day_text(local.date())}"


def _day_text(day: date) -> str:
    return f"{day.day:02d}/{day.month:02d}/{day.year}"
