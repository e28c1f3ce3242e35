"""Which periods of a regime may be reported, one rule for who admits reports and for who follows them.

Pure. Intake admits a report only inside the window; scoring opens obligations only for windows. So what intake admits,
scoring opens or defers and never rejects. NĐ 09/2019/NĐ-CP Điều 7 (who submits), Điều 12 (cut-offs).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from typing import Generic, Literal, Protocol, TypeVar

from shared.contract.period import Period, RegimeVersion, cutoff_range, governing_version
from shared.runtime.clock import LOCAL_ZONE

#: Every working-day calendar begins with this year or earlier (loading one holds it to that), so nothing that opens in
#: it or later lies before the calendar's first day.
FIRST_YEAR = 2019
#: A report may come so long after its cut-off; corrections of what is older go to the archives, not through here.
BACK_DAYS = 5 * 366

V = TypeVar("V", bound=RegimeVersion)


class IssuedRequest(Protocol):
    """What of an ad hoc request decides its window; RequestIssued is one."""

    @property
    def regime(self) -> str: ...
    @property
    def issued_at(self) -> datetime: ...
    @property
    def deadline(self) -> datetime: ...
    @property
    def agencies(self) -> tuple[str, ...]: ...
    @property
    def withdrawn_at(self) -> datetime | None: ...


@dataclass(frozen=True, slots=True)
class Window(Generic[V]):
    """First and last day of what the report is about, under the version that governs it.

    `addressed`: the agencies a request names; empty: every submitter of the regime. Of a request both days are the
    local day it was issued on, at `issued_at`.
    """

    governing: V
    first: date
    last: date
    addressed: tuple[str, ...] = ()
    issued_at: datetime | None = None

    def accepted_from(self, *, early_allowed: bool) -> datetime:
        """The first moment at which a report is taken: a request's issue, else the end of the cut-off.

        `early_allowed`: the regime takes reports from the first day of the cut-off on.
        """
        if self.issued_at is not None:
            return self.issued_at
        return day_begins(self.first) if early_allowed else cutoff_ends(self.last)


@dataclass(frozen=True, slots=True)
class NoWindow:
    """The period of this regime can never be reported as things stand."""

    why: Literal[
        "no_such_request", "withdrawn", "other_frequency", "not_in_force", "before_calendar", "deadline_before_issue"
    ]


def window_of(versions: Iterable[V], period: Period, request: IssuedRequest | None = None) -> Window[V] | NoWindow:
    """The window of a period of the regime whose versions these are. `request`: the one an ad hoc period names."""
    all_versions = tuple(versions)
    if period.frequency == "adhoc":
        if request is None:
            return NoWindow("no_such_request")
        if request.withdrawn_at is not None:
            return NoWindow("withdrawn")
        if request.deadline < request.issued_at:
            return NoWindow("deadline_before_issue")
        day = local_day(request.issued_at)
        governing = governing_version(all_versions, period, issued_on=day)
        first, last, addressed, issued_at = day, day, request.agencies, request.issued_at
    else:
        if not any(version.frequency == period.frequency for version in all_versions):
            return NoWindow("other_frequency")
        governing = governing_version(all_versions, period)
        addressed, issued_at = (), None
        if governing is not None:
            first, last = cutoff_range(period, governing.frequency, governing.cutoff)
    if governing is None:
        return NoWindow("not_in_force")
    if first.year < FIRST_YEAR:
        return NoWindow("before_calendar")
    return Window(governing, first, last, addressed, issued_at)


def local_day(moment: datetime) -> date:
    """The day on which it is, in Vietnam."""
    return moment.astimezone(LOCAL_ZONE).date()


def day_begins(day: date) -> datetime:
    """Local midnight at which the day begins."""
    return datetime.combine(day, time.min, LOCAL_ZONE)


def cutoff_ends(last: date) -> datetime:
    """The moment at which a cut-off with this last day is over: before it the figures cannot exist."""
    return day_begins(last + timedelta(days=1))


def outside(accepted_from: datetime, last: date, now: datetime) -> Literal["too_early", "too_old"] | None:
    """Why a report may not come at `now`, business time; None if it may. `last`: the cut-off's last day."""
    if now < accepted_from:
        return "too_early"
    return "too_old" if local_day(now) - last > timedelta(days=BACK_DAYS) else None
