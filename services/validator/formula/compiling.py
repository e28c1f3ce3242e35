"""Nodes → closures, once; a closure never raises, and costs no more than `check` has counted.

They are asked where generating.py is not certain that a rule holds, and of every row of a table.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import Literal

from services.validator.formula import nodes
from services.validator.formula.check import Names, bind
from services.validator.formula.context import Context, Listed, Reference, Run
from services.validator.formula.elsewhere import existing, in_another_report, looked_up, no_reference, sum_of_children
from services.validator.formula.functions import ELSEWHERE
from services.validator.formula.nodes import Formula, Node
from services.validator.formula.patterns import criterion_operator, free_columns, pattern_error
from services.validator.formula.rows import (
    NO_ROW,
    conditional_on,
    counted,
    distinct,
    first_of,
    once,
    summed_by,
    unique,
    values_over_rows,
)
from services.validator.formula.scalars import (
    AGGREGATES,
    SCALARS,
    applied,
    blank_test,
    connected,
    if_then,
    instead_of_blank,
    is_in,
    matches,
    negation_of,
)
from services.validator.formula.values import (
    BLANK,
    NO_TOLERANCE,
    ZERO,
    CannotEvaluate,
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
    times,
    unusable,
    written,
    wrong_kind,
)

#: what a missing figure or cell makes of its side: DHIS2's missing value strategies
Missing = Literal["skip_if_any_missing", "skip_if_all_missing", "never_skip"]

_BINARY: dict[str, Callable[[Value, Value], Value]] = {"*": times, "/": divided, "^": power, "&": joined}


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
    run = compiler_for(names, missing, tolerance).compile(root, outermost=True)
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


def compiler_for(names: Names | None, missing: Missing, tolerance: Tolerance = NO_TOLERANCE) -> Compiler:
    """The compiler of a formula's parts. Alone it does not know skip_if_all_missing's blanks."""
    return Compiler(zero=None if missing == "skip_if_any_missing" else _numbers_of(names), tolerance=tolerance)


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

        def summed(context: Context) -> Value:
            total = first(context)
            for operation, run in others:
                total = operation(total, run(context))
            return total

        return summed

    def _comparison(self, node: nodes.Comparison, tolerance: Tolerance) -> Run:
        left, right, operator = self.compile(node.left), self.compile(node.right), node.operator
        return lambda context: compare(left(context), operator, right(context), tolerance)

    def _call(self, node: nodes.Call) -> Run:
        arguments = node.arguments
        match node.name:
            case "AND" | "OR":
                return connected([self.compile(argument) for argument in arguments], decisive=node.name == "OR")
            case "NOT":
                return negation_of(self.compile(arguments[0]))
            case "IF":
                return if_then(*(self.compile(argument) for argument in arguments))
            case "ISBLANK":
                return blank_test(self._seeing_blanks().compile(arguments[0]))
            case "IFBLANK":
                return instead_of_blank(self._seeing_blanks().compile(arguments[0]), self.compile(arguments[1]))
            case "IN":
                return is_in([self.compile(argument) for argument in arguments])
            case "SUM" | "AVERAGE" | "MIN" | "MAX":
                return self._aggregate(node)
            case "COUNT":
                return once(counted([self._seeing_blanks().listed(argument) for argument in arguments]))
            case "COUNTIF" | "SUMIF" | "SUMIFS":
                return self._conditional(node)
            case "COUNTDISTINCT" | "ISUNIQUE" | "SUMBY" | "FIRSTROW":
                return self._grouped(node)
            case "MATCHES":
                wrong = pattern_error(arguments[1])
                if wrong:
                    raise wrong
                return matches(self.compile(arguments[0]), _text_of(arguments[1]))
            case "LOOKUP":
                return looked_up(_text_of(arguments[0]), self.compile(arguments[1]), _text_of(arguments[2]))
            case "EXISTS":
                return existing(_text_of(arguments[0]), self.compile(arguments[1]))
            case "MISSINGROWS":
                missing = missing_rows(node)
                return once(lambda context: _length(missing(context)))
            case "MISSINGKEYS":
                keys = missing_rows(node)
                return once(lambda context: _listed(keys(context)))
            case "PREV" | "YOY" | "REF" | "CHILDREN_SUM":
                return self._elsewhere(node)
        return applied(SCALARS[node.name], [self.compile(argument) for argument in arguments])

    def listed(self, node: Node) -> Listed:
        """The values of a list argument: figures of a range, an expression in each row of its table, or one value."""
        if isinstance(node, nodes.Range):
            return self._range(node)
        run = self.compile(node)
        columns = free_columns(node)
        if not columns:
            return lambda context: (run(context),)
        return values_over_rows(columns[0].table, run, node)

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
        finish = AGGREGATES[node.name]

        def aggregate(context: Context) -> Value:
            values: list[Value] = []
            for over_rows, listed in parts:
                found = listed(context)
                if isinstance(found, CannotEvaluate):
                    return found
                values += [value for value in found if value is not BLANK] if over_rows else found
            stop = unusable(values)
            return finish(values) if stop is None else stop

        return once(aggregate) if any(over_rows for over_rows, _ in parts) else aggregate

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
        return conditional_on(
            None if summed is None else plain.listed(summed),
            [(examined, self.compile(asked)) for examined, operator, asked in criteria if operator == "="],
            [(examined, operator, self.compile(asked)) for examined, operator, asked in criteria if operator != "="],
        )

    def _grouped(self, node: nodes.Call) -> Run:
        plain = self._seeing_blanks()
        table = free_columns(node.arguments[0])[0].table if free_columns(node.arguments[0]) else ""
        if node.name == "SUMBY":
            keys = [plain.compile(argument) for argument in node.arguments[1:]]
            return summed_by(table, plain.compile(node.arguments[0]), keys)
        keys = [plain.compile(argument) for argument in node.arguments]
        match node.name:
            case "FIRSTROW":
                return first_of(table, keys)
            case "ISUNIQUE":
                return unique(table, keys)
        return distinct(table, keys)

    def _elsewhere(self, node: nodes.Call) -> Run:
        if node.name == "CHILDREN_SUM":
            figure = node.arguments[0]
            return once(sum_of_children(figure.code if isinstance(figure, nodes.Figure) else ""))
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
        return in_another_report(figures, run, absent)


#: keys that MISSINGKEYS lists
LISTED_KEYS = 20


def _text_of(node: Node) -> str:
    return node.value if isinstance(node, nodes.Literal) and isinstance(node.value, str) else ""


def missing_rows(node: nodes.Call) -> Callable[[Context], list[str] | CannotEvaluate]:
    """For MISSINGROWS and MISSINGKEYS: the keys of the reference table that no row has, in the reference's order."""
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


def _listed(found: list[str] | CannotEvaluate) -> Value:
    """The first of the keys in words, blank where none is missing."""
    if isinstance(found, CannotEvaluate):
        return found
    more = len(found) - LISTED_KEYS
    return ", ".join(found[:LISTED_KEYS]) + (f", … (+{more})" if more > 0 else "") if found else BLANK


def _length(found: list[str] | CannotEvaluate) -> Value:
    return found if isinstance(found, CannotEvaluate) else Decimal(len(found))
