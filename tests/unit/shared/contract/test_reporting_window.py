"""When a report of a period is taken: under which version, from which moment on, and until when."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta

import pytest

from shared.contract.events.registry import Cutoff, Frequency
from shared.contract.period import parse
from shared.contract.reporting_window import (
    BACK_DAYS,
    NoWindow,
    Window,
    cutoff_ends,
    day_begins,
    local_day,
    outside,
    window_of,
)
from shared.runtime.clock import LOCAL_ZONE

LAW = Cutoff()


@dataclass(frozen=True)
class Version:
    regime_version: int = 1
    effective_from: date = date(2019, 1, 1)
    effective_to: date | None = None
    frequency: Frequency = "monthly"
    cutoff: Cutoff = LAW


@dataclass(frozen=True)
class Request:
    request_id: str = "DX-1"
    regime: str = "KTXH"
    issued_at: datetime = datetime(2026, 3, 2, 23, 30, tzinfo=LOCAL_ZONE)
    deadline: datetime = datetime(2026, 3, 9, 17, tzinfo=LOCAL_ZONE)
    agencies: tuple[str, ...] = ("H99.01",)
    withdrawn_at: datetime | None = None


MONTHLY, ADHOC, REQUEST = Version(), Version(frequency="adhoc"), Request()


def test_a_period_has_the_window_of_its_cut_off_under_the_version_in_force() -> None:
    newer = Version(2, date(2026, 10, 14), cutoff=Cutoff(day=20))
    assert window_of([MONTHLY, newer], parse("2026-M09")) == Window(MONTHLY, date(2026, 8, 15), date(2026, 9, 14))
    assert window_of([MONTHLY, newer], parse("2026-M10")) == Window(newer, date(2026, 9, 21), date(2026, 10, 20))


def test_a_request_has_the_local_day_it_was_issued_on() -> None:
    day = date(2026, 3, 2)
    late_that_evening = replace(REQUEST, issued_at=REQUEST.issued_at.astimezone(UTC))
    for request in (REQUEST, late_that_evening):
        assert window_of([ADHOC], parse("DX-1"), request) == Window(ADHOC, day, day, ("H99.01",), REQUEST.issued_at)
    newer = Version(2, date(2026, 3, 3), frequency="adhoc")
    assert window_of([ADHOC, newer], parse("DX-1"), REQUEST) == Window(ADHOC, day, day, ("H99.01",), REQUEST.issued_at)


@pytest.mark.parametrize(
    ("versions", "period", "request_", "why"),
    [
        ([ADHOC], "DX-1", None, "no_such_request"),
        ([ADHOC], "DX-1", replace(REQUEST, withdrawn_at=REQUEST.deadline), "withdrawn"),
        ([ADHOC], "DX-1", replace(REQUEST, deadline=REQUEST.issued_at - timedelta(microseconds=1)),
         "deadline_before_issue"),
        ([Version(effective_from=date(2026, 3, 3), frequency="adhoc")], "DX-1", REQUEST, "not_in_force"),
        ([MONTHLY], "2026-Q1", None, "other_frequency"),
        ([], "2026-Q1", None, "other_frequency"),
        ([Version(effective_from=date(2026, 10, 15))], "2026-M10", None, "not_in_force"),
        ([Version(effective_from=date(2000, 1, 1))], "2019-M01", None, "before_calendar"),
    ],
)  # fmt: skip
def test_why_a_period_can_never_be_reported(
    versions: list[Version], period: str, request_: Request | None, why: str
) -> None:
    assert window_of(versions, parse(period), request_) == NoWindow(why)  # type: ignore[arg-type]


def test_the_controls_what_is_just_inside_can_be_reported() -> None:
    at_once = replace(REQUEST, deadline=REQUEST.issued_at)
    for versions, period, request in (
        ([ADHOC], "DX-1", at_once),
        ([Version(effective_from=date(2026, 3, 2), frequency="adhoc")], "DX-1", REQUEST),
        ([Version(effective_from=date(2026, 10, 14))], "2026-M10", None),
        ([MONTHLY, ADHOC], "2019-M02", None),  # from 15 January 2019 on
    ):
        assert isinstance(window_of(versions, parse(period), request), Window), period


def test_a_report_is_taken_once_its_figures_can_exist() -> None:
    window = Window(MONTHLY, date(2026, 9, 15), date(2026, 10, 14))
    assert window.accepted_from(early_allowed=False) == datetime(2026, 10, 15, tzinfo=LOCAL_ZONE)
    assert window.accepted_from(early_allowed=True) == datetime(2026, 9, 15, tzinfo=LOCAL_ZONE)
    asked = replace(window, issued_at=REQUEST.issued_at)
    assert {asked.accepted_from(early_allowed=early) for early in (True, False)} == {REQUEST.issued_at}


def test_days_begin_and_end_in_vietnam() -> None:
    assert day_begins(date(2026, 1, 1)) == datetime(2025, 12, 31, 17, tzinfo=UTC)
    assert cutoff_ends(date(2026, 12, 31)) == day_begins(date(2027, 1, 1))
    assert local_day(datetime(2026, 10, 14, 16, 59, 59, 999_999, tzinfo=UTC)) == date(2026, 10, 14)
    assert local_day(datetime(2026, 10, 14, 17, tzinfo=UTC)) == date(2026, 10, 15)


def test_a_report_comes_from_the_first_moment_on_and_for_five_years() -> None:
    last = date(2021, 10, 14)
    taken_from, forgotten = cutoff_ends(last), last + timedelta(days=BACK_DAYS + 1)
    assert timedelta(days=5 * 365) <= timedelta(days=BACK_DAYS) <= timedelta(days=5 * 366)
    assert outside(taken_from, last, taken_from - timedelta(microseconds=1)) == "too_early"
    assert outside(taken_from, last, taken_from) is None
    assert outside(taken_from, last, day_begins(forgotten) - timedelta(microseconds=1)) is None
    assert outside(taken_from, last, day_begins(forgotten)) == "too_old"
