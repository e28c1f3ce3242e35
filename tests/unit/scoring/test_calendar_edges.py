"""The calendar at its edges: the year that is missing is the one next to those it covers, and each holiday its name."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest

from services.scoring.calendar import CalendarError, CalendarGap, WorkingCalendar, read_calendar
from services.scoring.calendar.horizon import horizon
from services.scoring.calendar.lunar import hung_kings_day, lunar, names

#: of 2026, a year that begins on a Thursday and ends on one
YEAR = WorkingCalendar("one-year", 2026, 2026, days_off=[date(2026, 1, 1)], made_up=[date(2026, 1, 3)])


@pytest.mark.parametrize(
    ("day", "count", "missing"),
    [
        (date(2026, 12, 31), 1, 2027),
        (date(2026, 12, 31), 400, 2027),
        (date(2026, 1, 2), -1, 2025),
        (date(2026, 1, 2), -400, 2025),
        (date(2026, 12, 31), -400, 2025),
    ],
)
def test_the_missing_year_is_the_one_next_to_those_it_covers(day: date, count: int, missing: int) -> None:
    with pytest.raises(CalendarGap, match=f"calendar one-year does not cover {missing}") as caught:
        YEAR.add_working_days(day, count)
    assert (caught.value.year, caught.value.version) == (missing, "one-year")


def test_a_day_outside_names_its_own_year() -> None:
    for ask in (YEAR.is_working_day, YEAR.next_working_day, YEAR.provisional):
        with pytest.raises(CalendarGap) as caught:
            ask(date(2029, 5, 4))
        assert (caught.value.year, caught.value.version) == (2029, "one-year")
    last_days_off = WorkingCalendar("off", 2026, 2026, days_off=[date(2026, 12, 31)], made_up=[])
    with pytest.raises(CalendarGap, match="off does not cover 2027"):
        last_days_off.next_working_day(date(2026, 12, 31))


def test_the_first_and_the_last_day_belong_to_the_calendar() -> None:
    assert [YEAR.is_working_day(date(2026, 1, day)) for day in (1, 2, 3, 4, 5)] == [False, True, True, False, True]
    assert YEAR.is_working_day(date(2026, 12, 31))
    assert not YEAR.is_working_day(date(2026, 12, 27))
    assert YEAR.next_working_day(date(2026, 12, 31)) == date(2026, 12, 31)
    assert YEAR.add_working_days(date(2026, 1, 1), 1) == date(2026, 1, 2)
    assert YEAR.add_working_days(date(2026, 1, 5), -2) == date(2026, 1, 2)
    assert YEAR.working_days_between(date(2026, 1, 1), date(2026, 12, 31)) == 261  # 365 less 104 weekend days, 1/1; 3/1
    assert (YEAR.covers(date(2026, 1, 1)), YEAR.covers(date(2025, 12, 31))) == (True, False)


@pytest.mark.parametrize(
    ("day", "name"),
    [
        (date(2026, 2, 10), None),  # the 23rd of the twelfth month: ông Công, ông Táo; a working day
        (date(2026, 2, 12), ("25 tháng Chạp", "Day 25 of the 12th lunar month")),
        (date(2026, 2, 15), ("28 tháng Chạp", "Day 28 of the 12th lunar month")),
        (date(2026, 2, 16), ("29 tháng Chạp (Giao thừa)", "Day 29 of the 12th lunar month (Lunar New Year's Eve)")),
        (date(2026, 2, 17), ("Mùng Một Tết", "Day 1 of Lunar New Year")),
        (date(2026, 2, 26), ("Mùng Mười Tết", "Day 10 of Lunar New Year")),
        (date(2026, 2, 27), None),
        (
            date(2026, 4, 26),
            ("Giỗ Tổ Hùng Vương (10/3 âm lịch)", "Hung Kings' Commemoration Day (10th of the 3rd lunar month)"),
        ),
        (date(2026, 4, 27), None),
        (date(2026, 3, 28), None),  # the tenth of the second month
    ],
)
def test_days_of_tet_and_gio_to_have_their_names_and_others_none(day: date, name: tuple[str, str] | None) -> None:
    assert names(day) == name


def test_lunar_months_are_as_long_as_they_are_and_the_leap_month_has_no_holiday() -> None:
    new_years_eve = lunar(date(2026, 2, 16))
    assert (new_years_eve.day, new_years_eve.month, new_years_eve.leap, new_years_eve.length) == (29, 12, False, 29)
    of_2024 = lunar(date(2024, 2, 9))
    assert (of_2024.day, of_2024.length) == (30, 30)
    # 2004 had a leap second month, so Giỗ Tổ came late; a leap month's tenth day has no name
    assert hung_kings_day(2004) == date(2004, 4, 28)
    assert lunar(date(2004, 3, 30)).leap
    assert names(date(2004, 3, 30)) is None


def test_what_is_near_is_told_with_the_days_that_are_left() -> None:
    calendar = WorkingCalendar("x", 2026, 2027, days_off=[], made_up=[], settled_years=[2026])
    seen = horizon(calendar, date(2026, 12, 1))
    assert (seen.lacking, seen.lacking_days, seen.provisional, seen.provisional_days) == (2028, 396, 2027, 31)
    assert seen.warnings() == [
        "WARNING 2027 is provisional and begins in 31 days: load the announced calendar",
    ]
    assert horizon(calendar, date(2027, 12, 31)).warnings()[0] == (
        "WARNING the calendar lacks 2028, which begins in 1 days"
    )
    # before its first year, and where every year is settled, the year it lacks is the next that is not
    assert horizon(calendar, date(2020, 1, 1)).provisional == 2027
    settled = WorkingCalendar("x", 2026, 2027, days_off=[], made_up=[], settled_years=[2026, 2027])
    assert horizon(settled, date(2026, 5, 1)).provisional == 2028


def test_a_calendar_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(CalendarError, match=r"none\.yaml: không đọc được / cannot be read: No such file"):
        read_calendar(tmp_path / "none.yaml")
    broken = tmp_path / "broken.yaml"
    for body in (b"a: [", b"\xff", b"days: 2026-13-45"):
        broken.write_bytes(body)
        with pytest.raises(CalendarError, match=r"^broken\.yaml:1: "):
            read_calendar(broken)
    broken.write_text("version: X\n", encoding="utf-8")
    with pytest.raises(CalendarError, match=r"^broken.yaml:1: revision: thiếu, hãy thêm .*\nbroken.yaml:1: zone: "):
        read_calendar(broken)
    broken.write_text("1", encoding="utf-8")
    with pytest.raises(CalendarError, match=r"^broken.yaml:1: tệp phải gồm các mục"):
        read_calendar(broken)


def test_a_year_counts_all_its_working_days_and_ends_with_its_last_day() -> None:
    year = WorkingCalendar("one-year", 2028, 2028, days_off=[date(2028, 1, 3)], made_up=[date(2028, 1, 8)])
    assert year.working_days_between(date(2028, 1, 1), date(2028, 12, 31)) == 260  # one off, one made up
    assert year.working_days_between(date(2028, 12, 28), date(2028, 12, 29)) == 1
    assert not year.is_working_day(date(2028, 12, 31)), "a Sunday behind the last working day"
    with pytest.raises(CalendarGap, match="does not cover 2029"):
        year.add_working_days(date(2028, 12, 31), 1)
    assert WorkingCalendar("x", 2026, 2026, days_off=[], made_up=[]).is_working_day(date(2026, 12, 31))
