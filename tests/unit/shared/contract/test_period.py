"""Period ids and their cut-off ranges (NĐ 09/2019/NĐ-CP Điều 12)."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.contract.events.registry import Cutoff, Frequency
from shared.contract.period import (
    Period,
    PeriodError,
    around,
    containing,
    cutoff_range,
    first_day,
    fits,
    following,
    format_id,
    governing_version,
    last_month,
    parse,
    preceding,
    touching,
    weeks_in_year,
)

LAW = Cutoff()
CONTIGUOUS: tuple[Frequency, ...] = ("weekly", "monthly", "quarterly", "half_yearly", "yearly")
PERIODIC: tuple[Frequency, ...] = (*CONTIGUOUS, "nine_monthly")
DAYS = st.dates(date(1990, 1, 1), date(2090, 12, 31))
CUTOFFS = st.builds(Cutoff, day=st.integers(1, 28), weekday=st.integers(1, 7))


def days(text: str, cutoff: Cutoff = LAW) -> tuple[str, str]:
    period = parse(text)
    first, last = cutoff_range(period, period.frequency, cutoff)
    return first.isoformat(), last.isoformat()


@pytest.mark.parametrize(
    ("text", "frequency", "year", "number"),
    [
        ("2026-W07", "weekly", 2026, 7),
        ("2026-M10", "monthly", 2026, 10),
        ("2026-Q3", "quarterly", 2026, 3),
        ("2026-H1", "half_yearly", 2026, 1),
        ("2026-9M", "nine_monthly", 2026, 1),
        ("2026", "yearly", 2026, 1),
        ("DX-2026-003", "adhoc", 0, 0),
        ("CD.THIEN-TAI-01", "adhoc", 0, 0),
    ],
)
def test_each_kind_of_id_is_understood(text: str, frequency: Frequency, year: int, number: int) -> None:
    assert parse(text) == Period(text, frequency, year, number)
    assert str(parse(text)) == text


@pytest.mark.parametrize(
    "text",
    [
        "", "2026-M13", "2026-M00", "2026-M1", "2026-Q5", "2026-Q0", "2026-H3", "2026-W00", "2026-W54", "2025-W53",
        "2026-6M", "0026", "20266", "dx-1", "DX_1", "DX 1", "../A", "A..B", "A/B", "-A", "A-", "2026-M10\n", "DX-1\n",
        "2026-DX", "Đ1", "２０２６", "A" * 41,
    ],
)  # fmt: skip
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises(PeriodError):
        parse(text)


def test_the_cutoffs_are_those_of_the_decree() -> None:
    assert days("2026-M10") == ("2026-09-15", "2026-10-14")
    assert days("2026-M01") == ("2025-12-15", "2026-01-14")
    assert days("2026-Q1") == ("2025-12-15", "2026-03-14")
    assert days("2026-Q2") == ("2026-03-15", "2026-06-14")
    assert days("2026-Q3") == ("2026-06-15", "2026-09-14")
    assert days("2026-Q4") == ("2026-09-15", "2026-12-14")
    assert days("2026-H1") == ("2025-12-15", "2026-06-14")
    assert days("2026-H2") == ("2026-06-15", "2026-12-14")
    assert days("2026-9M") == ("2025-12-15", "2026-09-14")
    assert days("2026") == ("2025-12-15", "2026-12-14")


def test_a_regime_may_close_its_figures_on_another_day() -> None:
    assert days("2026-M03", Cutoff(day=28)) == ("2026-03-01", "2026-03-28")  # February 2026 ends on the 28th
    assert days("2024-M03", Cutoff(day=28)) == ("2024-02-29", "2024-03-28")
    assert days("2026-W07", Cutoff(weekday=4)) == ("2026-02-06", "2026-02-12")


def test_iso_weeks_are_right_at_the_edges_of_years() -> None:
    assert weeks_in_year(2026) == 53
    assert weeks_in_year(2025) == 52
    assert days("2026-W01") == ("2025-12-29", "2026-01-04")
    assert days("2026-W53") == ("2026-12-28", "2027-01-03")
    assert days("2027-W01") == ("2027-01-04", "2027-01-10")
    assert following(parse("2026-W53")).id == "2027-W01"
    assert following(parse("2025-W52")).id == "2026-W01"
    # 1 January 2027 is a Friday of the week-year 2026
    assert containing(date(2027, 1, 1), "weekly", LAW).id == "2026-W53"
    assert containing(date(2024, 12, 30), "weekly", LAW).id == "2025-W01"


@pytest.mark.parametrize(
    ("text", "before", "first"),
    [
        ("2026-W01", "2025-W52", "2025-12-29"), ("2027-W01", "2026-W53", "2027-01-04"),
        ("2026-W07", "2026-W06", "2026-02-09"), ("2026-M01", "2025-M12", "2026-01-01"),
        ("2026-M10", "2026-M09", "2026-10-01"), ("2026-Q1", "2025-Q4", "2026-01-01"),
        ("2026-Q3", "2026-Q2", "2026-07-01"), ("2026-H1", "2025-H2", "2026-01-01"),
        ("2026-H2", "2026-H1", "2026-07-01"), ("2026-9M", "2025-9M", "2026-01-01"), ("2026", "2025", "2026-01-01"),
    ],
)  # fmt: skip
def test_the_period_before_and_the_first_day_of_its_name(text: str, before: str, first: str) -> None:
    assert preceding(parse(text)).id == before
    assert following(parse(before)).id == text
    assert first_day(parse(text)).isoformat() == first


def test_the_first_and_the_last_year_are_years_of_periods() -> None:
    assert (parse("1900").year, parse("2999-M12").year) == (1900, 2999)
    assert parse("A" * 40).frequency == "adhoc"
    for beyond in ("1899", "3000-M01"):
        with pytest.raises(PeriodError, match="1900-2999"):
            parse(beyond)
    for step, edge in ((preceding, "1900-M01"), (following, "2999-M12")):
        with pytest.raises(PeriodError, match="1900-2999"):
            step(parse(edge))


@pytest.mark.parametrize(("text", "most"), [("2026-M13", 12), ("2026-Q5", 4), ("2026-H3", 2), ("2025-W53", 52)])
def test_a_number_beyond_the_last_is_told_with_the_last(text: str, most: int) -> None:
    with pytest.raises(PeriodError, match=rf"'{text}': 202\d has \w+ periods 1 to {most}$"):
        parse(text)


def test_the_last_month_of_a_period() -> None:
    assert last_month(parse("2026-Q3")) == (2026, 9)
    assert last_month(parse("2026-9M")) == (2026, 9)
    assert last_month(parse("2026-H2")) == (2026, 12)
    assert last_month(parse("2026-W53")) == (2027, 1)


@given(day=DAYS, frequency=st.sampled_from(CONTIGUOUS), cutoff=CUTOFFS)
def test_ranges_of_consecutive_periods_neither_overlap_nor_leave_a_gap(
    day: date, frequency: Frequency, cutoff: Cutoff
) -> None:
    period = containing(day, frequency, cutoff)
    first, last = cutoff_range(period, frequency, cutoff)
    assert first <= day <= last
    assert cutoff_range(following(period), frequency, cutoff)[0] == last + timedelta(days=1)


@given(day=DAYS, cutoff=CUTOFFS)
def test_nine_months_never_overlap_and_leave_the_three_last_months_out(day: date, cutoff: Cutoff) -> None:
    period = containing(day, "nine_monthly", cutoff)
    first, last = cutoff_range(period, "nine_monthly", cutoff)
    assert day <= last
    assert cutoff_range(following(period), "nine_monthly", cutoff)[0] > last
    year_end = cutoff_range(parse(str(period.year)), "yearly", cutoff)[1]
    assert (year_end.year, year_end.month - last.month) == (last.year, 3)
    assert first == cutoff_range(parse(str(period.year)), "yearly", cutoff)[0]


@given(day=DAYS, frequency=st.sampled_from(PERIODIC), cutoff=CUTOFFS)
def test_ids_survive_a_round_trip(day: date, frequency: Frequency, cutoff: Cutoff) -> None:
    period = containing(day, frequency, cutoff)
    assert parse(format_id(frequency, period.year, period.number)) == period
    assert fits(period, frequency)


@given(first=DAYS, length=st.integers(0, 800), frequency=st.sampled_from(PERIODIC), cutoff=CUTOFFS)
def test_enumeration_gives_exactly_the_periods_that_touch_the_window(
    first: date, length: int, frequency: Frequency, cutoff: Cutoff
) -> None:
    last = first + timedelta(days=length)
    found = list(touching(first, last, frequency, cutoff))
    for period in found:
        begins, ends = cutoff_range(period, frequency, cutoff)
        assert begins <= last
        assert ends >= first
    # none was forgotten before or after
    if found:
        assert cutoff_range(following(found[-1]), frequency, cutoff)[0] > last
        assert containing(first, frequency, cutoff) == found[0]
    else:
        assert frequency == "nine_monthly"
    assert len({period.id for period in found}) == len(found)


def test_an_empty_window_and_ad_hoc_regimes_have_no_periods() -> None:
    assert list(touching(date(2026, 2, 1), date(2026, 1, 1), "monthly", LAW)) == []
    assert list(touching(date(2026, 1, 1), date(2026, 2, 1), "adhoc", LAW)) == []


def test_a_period_of_another_frequency_has_no_range() -> None:
    with pytest.raises(PeriodError):
        cutoff_range(parse("2026-Q1"), "monthly", LAW)
    with pytest.raises(PeriodError):
        cutoff_range(parse("DX-1"), "adhoc", LAW)
    with pytest.raises(PeriodError):
        following(parse("DX-1"))
    with pytest.raises(PeriodError):
        preceding(parse("DX-1"))
    with pytest.raises(PeriodError):
        first_day(parse("DX-1"))
    with pytest.raises(PeriodError):
        last_month(parse("DX-1"))
    with pytest.raises(PeriodError):
        containing(date(2026, 1, 1), "adhoc", LAW)
    with pytest.raises(PeriodError):
        format_id("adhoc", 2026)


@dataclass(frozen=True)
class Version:
    regime_version: int
    effective_from: date
    effective_to: date | None = None
    frequency: Frequency = "monthly"
    cutoff: Cutoff = LAW


def test_the_version_in_force_on_the_last_day_of_the_cutoff_governs() -> None:
    one, two = Version(1, date(2025, 1, 1)), Version(2, date(2026, 10, 14))
    assert governing_version([two, one], parse("2026-M09")) is one
    assert governing_version([two, one], parse("2026-M10")) is two
    assert governing_version([two, one], parse("2024-M12")) is None
    assert governing_version([], parse("2026-M10")) is None


def test_an_ended_version_governs_nothing_after_its_last_day() -> None:
    ended = Version(1, date(2025, 1, 1), effective_to=date(2026, 10, 14))
    assert governing_version([ended], parse("2026-M10")) is ended
    assert governing_version([ended], parse("2026-M11")) is None


def test_a_superseded_frequency_does_not_come_back_to_life() -> None:
    monthly = Version(1, date(2025, 1, 1))
    quarterly = Version(2, date(2026, 7, 1), frequency="quarterly")
    assert governing_version([monthly, quarterly], parse("2026-M06")) is monthly
    assert governing_version([monthly, quarterly], parse("2026-M09")) is None
    assert governing_version([monthly, quarterly], parse("2026-Q3")) is quarterly


def test_two_versions_of_one_day_are_told_apart_by_their_number() -> None:
    one, two = Version(1, date(2026, 1, 1)), Version(2, date(2026, 1, 1))
    assert governing_version([two, one], parse("2026-M10")) is two


def test_a_request_is_governed_by_the_day_it_was_issued_on() -> None:
    one = Version(1, date(2026, 1, 1), frequency="adhoc")
    assert governing_version([one], parse("DX-1"), issued_on=date(2026, 1, 1)) is one
    assert governing_version([one], parse("DX-1"), issued_on=date(2025, 12, 31)) is None
    with pytest.raises(PeriodError):
        governing_version([one], parse("DX-1"))


@pytest.mark.parametrize(
    ("period", "around_it"),
    [
        ("2026-M10", ["2026-M10", "2026-Q4", "2026-H2", "2026"]),
        ("2026-M09", ["2026-M09", "2026-Q3", "2026-H2", "2026-9M", "2026"]),
        ("2026-Q2", ["2026-Q2", "2026-H1", "2026-9M", "2026"]),
        ("2026-H2", ["2026-H2", "2026"]),
        ("2026-H1", ["2026-H1", "2026-9M", "2026"]),
        ("2026-9M", ["2026-9M", "2026"]),
        ("2026-W01", ["2026-W01", "2026"]),
        ("2026", ["2026"]),
        ("DX-2026-003", ["DX-2026-003"]),
    ],
)
def test_a_period_lies_in_those_of_its_year_that_contain_it(period: str, around_it: list[str]) -> None:
    assert [found.id for found in around(parse(period))] == around_it
