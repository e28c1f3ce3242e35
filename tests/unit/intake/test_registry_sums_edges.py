"""What of sums is derived, named and bounded, at the edges of each limit."""

from __future__ import annotations

from decimal import Decimal

import pytest

from services.intake.registry import sums
from services.intake.registry.narrowing import MAX_DIGITS
from services.intake.registry.sums import _bound, _made, _order, _scaled
from tests.unit.intake.test_registry_sums import ONE, asked

UPPER, LOWER = "ABCDEFGHIJKL", "abcdefghijkl"


@pytest.mark.parametrize(("steps", "left_out"), [(9, ""), (10, ", … (1)"), (11, ", … (2)")])
def test_a_message_names_ten_sums_and_counts_the_others(steps: int, left_out: str) -> None:
    """A chain of totals, and one sum over all that the chain adds, with one figure too many."""
    chain = [(UPPER[n], UPPER[n + 1] + LOWER[n]) for n in range(steps)]
    [told] = asked([*chain, (UPPER[0], UPPER[steps] + LOWER[:steps] + "z")], z=ONE)
    named = ", ".join(f"“S{n}”" for n in range(10))
    assert f"The sums {named}{left_out} never hold" in told


@pytest.mark.parametrize(("limit", "found"), [(3, 1), (2, 0)])
def test_as_many_figures_are_substituted_as_the_limit_says(
    monkeypatch: pytest.MonkeyPatch, limit: int, found: int
) -> None:
    monkeypatch.setattr(sums, "MAX_MADE", limit)
    assert len(asked([("A", "BC"), ("A", "BCD")], D=ONE)) == found


@pytest.mark.parametrize(("limit", "found"), [(9, 1), (8, 0)])
def test_the_limit_is_on_all_substitutions_together(monkeypatch: pytest.MonkeyPatch, limit: int, found: int) -> None:
    monkeypatch.setattr(sums, "MAX_MADE", limit)
    assert len(asked([("A", "BC"), ("B", "DE"), ("A", "DECF")], F=ONE)) == found


def test_a_sum_of_which_nothing_follows_is_derived_no_second_time() -> None:
    assert _made([({0: 1, 1: -1, 2: -1}, 0)]) == ([], [])


@pytest.mark.parametrize(("limit", "order"), [(2, {0: 0, 1: 1}), (1, {1: 0, 0: 1})])
def test_totals_come_before_those_among_their_terms_unless_the_way_is_a_circle(
    monkeypatch: pytest.MonkeyPatch, limit: int, order: dict[int, int]
) -> None:
    monkeypatch.setattr(sums, "MAX_MADE", limit)
    assert _order([({1: 1, 2: -1}, 0), ({0: 1, 1: -1}, 0)], {1: 0, 0: 1}) == order


def test_a_figure_without_a_bound_gets_the_largest_that_a_report_can_hold() -> None:
    largest = 10**MAX_DIGITS * 100
    assert (_bound(Decimal("Infinity"), 2), _bound(Decimal("-Infinity"), 2)) == (largest, -largest)
    assert (_bound(Decimal(0), 2), _bound(Decimal("-1.5"), 2)) == (0, -150)


def test_a_bound_that_no_report_can_hold_is_no_number() -> None:
    largest = Decimal(1).scaleb(2 * MAX_DIGITS)
    assert _bound(largest, 0) == 10 ** (2 * MAX_DIGITS)
    for beyond in (largest * 10, Decimal(1).scaleb(-2 * MAX_DIGITS - 1)):
        with pytest.raises(OverflowError, match="not a number"):
            _bound(beyond, 0)


def test_every_digit_of_a_bound_counts() -> None:
    digits = "1" * MAX_DIGITS
    assert _scaled(Decimal(digits), 2) == int(digits) * 100
