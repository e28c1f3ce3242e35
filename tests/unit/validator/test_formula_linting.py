"""Remarks on rules that never or always fire, gaps and overlaps, dead branches, sums; and no remark on honest rules."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.validator.formula import BLANK, Context, Field, Names, compile_formula, parse
from services.validator.formula.linting import RuleFormulas, lint

WHOLE = Field(scale=0, minimum=Decimal(0), maximum=Decimal(100))
NAMES = Names(
    {"A": WHOLE, "B": WHOLE, "C": Field(scale=2), "D": Field(), "E": Field()},
    {"T": {"n": Field(scale=0, minimum=Decimal(1))}},
)


def codes(*rules: tuple[str | None, str]) -> list[str]:
    """Remarks on rules of (when, assert)."""
    formulas = [
        RuleFormulas(f"R{number}", parse(asserts), None if when is None else parse(when))
        for number, (when, asserts) in enumerate(rules)
    ]
    found = lint(formulas, NAMES)
    assert all(remark.message_vi and remark.message_en and remark.start < remark.end for remark in found)
    return [remark.code for remark in found]


@pytest.mark.parametrize(
    ("text", "remark"),
    [
        ("[A] >= 0", "always_holds"),
        ("[A] <= 100", "always_holds"),
        ("[A] > 100", "never_holds"),
        ("AND([A] > 5; [A] < 6)", "never_holds"),  # a whole number
        ("AND([A] > 5; [A] < 5)", "never_holds"),
        ("OR([A] <= 5; [A] > 5)", "always_holds"),
        ("OR(ISBLANK([A]); [A] >= 0)", "always_holds"),
        ("[D] = [D]", "always_holds"),
        ("[D] + [E] <> [D] + [E]", "never_holds"),
        ("NOT([A] < 101)", "never_holds"),
        ("1 = 2", "never_holds"),
        ("IN([A]; 101; 102.5)", "never_holds"),
        ("[C] = 0.005", "never_holds"),
        ("IF([A] > 5; [B] > 3; IF([A] > 7; [B] > 4; [B] > 5))", "unreachable"),
        ("IF([A] > 5; IF([A] > 3; [B] > 1; [B] > 2); [B] > 3)", "unreachable"),
        ("IF([A] < 0; [B] > 1; [B] > 2)", "unreachable"),
        ("[A] = [A] + [B]", "holds_its_total"),
        ("[A] = SUM([A]:[C])", "holds_its_total"),
        ("SUM([B]:[D]) = [C]", "holds_its_total"),
        ("[A] = [B] + [C] + [B]", "term_twice"),
        ("[A] = SUM([B]:[D]; [C])", "term_twice"),
    ],
)
def test_told(text: str, remark: str) -> None:
    assert codes((None, text)) == [remark]


@pytest.mark.parametrize(
    "text",
    [
        "[A] > 0",
        "[A] < 100",
        "[D] >= 0",
        "AND([C] > 5; [C] < 6)",
        "AND([D] > 5; [D] < 5.000000001)",
        "OR([A] < 5; [A] > 5)",
        "OR([A] < 5; [B] >= 5)",
        "AND(ISBLANK([A]); TRUE)",
        "[A] = [B] + [C] - [D]",
        "[A] = PREV([A]) + [B]",
        "IF([A] > 5; [B] > 3; IF([A] > 3; [B] > 4; [B] > 5))",
        "IF([A] > 5; [B] > 3; IF([B] > 7; [A] > 4; TRUE))",
        "[D] - [E] - [E] > 0",
        "IF([D] = 0.1; [A] = 1; [A] = 2)",
        "[A] / [B] > 101",
        "ABS([A]) > 101",
    ],
)
def test_not_told(text: str) -> None:
    assert codes((None, text)) == []


def test_a_condition_that_never_or_always_holds() -> None:
    assert codes(("[A] > 100", "[B] = 1")) == ["never_holds"]
    assert codes(("[A] >= 0", "[B] = 1")) == []  # not where it is blank
    assert codes(("OR(ISBLANK([A]); [A] >= 0)", "[B] = 1")) == ["always_holds"]


def test_an_assertion_under_its_condition() -> None:
    assert codes(("[A] > 5", "[A] > 3")) == ["always_holds"]
    assert codes(("[A] > 5", "[A] <= 5")) == ["never_holds"]
    assert codes(("[A] > 3", "[A] > 5")) == []
    assert codes(("[B] > 5", "[A] > 3")) == []
    assert codes(("[A] > 5", "IF([A] > 5; [B] = 1; [B] = 2)")) == ["unreachable"]


@pytest.mark.parametrize(
    ("first", "second", "remark"),
    [
        ("[A] < 5", "[A] > 5", "gap"),
        ("[A] <= 5", "[A] > 6", "gap"),  # 6
        ("[A] <= 5", "[A] >= 5", "overlap"),
        ("[A] > 5", "[A] < 5", "gap"),
        ("[D] < 5", "[D] > 5", "gap"),
        ("AND([A] > 1; [A] <= 5)", "AND([A] >= 5; [A] < 9)", "overlap"),
    ],
)
def test_conditions_that_meet(first: str, second: str, remark: str) -> None:
    assert codes((first, "[B] = 1"), (second, "[B] = 2")) == [remark]


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("[A] <= 5", "[A] > 5"),
        ("[A] < 5", "[A] > 4"),  # whole numbers: neither gap nor overlap
        ("[A] < 5", "[A] > 7"),  # several values apart are meant
        ("[A] <= 7", "[A] >= 5"),
        ("[A] < 5", "[C] > 5"),
        ("[A] > 0", "[A] > 5"),
        ("[D] < 5", "[D] >= 5"),
    ],
)
def test_conditions_that_do_not(first: str, second: str) -> None:
    assert codes((first, "[B] = 1"), (second, "[B] = 2")) == []


def test_a_third_rule_fills_the_gap_and_other_subjects_have_none() -> None:
    assert codes(("[A] < 5", "[B] = 1"), ("[A] > 5", "[B] = 2"), ("[A] = 5", "[B] = 3")) == []
    assert codes(("[A] < 5", "[B] = 1"), ("[A] > 5", "[D] = 2")) == []


def test_circles_of_rules_are_told_once() -> None:
    assert codes((None, "[A] = [B] + [C]"), (None, "[B] = [D]"), (None, "[D] = [A] + 1")) == ["circle"]


def test_columns_of_rows_are_looked_at_too() -> None:
    assert codes((None, "[T.n] > 0")) == ["always_holds"]


def test_with_a_tolerance_an_assertion_is_no_plain_comparison() -> None:
    rule = RuleFormulas("R", parse("[A] > 100"), tolerance=True)
    assert lint([rule], NAMES) == []


_ATOMS = st.builds(
    lambda operator, limit: f"[A] {operator} {limit}",
    st.sampled_from(["<", "<=", ">", ">=", "=", "<>"]),
    st.sampled_from(["-1", "0", "1", "2.5", "3", "99", "100", "101"]),
) | st.sampled_from(["ISBLANK([A])", "IN([A]; 3; 100)"])
_CONDITIONS = st.recursive(
    _ATOMS,
    lambda parts: st.one_of(
        st.builds("AND({0}; {1})".format, parts, parts),
        st.builds("OR({0}; {1})".format, parts, parts),
        st.builds("NOT({0})".format, parts),
    ),
    max_leaves=6,
)


@given(_CONDITIONS)
def test_what_is_told_of_a_condition_is_so_for_every_value(text: str) -> None:
    run = compile_formula(parse(text), NAMES)
    answers = {run(Context({"A": Decimal(value)})) for value in range(101)} | {run(Context({"A": BLANK}))}
    found = codes((None, text))
    assert ("always_holds" in found) == (True in answers and False not in answers)
    assert ("never_holds" in found) == (False in answers and True not in answers)
