"""Which periods are offered to choose from. Pure."""

from __future__ import annotations

from calendar import monthrange
from collections.abc import Sequence
from datetime import date
from typing import get_args

from shared.contract.events.registry import Frequency
from shared.contract.period import PeriodError, format_id, last_month, parse, weeks_in_year

#: this year and those before it
YEARS = 2
_PER_YEAR = {"monthly": 12, "quarterly": 4, "half_yearly": 2, "nine_monthly": 1, "yearly": 1}


def recent(today: date) -> list[str]:
    """Every period that ends in this year or the year before, the latest end first."""
    found = [
        format_id(frequency, year, number)
        for year in range(today.year - YEARS + 1, today.year + 1)
        for frequency in get_args(Frequency)
        if frequency != "adhoc"
        for number in range(1, (weeks_in_year(year) if frequency == "weekly" else _PER_YEAR[frequency]) + 1)
    ]
    return sorted(found, key=lambda period: (ends_on(period), period), reverse=True)


def ends_on(period_id: str) -> date:
    """The last day of the stretch that a periodic id names. Raises PeriodError for a request's id."""
    period = parse(period_id)
    if period.frequency == "adhoc":
        raise PeriodError(f"{period_id!r} names a request")
    if period.frequency == "weekly":
        return date.fromisocalendar(period.year, period.number, 7)
    year, month = last_month(period)
    return date(year, month, monthrange(year, month)[1])


def newest_ended(periods: Sequence[str], today: date) -> str | None:
    """Of periods whose latest end comes first: the first that has ended, else the first."""
    return next((period for period in periods if ends_on(period) < today), periods[0] if periods else None)
