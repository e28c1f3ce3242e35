"""How far ahead the calendar is known: a year that it lacks, or that nobody has announced, is noticed in time."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

from services.scoring import metrics
from shared.contract.working_days import WorkingCalendar

#: days before a year that the calendar lacks, and before one that is still provisional, from which readiness warns;
#: deploy/prometheus/rules/calendar.yaml alerts from the same days on
WARN_OF_GAP_DAYS = 366
WARN_OF_PROVISIONAL_DAYS = 60


@dataclass(frozen=True, slots=True)
class Horizon:
    """The first year the calendar lacks and the first provisional one, each with the days until it begins.

    Days are negative where the year has begun.
    """

    lacking: int
    lacking_days: int
    provisional: int
    provisional_days: int

    def warnings(self) -> list[str]:
        """What to do, and by when; empty while there is time."""
        found = []
        if self.lacking_days <= WARN_OF_GAP_DAYS:
            found.append(f"WARNING the calendar lacks {self.lacking}, which begins in {self.lacking_days} days")
        if self.provisional_days <= WARN_OF_PROVISIONAL_DAYS:
            found.append(
                f"WARNING {self.provisional} is provisional and begins in {self.provisional_days} days:"
                " load the announced calendar"
            )
        return found


def horizon(calendar: WorkingCalendar, today: date) -> Horizon:
    """How far the calendar reaches as seen on `today`, a local day."""
    lacking = calendar.last_year + 1
    years = range(max(today.year, calendar.first_year), lacking)
    provisional = next((year for year in years if calendar.provisional(year)), lacking)
    return Horizon(lacking, _days_until(lacking, today), provisional, _days_until(provisional, today))


def publish(calendar: WorkingCalendar, today: date) -> None:
    """Set the gauges that alerts watch."""
    seen = horizon(calendar, today)
    metrics.CALENDAR_LAST_YEAR.set(calendar.last_year)
    metrics.CALENDAR_LAST_ANNOUNCED_YEAR.set(seen.provisional - 1)
    metrics.CALENDAR_COVERED_DAYS_LEFT.set(seen.lacking_days)
    metrics.CALENDAR_ANNOUNCED_DAYS_LEFT.set(seen.provisional_days)


def _days_until(year: int, today: date) -> int:
    return (date(year, 1, 1) - today).days
