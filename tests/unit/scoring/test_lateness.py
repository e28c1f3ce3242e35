"""How lateness is counted and told: working days without those of a relief, and the time to the second."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from services.scoring.scores.policy import Scored, assess
from services.scoring.scores.policy.assess import Due, Span, completeness_points, local_text, working_days_late
from tests.unit.scoring.samples import CALENDAR, DEADLINE, POLICY, local

FRIDAY_NIGHT = local(2026, 10, 23, 20)  # the deadline is Monday 19 October: four working days have begun since
TUESDAY, WEDNESDAY, THURSDAY = (local(2026, 10, day, 9) for day in (20, 21, 22))


@pytest.mark.parametrize(
    ("excused", "days"),
    [
        ((), 4),
        (((WEDNESDAY, WEDNESDAY),), 3),  # a day that is touched counts as a whole
        (((TUESDAY, THURSDAY),), 1),
        (((TUESDAY, WEDNESDAY), (WEDNESDAY, THURSDAY)), 1),  # the same day twice is forgiven once
        (((DEADLINE - timedelta(days=9), TUESDAY),), 3),  # only from the day after the deadline on
        (((THURSDAY, THURSDAY + timedelta(days=30)),), 2),  # and up to the day of receipt
        (((DEADLINE, DEADLINE),), 4),
        (((FRIDAY_NIGHT + timedelta(days=1), FRIDAY_NIGHT + timedelta(days=9)),), 4),
        (((TUESDAY, FRIDAY_NIGHT),), 1),  # late is late: at least one day
    ],
)
def test_working_days_of_a_relief_count_in_no_lateness(excused: tuple[Span, ...], days: int) -> None:
    assert working_days_late(DEADLINE, FRIDAY_NIGHT, CALENDAR, excused) == days


def test_a_weekend_within_a_relief_forgives_nothing_more() -> None:
    next_wednesday = local(2026, 10, 28, 9)
    over_the_weekend = ((local(2026, 10, 23, 9), local(2026, 10, 26, 9)),)
    assert working_days_late(DEADLINE, next_wednesday, CALENDAR) == 7
    assert working_days_late(DEADLINE, next_wednesday, CALENDAR, over_the_weekend) == 5


@pytest.mark.parametrize(
    ("late", "vi", "en"),
    [
        (timedelta(microseconds=1), "1 giây", "1 s"),
        (timedelta(seconds=1), "1 giây", "1 s"),
        (timedelta(seconds=59, microseconds=999_999), "59 giây", "59 s"),
        (timedelta(seconds=60), "1 phút", "1 min"),
        (timedelta(seconds=61), "1 phút 1 giây", "1 min 1 s"),
        (timedelta(hours=1), "1 giờ", "1 h"),
        (timedelta(hours=2, seconds=9), "2 giờ 9 giây", "2 h 9 s"),
        (timedelta(days=1), "1 ngày", "1 d"),
        (timedelta(days=1, hours=3, minutes=5, seconds=7), "1 ngày 3 giờ", "1 d 3 h"),  # the two largest
    ],
)
def test_lateness_is_told_in_its_two_largest_units(late: timedelta, vi: str, en: str) -> None:
    line = assess(Scored(DEADLINE, False, DEADLINE + late), POLICY, CALENDAR)[1]
    assert line.cause.startswith(f"Muộn {vi} so với hạn 17:00:00 19/10/2026, tính ")
    assert line.cause_en.startswith(f"{en} after the deadline, 17:00:00 19/10/2026: counts as ")


def test_hours_are_told_in_vietnams_time() -> None:
    assert local_text(datetime(2026, 1, 2, 17, 4, 5, tzinfo=UTC)) == "00:04:05 03/01/2026"


def test_each_line_says_what_it_is_for() -> None:
    received = DEADLINE + timedelta(seconds=9)
    assert assess(Scored(DEADLINE, False, received, 4, 3), POLICY, CALENDAR) == (
        Due(
            "timeliness", "1.a", Decimal(60), "Nhận báo cáo lúc 17:00:09 19/10/2026",
            "Report received 17:00:09 19/10/2026",
        ),
        Due(
            "timeliness", "1.b", Decimal(-10),
            "Muộn 9 giây so với hạn 17:00:00 19/10/2026, tính 1 ngày làm việc theo khoản 1.b",
            "9 s after the deadline, 17:00:00 19/10/2026: counts as 1 working day(s) by clause 1.b",
        ),
        Due("completeness", "2.a", Decimal(30), "Có 3/4 mục bắt buộc", "3 of 4 required items given"),
    )  # fmt: skip
    assert assess(Scored(DEADLINE, True), POLICY, CALENDAR) == (
        Due(
            "timeliness", "1.c", Decimal(0), "Quá hạn 17:00:00 19/10/2026, chưa có báo cáo đạt",
            "Nothing acceptable by the deadline, 17:00:00 19/10/2026",
        ),
    )  # fmt: skip


def test_what_is_taken_off_stops_at_the_floor_whatever_the_policy_says_it_is() -> None:
    rule = POLICY.timeliness.model_copy(update={"floor": Decimal(25)})
    policy = POLICY.model_copy(update={"timeliness": rule})
    for received, off in ((WEDNESDAY, 20), (THURSDAY, 30), (FRIDAY_NIGHT, 35)):
        assert assess(Scored(DEADLINE, False, received), policy, CALENDAR)[1].points == -off


@pytest.mark.parametrize(("required", "present"), [(None, 3), (3, None)])
def test_completeness_is_not_scored_where_either_number_is_unknown(required: int | None, present: int | None) -> None:
    lines = assess(Scored(DEADLINE, False, DEADLINE, required, present), POLICY, CALENDAR)
    assert [line.clause for line in lines] == ["1.a"]


def test_more_items_than_required_are_all_and_fewer_than_none_are_none() -> None:
    rule = POLICY.completeness
    assert [completeness_points(rule, *items) for items in ((3, 4), (-1, 0), (3, -2), (1, 0), (1, 1))] == [
        40,
        40,
        0,
        0,
        40,
    ]
    whole = rule.model_copy(update={"fraction_digits": 0})
    assert str(completeness_points(whole, 3, 2)) == "27"
    assert str(completeness_points(rule, 8, 5)) == "25.00"
