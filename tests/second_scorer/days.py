"""Days, periods and deadlines by the text: NĐ 09/2019/NĐ-CP Điều 8, 12, 13, and the calendar as data."""

from __future__ import annotations

import calendar as months
import re
from datetime import date, datetime, time, timedelta, timezone
from typing import Any

VIETNAM = timezone(timedelta(hours=7))
DAY = timedelta(days=1)

Data = dict[str, Any]


def moment(value: str | datetime) -> datetime:
    """A moment from its text, in local time."""
    at = datetime.fromisoformat(value.replace("Z", "+00:00")) if isinstance(value, str) else value
    return at if at.tzinfo is VIETNAM else at.astimezone(VIETNAM)


def day(value: str | date | None) -> date | None:
    return date.fromisoformat(value) if isinstance(value, str) else value


class Calendar:
    """The working days of one version: its listed days, else Monday to Friday."""

    def __init__(self, data: Data) -> None:
        self.version: str = data["version"]
        self.revision: int = data["revision"]
        self.listed = {day(entry["day"]): bool(entry.get("work", False)) for entry in data["days"]}

    def works(self, on: date) -> bool:
        return self.listed.get(on, on.isoweekday() <= 5)

    def after(self, on: date, count: int) -> date:
        """The `count`th working day after a day."""
        while count > 0:
            on += DAY
            count -= self.works(on)
        return on

    def before(self, on: date, count: int) -> date:
        while count > 0:
            on -= DAY
            count -= self.works(on)
        return on

    def begun(self, after: datetime, until: datetime, spans: list[tuple[datetime, datetime]]) -> int:
        """Working days that began after one moment and not after another, less those that a span touches."""
        count, on = 0, after.date() + DAY
        while on <= until.date():
            begins = datetime.combine(on, time(), VIETNAM)
            touched = any(start < begins + DAY and begins <= end for start, end in spans)
            count += self.works(on) and not touched
            on += DAY
        return count


_PERIOD = re.compile(r"(\d{4})(?:-(?:W(\d\d)|M(\d\d)|Q(\d)|H(\d)|(9M)))?")


def frequency(period: str) -> str:
    found = _PERIOD.fullmatch(period)
    if found is None:
        return "adhoc"
    names = ("weekly", "monthly", "quarterly", "half_yearly", "nine_monthly")
    return next((name for name, given in zip(names, found.groups()[1:], strict=True) if given), "yearly")


def _months(period: str) -> tuple[int, int, int]:
    """Year, first and last month of a period that counts in months."""
    found = _PERIOD.fullmatch(period)
    assert found is not None
    year, _, month, quarter, half, nine = found.groups()
    if month:
        return int(year), int(month), int(month)
    if quarter:
        return int(year), 3 * int(quarter) - 2, 3 * int(quarter)
    if half:
        return int(year), 6 * int(half) - 5, 6 * int(half)
    return int(year), 1, 9 if nine else 12


def _monday(period: str) -> date:
    found = _PERIOD.fullmatch(period)
    assert found is not None
    return date.fromisocalendar(int(found[1]), int(found[2]), 1)


def _monday_of(on: date) -> date:
    return on - (on.isoweekday() - 1) * DAY


def _last_month(period: str) -> tuple[int, int]:
    """A week counts in the month of its Sunday."""
    if frequency(period) == "weekly":
        sunday = _monday(period) + 6 * DAY
        return sunday.year, sunday.month
    year, _, last = _months(period)
    return year, last


def cutoff(period: str, regime: Data) -> tuple[date, date]:
    """First and last day that the figures of a period cover (Điều 12)."""
    if frequency(period) == "weekly":
        last = _monday(period) + (regime["cutoff"].get("weekday", 7) - 1) * DAY
        return last - 6 * DAY, last
    closes = regime["cutoff"].get("day", 14)
    year, first, last = _months(period)
    before = date(year, first, 1) - DAY  # in the month before
    return before.replace(day=closes) + DAY, date(year, last, closes)


def deadline(period: str, regime: Data, days: Calendar, override: Data | None = None) -> datetime:
    """The last moment on time, by the regime's rule (Điều 8, 13), or by what overrides it for some."""
    rule = (override or {}).get("deadline") or regime["deadline"]
    match rule["rule"]:
        case "day_of_month":
            year, last = _last_month(period)
            ahead = year * 12 + last - 1 + rule.get("month_offset", 0)
            year, month = ahead // 12, ahead % 12 + 1
            on = date(year, month, min(rule.get("day", 18), months.monthrange(year, month)[1]))
        case "weekday":
            monday = _monday(period) if frequency(period) == "weekly" else _monday_of(cutoff(period, regime)[1])
            on = monday + (rule.get("weekday", 5) - 1 + 7 * rule.get("week_offset", 0)) * DAY
        case "working_days_after_cutoff":
            on = days.after(cutoff(period, regime)[1], rule.get("working_days", 1))
        case other:
            raise ValueError(other)
    if rule.get("on_holiday", "next_working_day") == "next_working_day" and not days.works(on):
        on = days.after(on, 1)
    if override is not None and override.get("extra_working_days"):
        on = days.after(on, override["extra_working_days"])
    return datetime.combine(on, time(rule.get("hour", 17), rule.get("minute", 0)), VIETNAM)
