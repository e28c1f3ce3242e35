"""Each year says whether somebody has announced it, and lunar days have their right names."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml
from holidays.calendars.chinese import VIETNAMESE_CALENDAR, _ChineseLunisolar

from services.scoring.calendar import CalendarError, CalendarFile, CalendarGap, read_calendar, shipped_calendars
from services.scoring.calendar.horizon import WARN_OF_GAP_DAYS, WARN_OF_PROVISIONAL_DAYS, horizon, publish
from services.scoring.calendar.lunar import hung_kings_day, lunar, names, new_moon, sun_longitude
from shared.telemetry import metrics
from tests.unit.scoring.samples import CALENDAR

OLD, NEW = (shipped.file for shipped in shipped_calendars())
RULES = Path("deploy/prometheus/rules/calendar.yaml")
_LUNAR = re.compile(r"Chạp|Mùng|Giỗ Tổ|Giao thừa|(?<!\d )Tết(?! Dương)")


def test_the_new_version_moves_no_day_of_the_old_one() -> None:
    assert [(day.day, day.work) for day in NEW.days] == [(day.day, day.work) for day in OLD.days]
    assert (NEW.first_year, NEW.last_year, NEW.revision) == (OLD.first_year, OLD.last_year, OLD.revision + 1)


def test_every_year_says_how_sure_it_is() -> None:
    status = {year.year: year.status for year in NEW.years}
    assert list(status) == list(range(NEW.first_year, NEW.last_year + 1))
    assert {year for year, how in status.items() if how == "provisional"} == set(range(2027, 2036))
    assert {year for year, how in status.items() if how == "announced"} == {2024, 2025, 2026}
    swap = next(
        announcement
        for year in NEW.years
        for announcement in year.announcements
        if announcement.number == "12729/VPCP-KGVX"
    )
    assert swap.decided_on == date(2025, 12, 25)


def test_a_calendar_tells_what_is_provisional() -> None:
    assert not CALENDAR.provisional(2026)
    assert not CALENDAR.provisional(date(2019, 5, 4))
    assert CALENDAR.provisional(date(2027, 1, 1))
    with pytest.raises(CalendarGap):
        CALENDAR.provisional(2036)
    assert OLD.calendar().provisional(2026), "a version that says nothing claims nothing"
    read = NEW.calendar()
    assert [read.provisional(year) for year in (2019, 2026, 2027)] == [False, False, True]
    with pytest.raises(CalendarGap, match=f"calendar {NEW.version} does not cover 2036"):
        read.provisional(2036)


def wrong_names(file: CalendarFile) -> dict[date, str]:
    """Lunar days whose name is not that of the lunar calendar."""
    found = {}
    for entry in file.days:
        if "nghỉ bù" in entry.name.lower() and "Giỗ Tổ" in entry.name:
            told = re.search(r"ngày (\d\d/\d\d/\d{4})\)", entry.name)
            right = told is not None and told[1] == f"{hung_kings_day(entry.day.year):%d/%m/%Y}"
        elif _LUNAR.search(entry.name):
            right = (entry.name, entry.name_en) == names(entry.day)
        else:
            right = names(entry.day) is None or entry.work
        if not right:
            found[entry.day] = entry.name
    return found


def test_lunar_days_have_the_names_of_the_lunar_calendar() -> None:
    assert wrong_names(NEW) == {}
    shown = {entry.day: entry.name for entry in NEW.days}
    assert shown[date(2025, 1, 27)] == "28 tháng Chạp"  # that year's last month has 29 days
    assert shown[date(2026, 2, 16)] == "29 tháng Chạp (Giao thừa)"
    assert shown[date(2026, 2, 17)] == "Mùng Một Tết"
    assert shown[date(2026, 4, 27)] == "Nghỉ bù Giỗ Tổ Hùng Vương (10/3 âm lịch, ngày 26/04/2026)"


def test_the_control_the_old_names_are_found_wrong() -> None:
    assert wrong_names(OLD)[date(2025, 1, 27)] == "29 Tết"


def test_the_lunar_calendar_agrees_with_another_one_for_a_century() -> None:
    other = _ChineseLunisolar(calendar=VIETNAMESE_CALENDAR)
    for year in range(1990, 2090):
        (tet, *_), (hung_kings, *_) = other.lunar_new_year_date(year), other.hung_kings_date(year)
        assert tet is not None
        here = lunar(tet)
        assert (here.day, here.month, here.leap) == (1, 1, False), year
        assert lunar(tet - timedelta(days=1)).month == 12
        assert hung_kings_day(year) == hung_kings
    # where Viet Nam and China differ: Tết came a month earlier, a day earlier
    assert lunar(date(1985, 1, 21)) == lunar(date(2007, 2, 17)) != lunar(date(2007, 2, 18))
    assert (lunar(date(2023, 3, 22)).month, lunar(date(2023, 3, 22)).leap) == (2, True)


def julian_day(at: datetime) -> float:
    """In dynamical time, which was 70 s ahead of UTC on average of these years."""
    return 1_721_424.5 + at.toordinal() + (at.hour * 60 + at.minute) / 1_440 + 70 / 86_400


def test_new_moons_and_the_sun_are_where_the_book_says() -> None:
    """Jean Meeus, Astronomical Algorithms, 2nd ed.: examples 49.a (terms left out here are worth a minute) and 25.a."""
    assert new_moon(-283) == pytest.approx(2_443_192.65118, abs=1 / 1_440)
    assert sun_longitude(2_448_908.5) == pytest.approx(199.90895, abs=2e-5)


@pytest.mark.parametrize(
    ("number", "at"),
    [
        (-185, (1985, 1, 21, 2, 28)), (-5, (1999, 8, 11, 11, 8)), (0, (2000, 1, 6, 18, 14)),
        (124, (2010, 1, 15, 7, 11)), (218, (2017, 8, 21, 18, 30)), (300, (2024, 4, 8, 18, 21)),
        (323, (2026, 2, 17, 12, 1)),
    ],
)  # fmt: skip
def test_new_moons_come_at_the_minute_of_the_almanac(number: int, at: tuple[int, int, int, int, int]) -> None:
    assert new_moon(number) == pytest.approx(julian_day(datetime(*at, tzinfo=UTC)), abs=2 / 1_440)


@pytest.mark.parametrize(
    ("at", "degrees"),
    [
        ((2000, 3, 20, 7, 35), 0), ((2000, 6, 21, 1, 48), 90), ((2000, 9, 22, 17, 28), 180), ((2020, 3, 20, 3, 50), 0),
        ((2020, 6, 20, 21, 44), 90), ((2020, 12, 21, 10, 2), 270), ((2026, 6, 21, 8, 24), 90),
        ((2026, 12, 21, 20, 50), 270),
    ],
)  # fmt: skip
def test_the_sun_is_there_at_equinoxes_and_solstices(at: tuple[int, int, int, int, int], degrees: int) -> None:
    here = sun_longitude(julian_day(datetime(*at, tzinfo=UTC)))
    assert 0 <= here < 360
    quarter_of_an_hour = 360 / 365.25 / 96
    assert (here - degrees + 180) % 360 - 180 == pytest.approx(0, abs=quarter_of_an_hour)


@pytest.mark.parametrize(
    ("years", "complaint"),
    [
        ([{"year": 2026, "status": "announced"}], "announcements belong"),
        ([{"year": 2026, "status": "provisional", "announcements": [
            {"number": "1", "issuer": "x", "decided_on": "2025-01-01", "about": "x"}]}], "announcements belong"),
        ([{"year": 2026, "status": "sure"}], "provisional"),
        ([{"year": 2027, "status": "recorded"}], "outside"),
        ([{"year": 2026, "status": "recorded"}, {"year": 2026, "status": "recorded"}], "twice"),
    ],
)  # fmt: skip
def test_years_that_contradict_themselves_are_refused(
    tmp_path: Path, years: list[dict[str, object]], complaint: str
) -> None:
    path = tmp_path / "wrong.yaml"
    body = {
        "version": "X", "revision": 9, "zone": "Asia/Ho_Chi_Minh", "source": "test", "first_year": 2026,
        "last_year": 2026, "years": years, "days": [],
    }  # fmt: skip
    path.write_text(yaml.safe_dump(body), encoding="utf-8")
    with pytest.raises(CalendarError, match=complaint):
        read_calendar(path)


# --- noticed in time ----------------------------------------------------------------------------------------------


def firing(today: date) -> set[str]:
    """The alerts of the rules file that hold on a day, by the gauges that scoring publishes."""
    publish(CALENDAR, today)
    found = set()
    for group in yaml.safe_load(RULES.read_text(encoding="utf-8"))["groups"]:
        for rule in group["rules"]:
            name, limit = re.fullmatch(r"max\((\w+)\) <= (\d+)", rule["expr"]).groups()  # type: ignore[union-attr]
            assert name in metrics.CATALOGUE
            value: Any = metrics.COLLECTORS[name]._value.get()  # type: ignore[union-attr]
            if value <= int(limit):
                found.add(rule["alert"])
    return found


def test_alerts_and_readiness_come_in_time_and_not_before() -> None:
    first = {
        "CalendarYearStillProvisional": date(2027, 1, 1) - timedelta(days=WARN_OF_PROVISIONAL_DAYS),
        "CalendarLacksNextYear": date(2036, 1, 1) - timedelta(days=WARN_OF_GAP_DAYS),
    }
    for alert, day in first.items():
        assert alert not in firing(day - timedelta(days=1)), alert
        assert alert in firing(day), alert
        assert len(horizon(CALENDAR, day).warnings()) == len(firing(day))
    assert horizon(CALENDAR, date(2026, 10, 1)).warnings() == []
    assert "2027 is provisional" in horizon(CALENDAR, date(2026, 12, 1)).warnings()[0]
    late = horizon(CALENDAR, date(2027, 2, 1))
    assert (late.provisional, late.provisional_days) == (2027, -31)
    beyond = horizon(CALENDAR, date(2036, 3, 1))
    assert (beyond.lacking, beyond.lacking_days, beyond.provisional) == (2036, -60, 2036)
    assert len(beyond.warnings()) == 2
