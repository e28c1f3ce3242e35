"""The sums that a form shows as one types say what the validator will say of them."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.board.entry import domain
from services.validator.domain import judge
from services.validator.rules.forms import compile_form
from shared.contract.events.registry import FigureField, Form, SumRule

FORM = Form(
    figures=(
        FigureField(code="A", label="Tổng"), FigureField(code="A1", label="Một"),
        FigureField(code="A2", label="Hai", fraction_digits=2), FigureField(code="A3", label="Ba", required=False),
    ),
    sums=(SumRule(code="S", total="A", terms=("A1", "A2", "A3"), tolerance="0.5"),),
)  # fmt: skip
COMPILED = compile_form(FORM)


@pytest.mark.parametrize(
    ("figures", "made", "unknown", "differs"),
    [
        ({}, None, ("A1", "A2"), None),
        ({"A1": "1"}, "1", ("A2",), None),
        ({"A1": "1", "A2": "2.50"}, "3.50", (), None),
        ({"A": "5", "A1": "1", "A2": "2.50"}, "3.50", (), "1.50"),
        ({"A": "5", "A1": "1", "A2": "2,5"}, "1", ("A2",), None),
        ({"A": "năm", "A1": "1", "A2": "2"}, "3", (), None),
        ({"A": " 3 ", "A1": "1", "A2": "2", "A3": "1e1"}, "3", ("A3",), None),
        ({"A": "-1", "A1": "-1", "A2": "0", "A3": "0"}, "-1", (), "0"),
        ({"A1": "1" * 40, "A2": "0." + "1" * 40}, "1" * 40 + "." + "1" * 40, (), None),
        ({"A1": "1" * 41, "A2": "1"}, "1", ("A1",), None),
        ({"A1": "+1", "A2": "1"}, "1", ("A1",), None),
        ({"A1": "NaN", "A2": "1"}, "1", ("A1",), None),
    ],
)
def test_a_sum_is_what_its_terms_make(
    figures: dict[str, str], made: str | None, unknown: tuple[str, ...], differs: str | None
) -> None:
    (found,) = domain.sums(FORM, figures)
    assert found.made == (None if made is None else Decimal(made))
    assert found.unknown == unknown
    assert found.differs == (None if differs is None else Decimal(differs))


_WHOLE = st.integers(0, 12).map(str)
_TYPED = st.fixed_dictionaries(
    {"A": _WHOLE, "A1": _WHOLE, "A2": st.integers(0, 900).map(lambda cents: f"{Decimal(cents) / 100:.2f}")},
    optional={"A3": _WHOLE},
)


@given(_TYPED)
@settings(max_examples=60, deadline=None)
def test_what_is_right_and_wrong_here_is_right_and_wrong_there(figures: dict[str, str]) -> None:
    (found,) = domain.sums(FORM, figures)
    judged = judge(COMPILED, figures, {}, nil=False)
    assert found.differs is not None
    assert found.agrees is not any(flaw.code.startswith("K01") for flaw in judged.findings), judged.findings


def test_what_stands_in_a_sum_is_counted() -> None:
    assert domain.counted(FORM) == {"A", "A1", "A2", "A3"}
