"""Files of policies and calendars say what is written, or are refused in one line for each fault; never a traceback."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from services.scoring.calendar import CalendarError, read_calendar
from services.scoring.scores.policy import data
from services.scoring.scores.policy.data import PolicyError, parse_policy

POLICY = (Path(data.__file__).parent / "policy-1.yaml").read_text()
CALENDAR = """version: V
revision: 1
zone: Asia/Ho_Chi_Minh
source: s
first_year: 2026
last_year: 2026
days:
  - {day: 2026-01-01, name: a, name_en: a}
"""
#: a value, and a part of what is said of it
ODD = [
    ("2026-02-30", "must be a whole number"),
    ("2026-01-01T99:99:99Z", "must be a whole number"),
    ("010", "“010” có thể hiểu thành nhiều số khác nhau. Ghi số thường"),
    ("1:30", "“1:30” có thể hiểu thành nhiều số khác nhau. Ghi số thường"),
    ("0x10", "Write a plain number"),
    ("1_000", "Write a plain number"),
    ("1" * 5_000, "Write a plain number"),
    ("!!timestamp x", "Tags are not used"),
    ("!!bool x", "Tags are not used"),
    ("&a [*a]", "Anchors and aliases"),
    ("[" * 5_000, "Nested more than 8 levels"),
    ("{? [a] : 1}", "name must be a text"),
    ('"\\ud800"', "half a character"),
]


@pytest.mark.parametrize(("value", "said"), ODD)
def test_a_policy_with_an_odd_value_is_refused_with_its_line(value: str, said: str) -> None:
    with pytest.raises(PolicyError) as caught:
        parse_policy("p.yaml", POLICY.replace("notice_working_days: 3", f"notice_working_days: {value}").encode())
    line = 1 + POLICY[: POLICY.index("notice_working_days")].count("\n")
    assert str(caught.value).startswith(f"p.yaml:{line}: ")
    assert said in str(caught.value)


@pytest.mark.parametrize(("value", "said"), ODD)
def test_a_calendar_with_an_odd_value_is_refused_with_its_line(value: str, said: str, tmp_path: Path) -> None:
    (tmp_path / "c.yaml").write_text(CALENDAR.replace("revision: 1", f"revision: {value}"))
    with pytest.raises(CalendarError) as caught:
        read_calendar(tmp_path / "c.yaml")
    assert str(caught.value).startswith("c.yaml:2: ")
    assert said in str(caught.value)


def test_days_that_are_written_twice_are_not_dropped_in_silence(tmp_path: Path) -> None:
    (tmp_path / "c.yaml").write_text(CALENDAR + "days: []\n")
    with pytest.raises(CalendarError, match=r"c\.yaml:9: days: “days” được ghi hai lần \(lần đầu ở dòng 7\)"):
        read_calendar(tmp_path / "c.yaml")


def test_control_yaml_alone_takes_them_for_something_else() -> None:
    assert yaml.safe_load("a: 010") == {"a": 8}
    assert yaml.safe_load("a: 1:30") == {"a": 90}
    assert yaml.safe_load(CALENDAR + "days: []\n")["days"] == []
    with pytest.raises(AttributeError):
        yaml.safe_load("a: !!timestamp x")


@pytest.mark.parametrize("day", ["2026-02-30", "2026-01-01T99:99:99Z", "2026-01-01 00:00:00", '"1767225600"', "soon"])
def test_what_is_no_day_is_refused_where_a_day_is_wanted(day: str, tmp_path: Path) -> None:
    (tmp_path / "c.yaml").write_text(CALENDAR.replace("2026-01-01", day))
    with pytest.raises(CalendarError) as caught:
        read_calendar(tmp_path / "c.yaml")
    assert str(caught.value).startswith("c.yaml:8: days.0.day: không phải ngày, ghi như 2026-03-31 / no day")
    began = next(line for line in POLICY.splitlines() if line.startswith("effective_from"))
    with pytest.raises(PolicyError, match="effective_from: không phải ngày"):
        parse_policy("p.yaml", POLICY.replace(began, f"effective_from: {day}").encode())


def test_what_is_plain_is_read(tmp_path: Path) -> None:
    assert parse_policy("p.yaml", POLICY.encode()).policy.notice_working_days == 3
    (tmp_path / "c.yaml").write_text("\ufeff" + CALENDAR)  # as Windows' editors save it
    assert read_calendar(tmp_path / "c.yaml").file.revision == 1
