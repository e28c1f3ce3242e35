"""What formulas answer: exactly, with blanks kept apart from zero, and never by raising."""

from __future__ import annotations

from datetime import date
from decimal import Context as DecimalContext
from decimal import Decimal, Inexact, localcontext
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.validator.formula import (
    BLANK,
    CannotEvaluate,
    Context,
    FormulaError,
    Missing,
    Operator,
    Tolerance,
    Value,
    compare,
    compile_formula,
    each_row,
    pair_holds,
    parse,
    written,
)
from tests.unit.validator.formula_rig import NAMES, report, shown, value_of, values_in_rows


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("[CT01] = [CT02] + [CT03]", "TRUE"),
        ("[CT01] = SUM([CT02]:[CT03])", "TRUE"),
        ("[CT01] = [CT02] + [CT03] + [A.1]", "FALSE"),
        ("[CT01] = [CT02] + [CT03] + [CT04]", "blank"),
        ("SUM([CT02]:[CT04])", "blank"),
        ("[CT01] - [CT02] - [CT03]", "0"),
        ("[CT04] = 0", "blank"),  # blank is not zero
        ("ISBLANK([CT04])", "TRUE"),
        ("ISBLANK([CT01])", "FALSE"),
        ("IFBLANK([CT04]; 5)", "5"),
        ("ISBLANK(1 / ([CT02] - 3))", "division_by_zero"),
        ("1 / ([CT02] - 3)", "division_by_zero"),
        ("PCT(1; [CT02] - 3)", "division_by_zero"),
        ("0 ^ -1", "division_by_zero"),
        ("10 ^ 9999", "out_of_range"),
        ("(-8) ^ 0.5", "out_of_range"),
        ("PCT([CT02]; [CT01])", "30"),
        ("1 / 3 * 3 = 1", "FALSE"),  # 34 digits, as said
        ("0.1 + 0.2 = 0.3", "TRUE"),
        ("ROUND(2.5)", "3"),
        ("ROUND(-2.5)", "-3"),
        ("ROUND(1.005; 2)", "1.01"),
        ("ROUND(1250; -2)", "1300"),
        ("ROUND(1; 0.5)", "out_of_range"),
        ("ABS(-5)", "5"),
        ("AND([CT04] > 1; FALSE)", "FALSE"),  # decided, whatever the blank is
        ("AND([CT04] > 1; TRUE)", "blank"),
        ("OR(1 / ([CT02] - 3) > 0; TRUE)", "TRUE"),
        ("OR(1 / ([CT02] - 3) > 0; FALSE)", "division_by_zero"),
        ("NOT([CT04] > 1)", "blank"),
        ("IF([CT04] > 1; 1; 2)", "blank"),
        ("IF([CT01] > 1; 1; 1 / ([CT02] - 3))", "1"),
        ('[TEN] IN ("Xã An Bình"; "x")', "TRUE"),
        ("IN([CT02]; 1; [CT04])", "blank"),
        ("IN([CT02]; 3; [CT04])", "TRUE"),
        ('MATCHES([TEN]; "X\\p{L} .*")', "TRUE"),
        ('MATCHES([TEN]; "Xã")', "FALSE"),  # the whole text
        ("LEN([TEN])", "10"),
        ("UPPER([TEN])", '"XÃ AN BÌNH"'),
        ('[TEN] = "XÃ AN BÌNH"', "FALSE"),
        ('SAMETEXT([TEN]; "XÃ AN BÌNH")', "TRUE"),
        ('"số " & 64.00', '"số 64"'),
        ("[NGAY] - DATE(2026; 2; 1)", "28"),
        ("[NGAY] + 30", "2026-03-31"),
        ("[NGAY] > DATE(2026; 2; 28)", "TRUE"),
        ("DATE(2026; 2; 29)", "out_of_range"),
        ("[NGAY] + 0.5", "out_of_range"),
        ("YEAR([NGAY]) * 100 + MONTH([NGAY]) + DAY([NGAY])", "202604"),
        ("MAX([CT01]; [CT02])", "10"),
        ("MIN([CT01]; [CT04])", "blank"),
        ("AVERAGE([CT02]; [CT03])", "5"),
        ("COUNT([CT01]:[CT04])", "3"),
        # tables: aggregates leave blank cells out
        ("SUM([B.gia])", "11"),
        ("AVERAGE([B.gia])", "5.5"),
        ("COUNT([B.gia])", "2"),
        ("SUM([B.sl] * [B.gia])", "25"),
        ("SUM(IF([B.sl] > 2; 1; 0))", "2"),
        ('COUNTIF([B.sl]; ">2")', "2"),
        ('COUNTIF([B.sl]; ">=" & [CT02])', "2"),
        ("COUNTIF([B.sl]; [CT02])", "1"),
        ('COUNTIF([B.nhom]; "<>x")', "1"),
        ("COUNTIF([B.sl]; [CT04])", "blank"),
        ('COUNTIF([B.sl]; ">" & [CT04])', "blank"),
        ("COUNTIF([CT01]:[CT04]; 3)", "1"),
        ('SUMIF([B.nhom]; "x"; [B.sl])', "5"),
        ('SUMIF([B.sl]; ">2")', "8"),
        ('SUMIFS([B.sl]; [B.nhom]; "x"; [B.ma]; "<>a")', "3"),
        ('SUMIF([B.nhom]; "không có"; [B.sl])', "0"),
        ("COUNTDISTINCT([B.ma])", "2"),
        ("COUNTDISTINCT([B.ma]; [B.nhom])", "3"),
        ("ISUNIQUE([B.ma])", "FALSE"),
        ("ISUNIQUE([B.ma]; [B.nhom])", "TRUE"),
        # reference tables
        ('LOOKUP("xa"; "a"; "ten")', '"An Bình"'),
        ('LOOKUP("xa"; "q"; "ten")', "blank"),
        ('EXISTS("xa"; "z")', "TRUE"),
        ('EXISTS("xa"; [CT04])', "blank"),
        ('MISSINGROWS("xa"; [B.ma])', "1"),
        # other reports
        ("PREV([CT01])", "8"),
        ("PREV([CT02])", "blank"),
        ("[CT01] - PREV([CT01])", "2"),
        ("YOY([CT01])", "not_available"),
        ('REF("BC02"; [X1])', "5"),
        ("CHILDREN_SUM([CT01]) = [CT01]", "TRUE"),
        ("CHILDREN_SUM([CT02])", "not_available"),
    ],
)
def test_value(text: str, value: str) -> None:
    assert shown(value_of(text)) == value


@pytest.mark.parametrize(
    ("text", "table", "values"),
    [
        ("[B.sl] * [B.gia]", "B", ["20", "blank", "5"]),
        ("[B.sl] / SUM([B.sl])", "B", ["0.2", "0.3", "0.5"]),
        ("SUMBY([B.gia]; [B.nhom])", "B", ["10", "10", "1"]),
        ("FIRSTROW([B.nhom])", "B", ["TRUE", "FALSE", "TRUE"]),
        ("ISUNIQUE([B.ma])", "B", ["FALSE", "TRUE", "FALSE"]),
        ("COUNTIF([B.ma]; [B.ma])", "B", ["2", "1", "2"]),
        ("SUMIF([B.nhom]; [C.nhom]; [B.sl]) = [C.tong]", "C", ["TRUE", "FALSE"]),
        ('EXISTS("xa"; [B.ma])', "B", ["TRUE", "FALSE", "TRUE"]),
    ],
)
def test_values_in_rows(text: str, table: str, values: list[str]) -> None:
    assert [shown(value) for value in values_in_rows(text, table)] == values


@pytest.mark.parametrize(
    ("missing", "values"),
    [
        ("skip_if_any_missing", ["blank", "blank", "blank", "TRUE", "3"]),
        ("skip_if_all_missing", ["10", "blank", "20", "TRUE", "3"]),
        ("never_skip", ["10", "0", "20", "TRUE", "3"]),
    ],
)
def test_what_a_missing_value_makes_of_its_side(missing: Missing, values: list[str]) -> None:
    texts = ("[CT01] + [CT04]", "[CT04]", "SUM([CT01]:[CT04])", "ISBLANK([CT04])", "COUNT([CT01]:[CT04])")
    found = [compile_formula(parse(text), NAMES, missing=missing)(report()) for text in texts]
    assert [shown(value) for value in found] == values


def test_a_missing_text_is_never_zero() -> None:
    run = compile_formula(parse("[TEN]"), NAMES, missing="never_skip")
    assert run(Context({})) is BLANK


def test_a_bad_cell_spoils_its_own_answers_only() -> None:
    unreadable = CannotEvaluate("not_available", "Ô không đọc được.", "The cell cannot be read.")
    context = report()
    context.tables["B"][1]["sl"] = unreadable  # type: ignore[index]
    assert values_in_rows("[B.sl] > 0", "B", context) == [True, unreadable, True]
    assert value_of("SUM([B.sl])", context) is unreadable
    assert value_of("COUNT([B.ma])", context) == 3
    figures = {**context.figures, "CT02": unreadable}
    assert value_of("[CT01] = [CT02] + [CT03]", Context(figures)) is unreadable
    assert value_of("[CT01] > [CT03]", Context(figures)) is True


def test_a_table_that_is_not_sent_cannot_be_summed_and_an_empty_one_is_zero() -> None:
    assert shown(value_of("SUM([B.sl])", Context({}))) == "not_available"
    assert shown(value_of("SUM([B.sl])", Context({}, {"B": []}))) == "0"
    assert shown(value_of("MAX([B.sl])", Context({}, {"B": []}))) == "blank"


def test_ranges_without_names_follow_the_order_of_the_context() -> None:
    run = compile_formula(parse("SUM([CT01]:[CT03])"))
    context = report()
    assert shown(run(context)) == "not_available"
    context.order = tuple(NAMES.figures)
    assert shown(run(context)) == "20"


def test_the_callers_decimal_context_does_not_matter() -> None:
    figures = {
        "CT01": Decimal("1.0000000001"),
        "CT02": Decimal("1"),
        "CT03": Decimal("0.0000000001"),
        "CT04": Decimal(0),
    }
    with localcontext(DecimalContext(prec=3, traps=[Inexact])):
        assert value_of("[CT01] = [CT02] + [CT03]", Context(figures)) is True
        assert value_of("[CT01] = [CT02] + [CT03] + [CT04]", Context(figures)) is True
        assert shown(value_of("[CT02] / 3 > 0.333333333", Context(figures))) == "TRUE"


def test_an_invalid_pattern_does_not_compile() -> None:
    with pytest.raises(FormulaError):
        compile_formula(parse('MATCHES([TEN]; "(")'))


def test_a_lone_surrogate_matches_nothing() -> None:
    assert value_of('MATCHES([TEN]; ".*")', Context({"TEN": "\ud800"})) is False


@pytest.mark.parametrize(
    ("left", "operator", "right", "tolerance", "answer"),
    [
        ("10.5", "=", "10", Tolerance(absolute=Decimal("0.5")), True),
        ("10.51", "=", "10", Tolerance(absolute=Decimal("0.5")), False),
        ("101", "=", "100", Tolerance(relative=Decimal("0.01")), True),
        ("100", "=", "101.1", Tolerance(relative=Decimal("0.01")), False),
        ("10.5", "<=", "10", Tolerance(absolute=Decimal("0.5")), True),
        ("9.5", ">=", "10", Tolerance(absolute=Decimal("0.5")), True),
        ("10.5", "<", "10", Tolerance(absolute=Decimal("0.5")), False),
        ("10.4", "<", "10", Tolerance(absolute=Decimal("0.5")), True),
        ("10.5", "<>", "10", Tolerance(absolute=Decimal("0.5")), False),
        ("1", "=", "1.0", Tolerance(), True),
    ],
)
def test_tolerance_only_excuses(left: str, operator: Operator, right: str, tolerance: Tolerance, answer: bool) -> None:
    assert compare(Decimal(left), operator, Decimal(right), tolerance) is answer


@pytest.mark.parametrize(
    ("left", "operator", "tolerance", "answer"),
    [
        ("1.0000000000000000000000000000001", "=", "1", False),
        ("1.0000000000000000000000000000001", "<>", "1", True),
        ("-1.0000000000000000000000000000001", ">=", "1.00000000000000000000000000000005", False),
        ("-1", ">", "1.00000000000000000000000000000005", True),
    ],
)
def test_a_tolerance_is_exact_whatever_the_callers_context(
    left: str, operator: Operator, tolerance: str, answer: bool
) -> None:
    with localcontext(DecimalContext(prec=28)):
        assert compare(Decimal(left), operator, Decimal(0), Tolerance(Decimal(tolerance))) is answer


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("[CT01] ^ 1000.0000000000000000000000000001", "out_of_range"),
        ("DATE(2026; 3; 17) - 1.0000000000000000000000000001", "out_of_range"),
    ],
)
def test_limits_are_exact_whatever_the_callers_context(text: str, value: str) -> None:
    with localcontext(DecimalContext(prec=28)):
        assert shown(value_of(text, Context({"CT01": Decimal(2)}))) == value


def test_the_tolerance_is_that_of_the_comparison_that_the_formula_is() -> None:
    formula = parse("[CT01] = [CT02] + [CT03] + 1")
    assert compile_formula(formula, NAMES)(report()) is False
    assert compile_formula(formula, NAMES, tolerance=Tolerance(Decimal(1)))(report()) is True


def test_figures_beyond_34_digits_are_compared_at_34() -> None:
    total, part = Decimal("1" * 37 + "2"), Decimal("1" * 38)
    context = Context({"CT01": total, "CT02": part, "CT03": Decimal(1)})
    assert value_of("[CT01] = [CT02] + [CT03]", context) is True


def test_pairs_of_dhis2() -> None:
    one = Decimal(1)
    assert pair_holds(one, "compulsory_pair", one) is True
    assert pair_holds(BLANK, "compulsory_pair", BLANK) is True
    assert pair_holds(one, "compulsory_pair", BLANK) is False
    assert pair_holds(one, "exclusive_pair", one) is False
    assert pair_holds(one, "exclusive_pair", BLANK) is True


def test_numbers_are_written_plainly() -> None:
    values: list[Value] = [Decimal("64.00"), Decimal("1E+3"), Decimal("-0.0"), Decimal("0.10"), True, date(2026, 3, 1)]
    assert [written(value) for value in values] == ["64", "1000", "0", "0.1", "ĐÚNG", "2026-03-01"]


def test_going_over_rows_stays_linear() -> None:
    """Each answer is computed once for a report, not once for each row."""
    calls = 0

    class Rows(list[dict[str, Value | None]]):
        def __iter__(self):  # type: ignore[no-untyped-def]
            nonlocal calls
            calls += 1
            return super().__iter__()

    rows = Rows({"ma": str(number % 7), "nhom": "x", "sl": Decimal(number), "gia": None} for number in range(200))
    for text in (
        "[B.sl] <= SUM([B.sl])",
        "[B.sl] <= COUNT([B.sl])",
        "SUMBY([B.sl]; [B.ma]) > 0",
        "COUNTIF([B.ma]; [B.ma]) > 0",
        "FIRSTROW([B.ma])",
        "ISUNIQUE([B.ma])",
        'MISSINGROWS("xa"; [B.ma]) = 2',
    ):
        calls = 0
        context = Context({}, {"B": rows}, lookup=report().lookup)
        assert len(list(each_row(compile_formula(parse(text), NAMES), context, "B"))) == 200
        assert calls <= 4, text


_VALUES: st.SearchStrategy[Value | None] = st.one_of(
    st.none(),
    st.decimals(allow_nan=False, allow_infinity=False),
    st.sampled_from([Decimal(0), Decimal("-0"), Decimal("1E+6144"), Decimal("1E-6143"), Decimal("9" * 38)]),
    st.text(max_size=5),
    st.dates(),
    st.booleans(),
    st.just(CannotEvaluate("not_available", "không", "none")),
)
_LEAVES = ["[CT01]", "[CT02]", "[TEN]", "[NGAY]", "[CT01]:[CT04]", "[B.sl]", "[B.ma]", "1", "0", '"a"', "TRUE", "2.5"]
_SHAPES = [
    "({0}) + ({1})", "({0}) - ({1})", "({0}) * ({1})", "({0}) / ({1})", "({0}) ^ ({1})", "({0}) & ({1})", "-({0})",
    "({0}) = ({1})", "({0}) < ({1})", "({0})%", "IF({0}; {1}; {0})", "AND({0}; {1})", "OR({0}; {1})", "NOT({0})",
    "ISBLANK({0})", "IFBLANK({0}; {1})", "IN({0}; {1})", "ROUND({0}; {1})", "ABS({0})", "PCT({0}; {1})",
    "SUM({0}; {1})", "AVERAGE({0})", "MIN({0}; {1})", "MAX({0})", "COUNT({0}; {1})", "COUNTIF({0}; {1})",
    "SUMIF({0}; {1})", "SUMIFS({0}; {1}; {0})", "LEN({0})", "WORDS({0})", "CONTAINS({0}; {1})", "UPPER({0})",
    "SAMETEXT({0}; {1})",
    'MATCHES({0}; "a*")', "DATE({0}; {1}; 1)", "YEAR({0})", "COUNTDISTINCT({0})", "ISUNIQUE({0}; {1})",
    "SUMBY({0}; {1})", "FIRSTROW({0})", 'LOOKUP("xa"; {0}; "ten")', 'EXISTS("xa"; {0})', 'MISSINGROWS("xa"; {0})',
    "PREV({0})", "YOY({0})", 'REF("BC02"; {0})', "CHILDREN_SUM({0})", 'COUNTIF({0}; ">" & ({1}))',
]  # fmt: skip
_FORMULAS = st.recursive(
    st.sampled_from(_LEAVES),
    lambda parts: st.builds(lambda shape, one, two: shape.format(one, two), st.sampled_from(_SHAPES), parts, parts),
    max_leaves=8,
)


@given(
    _FORMULAS,
    st.lists(_VALUES, min_size=4, max_size=4),
    st.lists(_VALUES, max_size=4),
    st.sampled_from(get_args(Missing)),
)
def test_no_formula_and_no_data_make_the_engine_raise(
    text: str, figures: list[Value | None], cells: list[Value | None], missing: Missing
) -> None:
    """Unchecked formulas too: whatever is senseless cannot be evaluated."""
    formula = parse(text)
    known = dict(zip(("CT01", "CT02", "TEN", "NGAY"), figures, strict=True))
    rows = [{"ma": cell, "sl": other} for cell, other in zip(cells, reversed(cells), strict=True)]
    context = Context(
        known,
        {"B": rows},
        previous=known,
        ref=lambda name: known,
        children=lambda code: figures,
        lookup=lambda name: {"a": {"ten": figures[2]}},
        order=list(NAMES.figures),
    )
    for names in (None, NAMES):
        run = compile_formula(formula, names, missing=missing)
        for value in (run(context), *each_row(run, context, "B")):
            assert isinstance(value, Decimal | str | bool | date | CannotEvaluate) or value is BLANK


@given(st.lists(st.decimals(-(10**9), 10**9, places=3), min_size=4, max_size=4), st.booleans())
def test_the_quick_way_of_sums_answers_as_the_general_one(values: list[Decimal], equal: bool) -> None:
    if equal:
        values[0] = values[1] + values[2] + values[3]
    context = Context(dict(zip(("CT01", "CT02", "CT03", "CT04"), values, strict=True)))
    quick = value_of("[CT01] = [CT02] + [CT03] + [CT04]", context)
    assert (
        quick
        == value_of("[CT01] + 0 = [CT02] + [CT03] + [CT04] + 0", context)
        == (values[0] == values[1] + values[2] + values[3])
    )
