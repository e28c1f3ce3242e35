"""The two back ends agree: what polars answers for a column, the closures answer row by row."""

from __future__ import annotations

from datetime import date
from decimal import Decimal

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.validator.formula import (
    BLANK,
    CannotEvaluate,
    Context,
    Field,
    FormulaError,
    Names,
    Type,
    Value,
    check,
    compile_formula,
    each_row,
    parse,
)
from services.validator.formula.columns import CELL_DIGITS, NotForColumns, failing_rows, frame, to_polars
from services.validator.formula.context import Row
from tests.unit.validator.formula_rig import REFERENCES

COLUMNS = {
    "a": Field(scale=2),
    "b": Field(scale=0),
    "c": Field(scale=3),
    "t": Field(Type.TEXT),
    "d": Field(Type.DATE),
}
NAMES = Names(
    {"X": Field(scale=1)}, {"T": COLUMNS, "U": COLUMNS}, references={"xa": {"ten": Field(Type.TEXT), "dan_so": Field()}}
)


def context(rows: list[Row], figure: Decimal = Decimal("2.5")) -> Context:
    return Context({"X": figure}, {"T": rows}, lookup=REFERENCES.get)


def in_rows(text: str, known: Context) -> list[Value | None]:
    """The closures' answers; None for a blank, and for what cannot be evaluated."""
    answers = each_row(compile_formula(parse(text), NAMES), known, "T")
    return [None if answer is BLANK or isinstance(answer, CannotEvaluate) else answer for answer in answers]


def in_columns(text: str, known: Context) -> list[Value | None]:
    """Polars' answers. Raises NotForColumns, or polars' own error beyond 34 digits."""
    data = frame(known.tables["T"], COLUMNS)
    expression = to_polars(parse(text), "T", NAMES, known)
    answers: list[Value | None] = data.with_columns(expression.alias("answer"))["answer"].to_list()
    return answers


def number(scale: int) -> st.SearchStrategy[Decimal]:
    return st.integers(-(10**7), 10**7).map(lambda value: Decimal(value).scaleb(-scale)) | st.sampled_from(
        [Decimal(0), Decimal(1), Decimal("-1"), Decimal(9 * 10 ** (CELL_DIGITS - scale - 1))]
    )


ROWS: st.SearchStrategy[list[Row]] = st.lists(
    st.fixed_dictionaries(
        {
            "a": st.none() | number(2),
            "b": st.none() | st.integers(-3, 3).map(Decimal),
            "c": st.none() | number(3),
            "t": st.none() | st.sampled_from(["", "a", "z", "Xã", "XÃ", "aa"]),
            "d": st.none() | st.dates(),
        }
    ),
    min_size=1,
    max_size=6,
)
_NUMBERS = st.recursive(
    st.sampled_from(["[T.a]", "[T.b]", "[T.c]", "[X]", "0", "1", "2.5", "-3", "100", "LEN([T.t])", "YEAR([T.d])"]),
    lambda parts: st.one_of(
        st.builds("({0} + {1})".format, parts, parts),
        st.builds("({0} - {1} - {0})".format, parts, parts),
        st.builds("({0} * {1})".format, parts, parts),
        st.builds("-{0}".format, parts),
        st.builds("{0}%".format, parts),
        st.builds("ABS({0})".format, parts),
        st.builds("ROUND({0}; {1})".format, parts, st.sampled_from(["0", "1", "2", "5"])),
        st.builds("SUM({0})".format, parts),
        st.builds("MIN({0})".format, parts),
        st.builds("MAX({0})".format, parts),
        st.builds("COUNT({0})".format, st.sampled_from(["[T.a]", "[T.t]", "[T.d]"])),
        st.builds("SUMBY({0}; {1})".format, parts, st.sampled_from(["[T.t]", "[T.b]; [T.t]"])),
        st.builds("IF({0} > 0; {1}; {0})".format, parts, parts),
        st.builds("IFBLANK({0}; {1})".format, st.sampled_from(["[T.a]", "[T.b]"]), parts),
    ),
    max_leaves=5,
)
_CONDITIONS = st.recursive(
    st.one_of(
        st.builds("{0} {1} {2}".format, _NUMBERS, st.sampled_from(["=", "<>", "<", "<=", ">", ">="]), _NUMBERS),
        st.builds("{0} / {1} {3} {2}".format, _NUMBERS, _NUMBERS, _NUMBERS, st.sampled_from(["=", "<", ">="])),
        st.builds("{2} <= PCT({0}; {1})".format, _NUMBERS, _NUMBERS, _NUMBERS),
        st.builds("{0} IN ({1}; {2})".format, _NUMBERS, _NUMBERS, _NUMBERS),
        st.sampled_from(
            [
                'ISBLANK([T.a])', 'ISBLANK([T.t])', '[T.t] = "Xã"', '[T.t] IN ("a"; "z")', '[T.d] > DATE(2026; 1; 1)',
                'MATCHES([T.t]; "\\p{Lu}.*")', 'EXISTS("xa"; [T.t])',
                'LOOKUP("xa"; [T.t]; "ten") <> "Zuôn"', 'LOOKUP("xa"; [T.t]; "dan_so") > 100 * [T.b]',
                "FIRSTROW([T.t])", "FIRSTROW([T.b]; [T.t])",
                "ISUNIQUE([T.t])", "ISUNIQUE([T.b]; [T.t])", "MONTH([T.d]) > DAY([T.d])", '"a" <> [T.t]',
            ]
        ),
    ),
    lambda parts: st.one_of(
        st.builds("AND({0}; {1})".format, parts, parts),
        st.builds("OR({0}; {1})".format, parts, parts),
        st.builds("NOT({0})".format, parts),
        st.builds("IF({0}; {1}; {0})".format, parts, parts),
    ),
    max_leaves=4,
)  # fmt: skip


@given(_NUMBERS | _CONDITIONS, ROWS)
def test_both_back_ends_give_the_same(text: str, rows: list[Row]) -> None:
    known = context(rows)
    try:
        found = in_columns(text, known)
    except (NotForColumns, pl.exceptions.PolarsError, FormulaError):
        return
    assert found == in_rows(text, known)


@pytest.mark.parametrize(
    "text",
    [
        "[T.a] + [T.b] * [T.c] - 1",
        "[T.a] / [T.b] > 0.5",
        "PCT([T.b]; [T.a]) <= 100",
        "SUM([T.a]) = SUMBY([T.a]; [T.t])",
        'AND(FIRSTROW([T.t]); EXISTS("xa"; [T.t]); ISUNIQUE([T.t]))',
        "IF([T.b] > [X]; ROUND([T.a] * 7%; 1); [T.c])",
        'MATCHES([T.t]; "X.")',
    ],
)
def test_usual_rules_are_taken_in_columns(text: str) -> None:
    """A control for the property, which lets pass what polars is not asked."""
    rows: list[Row] = [
        {"a": Decimal("1.25"), "b": Decimal(2), "c": Decimal("0.005"), "t": "Xã", "d": date(2026, 3, 1)},
        {"a": Decimal("-2.35"), "b": Decimal(0), "c": None, "t": "a", "d": None},
        {"a": None, "b": Decimal(-3), "c": Decimal(1), "t": "a", "d": None},
    ]
    assert in_columns(text, context(rows)) == in_rows(text, context(rows))


@pytest.mark.parametrize(
    "text",
    ["[T.a] / [T.b]", "[T.a] ^ 2", '[T.t] & "x"', "SUM([U.a]) = [T.a]", "ISBLANK([T.a] / [T.b])", "ROUND([T.a]; -1)"],
)
def test_what_would_need_rounding_or_another_table_is_not_taken(text: str) -> None:
    formula = parse(text)
    assert check(formula, NAMES, row="T")[1] == []
    with pytest.raises(NotForColumns):
        to_polars(formula, "T", NAMES, context([]))


@pytest.mark.parametrize(
    "cell", ["text", Decimal("0.001"), Decimal("1E+30"), True, CannotEvaluate("wrong_kind", "", "")]
)
def test_a_frame_takes_only_cells_of_its_columns(cell: Value) -> None:
    with pytest.raises(NotForColumns):
        frame([{"a": cell}], COLUMNS)


def test_failing_rows_are_the_same_whatever_the_way() -> None:
    rows: list[Row] = [
        {"a": Decimal(value), "b": Decimal(value % 3), "c": None, "t": str(value % 2)} for value in range(9)
    ]
    texts = {
        "columns": "[T.a] < 7",
        "constant": "SUM([T.a]) = 0",
        "rows": "[T.a] ^ 2 <= 25",
        "blank": "[T.c] > 0",
        "digits": f"[T.a] * {'9' * 33} * {'9' * 33} >= 0",
    }
    formulas = {rule: parse(text) for rule, text in texts.items()}
    wanted = {"columns": [7, 8], "constant": list(range(9)), "rows": [6, 7, 8], "blank": [], "digits": []}
    assert failing_rows(formulas, "T", NAMES, context(rows)) == wanted
    rows[8] = {**rows[8], "c": CannotEvaluate("wrong_kind", "sai", "wrong")}  # no frame any more
    assert failing_rows(formulas, "T", NAMES, context(rows)) == wanted
    assert failing_rows(formulas, "T", NAMES, context([])) == {rule: [] for rule in texts}
