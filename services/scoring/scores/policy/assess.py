"""The lines an obligation deserves follow from what it is scored by alone: no order of events, no earlier score."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal
from functools import lru_cache
from typing import Literal

from msgspec import Struct

from services.scoring.calendar import WorkingCalendar
from services.scoring.scores.policy.data import Completeness, Policy
from shared.contract.reporting_window import local_day
from shared.runtime.clock import LOCAL_ZONE

Component = Literal["timeliness", "completeness"]
#: from, to, both inclusive
Span = tuple[datetime, datetime]
_ONE_DAY = timedelta(days=1)


class Scored(Struct, frozen=True):
    """What a score depends on.

    received_at: receipt of the accepted report that answers the obligation, not its verdict's hour.
    required_items, present_items: of the version whose completeness counts; None: none is accepted.
    excused: spans of reliefs; a working day that one of them touches counts in no lateness.
    grace_until: end of the regime's grace; None: it gives none.
    """

    deadline: datetime
    overdue: bool
    received_at: datetime | None = None
    required_items: int | None = None
    present_items: int | None = None
    excused: tuple[Span, ...] = ()
    grace_until: datetime | None = None


class Due(Struct, frozen=True):
    """One line an obligation deserves."""

    component: Component
    clause: str
    points: Decimal
    cause: str
    cause_en: str


def assess(scored: Scored, policy: Policy, calendar: WorkingCalendar) -> tuple[Due, ...]:
    """The lines in force; their points sum to the score exactly. Raises CalendarGap."""
    timeliness = _timeliness(scored, policy, calendar)
    if scored.required_items is None or scored.present_items is None:
        return timeliness
    required, present = scored.required_items, scored.present_items
    line = Due(
        "completeness",
        policy.clauses.complete,
        completeness_points(policy.completeness, required, present),
        f"Có {present}/{required} mục bắt buộc",
        f"{present} of {required} required items given",
    )
    return (*timeliness, line)


def _timeliness(scored: Scored, policy: Policy, calendar: WorkingCalendar) -> tuple[Due, ...]:
    rule, clauses = policy.timeliness, policy.clauses
    received, deadline = scored.received_at, scored.deadline
    if received is None:
        if not scored.overdue:
            return ()
        hour = local_text(deadline)
        return (
            Due(
                "timeliness",
                clauses.overdue,
                rule.overdue,
                f"Quá hạn {hour}, chưa có báo cáo đạt",
                f"Nothing acceptable by the deadline, {hour}",
            ),
        )
    hour = local_text(received)
    base = Due("timeliness", clauses.on_time, rule.full, f"Nhận báo cáo lúc {hour}", f"Report received {hour}")
    if received <= deadline:
        return (base,)
    days = working_days_late(deadline, received, calendar, scored.excused)
    off = -min(rule.off_per_working_day * days, rule.full - rule.floor)
    vi, en = _duration(received - deadline)
    if (
        rule.off_within_grace is not None
        and clauses.grace is not None
        and scored.grace_until is not None
        and received <= scored.grace_until
    ):
        until = local_text(scored.grace_until)
        within = Due(
            "timeliness",
            clauses.grace,
            max(off, -rule.off_within_grace),
            f"Muộn {vi} so với hạn {local_text(deadline)}, trong thời gian ân hạn đến {until}, "
            f"tính theo khoản {clauses.grace}",
            f"{en} after the deadline, {local_text(deadline)}, within the grace until {until}: "
            f"counts by clause {clauses.grace}",
        )
        return (base, within)
    late = Due(
        "timeliness",
        clauses.late,
        off,
        f"Muộn {vi} so với hạn {local_text(deadline)}, tính {days} ngày làm việc theo khoản {clauses.late}",
        f"{en} after the deadline, {local_text(deadline)}: counts as {days} working day(s) by clause {clauses.late}",
    )
    return (base, late)


def working_days_late(
    deadline: datetime, received: datetime, calendar: WorkingCalendar, excused: Sequence[Span] = ()
) -> int:
    """Working days begun after the deadline, at least 1: late on the same day, or over a weekend, counts as one."""
    after, until = local_day(deadline), local_day(received)
    days = calendar.working_days_between(after, until)
    if excused:
        forgiven: set[date] = set()
        for starts_at, ends_at in excused:
            day, last = max(local_day(starts_at), after + _ONE_DAY), min(local_day(ends_at), until)
            while day <= last:
                if calendar.is_working_day(day):
                    forgiven.add(day)
                day += _ONE_DAY
        days -= len(forgiven)
    return max(1, days)


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
def local_text(moment: datetime) -> str:
    """`17:00:09 19/10/2026`, Vietnam's time."""
    local = moment.astimezone(LOCAL_ZONE)
    return f"{local:%H:%M:%S} {local.day:02d}/{local.month:02d}/{local.year}"


def _duration(late: timedelta) -> tuple[str, str]:
    """(vi, en): the two largest units; less than a second counts as one, so that a late report never shows no delay."""
    seconds = max(1, late.days * 86_400 + late.seconds)
    parts = []
    for size, vi, en in ((86_400, "ngày", "d"), (3_600, "giờ", "h"), (60, "phút", "min"), (1, "giây", "s")):
        count, seconds = divmod(seconds, size)
        if count:
            parts.append((f"{count} {vi}", f"{count} {en}"))
    return " ".join(vi for vi, _ in parts[:2]), " ".join(en for _, en in parts[:2])
