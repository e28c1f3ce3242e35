"""Each year says whether somebody has announced it, and lunar days have their right names."""

from __future__ import annotations

import re
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml
from holidays.calendars.chinese import VIETNAMESE_CALENDAR, _ChineseLunisolar

from services.scoring.calendar import CalendarError, CalendarFile, CalendarGap, read_calendar, shipped_calendars
from services.scoring.calendar.horizon import WARN_OF_GAP_DAYS, WARN_OF_PROVISIONAL_DAYS, horizon, publish
from services.scoring.calendar.lunar import hung_kings_day, lunar, names
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


@pytest.mark.parametrize(
    ("years", "complaint"),
    [
        ([{"year": 2026, "status": "announced"}], "announcements belong"),
        ([{"year": 2026, "status": "provisional", "announcements": [
            {"number": "1", "issuer": "x", "decided_on": "2025-01-01", "about": "x"}]}], "announcements belong"),
        ([{"year": 2026, "status": "sure"}], "provisional"),
        ([{"year": 2027, "status": "recorded"}], "outside"),
        ([{"year": 2026, "status": "recorded"}] * 2, "twice"),
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
