"""A period id (kỳ báo cáo) names one stretch of days, and each frequency's stretches are ordered and never overlap.

`2026-W07`, `2026-M10`, `2026-Q3`, `2026-H1`, `2026-9M`, `2026`, or the own id of an ad hoc request, which begins with
a letter (`DX-2026-003`) so that a mistyped periodic id (`2026-M13`) is never taken for one.
Cut-off ranges: NĐ 09/2019/NĐ-CP Điều 12. Weeks: ISO 8601 (the week's year is not always the day's year).
"""

from __future__ import annotations

import re
from calendar import monthrange
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Protocol, TypeVar

from shared.contract.events.registry import Cutoff, Frequency

FIRST_YEAR, LAST_YEAR = 1900, 2999
MAX_CHARACTERS = 40

_PERIODIC = re.compile(
    r"(?P<year>\d{4})"
    r"(?:-(?:W(?P<week>\d{2})|M(?P<month>\d{2})|Q(?P<quarter>\d)|H(?P<half>\d)|(?P<nine>9M)))?"
)
_ADHOC = re.compile(r"[A-Z][A-Z0-9]*(?:[.-][A-Z0-9]+)*")
_ONE_DAY = timedelta(days=1)

#: months that one period lasts, for the frequencies that count in months
_MONTHS: dict[Frequency, int] = {"monthly": 1, "quarterly": 3, "half_yearly": 6, "nine_monthly": 9, "yearly": 12}
#: how many periods a year has, for the same frequencies
_PER_YEAR: dict[Frequency, int] = {"monthly": 12, "quarterly": 4, "half_yearly": 2, "nine_monthly": 1, "yearly": 1}


class PeriodError(ValueError):
    """The text is no period id. The message says what was expected, in English; edges add the Vietnamese."""


@dataclass(frozen=True, slots=True)
class Period:
    """One period. `number` counts from 1 within `year`; an ad hoc period has only its id (year and number 0)."""

    id: str
    frequency: Frequency
    year: int = 0
    number: int = 0

    def __str__(self) -> str:
        return self.id


def parse(text: str) -> Period:
    """The period of an id. Raises PeriodError for anything else; parse(format_id(…)) gives the same back."""
    if not text or len(text) > MAX_CHARACTERS:
        raise PeriodError(f"a period id has 1 to {MAX_CHARACTERS} characters")
    found = _PERIODIC.fullmatch(text) if text.isascii() else None
    if found is None:
        if _ADHOC.fullmatch(text):
            return Period(text, "adhoc")
        raise PeriodError(
            f"{text!r} is no period: expected 2026-W07, 2026-M10, 2026-Q3, 2026-H1, 2026-9M, 2026 or a request's id"
        )
    year = int(found["year"])
    if not FIRST_YEAR <= year <= LAST_YEAR:
        raise PeriodError(f"the year of {text!r} is outside {FIRST_YEAR}-{LAST_YEAR}")
    if found["week"]:
        return _numbered(text, "weekly", year, int(found["week"]), weeks_in_year(year))
    if found["month"]:
        return _numbered(text, "monthly", year, int(found["month"]), 12)
    if found["quarter"]:
        return _numbered(text, "quarterly", year, int(found["quarter"]), 4)
    if found["half"]:
        return _numbered(text, "half_yearly", year, int(found["half"]), 2)
    return Period(text, "nine_monthly" if found["nine"] else "yearly", year, 1)


def format_id(frequency: Frequency, year: int, number: int = 1) -> str:
    """The id of a periodic period; parse() of it checks the bounds."""
    match frequency:
        case "weekly":
            return f"{year:04d}-W{number:02d}"
        case "monthly":
            return f"{year:04d}-M{number:02d}"
        case "quarterly":
            return f"{year:04d}-Q{number}"
        case "half_yearly":
            return f"{year:04d}-H{number}"
        case "nine_monthly":
            return f"{year:04d}-9M"
        case "yearly":
            return f"{year:04d}"
        case "adhoc":
            raise PeriodError("an ad hoc period has the id of its request")


def weeks_in_year(year: int) -> int:
    """52 or 53: 28 December always lies in the last ISO week of its year."""
    return date(year, 12, 28).isocalendar().week


def periods_in_year(frequency: Frequency, year: int) -> int:
    """How many periods of the frequency the year has. Ad hoc ones are not counted by years: KeyError."""
    return weeks_in_year(year) if frequency == "weekly" else _PER_YEAR[frequency]


def fits(period: Period, frequency: Frequency) -> bool:
    """Whether a regime of this frequency has such a period."""
    return period.frequency == frequency


def last_month(period: Period) -> tuple[int, int]:
    """(year, month) of the last month of a month-based period; of a week, the month of its Sunday."""
    if period.frequency == "weekly":
        sunday = date.fromisocalendar(period.year, period.number, 7)
        return sunday.year, sunday.month
    return period.year, _MONTHS[_periodic(period)] * period.number


def cutoff_range(period: Period, frequency: Frequency, cutoff: Cutoff) -> tuple[date, date]:
    """(first day, last day) whose figures the report holds, both inclusive.

    Month-based: from the day after `cutoff.day` of the month before the period to `cutoff.day` of its last month
    (Điều 12: 15/12–14/3 for the first quarter). Weekly: the seven days that end on `cutoff.weekday` of the week.
    Raises PeriodError if the period is not of this frequency, or is ad hoc (its request says what it covers).
    """
    if not fits(period, frequency):
        raise PeriodError(f"{period.id} is not a {frequency} period")
    if frequency == "weekly":
        last = date.fromisocalendar(period.year, period.number, cutoff.weekday)
        return last - timedelta(days=6), last
    months = _MONTHS[_periodic(period)]
    first_month = months * (period.number - 1)  # 0 is December of the year before
    before = date(period.year, first_month, cutoff.day) if first_month else date(period.year - 1, 12, cutoff.day)
    return before + _ONE_DAY, date(period.year, months * period.number, cutoff.day)


def first_day(period: Period) -> date:
    """The first day that the period's name covers: 1 July of 2026-Q3; of a week its Monday. PeriodError if ad hoc."""
    if period.frequency == "weekly":
        return date.fromisocalendar(period.year, period.number, 1)
    return date(period.year, _MONTHS[_periodic(period)] * (period.number - 1) + 1, 1)


def last_day(period: Period) -> date:
    """The last day that the name covers: 30 September of 2026-9M; of a week its Sunday. PeriodError if ad hoc."""
    if period.frequency == "weekly":
        return date.fromisocalendar(period.year, period.number, 7)
    year, month = last_month(period)
    return date(year, month, monthrange(year, month)[1])


def following(period: Period) -> Period:
    """The next period of the same frequency. Raises PeriodError for ad hoc periods and beyond the last year."""
    frequency = _periodic(period)
    in_year = periods_in_year(frequency, period.year)
    if period.number < in_year:
        return parse(format_id(frequency, period.year, period.number + 1))
    return parse(format_id(frequency, period.year + 1, 1))


def preceding(period: Period) -> Period:
    """The period before, of the same frequency. Raises PeriodError for ad hoc periods and before the first year."""
    frequency = _periodic(period)
    if period.number > 1:
        return parse(format_id(frequency, period.year, period.number - 1))
    last = periods_in_year(frequency, period.year - 1)
    return parse(format_id(frequency, period.year - 1, last))


#: the last month that a period of these ends with, by its number; nine months end with September
_LAST_MONTHS: Mapping[Frequency, int] = {"monthly": 1, "quarterly": 3, "half_yearly": 6}


def around(period: Period) -> Iterator[Period]:
    """The period, and those of the same year that contain it by their names, the shortest first: 2026-M10, 2026-Q4 …

    A week lies in no month for sure, so only its year contains it; an ad hoc period lies in none.
    """
    yield period
    months = _LAST_MONTHS.get(period.frequency)
    if months is not None:
        last = period.number * months
        for frequency, length in _LAST_MONTHS.items():
            if length > months:
                yield parse(format_id(frequency, period.year, -(-last // length)))
        if last <= 9:
            yield parse(format_id("nine_monthly", period.year))
    if months is not None or period.frequency in ("weekly", "nine_monthly"):
        yield parse(format_id("yearly", period.year))


def containing(day: date, frequency: Frequency, cutoff: Cutoff) -> Period:
    """The period whose cut-off range holds `day`; for nine months, which leave three unreported, the next one."""
    if frequency == "weekly":
        iso = (day + timedelta(days=7 - cutoff.weekday)).isocalendar()
        return parse(format_id("weekly", iso.year, iso.week))
    if frequency == "adhoc":
        raise PeriodError("ad hoc periods have no days of their own")
    year, month = day.year, day.month
    if day.day > cutoff.day:
        year, month = (year + 1, 1) if month == 12 else (year, month + 1)
    if frequency == "nine_monthly":
        return parse(format_id(frequency, year if month <= 9 else year + 1))
    return parse(format_id(frequency, year, (month - 1) // _MONTHS[frequency] + 1))


def touching(first: date, last: date, frequency: Frequency, cutoff: Cutoff) -> Iterator[Period]:
    """Periods, in order, whose cut-off range shares a day with [first, last]; none for ad hoc regimes."""
    if frequency == "adhoc" or last < first:
        return
    period = containing(first, frequency, cutoff)
    while cutoff_range(period, frequency, cutoff)[0] <= last:
        yield period
        period = following(period)


class RegimeVersion(Protocol):
    """What of a regime version decides whether it governs a period; RegimePublished is one."""

    @property
    def regime_version(self) -> int: ...
    @property
    def frequency(self) -> Frequency: ...
    @property
    def effective_from(self) -> date: ...
    @property
    def effective_to(self) -> date | None: ...
    @property
    def cutoff(self) -> Cutoff: ...


V = TypeVar("V", bound=RegimeVersion)


def governing_version(versions: Iterable[V], period: Period, *, issued_on: date | None = None) -> V | None:
    """The version of one regime that governs a period: the latest in force on the cut-off's last day.

    Latest by effective date, then by version number. None if there is none, if it has ended by that day, or if it has
    another frequency (an older version does not come back to life). For an ad hoc period the day is `issued_on`, the
    local day of the request.
    """
    latest: V | None = None
    latest_day: date | None = None
    for version in versions:
        if period.frequency == "adhoc":
            if issued_on is None:
                raise PeriodError("an ad hoc period is governed by the day its request was issued on")
            day = issued_on
        else:
            day = cutoff_range(period, period.frequency, version.cutoff)[1]
        if version.effective_from > day:
            continue
        if latest is None or (version.effective_from, version.regime_version) > (
            latest.effective_from,
            latest.regime_version,
        ):
            latest, latest_day = version, day
    if latest is None or latest_day is None or not fits(period, latest.frequency):
        return None
    if latest.effective_to is not None and latest.effective_to < latest_day:
        return None
    return latest


def _numbered(text: str, frequency: Frequency, year: int, number: int, most: int) -> Period:
    if not 1 <= number <= most:
        raise PeriodError(f"{text!r}: {year} has {frequency} periods 1 to {most}")
    return Period(text, frequency, year, number)


def _periodic(period: Period) -> Frequency:
    if period.frequency == "adhoc":
        raise PeriodError(f"{period.id} is ad hoc: its request says its days")
    return period.frequency
