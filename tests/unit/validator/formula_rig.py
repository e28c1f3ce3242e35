"""One form, one report and what is known beside it, for the tests of the formula language."""

from __future__ import annotations

from datetime import date
from decimal import Decimal

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
from services.validator.formula.context import Reference

NUMBER, TEXT, DATE = Field(), Field(Type.TEXT), Field(Type.DATE)

NAMES = Names(
    figures={
        "CT01": NUMBER,
        "CT02": NUMBER,
        "CT03": NUMBER,
        "CT04": NUMBER,
        "TEN": TEXT,
        "NGAY": DATE,
        "A.1": NUMBER,
    },
    tables={
        "B": {"ma": TEXT, "nhom": TEXT, "sl": NUMBER, "gia": NUMBER},
        "C": {"nhom": TEXT, "tong": NUMBER},
    },
    regimes={"BC02": {"X1": NUMBER}},
    references={"xa": {"ten": TEXT, "dan_so": NUMBER}},
)


REFERENCES: dict[str, Reference] = {
    "xa": {"a": {"ten": "An Bình", "dan_so": Decimal(900)}, "z": {"ten": "Zuôn"}},
}


def report() -> Context:
    """CT04 is blank; the second row of B has no price."""
    return Context(
        figures={
            "CT01": Decimal(10),
            "CT02": Decimal(3),
            "CT03": Decimal(7),
            "CT04": None,
            "TEN": "Xã An Bình",
            "NGAY": date(2026, 3, 1),
            "A.1": Decimal(4),
        },
        tables={
            "B": [
                {"ma": "a", "nhom": "x", "sl": Decimal(2), "gia": Decimal(10)},
                {"ma": "b", "nhom": "x", "sl": Decimal(3), "gia": None},
                {"ma": "a", "nhom": "y", "sl": Decimal(5), "gia": Decimal(1)},
            ],
            "C": [{"nhom": "x", "tong": Decimal(5)}, {"nhom": "y", "tong": Decimal(6)}],
        },
        previous={"CT01": Decimal(8)},
        ref={"BC02": {"X1": Decimal(5)}}.get,
        children={"CT01": [Decimal(4), Decimal(6), None]}.get,
        lookup=REFERENCES.get,
    )


def errors_of(text: str, *, row: str | None = None) -> list[FormulaError]:
    return check(parse(text), NAMES, row=row)[1]


def value_of(text: str, context: Context | None = None) -> Value:
    """The value of a formula that must pass the check."""
    formula = parse(text)
    _, errors = check(formula, NAMES)
    assert not errors, [str(error) for error in errors]
    return compile_formula(formula, NAMES)(context or report())


def values_in_rows(text: str, table: str, context: Context | None = None) -> list[Value]:
    formula = parse(text)
    _, errors = check(formula, NAMES, row=table)
    assert not errors, [str(error) for error in errors]
    return list(each_row(compile_formula(formula, NAMES), context or report(), table))


def shown(value: Value) -> str:
    """The value in short: `10`, `"a"`, `TRUE`, `2026-03-01`, `blank`, or the code of why there is none."""
    match value:
        case bool():
            return str(value).upper()
        case str():
            return f'"{value}"'
        case CannotEvaluate():
            return value.code
    if value is BLANK:
        return "blank"
    return format(value.normalize(), "f") if isinstance(value, Decimal) else str(value)
