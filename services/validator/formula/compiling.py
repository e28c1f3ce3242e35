"""Nodes → closures, once; a closure never raises, and costs no more than `check` has counted.

The usual rule, figures that sum up to a figure, has its own closures: a few look-ups and additions, nothing else. They
step back to the general ones as soon as a value is no number.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import date
from decimal import Decimal
from operator import itemgetter
from typing import Any, Literal, TypeAlias, cast

from services.validator.formula import nodes
from services.validator.formula.check import Names, bind
from services.validator.formula.context import Context, Figures, Reference, Row
from services.validator.formula.functions import ELSEWHERE
from services.validator.formula.nodes import Formula, Node
from services.validator.formula.patterns import compiled_pattern, criterion_operator, free_columns, pattern_error
from services.validator.formula.values import (
    BLANK,
    HUNDRED,
    NO_TOLERANCE,
    NUMBERS,
    ONE,
    OUT_OF_RANGE,
    ZERO,
    CannotEvaluate,
    Operator,
    Tolerance,
    Value,
    compare,
    divided,
    hundredth,
    joined,
    minus,
    negated,
    not_available,
    plus,
    power,
    rounded,
    times,
    type_of,
    unusable,
    written,
    wrong_kind,
)
from shared.contract.text import nfc

Run: TypeAlias = Callable[[Context], Value]
#: values of a list argument, or why there are none
Listed: TypeAlias = Callable[[Context], Sequence[Value] | CannotEvaluate]
#: what a missing figure or cell makes of its side: DHIS2's missing value strategies
Missing = Literal["skip_if_any_missing", "skip_if_all_missing", "never_skip"]

_add = NUMBERS.add
_BINARY: dict[str, Callable[[Value, Value], Value]] = {"*": times, "/": divided, "^": power, "&": joined}
NO_ROW = not_available("Công thức này chỉ tính được cho từng dòng của bảng.", "This is for each row of a table.")


def compile_formula(
    formula: Formula,
    names: Names | None = None,
    *,
    missing: Missing = "skip_if_any_missing",
    tolerance: Tolerance = NO_TOLERANCE,
) -> Run:
    """The formula as a function of a context. With `names`, ranges and dotted codes are resolved now.

    `missing`: with skip_if_any_missing a blank operand makes its operation blank; with never_skip a missing figure or
    cell counts as 0; with skip_if_all_missing it does so unless all of the formula's are missing. ISBLANK, IFBLANK and
    COUNT always see blanks. `tolerance` is that of the comparison that the formula is.
    """
    root = formula.root if names is None else bind(formula, names)[0].root
    numeric = _numbers_of(names)
    compiler = Compiler(zero=None if missing == "skip_if_any_missing" else numeric, tolerance=tolerance)
    run = compiler.compile(root, outermost=True)
    if missing != "skip_if_all_missing":
        return run
    strict = Compiler()
    given = [strict.compile(node) for node in _operands(root)]
    if not given:
        return run

    def skip_if_all_missing(context: Context) -> Value:
        if all(operand(context) is BLANK for operand in given):
            return BLANK
        return run(context)

    return skip_if_all_missing


def _numbers_of(names: Names | None) -> Callable[[str], bool]:
    """Whether a missing figure or cell of this code may count as 0: texts and dates may not."""
    if names is None:
        return lambda code: True
    others = {code for code, field in names.figures.items() if field.type != "number"}
    for table, columns in names.tables.items():
        others.update(f"{table}.{column}" for column, field in columns.items() if field.type != "number")
    return lambda code: code not in others


def _operands(node: Node) -> list[Node]:
    """Figures and cells that the formula takes values of, each where it is read."""
    match node:
        case nodes.Figure() | nodes.Column():
            return [node]
        case nodes.Range():
            return [nodes.Figure(code, node.span) for code in node.codes or ()]
        case nodes.Call() if node.name in ELSEWHERE:
            return [node]
        case nodes.Call(name="ISBLANK" | "COUNT"):
            return []
        case nodes.Call(name="IFBLANK"):
            return _operands(node.arguments[1])
        case nodes.Call():
            captured = set(free_columns(node))
            return [
                operand
                for part in node.arguments
                for operand in _operands(part)
                if not isinstance(operand, nodes.Column) or operand in captured
            ]
    return [operand for part in nodes.parts(node) for operand in _operands(part)]


class Compiler:
    """Compiles nodes. `zero`: whether a missing value of a code counts as 0; None: it stays blank."""

    def __init__(self, zero: Callable[[str], bool] | None = None, tolerance: Tolerance = NO_TOLERANCE) -> None:
        self._zero = zero
        self._tolerance = tolerance

    def compile(self, node: Node, *, outermost: bool = False) -> Run:
        match node:
            case nodes.Literal():
                constant: Value = node.value
                return lambda context: constant
            case nodes.Figure():
                return self._figure(node.code)
            case nodes.Column():
                return self._cell(node)
            case nodes.Range():
                trouble = wrong_kind(":")
                return lambda context: trouble
            case nodes.Unary():
                return self._unary(node)
            case nodes.Sum():
                return self._sum(node)
            case nodes.Binary():
                left, right = self.compile(node.left), self.compile(node.right)
                operation = _BINARY[node.operator]
                return lambda context: operation(left(context), right(context))
            case nodes.Comparison():
                return self._comparison(node, self._tolerance if outermost else NO_TOLERANCE)
            case nodes.Call():
                return self._call(node)

    def _seeing_blanks(self) -> Compiler:
        return Compiler() if self._zero is not None else self

    def _figure(self, code: str) -> Run:
        absent: Value = ZERO if self._zero is not None and self._zero(code) else BLANK

        def figure(context: Context) -> Value:
            value = context.figures.get(code)
            if value.__class__ is Decimal:
                return value
            return absent if value is None or value == "" or value is BLANK else value

        return figure

    def _cell(self, node: nodes.Column) -> Run:
        table, column = node.table, node.column
        absent: Value = ZERO if self._zero is not None and self._zero(node.code) else BLANK

        def cell(context: Context) -> Value:
            row = context.row
            if row is None or context.row_table != table:
                return NO_ROW
            value = row.get(column)
            return absent if value is None or value == "" or value is BLANK else value

        return cell

    def _unary(self, node: nodes.Unary) -> Run:
        operand = self.compile(node.operand)
        match node.operator:
            case "-":
                return lambda context: negated(operand(context))
            case "%":
                return lambda context: hundredth(operand(context))
        return operand

    def _sum(self, node: nodes.Sum) -> Run:
        runs = tuple((minus if term.negative else plus, self.compile(term.node)) for term in node.terms)
        (_, first), *others = runs

        def general(context: Context) -> Value:
            total = first(context)
            for operation, run in others:
                total = operation(total, run(context))
            return total

        codes = figures_added(node)
        return general if codes is None else _sum_of_figures(codes, general)

    def _comparison(self, node: nodes.Comparison, tolerance: Tolerance) -> Run:
        left, right, operator = self.compile(node.left), self.compile(node.right), node.operator

        def general(context: Context) -> Value:
            return compare(left(context), operator, right(context), tolerance)

        codes = figures_added(node.right)
        if operator == "=" and isinstance(node.left, nodes.Figure) and codes is not None:
            return _total_equals(node.left.code, codes, general)
        return general

    def _call(self, node: nodes.Call) -> Run:
        arguments = node.arguments
        match node.name:
            case "AND" | "OR":
                return _connected([self.compile(argument) for argument in arguments], decisive=node.name == "OR")
            case "NOT":
                return _not(self.compile(arguments[0]))
            case "IF":
                return _if(*(self.compile(argument) for argument in arguments))
            case "ISBLANK":
                return _is_blank(self._seeing_blanks().compile(arguments[0]))
            case "IFBLANK":
                return _if_blank(self._seeing_blanks().compile(arguments[0]), self.compile(arguments[1]))
            case "IN":
                return _in([self.compile(argument) for argument in arguments])
            case "SUM" | "AVERAGE" | "MIN" | "MAX":
                return self._aggregate(node)
            case "COUNT":
                return once(_count([self._seeing_blanks().listed(argument) for argument in arguments]))
            case "COUNTIF" | "SUMIF" | "SUMIFS":
                return self._conditional(node)
            case "COUNTDISTINCT" | "ISUNIQUE" | "SUMBY" | "FIRSTROW":
                return self._grouped(node)
            case "MATCHES":
                wrong = pattern_error(arguments[1])
                if wrong:
                    raise wrong
                return _matches(self.compile(arguments[0]), _text_of(arguments[1]))
            case "LOOKUP":
                return _lookup(_text_of(arguments[0]), self.compile(arguments[1]), _text_of(arguments[2]))
            case "EXISTS":
                return _exists(_text_of(arguments[0]), self.compile(arguments[1]))
            case "MISSINGROWS":
                missing = missing_rows(node)
                return once(lambda context: _length(missing(context)))
            case "PREV" | "YOY" | "REF" | "CHILDREN_SUM":
                return self._elsewhere(node)
        return _applied(_SCALAR[node.name], [self.compile(argument) for argument in arguments])

    def listed(self, node: Node) -> Listed:
        """The values of a list argument: figures of a range, an expression in each row of its table, or one value."""
        if isinstance(node, nodes.Range):
            return self._range(node)
        run = self.compile(node)
        columns = free_columns(node)
        if not columns:
            return lambda context: (run(context),)
        return _over_rows(columns[0].table, run, node)

    def _range(self, node: nodes.Range) -> Listed:
        if node.codes is not None:
            runs = [self._figure(code) for code in node.codes]
            return lambda context: [run(context) for run in runs]
        first, last = node.first, node.last
        unknown = not_available(
            f"Không biết dải [{first}]:[{last}] gồm những chỉ tiêu nào.",
            f"It is not known what the range [{first}]:[{last}] consists of.",
        )

        def by_order(context: Context) -> Sequence[Value] | CannotEvaluate:
            order = list(context.order)
            if first not in order or last not in order or order.index(first) > order.index(last):
                return unknown
            codes = order[order.index(first) : order.index(last) + 1]
            return [self._figure(code)(context) for code in codes]

        return by_order

    def _aggregate(self, node: nodes.Call) -> Run:
        plain = self._seeing_blanks()
        parts = [
            (True, plain.listed(argument)) if free_columns(argument) else (False, self.listed(argument))
            for argument in node.arguments
        ]
        finish = _FINISH[node.name]

        def general(context: Context) -> Value:
            values: list[Value] = []
            for over_rows, listed in parts:
                found = listed(context)
                if isinstance(found, CannotEvaluate):
                    return found
                values += [value for value in found if value is not BLANK] if over_rows else found
            stop = unusable(values)
            return finish(values) if stop is None else stop

        if any(over_rows for over_rows, _ in parts):
            return once(general)
        codes = figures_added(node)
        if node.name == "SUM" and codes is not None:
            return _sum_of_figures(codes, general)
        return general

    def _conditional(self, node: nodes.Call) -> Run:
        arguments = node.arguments
        if node.name == "SUMIFS":
            summed: Node | None = arguments[0]
            pairs = list(zip(arguments[1::2], arguments[2::2], strict=True))
        else:
            summed = None if node.name == "COUNTIF" else arguments[2 if len(arguments) > 2 else 0]
            pairs = [(arguments[0], arguments[1])]
        plain = self._seeing_blanks()
        criteria = [(plain.listed(examined), *criterion_operator(criterion)) for examined, criterion in pairs]
        return _conditional(
            None if summed is None else plain.listed(summed),
            [(examined, self.compile(asked)) for examined, operator, asked in criteria if operator == "="],
            [(examined, operator, self.compile(asked)) for examined, operator, asked in criteria if operator != "="],
        )

    def _grouped(self, node: nodes.Call) -> Run:
        plain = self._seeing_blanks()
        table = free_columns(node.arguments[0])[0].table if free_columns(node.arguments[0]) else ""
        if node.name == "SUMBY":
            keys = [plain.compile(argument) for argument in node.arguments[1:]]
            return _sum_by(table, plain.compile(node.arguments[0]), keys)
        keys = [plain.compile(argument) for argument in node.arguments]
        match node.name:
            case "FIRSTROW":
                return _first_row(table, keys)
            case "ISUNIQUE":
                return _is_unique(table, keys)
        return _count_distinct(table, keys)

    def _elsewhere(self, node: nodes.Call) -> Run:
        if node.name == "CHILDREN_SUM":
            figure = node.arguments[0]
            return once(_children_sum(figure.code if isinstance(figure, nodes.Figure) else ""))
        run = self.compile(node.arguments[ELSEWHERE[node.name]])
        regime = _text_of(node.arguments[0]) if node.name == "REF" else ""
        figures, absent = {
            "PREV": (
                lambda context: context.previous,
                not_available(
                    "Chưa có báo cáo được chấp nhận của kỳ trước.", "There is no accepted report of the period before."
                ),
            ),
            "YOY": (
                lambda context: context.year_ago,
                not_available(
                    "Chưa có báo cáo được chấp nhận của cùng kỳ năm trước.",
                    "There is no accepted report of the same period of last year.",
                ),
            ),
            "REF": (
                lambda context: context.ref(regime),
                not_available(
                    f"Chưa có báo cáo được chấp nhận theo chế độ {regime} của kỳ này.",
                    f"There is no accepted report of this period under regime {regime}.",
                ),
            ),
        }[node.name]
        return _in_another_report(figures, run, absent)


def figures_added(node: Node) -> tuple[str, ...] | None:
    """The codes, two or more, if the node is nothing but a sum of figures: `[a] + [b]`, or SUM over figures."""
    found: list[str] = []
    match node:
        case nodes.Sum():
            for term in node.terms:
                if term.negative or not isinstance(term.node, nodes.Figure):
                    return None
                found.append(term.node.code)
        case nodes.Call(name="SUM"):
            for argument in node.arguments:
                if isinstance(argument, nodes.Figure):
                    found.append(argument.code)
                elif isinstance(argument, nodes.Range) and argument.codes is not None:
                    found += argument.codes
                else:
                    return None
    return tuple(found) if len(found) > 1 else None


def _sum_of_figures(codes: tuple[str, ...], general: Run) -> Run:
    if len(codes) == 2:
        first, second = codes

        def add_two(context: Context) -> Value:
            figures = cast(Mapping[str, Decimal], context.figures)
            try:
                return _add(figures[first], figures[second])
            except (KeyError, TypeError, ArithmeticError):
                return general(context)

        return add_two
    pick = cast("Callable[[Figures], tuple[Decimal, ...]]", itemgetter(*codes))

    def add_all(context: Context) -> Value:
        try:
            total = ZERO
            for value in pick(context.figures):
                total = _add(total, value)
            return total
        except (KeyError, TypeError, ArithmeticError):
            return general(context)

    return add_all


def _total_equals(total: str, codes: tuple[str, ...], general: Run) -> Run:
    """`a = b + c + d`. Whatever is not at once equal goes the general way."""
    if len(codes) == 3:
        first, second, third = codes

        def equals_three(context: Context) -> Value:
            figures = cast(Mapping[str, Decimal], context.figures)
            try:
                if figures[total] == _add(_add(figures[first], figures[second]), figures[third]):
                    return True
            except (KeyError, TypeError, ArithmeticError):
                pass
            return general(context)

        return equals_three
    pick = cast("Callable[[Figures], tuple[Decimal, ...]]", itemgetter(*codes))

    def equals(context: Context) -> Value:
        try:
            figures = cast(Mapping[str, Decimal], context.figures)
            summed = ZERO
            for value in pick(figures):
                summed = _add(summed, value)
            if figures[total] == summed:
                return True
        except (KeyError, TypeError, ArithmeticError):
            pass
        return general(context)

    return equals


def _text_of(node: Node) -> str:
    return node.value if isinstance(node, nodes.Literal) and isinstance(node.value, str) else ""


def _connected(runs: Sequence[Run], *, decisive: bool) -> Run:
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


def _not(run: Run) -> Run:
    def negation(context: Context) -> Value:
        value = run(context)
        if value.__class__ is bool:
            return not value
        stop = unusable((value,))
        return wrong_kind("NOT", value) if stop is None else stop

    return negation


def _if(condition: Run, then: Run, otherwise: Run | None = None) -> Run:
    def branch(context: Context) -> Value:
        value = condition(context)
        if value is True:
            return then(context)
        if value is False:
            return BLANK if otherwise is None else otherwise(context)
        stop = unusable((value,))
        return wrong_kind("IF", value) if stop is None else stop

    return branch


def _is_blank(run: Run) -> Run:
    def is_blank(context: Context) -> Value:
        value = run(context)
        return value if isinstance(value, CannotEvaluate) else value is BLANK

    return is_blank


def _if_blank(run: Run, instead: Run) -> Run:
    def if_blank(context: Context) -> Value:
        value = run(context)
        return instead(context) if value is BLANK else value

    return if_blank


def _in(runs: Sequence[Run]) -> Run:
    searched, *allowed = runs

    def is_in(context: Context) -> Value:
        value = searched(context)
        answers = [compare(value, "=", run(context)) for run in allowed]
        if True in answers:
            return True
        stop = unusable(answers)
        return False if stop is None else stop

    return is_in


def _applied(function: Callable[..., Value], runs: Sequence[Run]) -> Run:
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


_SCALAR: dict[str, Callable[..., Value]] = {
    "ABS": _absolute,
    "PCT": _percentage,
    "ROUND": lambda value, digits=ZERO: rounded(value, digits),
    "LEN": _length_of_text,
    "UPPER": _upper,
    "LOWER": _lower,
    "SAMETEXT": _same_text,
    "DATE": _date,
    "YEAR": _year,
    "MONTH": _month,
    "DAY": _day,
}


def _matches(run: Run, pattern: str) -> Run:
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
    """Their sum; 0 of none."""
    summed = ZERO
    try:
        for value in values:
            if not isinstance(value, Decimal):
                return wrong_kind("SUM", value)
            summed = _add(summed, value)
    except ArithmeticError:
        return OUT_OF_RANGE
    return summed


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


_FINISH: dict[str, Callable[[Sequence[Value]], Value]] = {
    "SUM": total,
    "AVERAGE": _average,
    "MIN": _least,
    "MAX": _largest,
}


def _count(parts: Sequence[Listed]) -> Run:
    def count(context: Context) -> Value:
        filled = 0
        for listed in parts:
            values = listed(context)
            if isinstance(values, CannotEvaluate):
                return values
            filled += sum(value is not BLANK for value in values)
        return Decimal(filled)

    return count


def once(run: Run) -> Run:
    """Computes once for a report what does not depend on the row."""
    memo = object()

    def computed(context: Context) -> Value:
        known = context.memo.get(memo)
        if known is None:
            known = context.memo[memo] = run(context)
        return cast(Value, known)

    return computed


def no_table(table: str) -> CannotEvaluate:
    return not_available(f"Báo cáo không có bảng {table}.", f"The report has no table {table}.")


def _over_rows(table: str, run: Run, node: Node) -> Listed:
    """The values of `run` in all rows, computed once for a report."""
    memo = object()
    absent = no_table(table)
    simple = node.column if isinstance(node, nodes.Column) else None

    def over_rows(context: Context) -> Sequence[Value] | CannotEvaluate:
        known = context.memo.get(memo)
        if known is None:
            rows = context.tables.get(table)
            if rows is None:
                return absent
            known = _plain_cells(rows, simple) if simple is not None else _in_rows(context, table, rows, run)
            context.memo[memo] = known
        return cast("Sequence[Value]", known)

    return over_rows


def _plain_cells(rows: Sequence[Row], column: str) -> list[Value]:
    cells = [row.get(column) for row in rows]
    return [BLANK if cell is None or cell == "" else cell for cell in cells]


def _in_rows(context: Context, table: str, rows: Sequence[Row], run: Callable[[Context], Any]) -> list[Any]:
    before = context.row_table, context.row, context.row_number
    found = []
    try:
        context.row_table = table
        for context.row_number, context.row in enumerate(rows):
            found.append(run(context))
    finally:
        context.row_table, context.row, context.row_number = before
    return found


def _key(values: Sequence[Value]) -> tuple[object, ...] | CannotEvaluate:
    """Values as a key of a dict: a truth value is not the number 1."""
    for value in values:
        if isinstance(value, CannotEvaluate):
            return value
    return tuple((value,) if isinstance(value, bool) else value for value in values)


def _conditional(
    summed: Listed | None, equal: Sequence[tuple[Listed, Run]], others: Sequence[tuple[Listed, Operator, Run]]
) -> Run:
    """Sum or count of the rows that meet all criteria: one pass over the rows, then a look-up for each answer."""
    memo = object()
    unequal = CannotEvaluate(
        "wrong_kind", "Các dải không cùng số phần tử.", "The lists do not have the same number of items."
    )

    def index(context: Context) -> dict[tuple[object, ...], Value] | CannotEvaluate:
        columns: list[Sequence[Value]] = []
        for listed in [*([summed] if summed else []), *(pair[0] for pair in equal), *(triple[0] for triple in others)]:
            values = listed(context)
            if isinstance(values, CannotEvaluate):
                return values
            columns.append(values)
        if len({len(column) for column in columns}) > 1:
            return unequal
        wanted = [(operator, asked(context)) for _, operator, asked in others]
        stop = unusable([value for _, value in wanted])
        if stop is not None:
            return {(): stop}
        found: dict[tuple[object, ...], Value] = {}
        first = 1 if summed else 0
        for row in zip(*columns, strict=True):
            limits = row[first + len(equal) :]
            if all(_meets(cell, operator, limit) for cell, (operator, limit) in zip(limits, wanted, strict=True)):
                key = _key(row[first : first + len(equal)])
                if isinstance(key, CannotEvaluate):
                    continue
                amount = row[0] if summed else ONE
                if amount is not BLANK:
                    found[key] = plus(found.get(key, ZERO), amount)
        return found

    def conditional(context: Context) -> Value:
        asked = [run(context) for _, run in equal]
        stop = unusable(asked)
        if stop is not None:
            return stop
        known = context.memo.get(memo)
        if known is None:
            known = context.memo[memo] = index(context)
        if isinstance(known, CannotEvaluate):
            return known
        sums = cast("dict[tuple[object, ...], Value]", known)
        if () in sums:
            return sums[()]
        return sums.get(cast("tuple[object, ...]", _key(asked)), ZERO)

    return conditional


def _meets(cell: Value, operator: Operator, limit: Value) -> bool:
    """Whether a cell meets a criterion; one of another type does not, but differs."""
    if cell is BLANK or cell.__class__ is CannotEvaluate:
        return False
    if type_of(cell) is not type_of(limit):
        return operator == "<>"
    return compare(cell, operator, limit) is True


def _keys_of_rows(table: str, keys: Sequence[Run]) -> Callable[[Context], list[Any] | CannotEvaluate]:
    """The key of each row, computed once for a report; in place of a key CannotEvaluate, where a cell is unreadable."""
    memo = object()
    absent = no_table(table)

    def keys_of_rows(context: Context) -> list[Any] | CannotEvaluate:
        known = context.memo.get(memo)
        if known is None:
            rows = context.tables.get(table)
            if rows is None:
                return absent
            known = context.memo[memo] = _in_rows(
                context, table, rows, lambda inner: _key([run(inner) for run in keys])
            )
        return cast("list[Any]", known)

    return keys_of_rows


def _sum_by(table: str, value: Run, keys: Sequence[Run]) -> Run:
    memo = object()
    keys_of_rows = _keys_of_rows(table, keys)

    def sum_by(context: Context) -> Value:
        if context.row is None or context.row_table != table:
            return NO_ROW
        found = keys_of_rows(context)
        if isinstance(found, CannotEvaluate):
            return found
        sums = cast("dict[object, Value] | None", context.memo.get(memo))
        if sums is None:
            sums = {}
            amounts: list[Value] = _in_rows(context, table, context.tables[table], value)
            for key, amount in zip(found, amounts, strict=True):
                if not isinstance(key, CannotEvaluate):
                    sums[key] = plus(sums.get(key, ZERO), ZERO if amount is BLANK else amount)
            context.memo[memo] = sums
        key = found[context.row_number]
        return key if isinstance(key, CannotEvaluate) else sums[key]

    return sum_by


def _first_row(table: str, keys: Sequence[Run]) -> Run:
    memo = object()
    keys_of_rows = _keys_of_rows(table, keys)

    def first_row(context: Context) -> Value:
        if context.row is None or context.row_table != table:
            return NO_ROW
        found = keys_of_rows(context)
        if isinstance(found, CannotEvaluate):
            return found
        first = cast("dict[object, int] | None", context.memo.get(memo))
        if first is None:
            first = {}
            for number, key in enumerate(found):
                first.setdefault(key, number)
            context.memo[memo] = first
        key = found[context.row_number]
        return key if isinstance(key, CannotEvaluate) else first[key] == context.row_number

    return first_row


def _counts(table: str, keys: Sequence[Run]) -> Callable[[Context], tuple[list[Any], dict[object, int]] | Value]:
    """The key of each row, and how many rows have it; rows with a blank in the key do not count."""
    memo = object()
    keys_of_rows = _keys_of_rows(table, keys)

    def counts(context: Context) -> tuple[list[Any], dict[object, int]] | Value:
        found = keys_of_rows(context)
        if isinstance(found, CannotEvaluate):
            return found
        known = cast("dict[object, int] | None", context.memo.get(memo))
        if known is None:
            known = {}
            for key in found:
                if not isinstance(key, CannotEvaluate) and BLANK not in key:
                    known[key] = known.get(key, 0) + 1
            context.memo[memo] = known
        return found, known

    return counts


def _is_unique(table: str, keys: Sequence[Run]) -> Run:
    counts = _counts(table, keys)

    def all_unique(context: Context) -> Value:
        counted = counts(context)
        return all(count == 1 for count in counted[1].values()) if isinstance(counted, tuple) else counted

    whole = once(all_unique)

    def is_unique(context: Context) -> Value:
        if context.row is None or context.row_table != table:
            return whole(context)
        counted = counts(context)
        if not isinstance(counted, tuple):
            return counted
        found, known = counted
        key = found[context.row_number]
        return key if isinstance(key, CannotEvaluate) else known.get(key, 1) == 1

    return is_unique


def _count_distinct(table: str, keys: Sequence[Run]) -> Run:
    counts = _counts(table, keys)

    def count_distinct(context: Context) -> Value:
        counted = counts(context)
        return Decimal(len(counted[1])) if isinstance(counted, tuple) else counted

    return count_distinct


def no_reference(table: str) -> CannotEvaluate:
    return not_available(
        f"Không có danh mục {table} cho kỳ này.", f"There is no reference table {table} for this period."
    )


def _lookup(table: str, key: Run, column: str) -> Run:
    absent = no_reference(table)

    def lookup(context: Context) -> Value:
        value = key(context)
        stop = unusable((value,))
        if stop is not None:
            return stop
        reference = context.lookup(table)
        if reference is None:
            return absent
        row = reference.get(written(value))
        found = None if row is None else row.get(column)
        return BLANK if found is None or found == "" else found

    return lookup


def _exists(table: str, key: Run) -> Run:
    absent = no_reference(table)

    def exists(context: Context) -> Value:
        value = key(context)
        stop = unusable((value,))
        if stop is not None:
            return stop
        reference = context.lookup(table)
        return absent if reference is None else written(value) in reference

    return exists


def missing_rows(node: nodes.Call) -> Callable[[Context], list[str] | CannotEvaluate]:
    """For MISSINGROWS: the keys of the reference table that no row has, in the reference's order."""
    name = _text_of(node.arguments[0])
    listed = Compiler().listed(node.arguments[1])
    absent = no_reference(name)

    def missing(context: Context) -> list[str] | CannotEvaluate:
        values = listed(context)
        if isinstance(values, CannotEvaluate):
            return values
        reference: Reference | None = context.lookup(name)
        if reference is None:
            return absent
        given = {written(value) for value in values}
        return [key for key in reference if key not in given]

    return missing


def _length(found: list[str] | CannotEvaluate) -> Value:
    return found if isinstance(found, CannotEvaluate) else Decimal(len(found))


def _children_sum(code: str) -> Run:
    absent = not_available(
        f"Chưa đủ báo cáo được chấp nhận của các cơ quan cấp dưới để cộng [{code}].",
        f"Not all reports of the agencies beneath are accepted yet, so [{code}] cannot be summed.",
    )

    def children_sum(context: Context) -> Value:
        values = context.children(code)
        if values is None:
            return absent
        given: list[Value] = [value for value in values if value is not None and value != "" and value is not BLANK]
        stop = unusable(given)
        return total(given) if stop is None else stop

    return children_sum


def _in_another_report(figures: Callable[[Context], Figures | None], run: Run, absent: CannotEvaluate) -> Run:
    def in_another_report(context: Context) -> Value:
        found = figures(context)
        return absent if found is None else run(Context(found, order=context.order))

    return once(in_another_report)
