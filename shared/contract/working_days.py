"""Counting working days is exact inside the years a calendar covers and refused outside them: nothing is guessed."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable
from datetime import date
from itertools import accumulate


class CalendarGap(LookupError):
    """The calendar does not cover a year that a deadline needs. Load a version that does, and it goes on by itself."""

    def __init__(self, year: int, version: str) -> None:
        super().__init__(f"calendar {version} does not cover {year}")
        self.year = year
        self.version = version


class WorkingCalendar:
    """One immutable version: Monday to Friday are worked, but for `days_off`; weekends are not, but for `made_up`.

    Years are covered from `first_year` to `last_year`, both inclusive, in the local zone of the agencies. Of them, only
    `settled_years` are announced or over; the others are provisional.
    """

    __slots__ = ("_counts", "_first", "_last", "_settled_years", "_working", "first_year", "last_year", "version")

    def __init__(
        self,
        version: str,
        first_year: int,
        last_year: int,
        *,
        days_off: Iterable[date],
        made_up: Iterable[date],
        settled_years: Iterable[int] = (),
    ) -> None:
        self.version = version
        self._settled_years = frozenset(settled_years)
        self.first_year = first_year
        self.last_year = last_year
        self._first = date(first_year, 1, 1).toordinal()
        self._last = date(last_year, 12, 31).toordinal()
        off = {day.toordinal() for day in days_off}
        on = {day.toordinal() for day in made_up}
        works = [
            (ordinal in on) or (ordinal not in off and (ordinal - 1) % 7 < 5)
            for ordinal in range(self._first, self._last + 1)
        ]
        self._working = [self._first + offset for offset, is_worked in enumerate(works) if is_worked]
        self._counts = list(accumulate(works))  # working days from the first day on, that day included

    def covers(self, day: date) -> bool:
        """Whether the year of `day` is known to this version."""
        return self.first_year <= day.year <= self.last_year

    def provisional(self, when: date | int) -> bool:
        """Whether nobody has announced that year: what is dated in it may still move. Raises CalendarGap."""
        year = when if isinstance(when, int) else when.year
        if not self.first_year <= year <= self.last_year:
            raise CalendarGap(year, self.version)
        return year not in self._settled_years

    def is_working_day(self, day: date) -> bool:
        """Whether offices work on `day` (ngày làm việc)."""
        ordinal = self._ordinal(day)
        place = bisect_left(self._working, ordinal)
        return place < len(self._working) and self._working[place] == ordinal

    def next_working_day(self, day: date) -> date:
        """`day` itself if it is worked, else the first working day after it."""
        return self._at(bisect_left(self._working, self._ordinal(day)))

    def add_working_days(self, day: date, count: int) -> date:
        """The count-th working day after `day` (before it, if negative). Zero gives next_working_day(day)."""
        ordinal = self._ordinal(day)
        place = bisect_left(self._working, ordinal)
        if count > 0:
            here = place < len(self._working) and self._working[place] == ordinal
            return self._at(place + count - (0 if here else 1))
        if count < 0:
            return self._at(place + count)
        return self._at(place)

    def working_days_between(self, after: date, until: date) -> int:
        """How many working days lie after `after`, up to and including `until`; 0 if `until` is not later."""
        first, last = self._ordinal(after), self._ordinal(until)
        return max(0, self._counts[last - self._first] - self._counts[first - self._first])

    def _ordinal(self, day: date) -> int:
        if not self.covers(day):
            raise CalendarGap(day.year, self.version)
        return day.toordinal()

    def _at(self, place: int) -> date:
        """The working day at this place; a place outside asks for the year next to those that are covered."""
        if not 0 <= place < len(self._working):
            raise CalendarGap(self.first_year - 1 if place < 0 else self.last_year + 1, self.version)
        return date.fromordinal(self._working[place])
