"""The scoring policy: timeliness by working days, completeness by share, exact decimals."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.scoring.scores import policy
from services.scoring.scores.policy import Policy, PolicyBook, PolicyError, PolicyMissing, Scored, assess, read_policies
from services.scoring.scores.policy.assess import completeness_points, working_days_late
from tests.unit.scoring.samples import CALENDAR, DEADLINE, POLICY, local

POLICY_FILE = Path(policy.__file__).with_name("policy-1.yaml")


def facts(
    received: datetime | None = None,
    *,
    overdue: bool = False,
    required: int | None = None,
    present: int | None = None,
) -> Scored:
    return Scored(DEADLINE, overdue, received, required, present)


def points(of: Scored) -> list[tuple[str, Decimal]]:
    return [(line.clause, line.points) for line in assess(of, POLICY, CALENDAR)]


def test_nothing_known_scores_nothing() -> None:
    assert points(facts()) == []


def test_on_time_to_the_last_microsecond_earns_all_of_timeliness() -> None:
    assert points(facts(DEADLINE)) == [("1.a", Decimal(60))]
    late = DEADLINE + timedelta(microseconds=1)
    assert points(facts(late)) == [("1.a", Decimal(60)), ("1.b", Decimal(-10))]


@pytest.mark.parametrize(
    ("received", "days"),
    [
        (local(2026, 10, 19, 17, 1), 1),  # the same day, after the hour
        (local(2026, 10, 20, 0, 0), 1),
        (local(2026, 10, 21, 9), 2),
        (local(2026, 10, 24, 9), 4),  # Saturday: four working days have begun
        (local(2026, 10, 26, 9), 5),
        (local(2026, 11, 25, 9), 26),  # 24/11 is a holiday
    ],
)
def test_lateness_counts_working_days_begun(received: datetime, days: int) -> None:
    assert working_days_late(DEADLINE, received, CALENDAR) == days


def test_a_weekend_after_a_friday_deadline_counts_as_one_day() -> None:
    friday = local(2026, 10, 16, 17)
    assert working_days_late(friday, local(2026, 10, 18, 12), CALENDAR) == 1
    assert working_days_late(friday, local(2026, 10, 19, 12), CALENDAR) == 1


def test_working_days_that_a_relief_touches_count_in_no_lateness() -> None:
    tuesday = (local(2026, 10, 20, 23, 59), local(2026, 10, 21))  # it touches Wednesday at midnight
    late = Scored(DEADLINE, False, local(2026, 10, 22, 9), excused=(tuesday,))
    assert points(late) == [("1.a", Decimal(60)), ("1.b", Decimal(-10))]
    assert points(facts(local(2026, 10, 22, 9)))[1] == ("1.b", Decimal(-30)), "without it"


def test_timeliness_never_falls_below_its_floor() -> None:
    assert points(facts(local(2026, 12, 31)))[1] == ("1.b", Decimal(-60))


def test_overdue_without_a_report_is_a_line_of_its_own() -> None:
    assert points(facts(overdue=True)) == [("1.c", Decimal(0))]
    assert "17:00:00 19/10/2026" in assess(facts(overdue=True), POLICY, CALENDAR)[0].cause


def test_completeness_is_the_share_rounded_half_up_to_cents() -> None:
    assert points(facts(required=3, present=2)) == [("2.a", Decimal("26.67"))]
    assert completeness_points(POLICY.completeness, 3, 1) == Decimal("13.33")
    assert completeness_points(POLICY.completeness, 64, 1) == Decimal("0.63")  # 0.625 goes up
    assert completeness_points(POLICY.completeness, 7, 0) == Decimal(0)
    assert completeness_points(POLICY.completeness, 7, 7) == Decimal(40)


def test_a_report_of_which_nothing_is_required_is_complete() -> None:
    assert completeness_points(POLICY.completeness, 0, 0) == Decimal(40)


@given(st.integers(1, 500), st.integers(0, 500))
def test_completeness_stays_within_its_bounds_and_never_falls_with_more_items(required: int, present: int) -> None:
    here = completeness_points(POLICY.completeness, required, present)
    assert Decimal(0) <= here <= Decimal(40)
    assert here <= completeness_points(POLICY.completeness, required, present + 1)


@given(st.integers(0, 40_000), st.integers(0, 30), st.integers(0, 30))
def test_no_report_scores_below_nothing_or_above_a_hundred(minutes: int, required: int, present: int) -> None:
    lines = assess(
        facts(DEADLINE + timedelta(minutes=minutes - 500), required=required, present=min(present, required)),
        POLICY,
        CALENDAR,
    )
    assert Decimal(0) <= sum(line.points for line in lines) <= Decimal(100)


def other(version: str, effective_from: date) -> Policy:
    return POLICY.model_copy(update={"version": version, "effective_from": effective_from})


def test_the_policy_in_force_on_the_day_of_the_deadline_governs() -> None:
    book = PolicyBook([POLICY, other("2027.1", date(2027, 1, 1))])
    assert book.governing(date(2026, 12, 31)).version == "2019.1"
    assert book.governing(date(2027, 1, 1)).version == "2027.1"
    assert book.governing(date(2000, 1, 1)).version == "2019.1"


def test_ambiguous_or_missing_policies_are_refused(tmp_path: Path) -> None:
    with pytest.raises(PolicyError):
        read_policies(tmp_path)
    with pytest.raises(PolicyError, match="there is no scoring policy"):
        PolicyBook([])
    with pytest.raises(PolicyError, match="have one version"):
        PolicyBook([POLICY, other("2019.1", date(2027, 1, 1))])
    with pytest.raises(PolicyError, match="begin on one day"):
        PolicyBook([POLICY, other("2019.2", POLICY.effective_from)])
    with pytest.raises(PolicyMissing, match=r"policy '2018\.1' is not loaded"):
        PolicyBook([POLICY]).version("2018.1")
    (tmp_path / "p.yaml").write_text('version: "1"\n', encoding="utf-8")
    with pytest.raises(PolicyError, match=r"p\.yaml"):
        read_policies(tmp_path)


def test_points_that_are_no_plain_decimal_are_refused_and_a_plain_one_is_exact(tmp_path: Path) -> None:
    body = POLICY_FILE.read_text(encoding="utf-8")
    for points in ("6.01e1", "60.", ".5", ".inf"):
        (tmp_path / "p.yaml").write_text(body.replace('full: "60"', f"full: {points}"), encoding="utf-8")
        with pytest.raises(PolicyError, match="different numbers"):
            read_policies(tmp_path)
    (tmp_path / "p.yaml").write_text(body.replace('full: "60"', "full: 60.1"), encoding="utf-8")
    (read,) = policy.shipped_policies(tmp_path)
    assert read.policy.timeliness.full == Decimal("60.1"), "as written, by no way through a float"
