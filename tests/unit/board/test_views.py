"""What pages show of a row: its state, its days late, numbers and moments in the reader's way."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal
from typing import get_args

import pytest

from services.board.pages import views, words
from services.board.readmodel.queries import Line
from shared.contract.events.submissions import LatenessKind, StepKind
from shared.runtime.clock import LOCAL_ZONE

DEADLINE = datetime(2026, 10, 19, 17, 0, tzinfo=LOCAL_ZONE)
OPEN = Line("A/R/2026-M10", "A", "R", "2026-M10", "nothing_sent", False, None, DEADLINE, DEADLINE, None, None, None)
DAY = timedelta(days=1)


@pytest.mark.parametrize(
    ("changes", "after", "state", "days"),
    [
        ({}, -DAY, "nothing_sent", 0),
        ({"standing": "awaiting_verdict"}, -DAY, "awaiting_verdict", 0),
        ({"standing": "returned"}, -DAY, "returned", 0),
        ({"grace_until": DEADLINE + 2 * DAY}, DAY, "grace", 2),
        ({"overdue": True, "grace_until": DEADLINE + DAY}, 2 * DAY, "overdue", 3),
        ({"overdue": True}, timedelta(seconds=1), "overdue", 1),
        ({"standing": "awaiting_verdict"}, DAY, "awaiting_verdict", 0),  # it may have come in time
        ({"standing": "awaiting_verdict", "grace_until": DEADLINE + 2 * DAY}, DAY, "grace", 0),
        ({"standing": "awaiting_verdict", "overdue": True}, DAY / 2, "overdue", 1),
        ({"standing": "returned"}, DAY / 2, "returned", 1),
        # corrected within the reviewer's term: in time, whenever it came
        ({"standing": "fulfilled", "on_time": True, "answer_received_at": DEADLINE + 3 * DAY}, 9 * DAY, "on_time", 0),
        ({"standing": "fulfilled", "on_time": True, "answer_received_at": DEADLINE}, 9 * DAY, "on_time", 0),
        ({"standing": "fulfilled", "on_time": False, "answer_received_at": DEADLINE + DAY / 2}, 9 * DAY, "late", 1),
    ],
)
def test_a_row_is_called_by_its_state_and_its_days(
    changes: dict[str, object], after: timedelta, state: str, days: int
) -> None:
    line = replace(OPEN, **changes)  # type: ignore[arg-type]
    assert views.state_of(line, DEADLINE + after) == state
    assert views.days_late(line, DEADLINE + after) == days
    assert views.is_late(line, DEADLINE + after) is (days > 0)


def test_what_is_overdue_says_whether_nothing_came_or_it_was_returned() -> None:
    said = [
        views.name_of(replace(OPEN, overdue=True, standing=it), DEADLINE + DAY) for it in ("nothing_sent", "returned")
    ]
    assert said == [("Quá hạn, chưa nộp", "Overdue, nothing sent"), ("Quá hạn, trả lại", "Overdue, returned")]


def test_every_state_has_a_name_and_an_icon_of_its_own() -> None:
    assert set(words.STATES) == set(views.ICONS)
    assert len(set(views.ICONS.values())) == len(views.ICONS)


def test_every_kind_of_step_has_a_name() -> None:
    assert set(words.STEPS) == set(get_args(StepKind)) | set(get_args(LatenessKind))


@pytest.mark.parametrize(
    ("value", "digits", "vi", "en"),
    [
        (Decimal("1234.50"), None, "1.234,5", "1,234.5"),
        (Decimal("100.00"), None, "100", "100"),
        (Decimal("-0.25"), 1, "-0,2", "-0.2"),
        (0, None, "0", "0"),
        (Decimal("0.00"), None, "0", "0"),
        (None, 1, "", ""),
    ],
)
def test_numbers_are_written_as_their_readers_write_them(
    value: Decimal | int | None, digits: int | None, vi: str, en: str
) -> None:
    assert views.number(value, digits) == vi
    assert views.number(value, digits, language="en") == en


@pytest.mark.parametrize(
    ("period", "vi", "en", "year"),
    [
        ("2026-W07", "Tuần 7", "W7", "2026"),
        ("2026-M10", "T10", "Oct", "2026"),
        ("2026-Q3", "Q3", "Q3", "2026"),
        ("2026-H1", "6T đầu", "H1", "2026"),
        ("2026-9M", "9T", "9M", "2026"),
        ("2026", "2026", "2026", ""),
        ("not a period", "not a period", "not a period", ""),
    ],
)
def test_a_period_is_two_short_lines_at_the_head_of_a_column(period: str, vi: str, en: str, year: str) -> None:
    assert words.period_head(period) == ((vi, en), year)
