"""What is next for who reports, and the months in which it falls due."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.board.pages import tasks
from services.board.readmodel.queries import Line, Owed, Terms
from shared.runtime.clock import LOCAL_ZONE

DEADLINE = datetime(2026, 10, 19, 17, 0, tzinfo=LOCAL_ZONE)
DAY = timedelta(days=1)


def line(deadline: datetime = DEADLINE, standing: str = "nothing_sent") -> Line:
    key = f"A/R/{deadline:%Y-%m-%d}"
    return Line(key, "A", "R", key, standing, False, None, deadline, deadline, None, None, None)


@pytest.mark.parametrize(
    ("standing", "terms", "at", "said"),
    [
        ("nothing_sent", {"cutoff_to": date(2026, 10, 14)}, DEADLINE - 5 * DAY, "số liệu chốt hết ngày 14/10/2026"),
        ("nothing_sent", {"cutoff_to": date(2026, 10, 14)}, DEADLINE - 4 * DAY, "Gửi báo cáo"),
        ("nothing_sent", {}, DEADLINE - 9 * DAY, "Gửi báo cáo"),  # a request has no cut-off
        ("nothing_sent", {"locks_at": DEADLINE + DAY}, DEADLINE + DAY, "Gửi báo cáo"),
        ("nothing_sent", {"locks_at": DEADLINE + DAY}, DEADLINE + 2 * DAY, "Đã khóa"),
        ("awaiting_verdict", {"received_version": 2}, DEADLINE, "Chờ kết quả kiểm tra phiên bản 2"),
        ("awaiting_verdict", {"received_version": 2, "locks_at": DEADLINE}, DEADLINE + DAY, "Chờ kết quả kiểm tra"),
        ("awaiting_verdict", {"received_version": 2, "certify_version": 1}, DEADLINE, "ký xác nhận phiên bản 1"),
        ("returned", {"received_version": 2}, DEADLINE, "Sửa theo kết quả kiểm tra"),
        (
            "returned",
            {"received_version": 2, "rework_version": 2, "rework_until": DEADLINE + DAY, "rework_reason": "thiếu biểu"},
            DEADLINE,
            "gửi lại trước 17:00 20/10/2026: thiếu biểu",
        ),
        # a newer version came since, which the rules returned
        (
            "returned",
            {"received_version": 3, "rework_version": 2, "rework_until": DEADLINE + DAY, "rework_reason": "thiếu biểu"},
            DEADLINE,
            "Sửa theo kết quả kiểm tra",
        ),
    ],
)
def test_what_is_next_follows_from_the_standing_and_the_terms(
    standing: str, terms: dict[str, Any], at: datetime, said: str
) -> None:
    assert said in tasks.next_step(Owed(line(standing=standing), Terms(**terms)), at)[0]


@pytest.mark.parametrize(("days", "said"), [(1, "Đã khóa"), (3, "Gửi báo cáo")])
def test_what_was_unlocked_can_be_sent_for_as_long_as_that_lasts(days: int, said: str) -> None:
    owed = Owed(line(), Terms(locks_at=DEADLINE), unlocked_until=DEADLINE + days * DAY)
    assert tasks.next_step(owed, DEADLINE + 2 * DAY)[0].startswith(said)


def test_days_left_are_counted_by_days_of_vietnam() -> None:
    last_minute = datetime(2026, 10, 19, 0, 30, tzinfo=LOCAL_ZONE)  # 18 October by UTC
    assert [tasks.days_left(line(), at) for at in (last_minute, DEADLINE + timedelta(hours=6), DEADLINE + DAY)] == [
        0, 0, -1,
    ]  # fmt: skip


def test_the_calendar_shows_the_weeks_of_the_year_and_what_falls_due_on_each_day() -> None:
    [october] = tasks.months([line()], DEADLINE - 2 * DAY)
    assert [number for number, _ in october.weeks] == [40, 41, 42, 43, 44]  # ISO weeks, as in 2026-W43
    due = {day.on: len(day.due) for _, days in october.weeks for day in days if day.due}
    assert due == {date(2026, 10, 19): 1}
    assert [day.on.isoweekday() for day in october.weeks[0][1]] == [1, 2, 3, 4, 5, 6, 7]


@given(st.lists(st.integers(-400, 400), max_size=12), st.integers(0, 3000))
def test_every_deadline_of_the_shown_months_stands_on_its_day_once(ahead: list[int], start: int) -> None:
    now = datetime(2024, 1, 1, 12, tzinfo=LOCAL_ZONE) + start * DAY
    lines = [line(now + days * DAY) for days in ahead]
    shown = tasks.months(lines, now)
    assert 1 <= len(shown) <= tasks.MOST_MONTHS
    assert shown[0].first == now.date().replace(day=1)
    days = [day for month in shown for _, week in month.weeks for day in week if day.inside]
    assert len({day.on for day in days}) == len(days)
    assert all(one.deadline.date() == day.on for day in days for one in day.due)
    last = days[-1].on
    inside = [one for one in lines if shown[0].first <= one.deadline.date() <= last]
    assert sum(len(day.due) for day in days) == len(inside)
    if len(shown) < tasks.MOST_MONTHS:
        assert all(one.deadline.date() <= last for one in lines)
