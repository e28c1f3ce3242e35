"""What a ladder is, which one a late report climbs, and when each of its rungs is due. Pure.

A rung is set from the deadline, T: `T+3d` is the third working day after its day, at the ladder's office hour; `T+4h`
is four hours after it. Source of the working days: the calendar that scoring publishes.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import datetime, time, timedelta
from typing import Literal, get_args

from msgspec import Struct

from shared.contract.reporting_window import local_day
from shared.contract.working_days import WorkingCalendar
from shared.runtime.clock import LOCAL_ZONE

#: officer (cán bộ đầu mối), head of the agency (thủ trưởng), head of the next agency above whose head was told last,
#: provincial office (Văn phòng UBND), chair (Chủ tịch UBND); from the lowest up
RungRole = Literal["officer", "head", "head_above", "provincial_office", "chair"]
ROLES: tuple[RungRole, ...] = get_args(RungRole)
#: the channel of letters, on which whoever can be reached by no other is told
EMAIL: Literal["email"] = "email"
#: of short texts, each through the gateway that the operator describes
TextChannel = Literal["sms", "zalo"]
RungChannel = Literal["email", "sms", "zalo"]
#: how a report stands when its deadline has passed: nothing was sent, or what was sent was returned
Severity = Literal["nothing_sent", "returned"]

_OFFSET = re.compile(r"T(?:\+([1-9][0-9]{0,2})([dh]))?")
_SPAN = re.compile(r"(0|[1-9][0-9]{0,2})([dh])")


class Span(Struct, frozen=True):
    """A length of time: working days or hours."""

    count: int
    unit: Literal["d", "h"]

    def after(self, moment: datetime, calendar: WorkingCalendar, hour: time) -> datetime:
        """The moment so much later: hours by the clock; working days to that day's `hour`. Raises CalendarGap."""
        if not self.count:
            return moment
        if self.unit == "h":
            return moment + timedelta(hours=self.count)
        day = calendar.add_working_days(local_day(moment), self.count)
        return datetime.combine(day, hour, LOCAL_ZONE)


def parse_offset(text: str) -> Span:
    """`T`, `T+3d`, `T+4h`. Raises ValueError."""
    found = _OFFSET.fullmatch(text)
    if found is None:
        before = text.startswith("T-")
        raise ValueError(
            "trước hạn là thư nhắc của chế độ báo cáo, remind_working_days / before the deadline the regime reminds: "
            "remind_working_days"
            if before
            else "ghi T, T+3d (ngày làm việc) hoặc T+4h (giờ) / write T, T+3d (working days) or T+4h (hours)"
        )
    count, unit = found.groups()
    return Span(int(count or 0), "h" if unit == "h" else "d")


def parse_span(text: str) -> Span:
    """`2d` working days, `4h` hours. Raises ValueError."""
    found = _SPAN.fullmatch(text)
    if found is None:
        raise ValueError("ghi như 2d (ngày làm việc) hoặc 4h (giờ) / write like 2d (working days) or 4h (hours)")
    return Span(int(found[1]), "h" if found[2] == "h" else "d")


class LadderRung(Struct, frozen=True):
    """One rung: when it is due from the deadline, whom it tells, and within what time somebody must acknowledge."""

    rung: str  # its name within the ladder: t, t+3d
    at: Span
    tell: RungRole
    channels: tuple[RungChannel, ...] = (EMAIL,)
    #: unless somebody acknowledges within it, the next rung is due then, if that is sooner
    acknowledge: Span | None = None
    urgent: bool = False  # told also at night and on days off


class Ladder(Struct, frozen=True):
    """One version of a ladder, as an escalation keeps it."""

    name: str
    version: int
    rungs: tuple[LadderRung, ...]
    regimes: tuple[str, ...] = ()  # empty: every regime
    kinds: tuple[str, ...] = ()  # of agencies; empty: every kind
    severities: tuple[Severity, ...] = ()
    grace: Span = Span(0, "h")
    office_hour: time = time(8, 0)
    promise: Span = Span(5, "d")
    promises: int = 2  # how often one climb may be stopped
    #: so long after the deadline nobody above the head of the agency is told, also where it has no head to tell
    grace_above: Span = Span(0, "h")

    @property
    def label(self) -> str:
        return f"{self.name}/{self.version}"

    @property
    def heads_at_once(self) -> bool:
        """Whether the head of the agency hears of it as soon as it is overdue."""
        return not self.grace.count and any(rung.tell == "head" and not rung.at.count for rung in self.rungs)

    def tells_at_once(self, *, headless: bool) -> bool:
        """Whether somebody above the officer hears of it as soon as it is overdue."""
        return self.heads_at_once and not (headless and self.grace_above.count)

    def due_at(
        self, rung: LadderRung, deadline: datetime, calendar: WorkingCalendar, *, headless: bool = False
    ) -> datetime:
        """When the rung is due: nobody above the officer, or above the agency, before that grace is over.

        headless: the agency has no head who can be told, so that the rung of its head tells somebody above it.
        Raises CalendarGap.
        """
        at = rung.at.after(deadline, calendar, self.office_hour)
        if rung.tell == "officer":
            return at
        at = max(at, self.grace.after(deadline, calendar, self.office_hour))
        if rung.tell == "head" and not headless:
            return at
        return max(at, self.grace_above.after(deadline, calendar, self.office_hour))

    def matches(self, regime: str, kind: str, severity: str) -> bool:
        """Whether it is for such a report."""
        return (
            (not self.regimes or regime in self.regimes)
            and (not self.kinds or kind in self.kinds)
            and (not self.severities or severity in self.severities)
        )

    @property
    def specificity(self) -> tuple[bool, bool, bool]:
        """A ladder for a regime goes before one for a kind of agency, that before one for a severity."""
        return bool(self.regimes), bool(self.kinds), bool(self.severities)


class NoLadder(LookupError):
    """No loaded ladder is for such a report."""


class LadderBook:
    """The newest version of each ladder; answers which one a report climbs."""

    def __init__(self, ladders: Iterable[Ladder]) -> None:
        newest: dict[str, Ladder] = {}
        for ladder in ladders:
            if ladder.name not in newest or newest[ladder.name].version < ladder.version:
                newest[ladder.name] = ladder
        self.ladders = tuple(sorted(newest.values(), key=lambda ladder: ladder.specificity, reverse=True))

    def choose(self, regime: str, kind: str, severity: str) -> Ladder:
        """The most specific ladder for such a report. Raises NoLadder."""
        for ladder in self.ladders:
            if ladder.matches(regime, kind, severity):
                return ladder
        raise NoLadder(f"no ladder is for {regime}, {kind}, {severity}")

    def conflicts(self) -> list[tuple[Ladder, Ladder]]:
        """Pairs of ladders of which neither goes before the other for some report."""
        return [
            (one, other)
            for place, one in enumerate(self.ladders)
            for other in self.ladders[place + 1 :]
            if one.specificity == other.specificity and _overlap(one, other)
        ]

    @property
    def total(self) -> bool:
        """Whether there is a ladder for every report."""
        return any(not any(ladder.specificity) for ladder in self.ladders)


def _overlap(one: Ladder, other: Ladder) -> bool:
    """Whether two ladders of one specificity are for the same report: each names something where the other does."""
    return all(
        not mine or set(mine) & set(theirs)
        for mine, theirs in (
            (one.regimes, other.regimes),
            (one.kinds, other.kinds),
            (one.severities, other.severities),
        )
    )
