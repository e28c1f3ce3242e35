"""The Vietnamese lunar calendar (âm lịch), computed for UTC+7: it names the days of Tết and Giỗ Tổ, and dates nothing.

New moons and the sun's longitude follow Jean Meeus, Astronomical Algorithms, 2nd ed., chapters 49 and 25, truncated:
near the year 2000 good to two minutes and to a quarter of an hour. A month begins on the day of the new moon; the month
of the winter solstice is the eleventh; of thirteen months between two of those, the first without a major solar term is
the leap month.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta
from functools import lru_cache
from itertools import pairwise
from math import floor, radians, sin

_SYNODIC_MONTH_DAYS = 29.530588861
_ZONE_DAYS = 7 / 24
_DELTA_T_DAYS = 70 / 86_400
_JULIAN_DAY_OF_ORDINAL_0 = 1_721_424.5
_COUNTED = ("Một", "Hai", "Ba", "Bốn", "Năm", "Sáu", "Bảy", "Tám", "Chín", "Mười")
#: coefficient, then multiples of the sun's anomaly, the moon's anomaly and the moon's argument of latitude
_NEW_MOON_TERMS = (
    (-0.40720, 0, 1, 0), (0.17241, 1, 0, 0), (0.01608, 0, 2, 0), (0.01039, 0, 0, 2), (0.00739, -1, 1, 0),
    (-0.00514, 1, 1, 0), (0.00208, 2, 0, 0), (-0.00111, 0, 1, -2), (-0.00057, 0, 1, 2), (0.00056, 1, 2, 0),
    (-0.00042, 0, 3, 0), (0.00042, 1, 0, 2), (0.00038, 1, 0, -2), (-0.00024, -1, 2, 0),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class LunarDay:
    """A day of the lunar calendar. `length`: days of its month, 29 or 30."""

    day: int
    month: int
    leap: bool
    length: int


def lunar(day: date) -> LunarDay:
    """The lunar day of a day between 1900 and 2100."""
    ordinal = day.toordinal()
    year = day.year if ordinal >= _eleventh_month(day.year) else day.year - 1
    months = _months(year)
    for (begins, month, leap), (ends, _, _) in pairwise(months):
        if begins <= ordinal < ends:
            return LunarDay(ordinal - begins + 1, month, leap, ends - begins)
    raise AssertionError(f"{day} lies in no lunar month")


def names(day: date) -> tuple[str, str] | None:
    """What a day of the lunar New Year holiday or Giỗ Tổ is called (vi, en); None for other days."""
    here = lunar(day)
    if here.leap:
        return None
    if here.month == 12 and here.day >= 25:
        eve = here.day == here.length
        return (
            f"{here.day} tháng Chạp{' (Giao thừa)' if eve else ''}",
            f"Day {here.day} of the 12th lunar month" + (" (Lunar New Year's Eve)" if eve else ""),
        )
    if here.month == 1 and here.day <= len(_COUNTED):
        return f"Mùng {_COUNTED[here.day - 1]} Tết", f"Day {here.day} of Lunar New Year"
    if (here.day, here.month) == (10, 3):
        return (
            "Giỗ Tổ Hùng Vương (10/3 âm lịch)",
            "Hung Kings' Commemoration Day (10th of the 3rd lunar month)",
        )
    return None


def hung_kings_day(year: int) -> date:
    """The tenth of the third lunar month (10/3 âm lịch), the leap one not meant."""
    begins = next(start for start, month, leap in _months(year - 1) if month == 3 and not leap)
    return date.fromordinal(begins) + timedelta(days=9)


@lru_cache(maxsize=512)
def _months(year: int) -> tuple[tuple[int, int, bool], ...]:
    """(first day, month, leap) from the eleventh month of `year` to that of the next year, both included."""
    first, last = _eleventh_month(year), _eleventh_month(year + 1)
    number = _number_before(first + 1)
    starts = [first]
    while starts[-1] < last:
        number += 1
        starts.append(_new_moon_day(number))
    leap_at = None
    if len(starts) == 14:  # thirteen months and the next eleventh
        leap_at = next(place for place in range(1, 13) if _sector(starts[place]) == _sector(starts[place + 1]))
    found, month = [], 11
    for place, start in enumerate(starts):
        leap = place == leap_at
        month += not leap and place > 0
        found.append((start, (month - 1) % 12 + 1, leap))  # a leap month has the number of the one before it
    return tuple(found)


@lru_cache(maxsize=512)
def _eleventh_month(year: int) -> int:
    number = _number_before(date(year, 12, 31).toordinal() + 1)
    start = _new_moon_day(number)
    return start if _sector(start) < 9 else _new_moon_day(number - 1)


def _number_before(ordinal: int) -> int:
    """Number of the last new moon before a day."""
    number = floor((ordinal - date(2000, 1, 6).toordinal()) / _SYNODIC_MONTH_DAYS) + 1
    while _new_moon_day(number) >= ordinal:
        number -= 1
    return number


@lru_cache(maxsize=4096)
def _new_moon_day(number: int) -> int:
    """The local day of the new moon, counted from that of 6 January 2000."""
    return floor(new_moon(number) - _DELTA_T_DAYS + _ZONE_DAYS - _JULIAN_DAY_OF_ORDINAL_0)


def new_moon(number: int) -> float:
    """The Julian day, in dynamical time, of a new moon; 0 is that of 6 January 2000. Meeus, chapter 49."""
    t = number / 1236.85
    mean = 2_451_550.09766 + _SYNODIC_MONTH_DAYS * number + 0.00015437 * t * t
    sun = radians(2.5534 + 29.10535670 * number)
    moon = radians(201.5643 + 385.81693528 * number + 0.0107582 * t * t)
    latitude = radians(160.7108 + 390.67050284 * number - 0.0016118 * t * t)
    node = radians(124.7746 - 1.56375588 * number)
    away = sum(c * sin(a * sun + b * moon + d * latitude) for c, a, b, d in _NEW_MOON_TERMS) - 0.00017 * sin(node)
    return mean + away


def _sector(ordinal: int) -> int:
    """Which twelfth of the zodiac the sun is in as the local day begins; 9 begins with the winter solstice."""
    return int(sun_longitude(ordinal + _JULIAN_DAY_OF_ORDINAL_0 - _ZONE_DAYS) // 30)


def sun_longitude(julian_day: float) -> float:
    """The sun's apparent longitude, 0 to 360 degrees. Meeus, chapter 25."""
    t = (julian_day - 2_451_545.0) / 36_525
    anomaly = radians(357.52911 + 35_999.05029 * t)
    centre = (1.914602 - 0.004817 * t) * sin(anomaly) + 0.019993 * sin(2 * anomaly) + 0.000289 * sin(3 * anomaly)
    longitude = 280.46646 + 36_000.76983 * t + centre - 0.00569 - 0.00478 * sin(radians(125.04 - 1_934.136 * t))
    return longitude % 360
