"""What somebody who reports has to do next about each obligation, and the months in which it falls due. Pure."""

from __future__ import annotations

import calendar
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from services.board.pages.views import day, moment
from services.board.pages.words import Pair
from services.board.readmodel.queries import Line, Owed
from shared.contract.reporting_window import local_day

#: months side by side in the calendar, from the present one on
MOST_MONTHS = 3
_MONDAYS_FIRST = calendar.Calendar(calendar.MONDAY)


def next_step(owed: Owed, now: datetime) -> Pair:
    """What to do about an obligation that nothing answers yet."""
    line, terms = owed.line, owed.terms
    if line.standing == "awaiting_verdict" and terms.certify_version is not None:
        return (
            f"Thủ trưởng ký xác nhận phiên bản {terms.certify_version}",
            f"The head certifies version {terms.certify_version}",
        )
    if line.standing == "awaiting_verdict":
        return (
            f"Chờ kết quả kiểm tra phiên bản {terms.received_version}",
            f"Version {terms.received_version} is being checked",
        )
    is_unlocked = owed.unlocked_until is not None and now <= owed.unlocked_until
    if terms.locks_at is not None and now > terms.locks_at and not is_unlocked:
        return ("Đã khóa: đề nghị mở khóa rồi mới gửi được", "Locked: ask for it to be unlocked, then send")
    if line.standing == "returned":
        if terms.rework_until is not None and terms.rework_version == terms.received_version:
            until = moment(terms.rework_until)
            return (
                f"Sửa theo ý kiến người duyệt, gửi lại trước {until}: {terms.rework_reason}",
                f"Correct it as the reviewer asks and send it again by {until}: {terms.rework_reason}",
            )
        return ("Sửa theo kết quả kiểm tra rồi gửi lại", "Correct it by the findings and send it again")
    if terms.cutoff_to is not None and local_day(now) <= terms.cutoff_to:
        return (
            f"Chuẩn bị; số liệu chốt hết ngày {day(terms.cutoff_to)}",
            f"Prepare it; its figures close at the end of {day(terms.cutoff_to)}",
        )
    return ("Gửi báo cáo", "Send the report")


def days_left(line: Line, now: datetime) -> int:
    """Days from today to the deadline's day; 0 today, less than 0 once that day is over."""
    return (local_day(line.deadline) - local_day(now)).days


@dataclass(frozen=True, slots=True)
class Day:
    """A day of the calendar, with what falls due on it."""

    on: date
    inside: bool  # of the month, not of those beside it
    due: tuple[Line, ...]


@dataclass(frozen=True, slots=True)
class Month:
    """A month of the calendar: weeks from Monday to Sunday, each with its number in the year."""

    first: date
    weeks: tuple[tuple[int, tuple[Day, ...]], ...]


def months(lines: Sequence[Line], now: datetime) -> list[Month]:
    """The present month and those after it in which something falls due, in a row, at most three."""
    by_day: dict[date, list[Line]] = {}
    for line in lines:
        by_day.setdefault(local_day(line.deadline), []).append(line)
    first = local_day(now).replace(day=1)
    found: list[Month] = []
    while len(found) < MOST_MONTHS and (not found or any(due >= first for due in by_day)):
        found.append(_month(first, by_day))
        first = (first + timedelta(days=31)).replace(day=1)
    return found


def _month(first: date, by_day: Mapping[date, Sequence[Line]]) -> Month:
    weeks = []
    for week in _MONDAYS_FIRST.monthdatescalendar(first.year, first.month):
        days = tuple(
            Day(on, on.month == first.month, tuple(by_day.get(on, ())) if on.month == first.month else ())
            for on in week
        )
        weeks.append((week[0].isocalendar().week, days))
    return Month(first, tuple(weeks))
