"""Working days of Viet Nam: the shipped data and the arithmetic over them."""

from __future__ import annotations

from datetime import date, timedelta
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from services.scoring.calendar import CalendarError, CalendarGap, WorkingCalendar, read_calendar, shipped_calendars
from services.scoring.calendar.draft import draft_days, main
from tests.unit.scoring.samples import CALENDAR

DAYS = st.dates(date(2019, 3, 1), date(2035, 6, 30))


def naive_count(after: date, until: date) -> int:
    count, day = 0, after + timedelta(days=1)
    while day <= until:
        count += CALENDAR.is_working_day(day)
        day += timedelta(days=1)
    return count


def test_the_announced_new_year_swap_of_2026_is_in_the_calendar() -> None:
    assert not CALENDAR.is_working_day(date(2026, 1, 2))  # a Friday off
    assert CALENDAR.is_working_day(date(2026, 1, 10))  # a Saturday at work
    assert not CALENDAR.is_working_day(date(2026, 1, 3))
    assert CALENDAR.next_working_day(date(2026, 1, 1)) == date(2026, 1, 5)


def test_24_november_is_a_holiday_from_2026() -> None:
    assert CALENDAR.is_working_day(date(2025, 11, 24))
    assert not CALENDAR.is_working_day(date(2026, 11, 24))
    assert not CALENDAR.is_working_day(date(2027, 11, 24))


def test_lunar_new_year_and_its_make_up_days_are_off() -> None:
    assert [day for day in range(14, 24) if CALENDAR.is_working_day(date(2026, 2, day))] == [23]
    assert CALENDAR.is_working_day(date(2026, 8, 22))  # make-up Saturday for 31/8
    assert not CALENDAR.is_working_day(date(2026, 8, 31))


def test_the_shipped_file_is_what_the_holidays_package_knows_plus_the_named_overrides() -> None:
    file = shipped_calendars()[-1].file
    drafted = {(entry["day"], bool(entry.get("work"))) for entry in draft_days(file.first_year, file.last_year)}
    shipped = {(entry.day, entry.work) for entry in file.days}
    assert drafted - shipped == set()
    assert shipped - drafted == {(date(2026, 1, 2), False), (date(2026, 1, 10), True)}
    assert all(entry.name and entry.name_en for entry in file.days)


def test_a_drafted_day_is_named_in_both_languages() -> None:
    drafted = {entry["day"]: entry for entry in draft_days(2026, 2026)}
    assert drafted[date(2026, 8, 22)] == {
        "day": date(2026, 8, 22), "work": True, "name": "Làm bù", "name_en": "Make-up working day",
    }  # fmt: skip
    assert drafted[date(2026, 2, 17)] == {
        "day": date(2026, 2, 17), "name": "Mùng Một Tết", "name_en": "Day 1 of Lunar New Year",
    }  # fmt: skip
    assert (drafted[date(2026, 9, 2)]["name"], drafted[date(2026, 9, 2)]["name_en"]) == ("Quốc khánh", "National Day")
    days = [day for day in drafted if isinstance(day, date)]
    assert sorted(days) == list(drafted)


def test_a_draft_can_be_printed_and_read_again(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["2027", "2028"]) == 0
    path = tmp_path / "draft.yaml"
    path.write_text(capsys.readouterr().out, encoding="utf-8")
    drafted = read_calendar(path).file
    assert not drafted.calendar().is_working_day(date(2027, 11, 24))
    assert drafted.calendar().provisional(2027)
    assert {day.day: day.name for day in drafted.days}[date(2027, 2, 8)] == "Mùng Ba Tết"


def test_outside_its_years_the_calendar_refuses_to_guess() -> None:
    for asked in (
        lambda: CALENDAR.is_working_day(date(2036, 1, 1)),
        lambda: CALENDAR.next_working_day(date(2018, 12, 31)),
        lambda: CALENDAR.add_working_days(date(2035, 12, 31), 1),
        lambda: CALENDAR.add_working_days(date(2019, 1, 1), -1),
        lambda: CALENDAR.working_days_between(date(2035, 12, 31), date(2036, 1, 1)),
    ):
        with pytest.raises(CalendarGap):
            asked()


def test_the_gap_names_the_year_that_is_missing() -> None:
    with pytest.raises(CalendarGap) as caught:
        CALENDAR.add_working_days(date(2035, 12, 20), 40)
    assert caught.value.year == 2036


@given(after=DAYS, days=st.integers(0, 120))
def test_counting_agrees_with_walking_day_by_day(after: date, days: int) -> None:
    until = after + timedelta(days=days)
    assert CALENDAR.working_days_between(after, until) == naive_count(after, until)


@given(day=DAYS, count=st.integers(1, 60))
def test_adding_working_days_lands_on_one_and_counts_right(day: date, count: int) -> None:
    later = CALENDAR.add_working_days(day, count)
    assert CALENDAR.is_working_day(later)
    assert CALENDAR.working_days_between(day, later) == count


@given(day=DAYS, count=st.integers(1, 30))
def test_going_back_as_many_working_days_returns_to_the_day(day: date, count: int) -> None:
    start = CALENDAR.next_working_day(day)
    assert CALENDAR.add_working_days(CALENDAR.add_working_days(start, count), -count) == start


def test_zero_working_days_is_the_day_itself_or_the_next_one_worked() -> None:
    assert CALENDAR.add_working_days(date(2026, 10, 16), 0) == date(2026, 10, 16)
    assert CALENDAR.add_working_days(date(2026, 10, 17), 0) == date(2026, 10, 19)
    assert CALENDAR.working_days_between(date(2026, 10, 19), date(2026, 10, 16)) == 0


@pytest.mark.parametrize(
    ("days", "complaint"),
    [
        ([{"day": "2026-01-02"}, {"day": "2026-01-02"}], "twice"),
        ([{"day": "2027-01-01"}], "outside"),
        ([{"day": "2026-01-05", "work": True}], "weekday"),
        ([{"day": "2026-01-02", "holiday": True}], "holiday"),
    ],
)
def test_a_wrong_calendar_file_is_refused_with_its_reason(
    tmp_path: Path, days: list[dict[str, object]], complaint: str
) -> None:
    body = {
        "version": "X", "revision": 9, "zone": "Asia/Ho_Chi_Minh", "source": "test", "first_year": 2026,
        "last_year": 2026, "days": [{"name": "a", "name_en": "a"} | entry for entry in days],
    }  # fmt: skip
    path = tmp_path / "wrong.yaml"
    path.write_text(yaml.safe_dump(body), encoding="utf-8")
    with pytest.raises(CalendarError, match=complaint):
        read_calendar(path)


def test_a_calendar_without_days_knows_weekends_only() -> None:
    plain = WorkingCalendar("plain", 2026, 2026, days_off=[], made_up=[])
    assert plain.is_working_day(date(2026, 1, 1))
    assert not plain.is_working_day(date(2026, 1, 3))
