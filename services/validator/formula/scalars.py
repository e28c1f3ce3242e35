"""Functions of single values, and aggregates of lists, as closures. A blank goes through; what has no answer too."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import date
from decimal import Decimal
from typing import cast

from services.validator.formula.context import Context, Run
from services.validator.formula.patterns import compiled_pattern
from services.validator.formula.values import (
    BLANK,
    HUNDRED,
    NUMBERS,
    OUT_OF_RANGE,
    ZERO,
    CannotEvaluate,
    Operator,
    Value,
    compare,
    divided,
    rounded,
    times,
    unusable,
    written,
    wrong_kind,
)
from shared.contract.text import nfc


def connected(runs: Sequence[Run], *, decisive: bool) -> Run:
    """AND (`decisive` False) and OR (True): a part that decides does so whatever the others are."""

    def connected(context: Context) -> Value:
        trouble: Value = not decisive
        for run in runs:
            value = run(context)
            if value is decisive:
                return decisive
            if value.__class__ is CannotEvaluate:
                trouble = trouble if isinstance(trouble, CannotEvaluate) else value
            elif value is BLANK:
                trouble = trouble if isinstance(trouble, CannotEvaluate) else BLANK
            elif value.__class__ is not bool and not isinstance(trouble, CannotEvaluate):
                trouble = wrong_kind("OR" if decisive else "AND", value)
        return trouble

    return connected


def negation_of(run: Run) -> Run:
    def negation(context: Context) -> Value:
        value = run(context)
        if value.__class__ is bool:
            return not value
        stop = unusable((value,))
        return wrong_kind("NOT", value) if stop is None else stop

    return negation


def if_then(condition: Run, then: Run, otherwise: Run | None = None) -> Run:
    def branch(context: Context) -> Value:
        value = condition(context)
        if value is True:
            return then(context)
        if value is False:
            return BLANK if otherwise is None else otherwise(context)
        stop = unusable((value,))
        return wrong_kind("IF", value) if stop is None else stop

    return branch


def blank_test(run: Run) -> Run:
    def is_blank(context: Context) -> Value:
        value = run(context)
        return value if isinstance(value, CannotEvaluate) else value is BLANK

    return is_blank


def instead_of_blank(run: Run, instead: Run) -> Run:
    def if_blank(context: Context) -> Value:
        value = run(context)
        return instead(context) if value is BLANK else value

    return if_blank


def is_in(runs: Sequence[Run]) -> Run:
    searched, *allowed = runs

    def is_in(context: Context) -> Value:
        value = searched(context)
        answers = [compare(value, "=", run(context)) for run in allowed]
        if True in answers:
            return True
        stop = unusable(answers)
        return False if stop is None else stop

    return is_in


def applied(function: Callable[..., Value], runs: Sequence[Run]) -> Run:
    """A function of single values: what is blank or has no answer goes through."""

    def applied(context: Context) -> Value:
        values = [run(context) for run in runs]
        stop = unusable(values)
        return function(*values) if stop is None else stop

    return applied


def _absolute(value: Value) -> Value:
    return NUMBERS.abs(value) if isinstance(value, Decimal) else wrong_kind("ABS", value)


def _percentage(part: Value, whole: Value) -> Value:
    return times(divided(part, whole), HUNDRED)


def _length_of_text(value: Value) -> Value:
    return Decimal(len(value)) if isinstance(value, str) else wrong_kind("LEN", value)


def _words(value: Value) -> Value:
    return Decimal(len(value.split())) if isinstance(value, str) else wrong_kind("WORDS", value)


def _contains(value: Value, *phrases: Value) -> Value:
    if not isinstance(value, str) or not all(isinstance(phrase, str) for phrase in phrases):
        return wrong_kind("CONTAINS", value, *phrases)
    folded = nfc(value.lower())
    return any(nfc(phrase.lower()) in folded for phrase in phrases if isinstance(phrase, str))


def _upper(value: Value) -> Value:
    return nfc(value.upper()) if isinstance(value, str) else wrong_kind("UPPER", value)


def _lower(value: Value) -> Value:
    return nfc(value.lower()) if isinstance(value, str) else wrong_kind("LOWER", value)


def _same_text(left: Value, right: Value) -> Value:
    if isinstance(left, str) and isinstance(right, str):
        return nfc(left.lower()) == nfc(right.lower())
    return wrong_kind("SAMETEXT", left, right)


def _date(year: Value, month: Value, day: Value) -> Value:
    parts = (year, month, day)
    if not all(isinstance(part, Decimal) for part in parts):
        return wrong_kind("DATE", *parts)
    numbers = cast("tuple[Decimal, Decimal, Decimal]", parts)
    try:
        if all(number == number.to_integral_value() and abs(number) < 10_000 for number in numbers):
            return date(*(int(number) for number in numbers))
    except (ValueError, ArithmeticError):
        pass
    return CannotEvaluate(
        "out_of_range",
        f"Không có ngày {'-'.join(written(number) for number in numbers)}.",
        f"There is no day {'-'.join(written(number) for number in numbers)}.",
    )


def _year(value: Value) -> Value:
    return Decimal(value.year) if isinstance(value, date) else wrong_kind("YEAR", value)


def _month(value: Value) -> Value:
    return Decimal(value.month) if isinstance(value, date) else wrong_kind("MONTH", value)


def _day(value: Value) -> Value:
    return Decimal(value.day) if isinstance(value, date) else wrong_kind("DAY", value)


SCALARS: dict[str, Callable[..., Value]] = {
    "ABS": _absolute,
    "PCT": _percentage,
    "ROUND": lambda value, digits=ZERO: rounded(value, digits),
    "LEN": _length_of_text,
    "WORDS": _words,
    "CONTAINS": _contains,
    "UPPER": _upper,
    "LOWER": _lower,
    "SAMETEXT": _same_text,
    "DATE": _date,
    "YEAR": _year,
    "MONTH": _month,
    "DAY": _day,
}


def matches(run: Run, pattern: str) -> Run:
    expression = compiled_pattern(pattern)

    def matches(context: Context) -> Value:
        value = run(context)
        if isinstance(value, str):
            try:
                return expression.fullmatch(value) is not None
            except UnicodeError:  # a lone surrogate: no pattern has it
                return False
        stop = unusable((value,))
        return wrong_kind("MATCHES", value) if stop is None else stop

    return matches


def total(values: Sequence[Value]) -> Value:
    """Their sum; 0 of none. It begins with the first, as `+` does: to begin with 0 would round that once more."""
    summed: Decimal | None = None
    try:
        for value in values:
            if not isinstance(value, Decimal):
                return wrong_kind("SUM", value)
            summed = value if summed is None else NUMBERS.add(summed, value)
    except ArithmeticError:
        return OUT_OF_RANGE
    return ZERO if summed is None else summed


def _average(values: Sequence[Value]) -> Value:
    return divided(total(values), Decimal(len(values))) if values else BLANK


def _least(values: Sequence[Value]) -> Value:
    return _extreme("MIN", values, "<")


def _largest(values: Sequence[Value]) -> Value:
    return _extreme("MAX", values, ">")


def _extreme(name: str, values: Sequence[Value], operator: Operator) -> Value:
    if not values:
        return BLANK
    extreme = values[0]
    if not isinstance(extreme, Decimal | date):
        return wrong_kind(name, extreme)
    for value in values[1:]:
        answer = compare(value, operator, extreme)
        if isinstance(answer, CannotEvaluate):
            return wrong_kind(name, extreme, value)
        if answer:
            extreme = value
    return extreme


AGGREGATES: dict[str, Callable[[Sequence[Value]], Value]] = {
    "SUM": total,
    "AVERAGE": _average,
    "MIN": _least,
    "MAX": _largest,
}
