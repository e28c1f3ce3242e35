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
    ("2026-02-30", "2026-02-30: không phải ngày"),
    ("2026-01-01T99:99:99Z", "no day, write like 2026-03-31"),
    ("010", "010: ghi số thường"),
    ("1:30", "1:30: ghi số thường"),
    ("0x10", "write a plain number"),
    ("1_000", "write a plain number"),
    ("1" * 5_000, "write a plain number"),
    ("!!timestamp x", "no tags"),
    ("!!bool x", "no tags"),
    ("&a [*a]", "no anchors"),
    ("[" * 5_000, "nested too deeply"),
    ("{? [a] : 1}", "the name of a field is a text"),
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
    assert str(caught.value).startswith("c.yaml: không đúng / is not right: 2: ")
    assert said in str(caught.value)


def test_days_that_are_written_twice_are_not_dropped_in_silence(tmp_path: Path) -> None:
    (tmp_path / "c.yaml").write_text(CALENDAR + "days: []\n")
    with pytest.raises(CalendarError, match="9: days: viết hai lần"):
        read_calendar(tmp_path / "c.yaml")


def test_control_yaml_alone_takes_them_for_something_else() -> None:
    assert yaml.safe_load("a: 010") == {"a": 8}
    assert yaml.safe_load("a: 1:30") == {"a": 90}
    assert yaml.safe_load(CALENDAR + "days: []\n")["days"] == []
    with pytest.raises(AttributeError):
        yaml.safe_load("a: !!timestamp x")


def test_what_is_plain_is_read(tmp_path: Path) -> None:
    assert parse_policy("p.yaml", POLICY.encode()).policy.notice_working_days == 3
    (tmp_path / "c.yaml").write_text("\ufeff" + CALENDAR)  # as Windows' editors save it
    assert read_calendar(tmp_path / "c.yaml").file.revision == 1
