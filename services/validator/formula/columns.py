"""The back end for tables: a row rule as a polars expression that gives what the closures give, for a million rows.

Exact or refused. A number is a decimal whose digits after the point are known and whose digits are bounded; an
expression whose result could need rounding is not taken (NotForColumns), and one that could outgrow 34 digits is
checked by polars, which raises. Then the closures go over the rows instead. Null stands for a blank, and for what
cannot be evaluated; of the few rows that are shown to a person, the closures say which.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import date
from decimal import Decimal
from typing import cast

import polars as pl

from services.validator.formula import nodes
from services.validator.formula.check import Field, Fields, Names, bind, check
from services.validator.formula.compiling import Compiler, compile_formula
from services.validator.formula.context import Context, Reference, Row, each_row
from services.validator.formula.nodes import Formula, Node
from services.validator.formula.patterns import compiled_pattern, free_columns
from services.validator.formula.values import BLANK, HUNDRED, Type, Value

DIGITS = 34
#: of a cell; a frame takes no longer ones
CELL_DIGITS = 24
#: a sum over rows has so many more than its terms
_ROWS_DIGITS = 9
#: digits after the point of a column whose field does not say how many
DEFAULT_SCALE = 12
_MOST_SCALE = 30


class NotForColumns(ValueError):
    """The formula has no polars expression; evaluate it row by row."""


@dataclass(frozen=True, slots=True)
class _Number:
    """An exact number: its expression is a decimal of at most `digits` digits, `scale` of them after the point."""

    expression: pl.Expr
    scale: int
    digits: int

    def at(self, scale: int) -> _Number:
        """The same with more digits after the point."""
        if scale == self.scale:
            return self
        return _capped(self.expression.cast(pl.Decimal(38, scale)), scale, self.digits + scale - self.scale)


@dataclass(frozen=True, slots=True)
class _Quotient:
    """`above / below`, which only comparisons may look at."""

    above: _Number
    below: _Number


_Part = _Number | _Quotient | pl.Expr


def schema(columns: Fields) -> dict[str, pl.DataType]:
    """The types of a frame's columns."""
    types: dict[Type, Callable[[int | None], pl.DataType]] = {
        Type.NUMBER: lambda scale: pl.Decimal(38, DEFAULT_SCALE if scale is None else scale),
        Type.TEXT: lambda scale: pl.String(),
        Type.DATE: lambda scale: pl.Date(),
        Type.BOOLEAN: lambda scale: pl.Boolean(),
    }
    return {code: types[column.type](column.scale) for code, column in columns.items()}


def _scale_of(field: Field) -> int:
    return DEFAULT_SCALE if field.scale is None else field.scale


def frame(rows: Sequence[Row], columns: Fields) -> pl.DataFrame:
    """The rows as a frame; "" and BLANK are null.

    Raises NotForColumns where a cell is not of its column's type, or has more digits than a frame takes.
    """
    return pl.DataFrame([_series(rows, code, kind, columns[code]) for code, kind in schema(columns).items()])


def _series(rows: Sequence[Row], code: str, kind: pl.DataType, field: Field) -> pl.Series:
    cells = [row.get(code) for row in rows]
    wanted = _PYTHON[field.type]
    filled = [None if cell is None or cell == "" or cell is BLANK else cell for cell in cells]
    if any(cell is not None and cell.__class__ is not wanted for cell in filled):
        raise NotForColumns(f"column {code}: a cell of another type")
    if field.type is Type.NUMBER:
        scale = _scale_of(field)
        numbers = cast("list[Decimal | None]", filled)
        if any(number is not None and not _fits(number, scale) for number in numbers):
            raise NotForColumns(f"column {code}: a number with too many digits")
    try:
        return pl.Series(code, filled, dtype=kind, strict=True)
    except (TypeError, ValueError, OverflowError, pl.exceptions.PolarsError) as error:
        raise NotForColumns(f"column {code}: {error}") from None


_PYTHON: dict[Type, type] = {Type.NUMBER: Decimal, Type.TEXT: str, Type.DATE: date, Type.BOOLEAN: bool}


def _fits(number: Decimal, scale: int) -> bool:
    _, digits, exponent = number.as_tuple()
    return isinstance(exponent, int) and -exponent <= scale and len(digits) + exponent + scale <= CELL_DIGITS


def to_polars(formula: Formula, table: str, names: Names, context: Context | None = None) -> pl.Expr:
    """The formula, a rule for each row of the table, over a frame that `frame` made.

    What does not depend on the rows, such as figures and earlier reports, is taken from `context` now.
    Raises NotForColumns.
    """
    bound, errors = bind(formula, names)
    if errors or check(formula, names, row=table)[1]:
        raise NotForColumns("the formula does not pass the check")
    return _expression(_Columns(table, names.tables[table], context or Context({})).part(bound.root))


def _expression(part: _Part) -> pl.Expr:
    match part:
        case _Number():
            return part.expression
        case _Quotient():
            raise NotForColumns("a quotient is compared, not kept")
    return part


def _capped(expression: pl.Expr, scale: int, digits: int) -> _Number:
    """A number that may have so many digits; beyond 34, where the closures would round, polars looks and raises."""
    if scale > _MOST_SCALE:
        raise NotForColumns("too many digits after the point")
    if digits <= DIGITS:
        return _Number(expression, scale, digits)
    return _Number(expression.cast(pl.Decimal(DIGITS, scale)).cast(pl.Decimal(38, scale)), scale, DIGITS)


_COMPARED: dict[str, Callable[[pl.Expr, pl.Expr], pl.Expr]] = {
    "=": lambda left, right: left == right,
    "<>": lambda left, right: left != right,
    "<": lambda left, right: left < right,
    "<=": lambda left, right: left <= right,
    ">": lambda left, right: left > right,
    ">=": lambda left, right: left >= right,
}
_OVER_ROWS = frozenset({"SUM", "MIN", "MAX", "COUNT", "SUMBY", "FIRSTROW", "ISUNIQUE"})
_TURNED = {"=": "=", "<>": "<>", "<": ">", "<=": ">=", ">": "<", ">=": "<="}


@dataclass(frozen=True, slots=True)
class _Columns:
    table: str
    fields: Fields
    context: Context

    def part(self, node: Node) -> _Part:
        if not any(isinstance(found, nodes.Column) for found in nodes.walk(node)):
            return self._constant(Compiler().compile(node)(self.context))
        match node:
            case nodes.Column():
                return self._column(node)
            case nodes.Unary():
                return self._unary(node)
            case nodes.Sum():
                return self._sum(node)
            case nodes.Binary():
                return self._binary(node)
            case nodes.Comparison():
                return self._compared(self.part(node.left), node.operator, self.part(node.right))
            case nodes.Call():
                return self._call(node)
        raise NotForColumns(type(node).__name__)

    def _constant(self, value: Value) -> _Part:
        match value:
            case bool() | str() | date():
                return pl.lit(value)
            case Decimal():
                return self._number_constant(value)
        # a blank, or no answer: null, but its type decides what it may meet
        raise NotForColumns("a constant without a value")

    def _number_constant(self, value: Decimal) -> _Number:
        _, digits, exponent = value.as_tuple()
        if not isinstance(exponent, int) or len(digits) + max(exponent, 0) > DIGITS or -exponent > _MOST_SCALE:
            raise NotForColumns("a number beyond 34 digits")
        scale = max(0, -exponent)
        return _Number(pl.lit(value, dtype=pl.Decimal(38, scale)), scale, max(len(digits) + max(exponent, 0), scale))

    def _column(self, node: nodes.Column) -> _Part:
        if node.table != self.table:
            raise NotForColumns("a column of another table")
        field = self.fields[node.column]
        column = pl.col(node.column)
        if field.type is not Type.NUMBER:
            return column
        return _Number(column, _scale_of(field), CELL_DIGITS)

    def _number(self, node: Node) -> _Number:
        part = self.part(node)
        if not isinstance(part, _Number):
            raise NotForColumns("no exact number")
        return part

    def _unary(self, node: nodes.Unary) -> _Part:
        operand = self._number(node.operand)
        match node.operator:
            case "-":
                return replace(operand, expression=-operand.expression)
            case "%":
                return self._times(operand, self._number_constant(Decimal("0.01")))
        return operand

    def _sum(self, node: nodes.Sum) -> _Part:
        terms = [(term.negative, self._number(term.node)) for term in node.terms]
        scale = max(number.scale for _, number in terms)
        (_, first), *others = terms
        total = first.at(scale)
        for negative, number in others:
            other = number.at(scale)
            summed = total.expression - other.expression if negative else total.expression + other.expression
            total = _capped(summed, scale, max(total.digits, other.digits) + 1)
        return total

    def _times(self, left: _Number, right: _Number) -> _Number:
        scale = left.scale + right.scale
        if scale > _MOST_SCALE:
            raise NotForColumns("too many digits after the point")
        product = left.expression.cast(pl.Decimal(38, scale)) * right.expression.cast(pl.Decimal(38, scale))
        return _capped(product, scale, left.digits + right.digits)

    def _binary(self, node: nodes.Binary) -> _Part:
        match node.operator:
            case "*":
                return self._times(self._number(node.left), self._number(node.right))
            case "/":
                return _Quotient(self._number(node.left), self._number(node.right))
        raise NotForColumns(node.operator)

    def _compared(self, left: _Part, operator: str, right: _Part) -> pl.Expr:
        if isinstance(left, _Quotient):
            return self._quotient_compared(left, operator, right)
        if isinstance(right, _Quotient):
            return self._quotient_compared(right, _TURNED[operator], left)
        if isinstance(left, _Number) and isinstance(right, _Number):
            scale = max(left.scale, right.scale)
            return _COMPARED[operator](left.at(scale).expression, right.at(scale).expression)
        return _COMPARED[operator](_expression(left), _expression(right))

    def _quotient_compared(self, quotient: _Quotient, operator: str, other: _Part) -> pl.Expr:
        """`a / b > c` as `a > c * b`, turned round where b is negative; null where b is 0.

        As exact as the closures, whose quotient has 34 digits: a difference that small would need more digits than 34
        in `a` or `c * b`, and these are capped.
        """
        if not isinstance(other, _Number):
            raise NotForColumns("a quotient compared with a quotient")
        product = self._times(other, quotient.below)
        zero = pl.lit(Decimal(0), dtype=pl.Decimal(38, 0))
        below = quotient.below.expression
        return (
            pl.when(below > zero)
            .then(self._compared(quotient.above, operator, product))
            .when(below < zero)
            .then(self._compared(quotient.above, _TURNED[operator], product))
            .otherwise(pl.lit(None, dtype=pl.Boolean))
        )

    def _boolean(self, node: Node) -> pl.Expr:
        return _expression(self.part(node))

    def _call(self, node: nodes.Call) -> _Part:
        arguments = node.arguments
        match node.name:
            case "AND":
                return pl.all_horizontal([self._boolean(argument) for argument in arguments])
            case "OR":
                return pl.any_horizontal([self._boolean(argument) for argument in arguments])
            case "NOT":
                return ~self._boolean(arguments[0])
            case "IF":
                return self._branch(node)
            case "ISBLANK":
                return self._cell(arguments[0]).is_null()
            case "IFBLANK":
                return self._either(arguments[0], arguments[1])
            case "IN":
                searched = self.part(arguments[0])
                answers = [self._compared(searched, "=", self.part(argument)) for argument in arguments[1:]]
                return pl.any_horizontal(answers)
            case "ABS":
                number = self._number(arguments[0])
                return replace(number, expression=number.expression.abs())
            case "PCT":
                above = self._times(self._number(arguments[0]), self._number_constant(HUNDRED))
                return _Quotient(above, self._number(arguments[1]))
            case "ROUND":
                return self._rounded(node)
            case "LEN":
                return _Number(_expression(self.part(arguments[0])).str.len_chars().cast(pl.Decimal(38, 0)), 0, 9)
            case "YEAR" | "MONTH" | "DAY":
                return self._of_date(node)
            case "MATCHES":
                return self._matches(node)
            case "EXISTS":
                return self._exists(node)
            case "LOOKUP":
                return self._looked_up(node)
            case "SUM" | "MIN" | "MAX" | "COUNT":
                return self._aggregate(node)
            case "SUMBY":
                if any(
                    isinstance(found, nodes.Call) and found.name in _OVER_ROWS for found in nodes.walk(arguments[0])
                ):
                    raise NotForColumns("an aggregate within SUMBY: polars would take it of the group")
                number = self._number(arguments[0])
                keys = [self._key(argument) for argument in arguments[1:]]
                summed = number.expression.sum().over(keys)
                return _capped(summed, number.scale, number.digits + _ROWS_DIGITS)
            case "FIRSTROW":
                return pl.struct([self._key(argument) for argument in arguments]).is_first_distinct()
            case "ISUNIQUE":
                return self._unique([self._key(argument) for argument in arguments])
        raise NotForColumns(node.name)

    def _cell(self, node: Node) -> pl.Expr:
        """A cell as it stands: whether it is blank must not be mixed up with whether it can be evaluated."""
        if not isinstance(node, nodes.Column) or node.table != self.table:
            raise NotForColumns("only cells are tested for blanks")
        return pl.col(node.column)

    def _key(self, node: Node) -> pl.Expr:
        return self._cell(node).alias(f"{node.column}" if isinstance(node, nodes.Column) else "")

    def _aligned(self, parts: Sequence[_Part]) -> tuple[list[pl.Expr], _Number | None]:
        """The parts as expressions of one type, and of numbers a pattern of what they have in common."""
        numbers = [part for part in parts if isinstance(part, _Number)]
        if not numbers:
            return [_expression(part) for part in parts], None
        if len(numbers) < len(parts):
            raise NotForColumns("branches of different types")
        scale = max(number.scale for number in numbers)
        aligned = [number.at(scale) for number in numbers]
        return [number.expression for number in aligned], max(aligned, key=lambda number: number.digits)

    def _branch(self, node: nodes.Call) -> _Part:
        condition = self._boolean(node.arguments[0])
        branches, number = self._aligned([self.part(argument) for argument in node.arguments[1:]])
        otherwise = pl.lit(None) if len(branches) == 1 else branches[1]
        expression = pl.when(condition).then(branches[0]).when(~condition).then(otherwise).otherwise(None)
        return expression if number is None else replace(number, expression=expression)

    def _either(self, first: Node, second: Node) -> _Part:
        self._cell(first)
        parts, number = self._aligned([self.part(first), self.part(second)])
        expression = pl.coalesce(parts)
        return expression if number is None else replace(number, expression=expression)

    def _rounded(self, node: nodes.Call) -> _Part:
        digits = node.arguments[1] if len(node.arguments) > 1 else nodes.Literal(Decimal(0))
        number = self._number(node.arguments[0])
        if not isinstance(digits, nodes.Literal) or not isinstance(digits.value, Decimal):
            raise NotForColumns("ROUND to digits that are computed")
        wanted = int(digits.value)
        if wanted != digits.value or wanted < 0:
            raise NotForColumns("ROUND before the point")
        if wanted >= number.scale:
            return number
        rounded = number.expression.round(wanted, mode="half_away_from_zero")
        return _Number(rounded.cast(pl.Decimal(38, wanted)), wanted, number.digits + 1)

    def _of_date(self, node: nodes.Call) -> _Part:
        day = _expression(self.part(node.arguments[0])).dt
        part = {"YEAR": day.year, "MONTH": day.month, "DAY": day.day}[node.name]()
        return _Number(part.cast(pl.Decimal(38, 0)), 0, 4)

    def _matches(self, node: nodes.Call) -> pl.Expr:
        pattern = node.arguments[1]
        if not isinstance(pattern, nodes.Literal) or not isinstance(pattern.value, str):
            raise NotForColumns("MATCHES")
        expression = compiled_pattern(pattern.value)

        def match(texts: pl.Series) -> pl.Series:
            known = {text: expression.fullmatch(text) is not None for text in texts.unique() if text is not None}
            return pl.Series([None if text is None else known[text] for text in texts], dtype=pl.Boolean)

        text = _expression(self.part(node.arguments[0]))
        return text.map_batches(match, return_dtype=pl.Boolean, is_elementwise=True)

    def _exists(self, node: nodes.Call) -> pl.Expr:
        reference, key = self._reference(node)
        return key.is_in(pl.Series(list(reference), dtype=pl.String).implode())

    def _looked_up(self, node: nodes.Call) -> _Part:
        reference, key = self._reference(node)
        name = node.arguments[2]
        column = str(name.value) if isinstance(name, nodes.Literal) else ""
        found = {
            known: value for known, row in reference.items() if (value := row.get(column)) not in (None, "", BLANK)
        }
        kinds = {value.__class__ for value in found.values()}
        if len(kinds) != 1:  # without a value its type would be unknown
            raise NotForColumns("LOOKUP of a column without values, or of several types")
        if kinds == {str}:
            values = pl.Series(list(found.values()), dtype=pl.String)
            return key.replace_strict(list(found), values, default=None, return_dtype=pl.String)
        if kinds != {Decimal}:
            raise NotForColumns("LOOKUP of a column of dates")
        numbers = cast("dict[str, Decimal]", found)
        scale = max(max(0, -cast(int, number.as_tuple().exponent)) for number in numbers.values())
        if not all(_fits(number, scale) for number in numbers.values()):
            raise NotForColumns("LOOKUP of a number with too many digits")
        kind = pl.Decimal(38, scale)
        values = pl.Series(list(numbers.values()), dtype=kind)
        return _Number(key.replace_strict(list(found), values, default=None, return_dtype=kind), scale, CELL_DIGITS)

    def _reference(self, node: nodes.Call) -> tuple[Reference, pl.Expr]:
        """The reference table that the function is about, and the key that it looks up."""
        name, key = node.arguments[:2]
        reference = self.context.lookup(str(name.value)) if isinstance(name, nodes.Literal) else None
        if reference is None or not isinstance(key, nodes.Column):
            raise NotForColumns(node.name)
        if self.fields[key.column].type is not Type.TEXT:
            raise NotForColumns(f"{node.name} of a key that is no text")
        return reference, self._cell(key)

    def _aggregate(self, node: nodes.Call) -> _Part:
        if len(node.arguments) != 1 or not free_columns(node.arguments[0]):
            raise NotForColumns("an aggregate of several lists, or of single values")
        if node.name == "COUNT":
            return _Number(self._cell(node.arguments[0]).count().cast(pl.Decimal(38, 0)), 0, _ROWS_DIGITS)
        number = self._number(node.arguments[0])
        match node.name:
            case "SUM":
                return _capped(number.expression.sum(), number.scale, number.digits + _ROWS_DIGITS)
            case "MIN":
                return replace(number, expression=number.expression.min())
        return replace(number, expression=number.expression.max())

    def _unique(self, keys: Sequence[pl.Expr]) -> pl.Expr:
        """Rows with a blank in the key count as unique."""
        key = pl.struct(keys)
        return pl.any_horizontal([cell.is_null() for cell in keys]) | ~key.is_duplicated()


def failing_rows(assertions: Mapping[str, Formula], table: str, names: Names, context: Context) -> dict[str, list[int]]:
    """Of each assertion on the table's rows, the numbers of the rows where it does not hold, counted from 0.

    In columns where that is exact, else row by row.
    """
    rows = context.tables.get(table, ())
    found: dict[str, list[int]] = {}
    try:
        data = frame(rows, names.tables[table])
    except NotForColumns:
        data = None
    if data is not None:
        expressions: dict[str, pl.Expr] = {}
        for rule, formula in assertions.items():
            with suppress(NotForColumns):
                expressions[rule] = to_polars(formula, table, names, context)
        found = _failing_in_columns(data, expressions)
    for rule, formula in assertions.items():
        if rule not in found:
            answers = each_row(compile_formula(formula, names), context, table)
            found[rule] = [number for number, answer in enumerate(answers) if answer is False]
    return {rule: found[rule] for rule in assertions}


def _failing_in_columns(data: pl.DataFrame, expressions: Mapping[str, pl.Expr]) -> dict[str, list[int]]:
    """Rules that outgrow their digits are left out."""
    answers = [expression.alias(f"={rule}") for rule, expression in expressions.items()]  # no column's name
    try:
        answered = data.with_columns(answers)
    except pl.exceptions.PolarsError:
        if len(expressions) == 1:
            return {}
        alone = [_failing_in_columns(data, {rule: expression}) for rule, expression in expressions.items()]
        return {rule: numbers for failing in alone for rule, numbers in failing.items()}
    return {rule: (~answered[f"={rule}"]).fill_null(False).arg_true().to_list() for rule in expressions}
