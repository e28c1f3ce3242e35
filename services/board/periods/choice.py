"""Which periods are offered to choose from. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from typing import get_args

from shared.contract.events.registry import Frequency
from shared.contract.period import format_id, last_day, parse, periods_in_year

#: this year and those before it
YEARS = 2


def recent(today: date) -> list[str]:
    """Every period that ends in this year or the year before, the latest end first."""
    found = [
        format_id(frequency, year, number)
        for year in range(today.year - YEARS + 1, today.year + 1)
        for frequency in get_args(Frequency)
        if frequency != "adhoc"
        for number in range(1, periods_in_year(frequency, year) + 1)
    ]
    return sorted(found, key=lambda period: (ends_on(period), period), reverse=True)


def ends_on(period_id: str) -> date:
    """The last day of the stretch that a periodic id names. Raises PeriodError for a request's id."""
    return last_day(parse(period_id))


def newest_ended(periods: Sequence[str], today: date) -> str | None:
    """Of periods whose latest end comes first: the first that has ended, else the first."""
    return next((period for period in periods if ends_on(period) < today), periods[0] if periods else None)
