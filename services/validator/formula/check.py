"""Checks a formula against a form before it is published: codes, types, columns, cost. All errors are told at once.

A formula that passes has an answer of its type, is blank, or cannot be evaluated; it never takes unbounded time.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal

from services.validator.formula import nodes
from services.validator.formula.errors import FormulaError, suggestion
from services.validator.formula.functions import ELSEWHERE, FUNCTIONS
from services.validator.formula.nodes import Formula, Node, Term
from services.validator.formula.patterns import criterion_operator, free_columns, pattern_cost, pattern_error
from services.validator.formula.values import TYPE_NAMES, Type

#: of one formula: a node is 1, a function over rows 100
MAX_COST = 10_000
#: unknown codes of one formula for which a near miss is looked for: it takes milliseconds each
MAX_SUGGESTIONS = 20

_BY_WORD = {"number": Type.NUMBER, "text": Type.TEXT, "boolean": Type.BOOLEAN, "date": Type.DATE, "any": Type.ANY}


@dataclass(frozen=True, slots=True)
class Field:
    """A figure, or a column of a table: its type; of numbers the most digits after the point, and inclusive bounds.

    None: not known.
    """

    type: Type = Type.NUMBER
    scale: int | None = None
    minimum: Decimal | None = None
    maximum: Decimal | None = None


Fields = Mapping[str, Field]


@dataclass(frozen=True, slots=True)
class Names:
    """What a formula may speak of. Figures are in the form's order, which ranges follow."""

    figures: Fields = field(default_factory=dict)
    tables: Mapping[str, Fields] = field(default_factory=dict)
    regimes: Mapping[str, Fields] = field(default_factory=dict)  # figures of other regimes, by their code
    references: Mapping[str, Fields] = field(default_factory=dict)  # columns of reference tables


def bind(formula: Formula, names: Names) -> tuple[Formula, list[FormulaError]]:
    """The formula with its ranges spelt out and its codes told apart, and what of it the form does not have."""
    errors: list[FormulaError] = []
    root = _bound(formula.root, names, names.figures, errors)
    return replace(formula, root=root), errors


def _bound(node: Node, names: Names, figures: Fields, errors: list[FormulaError]) -> Node:
    match node:
        case nodes.Figure():
            if node.code not in figures:
                errors.append(_unknown_figure(node.code, figures, node.span, len(errors)))
            return node
        case nodes.Column():
            return _bound_column(node, names, figures, errors)
        case nodes.Range():
            return _bound_range(node, figures, errors)
        case nodes.Unary():
            return replace(node, operand=_bound(node.operand, names, figures, errors))
        case nodes.Sum():
            terms = tuple(Term(term.negative, _bound(term.node, names, figures, errors)) for term in node.terms)
            return replace(node, terms=terms)
        case nodes.Binary() | nodes.Comparison():
            left = _bound(node.left, names, figures, errors)
            return replace(node, left=left, right=_bound(node.right, names, figures, errors))
        case nodes.Call():
            place = ELSEWHERE.get(node.name)
            within: Fields | None = figures
            if node.name == "REF":
                within = _figures_of_regime(node, names, errors)
            arguments = tuple(
                argument
                if position == place and within is None
                else _bound(argument, names, within if position == place and within is not None else figures, errors)
                for position, argument in enumerate(node.arguments)
            )
            return replace(node, arguments=arguments)
    return node


def _unknown_figure(code: str, figures: Fields, span: nodes.Span, told: int) -> FormulaError:
    meant = suggestion(code, figures) if told < MAX_SUGGESTIONS else ("", "")
    return FormulaError(
        f"Biểu mẫu không có chỉ tiêu [{code}].{meant[0]}", f"The form has no figure [{code}].{meant[1]}", *span
    )


def _bound_column(node: nodes.Column, names: Names, figures: Fields, errors: list[FormulaError]) -> Node:
    code = node.code
    if code in figures:
        return nodes.Figure(code, node.span)
    splits = [(code[:place], code[place + 1 :]) for place, character in enumerate(code) if character == "."]
    for table, column in splits:
        columns = names.tables.get(table)
        if columns is not None:
            if column in columns:
                return replace(node, table=table, column=column)
            meant = suggestion(column, columns)
            errors.append(
                FormulaError(
                    f"Bảng {table} không có cột “{column}”.{meant[0]}",
                    f"Table {table} has no column “{column}”.{meant[1]}",
                    *node.span,
                )
            )
            return node
    meant = ("", "")
    if len(errors) < MAX_SUGGESTIONS:
        dotted = (f"{table}.{column}" for table in names.tables for column in names.tables[table])
        meant = suggestion(code, [*figures, *dotted])
    errors.append(
        FormulaError(
            f"Biểu mẫu không có bảng “{node.table}” và không có chỉ tiêu [{code}].{meant[0]}",
            f"The form has no table “{node.table}” and no figure [{code}].{meant[1]}",
            *node.span,
        )
    )
    return node


def _bound_range(node: nodes.Range, figures: Fields, errors: list[FormulaError]) -> Node:
    unknown = [code for code in dict.fromkeys((node.first, node.last)) if code not in figures]
    if unknown:
        errors += [_unknown_figure(code, figures, node.span, len(errors)) for code in unknown]
        return node
    order = list(figures)
    first, last = order.index(node.first), order.index(node.last)
    if first > last:
        errors.append(
            FormulaError(
                f"Trong biểu mẫu, [{node.first}] đứng sau [{node.last}]: đổi chỗ hai đầu dải.",
                f"In the form [{node.first}] comes after [{node.last}]: swap the ends of the range.",
                *node.span,
            )
        )
        return node
    return replace(node, codes=tuple(order[first : last + 1]))


def _figures_of_regime(node: nodes.Call, names: Names, errors: list[FormulaError]) -> Fields | None:
    """The figures of REF's regime; None, and an error, where there is no such regime."""
    regime = node.arguments[0]
    if not (isinstance(regime, nodes.Literal) and isinstance(regime.value, str)):
        return None
    figures = names.regimes.get(regime.value)
    if figures is None:
        meant = suggestion(regime.value, names.regimes)
        errors.append(
            FormulaError(
                f"Không có chế độ báo cáo “{regime.value}”.{meant[0]}",
                f"There is no reporting regime “{regime.value}”.{meant[1]}",
                *regime.span,
            )
        )
    return figures


def check(formula: Formula, names: Names, *, row: str | None = None) -> tuple[Type, list[FormulaError]]:
    """The type of the formula and everything that is wrong with it, in the order of its text.

    `row` is the table whose rows the rule is for; without it, columns stand only within functions such as SUM.
    """
    bound, errors = bind(formula, names)
    checking = _Checking(names, errors)
    kind = checking.type_of(bound.root, _Scope(names.figures, row))
    cost = _cost(bound.root)
    if cost > MAX_COST:
        errors.append(
            FormulaError(
                f"Công thức tốn {cost} đơn vị tính toán; tối đa {MAX_COST}. Tách thành nhiều quy tắc.",
                f"The formula costs {cost} units; at most {MAX_COST} are allowed. Break it up into several rules.",
                *bound.root.span,
            )
        )
    return kind, sorted(errors, key=lambda error: error.start)


def _cost(root: Node) -> int:
    cost = 0
    for node in nodes.walk(root):
        match node:
            case nodes.Call():
                cost += FUNCTIONS[node.name].weight
                if node.name == "MATCHES":
                    cost += pattern_cost(node.arguments[1])
            case nodes.Range():
                cost += len(node.codes or ())
            case _:
                cost += 1
    return cost


@dataclass(frozen=True, slots=True)
class _Scope:
    """What is in reach of a part: figures, the table of the row, whether it is evaluated in another report."""

    figures: Fields
    row: str | None
    elsewhere: bool = False
    listed: bool = False  # ranges may stand here


class _Checking:
    def __init__(self, names: Names, errors: list[FormulaError]) -> None:
        self._names = names
        self._errors = errors

    def _wrong(self, node: Node, vietnamese: str, english: str) -> None:
        self._errors.append(FormulaError(vietnamese, english, *node.span))

    def type_of(self, node: Node, scope: _Scope) -> Type:
        match node:
            case nodes.Literal():
                if isinstance(node.value, bool):
                    return Type.BOOLEAN
                return Type.NUMBER if isinstance(node.value, Decimal) else Type.TEXT
            case nodes.Figure():
                known = scope.figures.get(node.code)
                return known.type if known else Type.ANY
            case nodes.Column():
                return self._column(node, scope)
            case nodes.Range():
                return self._range(node, scope)
            case nodes.Unary():
                self._demand(node.operand, Type.NUMBER, scope, f"“{node.operator}”")
                return Type.NUMBER
            case nodes.Sum():
                return self._sum(node, scope)
            case nodes.Binary():
                if node.operator == "&":
                    self.type_of(node.left, replace(scope, listed=False))
                    self.type_of(node.right, replace(scope, listed=False))
                    return Type.TEXT
                self._demand(node.left, Type.NUMBER, scope, f"“{node.operator}”")
                self._demand(node.right, Type.NUMBER, scope, f"“{node.operator}”")
                if node.operator == "/" and isinstance(node.right, nodes.Literal) and not node.right.value:
                    self._wrong(node, "Luôn là phép chia cho 0.", "This always divides by zero.")
                return Type.NUMBER
            case nodes.Comparison():
                return self._comparison(node, scope)
            case nodes.Call():
                return self._call(node, scope)

    def _column(self, node: nodes.Column, scope: _Scope) -> Type:
        columns = self._names.tables.get(node.table)
        if columns is None or node.column not in columns:
            return Type.ANY  # told while binding
        if scope.elsewhere:
            self._wrong(
                node,
                f"Không lấy được cột [{node.code}] của báo cáo khác; chỉ lấy được chỉ tiêu.",
                f"The column [{node.code}] of another report cannot be had; figures can.",
            )
        elif scope.row != node.table:
            self._wrong(
                node,
                f"[{node.code}] là một cột: đặt trong hàm như SUM([{node.code}]), hoặc viết quy tắc cho từng dòng của "
                f"bảng {node.table}.",
                f"[{node.code}] is a column: put it into a function, as in SUM([{node.code}]), or make the rule one "
                f"for each row of table {node.table}.",
            )
        return columns[node.column].type

    def _range(self, node: nodes.Range, scope: _Scope) -> Type:
        if not scope.listed:
            self._wrong(
                node,
                "Dải chỉ tiêu chỉ đặt trong hàm như SUM, COUNT, COUNTIF.",
                "A range of figures stands only within functions such as SUM, COUNT, COUNTIF.",
            )
        types = {scope.figures[code].type for code in node.codes or ()}
        return types.pop() if len(types) == 1 else Type.ANY

    def _demand(self, node: Node, wanted: Type, scope: _Scope, where: str) -> None:
        found = self.type_of(node, replace(scope, listed=False))
        if Type.ANY in (found, wanted) or found is wanted:
            return
        self._wrong(
            node,
            f"{where} cần {TYPE_NAMES[wanted][0]}; đây là {TYPE_NAMES[found][0]}.",
            f"{where} needs {TYPE_NAMES[wanted][1]}; this is {TYPE_NAMES[found][1]}.",
        )

    def _sum(self, node: nodes.Sum, scope: _Scope) -> Type:
        inner = replace(scope, listed=False)
        result = Type.ANY
        for position, term in enumerate(node.terms):
            found = self.type_of(term.node, inner)
            if found not in (Type.NUMBER, Type.DATE, Type.ANY):
                self._wrong(
                    term.node,
                    f"Cộng trừ cần số hoặc ngày; đây là {TYPE_NAMES[found][0]}. Nối văn bản bằng &.",
                    f"Adding needs numbers or dates; this is {TYPE_NAMES[found][1]}. Join texts with &.",
                )
                found = Type.ANY
            if not position:
                result = found
            elif Type.ANY in (result, found):
                result = Type.ANY
            elif result is found is Type.DATE:
                if not term.negative:
                    self._wrong(term.node, "Không cộng hai ngày với nhau được.", "Two dates cannot be added.")
                result = Type.NUMBER
            elif found is Type.DATE:
                if term.negative:
                    self._wrong(
                        term.node, "Không lấy số trừ đi ngày được.", "A date cannot be subtracted from a number."
                    )
                result = Type.DATE
        return result

    def _comparison(self, node: nodes.Comparison, scope: _Scope) -> Type:
        inner = replace(scope, listed=False)
        left, right = self.type_of(node.left, inner), self.type_of(node.right, inner)
        self._comparable(node, left, right)
        ordered = node.operator not in ("=", "<>")
        if ordered and left is right and left in (Type.TEXT, Type.BOOLEAN):
            self._wrong(
                node,
                f"“{node.operator}” chỉ so sánh số và ngày; với {TYPE_NAMES[left][0]} dùng = hoặc <>.",
                f"“{node.operator}” compares numbers and dates; for {TYPE_NAMES[left][1]} use = or <>.",
            )
        for side in (node.left, node.right):
            if isinstance(side, nodes.Literal) and side.value == "":
                self._wrong(
                    side, 'Ô trống không bằng "". Dùng ISBLANK(…).', 'A blank does not equal "". Use ISBLANK(…).'
                )
        return Type.BOOLEAN

    def _comparable(self, node: Node, left: Type, right: Type) -> None:
        if Type.ANY not in (left, right) and left is not right:
            self._wrong(
                node,
                f"Không so sánh {TYPE_NAMES[left][0]} với {TYPE_NAMES[right][0]} được.",
                f"Cannot compare {TYPE_NAMES[left][1]} with {TYPE_NAMES[right][1]}.",
            )

    def _call(self, node: nodes.Call, scope: _Scope) -> Type:
        function = FUNCTIONS[node.name]
        if scope.elsewhere and (node.name in ELSEWHERE or "column" in function.parameters):
            self._wrong(
                node,
                f"Không dùng được {node.name} bên trong PREV, YOY, REF hay CHILDREN_SUM.",
                f"{node.name} cannot be used within PREV, YOY, REF or CHILDREN_SUM.",
            )
        types: list[Type] = []
        for position, argument in enumerate(node.arguments):
            types.append(self._argument(node, function.parameter(position), argument, scope))
        self._particular(node, types, scope)
        match function.result:
            case "argument":
                return types[0]
            case "branch":
                return self._common(node.arguments[1:], types[1:])
            case "any":
                return self._looked_up(node, types)
        return _BY_WORD[function.result]

    def _argument(self, call: nodes.Call, parameter: str, node: Node, scope: _Scope) -> Type:
        match parameter:
            case "name":
                if not (isinstance(node, nodes.Literal) and isinstance(node.value, str)):
                    self._wrong(
                        node,
                        f'Ở đây {call.name} cần văn bản viết thẳng trong ngoặc kép "…".',
                        f'Here {call.name} needs a text written out within "…".',
                    )
                return Type.TEXT
            case "figure":
                return self._elsewhere(call, node, scope)
            case "list" | "column":
                return self._list(call, parameter, node, scope)
        wanted = _BY_WORD[parameter]
        if wanted is Type.ANY:
            return self.type_of(node, replace(scope, listed=False))
        self._demand(node, wanted, scope, call.name)
        return wanted

    def _elsewhere(self, call: nodes.Call, node: Node, scope: _Scope) -> Type:
        figures = scope.figures
        if call.name == "REF":
            regime = call.arguments[0]
            known = isinstance(regime, nodes.Literal) and isinstance(regime.value, str)
            figures = self._names.regimes.get(str(regime.value), {}) if known else {}  # type: ignore[union-attr]
        if call.name == "CHILDREN_SUM" and not isinstance(node, nodes.Figure):
            self._wrong(
                node,
                "CHILDREN_SUM chỉ nhận một chỉ tiêu, như [CT01].",
                "CHILDREN_SUM takes one figure, such as [CT01].",
            )
        kind = self.type_of(node, _Scope(figures, None, elsewhere=True))
        if call.name == "CHILDREN_SUM" and kind not in (Type.NUMBER, Type.ANY):
            self._wrong(node, "CHILDREN_SUM cần một chỉ tiêu là số.", "CHILDREN_SUM needs a figure that is a number.")
        return kind

    def _list(self, call: nodes.Call, parameter: str, node: Node, scope: _Scope) -> Type:
        tables = sorted({column.table for column in free_columns(node)} & set(self._names.tables))
        if len(tables) > 1:
            self._wrong(
                node,
                f"Một đối số chỉ lấy cột của một bảng; đây là cột của {', '.join(tables)}.",
                f"One argument takes columns of one table; these are of {', '.join(tables)}.",
            )
            return Type.ANY
        if parameter == "column" and not free_columns(node):
            self._wrong(
                node, f"Ở đây {call.name} cần một cột của bảng.", f"Here {call.name} needs a column of a table."
            )
        row = tables[0] if tables else scope.row
        found = self.type_of(node, replace(scope, row=row, listed=True))
        if call.name in ("SUM", "AVERAGE") and found not in (Type.NUMBER, Type.ANY):
            self._wrong(
                node,
                f"{call.name} cần số; đây là {TYPE_NAMES[found][0]}.",
                f"{call.name} needs numbers; this is {TYPE_NAMES[found][1]}.",
            )
        return found

    def _common(self, arguments: Sequence[Node], types: Sequence[Type]) -> Type:
        common = types[0]
        for node, kind in zip(arguments[1:], types[1:], strict=True):
            if Type.ANY not in (common, kind) and common is not kind:
                self._wrong(
                    node,
                    f"Các nhánh phải cùng loại: nhánh đầu là {TYPE_NAMES[common][0]}, đây là {TYPE_NAMES[kind][0]}.",
                    f"All branches have one type: the first is {TYPE_NAMES[common][1]}, this is {TYPE_NAMES[kind][1]}.",
                )
        return common

    def _particular(self, node: nodes.Call, types: list[Type], scope: _Scope) -> None:
        """What holds for one function alone."""
        match node.name:
            case "IFBLANK":
                self._common(node.arguments, types)
            case "IN":
                for argument, kind in zip(node.arguments[1:], types[1:], strict=True):
                    self._comparable(argument, types[0], kind)
            case "MIN" | "MAX":
                self._common(node.arguments, types)
                if types[0] not in (Type.NUMBER, Type.DATE, Type.ANY):
                    self._wrong(
                        node,
                        f"{node.name} cần số hoặc ngày; đây là {TYPE_NAMES[types[0]][0]}.",
                        f"{node.name} needs numbers or dates; this is {TYPE_NAMES[types[0]][1]}.",
                    )
            case "COUNTIF" | "SUMIF" | "SUMIFS":
                self._criteria(node, types, scope)
            case "SUMBY" | "FIRSTROW":
                self._within_rows(node, scope)
                if node.name == "SUMBY" and types[0] not in (Type.NUMBER, Type.ANY):
                    self._wrong(node.arguments[0], "SUMBY cần cột số.", "SUMBY needs a column of numbers.")
            case "COUNTDISTINCT" | "ISUNIQUE":
                self._one_table(node)
            case "LOOKUP" | "EXISTS" | "MISSINGROWS" | "MISSINGKEYS":
                self._known_reference(node.arguments[0])
            case "MATCHES":
                wrong = pattern_error(node.arguments[1])
                self._errors += [wrong] if wrong else []

    def _one_table(self, node: nodes.Call) -> str | None:
        tables = sorted({column.table for argument in node.arguments for column in free_columns(argument)})
        if len(tables) > 1:
            self._wrong(
                node,
                f"Các cột của {node.name} phải thuộc cùng một bảng.",
                f"The columns of {node.name} have to be of one table.",
            )
        return tables[0] if len(tables) == 1 else None

    def _within_rows(self, node: nodes.Call, scope: _Scope) -> None:
        table = self._one_table(node)
        if table is not None and table != scope.row:
            self._wrong(
                node,
                f"{node.name} chỉ dùng trong quy tắc cho từng dòng của bảng {table}.",
                f"{node.name} is for rules for each row of table {table}.",
            )

    def _criteria(self, node: nodes.Call, types: list[Type], scope: _Scope) -> None:
        first = 1 if node.name == "SUMIFS" else 0
        lists = [node.arguments[0]] if first else [node.arguments[position] for position in (0, 2)[: len(types) - 1]]
        for place in range(first, len(node.arguments) - 1, 2):
            if first:
                lists.append(node.arguments[place])
            criterion = node.arguments[place + 1]
            operator, _ = criterion_operator(criterion)
            if operator != "=" and free_columns(criterion):
                self._wrong(
                    criterion,
                    "Tiêu chí lớn hơn, nhỏ hơn, khác không được lấy giá trị của từng dòng: sẽ phải so mọi dòng với "
                    "mọi dòng.",
                    "A criterion of more, less or other may not take a value of each row: every row would be compared "
                    "with every row.",
                )
            if operator == "=":
                self._comparable(criterion, types[place], types[place + 1])
        summed = 0 if first else (2 if len(types) > 2 else 0)
        if node.name != "COUNTIF" and types[summed] not in (Type.NUMBER, Type.ANY):
            self._wrong(
                node.arguments[summed],
                f"{node.name} cộng một dải số.",
                f"{node.name} adds numbers: give a list of them.",
            )
        sources = {frozenset(column.table for column in free_columns(argument)) for argument in lists}
        if len(sources) > 1:
            self._wrong(
                node,
                f"Các dải của {node.name} phải cùng một bảng, hoặc đều là dải chỉ tiêu.",
                f"The lists of {node.name} have to be of one table, or all ranges of figures.",
            )

    def _known_reference(self, node: Node) -> None:
        if isinstance(node, nodes.Literal) and node.value not in self._names.references:
            meant = suggestion(str(node.value), self._names.references)
            self._wrong(
                node,
                f"Không có danh mục “{node.value}”.{meant[0]}",
                f"There is no reference table “{node.value}”.{meant[1]}",
            )

    def _looked_up(self, node: nodes.Call, types: list[Type]) -> Type:
        if node.name == "REF":
            return types[1]
        return self._reference(node)

    def _reference(self, node: nodes.Call) -> Type:
        table, column = node.arguments[0], node.arguments[-1]
        if not isinstance(table, nodes.Literal) or not isinstance(column, nodes.Literal):
            return Type.ANY
        columns = self._names.references.get(str(table.value))
        if columns is None:
            return Type.ANY
        known = columns.get(str(column.value))
        if known is None:
            meant = suggestion(str(column.value), columns)
            self._wrong(
                column,
                f"Danh mục “{table.value}” không có cột “{column.value}”.{meant[0]}",
                f"The reference table “{table.value}” has no column “{column.value}”.{meant[1]}",
            )
            return Type.ANY
        return known.type


def sides(formula: Formula) -> tuple[Formula, str, Formula] | None:
    """Left side, operator and right side, if the formula is a comparison."""
    root = formula.root
    if not isinstance(root, nodes.Comparison):
        return None
    return replace(formula, root=root.left), root.operator, replace(formula, root=root.right)


def expected(formula: Formula) -> tuple[str, Formula] | None:
    """Of `[a] = expression`, either way round: the code of the figure or column, and the expression it should equal."""
    root = formula.root
    if not isinstance(root, nodes.Comparison) or root.operator != "=":
        return None
    for subject, other in ((root.left, root.right), (root.right, root.left)):
        if isinstance(subject, nodes.Figure | nodes.Column):
            return subject.code, replace(formula, root=other)
    return None


def figures_of(node: Node) -> list[str]:
    """The codes of figures of this report that the node reads, each once, in the order of its text."""
    found: dict[str, None] = {}
    _collect(node, found)
    return list(found)


def _collect(node: Node, found: dict[str, None]) -> None:
    match node:
        case nodes.Figure():
            found[node.code] = None
        case nodes.Range():
            found.update(dict.fromkeys(node.codes or (node.first, node.last)))
        case nodes.Call() if node.name in ELSEWHERE:
            return
        case _:
            for part in nodes.parts(node):
                _collect(part, found)


def cycles(formulas: Iterable[Formula]) -> list[list[str]]:
    """Circles among rules `[a] = expression`: each as its codes, `a` needs `b` needs `a`. Two ways round are one rule.

    Only rules whose left side is a figure define it; a circle among such is a set of rules that define nothing.
    """
    needs: dict[str, set[str]] = {}
    for formula in formulas:
        root = formula.root
        if isinstance(root, nodes.Comparison) and root.operator == "=" and isinstance(root.left, nodes.Figure):
            needs.setdefault(root.left.code, set()).update(figures_of(root.right))
    found: list[list[str]] = []
    done: set[str] = set()
    for start in needs:
        if start not in done:
            _find_circles(start, needs, done, found)
    return found


def _find_circles(start: str, needs: Mapping[str, set[str]], done: set[str], found: list[list[str]]) -> None:
    path: dict[str, None] = {start: None}
    waiting = [iter(sorted(needs[start]))]
    while waiting:
        code = next(waiting[-1], None)
        if code is None:
            waiting.pop()
            done.add(path.popitem()[0])
        elif code in path:
            codes = list(path)
            found.append([*codes[codes.index(code) :], code])
        elif code in needs and code not in done:
            path[code] = None
            waiting.append(iter(sorted(needs[code])))
