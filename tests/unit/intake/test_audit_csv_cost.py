"""A cell of the audit trail's CSV costs its length, and what a spreadsheet would compute is made inert as before."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.web.spreadsheets import inert
from tests.unit.growth import SQUARE_FROM, growth

BEFORE = re.compile(r"(^|[;\t\r\n])(?=[\s\ufeff]*[=+\-@＝＋－＠])")


def inert_before(cell: str) -> str:
    marked = BEFORE.sub(r"\1'", cell)
    return f"'{marked}" if re.match(r"\s*[\t\r\n]", marked) else marked


def tabs(count: int) -> str:
    return "x" + "\t" * count + "a"


@given(st.text(st.sampled_from("; \t\r\n\ufeff=+-@a'＝"), max_size=10))
def test_the_same_is_made_inert(cell: str) -> None:
    assert inert(cell) == inert_before(cell)


@pytest.mark.parametrize(
    ("cell", "expected"),
    [("=1+1", "'=1+1"), ("a;\t=1", "a;'\t'=1"), ("\t\t-1", "'\t'\t'-1"), ("a =1", "a =1"), ("1-2", "1-2")],
)
def test_right_values(cell: str, expected: str) -> None:
    assert inert(cell) == expected


def test_a_cell_of_tabs_costs_its_length() -> None:
    assert growth(inert, tabs, 2_000) < SQUARE_FROM


def test_control_the_old_way_costs_the_square() -> None:
    assert any(growth(inert_before, tabs, 1_000) > SQUARE_FROM for _ in range(5))
