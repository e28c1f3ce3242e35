"""Values of formulas: exact decimals, texts, truth values, dates and blank. Never a float; no operation here raises.

Arithmetic is decimal128's: 34 digits, half up. It names its own decimal context, so that the caller's does not matter.
A blank is not zero: an operation on a blank gives blank. What has no answer, such as a division by zero, is the value
CannotEvaluate with its reason.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import ROUND_HALF_UP, Context, Decimal, DivisionByZero, InvalidOperation, Overflow
from enum import StrEnum
from typing import Literal, TypeAlias

NUMBERS = Context(
    prec=34, rounding=ROUND_HALF_UP, Emin=-6143, Emax=6144, traps=[InvalidOperation, DivisionByZero, Overflow]
)
ZERO, ONE, HUNDRED = Decimal(0), Decimal(1), Decimal(100)
#: longest text that a formula makes
MAX_TEXT_CHARACTERS = 10_000
#: powers are no use beyond it
MAX_EXPONENT = 1_000


class Type(StrEnum):
    """What a part of a formula gives. ANY: not known, because the part is wrong or may be of several types."""

    NUMBER = "number"
    TEXT = "text"
    BOOLEAN = "boolean"
    DATE = "date"
    ANY = "any"


#: names of types in messages, Vietnamese and English
TYPE_NAMES: dict[Type, tuple[str, str]] = {
    Type.NUMBER: ("số", "a number"),
    Type.TEXT: ("văn bản", "a text"),
    Type.BOOLEAN: ("đúng/sai", "a truth value"),
    Type.DATE: ("ngày", "a date"),
    Type.ANY: ("giá trị", "a value"),
}


class Blank:
    """Nothing was given. There is one: BLANK."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "BLANK"

    def __reduce__(self) -> str:
        return "BLANK"


BLANK = Blank()


@dataclass(frozen=True, slots=True)
class CannotEvaluate:
    """A formula, or a part of it, has no answer. `code` is for programs, the reasons are for people."""

    code: Literal["division_by_zero", "wrong_kind", "out_of_range", "not_available"]
    reason_vi: str
    reason_en: str


Value: TypeAlias = Decimal | str | bool | date | Blank | CannotEvaluate
Operator = Literal["=", "<>", "<", "<=", ">", ">="]

DIVISION_BY_ZERO = CannotEvaluate("division_by_zero", "Có phép chia cho 0.", "There is a division by zero.")
OUT_OF_RANGE = CannotEvaluate(
    "out_of_range", "Kết quả vượt quá phạm vi tính được.", "The result is beyond what can be computed."
)
TEXT_TOO_LONG = CannotEvaluate(
    "out_of_range",
    f"Văn bản tạo ra dài quá {MAX_TEXT_CHARACTERS} ký tự.",
    f"The text that results has more than {MAX_TEXT_CHARACTERS} characters.",
)


def type_of(value: Value) -> Type:
    match value:
        case bool():
            return Type.BOOLEAN
        case Decimal():
            return Type.NUMBER
        case str():
            return Type.TEXT
        case date():
            return Type.DATE
    return Type.ANY


def not_available(vietnamese: str, english: str) -> CannotEvaluate:
    return CannotEvaluate("not_available", vietnamese, english)


def unusable(values: Iterable[Value]) -> Value | None:
    """The first value that has no answer, else BLANK if one is blank, else None: the values can be used."""
    blank: Value | None = None
    for value in values:
        if value.__class__ is CannotEvaluate:
            return value
        if value is BLANK:
            blank = BLANK
    return blank


def wrong_kind(what: str, *values: Value) -> CannotEvaluate:
    kinds = [TYPE_NAMES[type_of(value)] for value in values]
    return CannotEvaluate(
        "wrong_kind",
        f"{what} không dùng được với {', '.join(kind for kind, _ in kinds)}.",
        f"{what} does not work with {', '.join(kind for _, kind in kinds)}.",
    )


def plus(left: Value, right: Value) -> Value:
    """Numbers add; a date and a number of days give a date."""
    if left.__class__ is Decimal and right.__class__ is Decimal:
        try:
            return NUMBERS.add(left, right)
        except ArithmeticError:
            return OUT_OF_RANGE
    stop = unusable((left, right))
    if stop is not None:
        return stop
    if isinstance(left, date) and isinstance(right, Decimal):
        return _moved(left, right)
    if isinstance(left, Decimal) and isinstance(right, date):
        return _moved(right, left)
    return wrong_kind("+", left, right)


def minus(left: Value, right: Value) -> Value:
    """Numbers subtract; the difference of two dates is a number of days."""
    if left.__class__ is Decimal and right.__class__ is Decimal:
        try:
            return NUMBERS.subtract(left, right)
        except ArithmeticError:
            return OUT_OF_RANGE
    stop = unusable((left, right))
    if stop is not None:
        return stop
    if isinstance(left, date) and isinstance(right, date):
        return Decimal((left - right).days)
    if isinstance(left, date) and isinstance(right, Decimal):
        return _moved(left, right.copy_negate())
    return wrong_kind("-", left, right)


def _moved(day: date, days: Decimal) -> Value:
    if days != days.to_integral_value():
        return CannotEvaluate(
            "out_of_range", "Số ngày phải là số nguyên.", "The number of days has to be a whole number."
        )
    try:
        return day + timedelta(days=int(days))
    except OverflowError:
        return OUT_OF_RANGE


def times(left: Value, right: Value) -> Value:
    if left.__class__ is Decimal and right.__class__ is Decimal:
        try:
            return NUMBERS.multiply(left, right)
        except ArithmeticError:
            return OUT_OF_RANGE
    stop = unusable((left, right))
    return wrong_kind("*", left, right) if stop is None else stop


def divided(left: Value, right: Value) -> Value:
    if left.__class__ is Decimal and right.__class__ is Decimal:
        if not right:
            return DIVISION_BY_ZERO
        try:
            return NUMBERS.divide(left, right)
        except ArithmeticError:
            return OUT_OF_RANGE
    stop = unusable((left, right))
    return wrong_kind("/", left, right) if stop is None else stop


def power(left: Value, right: Value) -> Value:
    if left.__class__ is Decimal and right.__class__ is Decimal:
        if not left and right < 0:
            return DIVISION_BY_ZERO
        if right.copy_abs() > MAX_EXPONENT:
            return OUT_OF_RANGE
        try:
            return NUMBERS.power(left, right)
        except ArithmeticError:
            return OUT_OF_RANGE
    stop = unusable((left, right))
    return wrong_kind("^", left, right) if stop is None else stop


def negated(value: Value) -> Value:
    if value.__class__ is Decimal:
        return NUMBERS.minus(value)
    stop = unusable((value,))
    return wrong_kind("-", value) if stop is None else stop


def hundredth(value: Value) -> Value:
    if value.__class__ is Decimal:
        return divided(value, HUNDRED)
    stop = unusable((value,))
    return wrong_kind("%", value) if stop is None else stop


def joined(left: Value, right: Value) -> Value:
    stop = unusable((left, right))
    if stop is not None:
        return stop
    text = written(left) + written(right)
    return TEXT_TOO_LONG if len(text) > MAX_TEXT_CHARACTERS else text


def written(value: Value) -> str:
    """The value as text: 64.00 is 64, dates are ISO 8601. Keys of reference tables are compared in this form."""
    match value:
        case bool():
            return "ĐÚNG" if value else "SAI"
        case Decimal():
            text = format(value, "f") if -40 < value.adjusted() < 40 else str(value)
            if "." in text and "E" not in text:
                text = text.rstrip("0").rstrip(".")
            return "0" if text == "-0" else text
        case str():
            return value
        case date():
            return value.isoformat()
    return ""


@dataclass(frozen=True, slots=True)
class Tolerance:
    """How far the left side may be from the right: `absolute`, or `relative` to the right (0.01: one percent).

    The larger holds. It only ever excuses: with it, `<` and `>` hold somewhat beyond the right side too.
    """

    absolute: Decimal = ZERO
    relative: Decimal = ZERO


NO_TOLERANCE = Tolerance()


def compare(left: Value, operator: Operator, right: Value, tolerance: Tolerance = NO_TOLERANCE) -> Value:
    """True or False; BLANK where a side is blank; CannotEvaluate where the sides are of different types.

    Numbers are compared at 34 digits. Texts and truth values are equal or not, they have no order.
    """
    if left.__class__ is Decimal and right.__class__ is Decimal:
        if operator == "=" and left == right:
            return True
        try:
            return _compared(left, operator, right, tolerance)
        except ArithmeticError:
            return OUT_OF_RANGE
    stop = unusable((left, right))
    if stop is not None:
        return stop
    if type_of(left) is not type_of(right):
        return wrong_kind(operator, left, right)
    if operator == "=":
        return left == right
    if operator == "<>":
        return left != right
    if not (isinstance(left, date) and isinstance(right, date)):
        return wrong_kind(operator, left, right)
    match operator:
        case "<":
            return left < right
        case "<=":
            return left <= right
        case ">":
            return left > right
        case ">=":
            return left >= right


def _compared(left: Decimal, operator: Operator, right: Decimal, tolerance: Tolerance) -> bool:
    left, right = NUMBERS.plus(left), NUMBERS.plus(right)
    if tolerance is not NO_TOLERANCE:
        margin = max(tolerance.absolute, NUMBERS.multiply(tolerance.relative, NUMBERS.abs(right)))
        if margin:
            difference = NUMBERS.subtract(left, right)
            match operator:
                case "=":
                    return NUMBERS.abs(difference) <= margin
                case "<>":
                    return NUMBERS.abs(difference) > margin
                case "<":
                    return difference < margin
                case "<=":
                    return difference <= margin
                case ">":
                    return difference > margin.copy_negate()
                case ">=":
                    return difference >= margin.copy_negate()
    match operator:
        case "=":
            return left == right
        case "<>":
            return left != right
        case "<":
            return left < right
        case "<=":
            return left <= right
        case ">":
            return left > right
        case ">=":
            return left >= right


def pair_holds(left: Value, rule: Literal["compulsory_pair", "exclusive_pair"], right: Value) -> Value:
    """DHIS2's pairs: `compulsory_pair`, both are given or neither; `exclusive_pair`, not both are given."""
    for value in (left, right):
        if isinstance(value, CannotEvaluate):
            return value
    given = (left is not BLANK, right is not BLANK)
    return given[0] == given[1] if rule == "compulsory_pair" else not all(given)


def rounded(value: Value, digits: Value) -> Value:
    """Half up, away from zero, as a clerk rounds. Negative `digits` round before the point."""
    if value.__class__ is not Decimal or digits.__class__ is not Decimal:
        stop = unusable((value, digits))
        return wrong_kind("ROUND", value, digits) if stop is None else stop
    if digits != digits.to_integral_value() or abs(digits) > 33:
        return CannotEvaluate(
            "out_of_range",
            "Số chữ số làm tròn phải là số nguyên từ −33 đến 33.",
            "The number of digits to round to has to be a whole number from −33 to 33.",
        )
    try:
        step = Decimal((0, (1,), -int(digits)))
        return NUMBERS.multiply(NUMBERS.divide(value, step).to_integral_value(ROUND_HALF_UP), step)
    except ArithmeticError:
        return OUT_OF_RANGE
