"""Compiles the rules of a form, and says all that is wrong with them: where, and how to mend it.

A formula is checked against the form, other regimes and reference tables: unknown codes, types, cost.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import NamedTuple

from services.validator.formula import (
    Field,
    Formula,
    FormulaError,
    Names,
    Operator,
    Tolerance,
    Type,
    bind,
    caret,
    check,
    compile_formula,
    effort,
    parse,
    sides,
)
from services.validator.formula.check import Fields
from services.validator.formula.functions import ELSEWHERE
from services.validator.formula.generating import Asked
from services.validator.formula.nodes import Call, Column, Figure, Literal, Node, Range, parts, walk
from services.validator.formula.values import HUNDRED, NUMBERS
from services.validator.rules.catalogue import Rule
from services.validator.rules.flaws import pointer
from services.validator.rules.packs import LISTED_ROWS, CompiledRule, Evaluate, Pack
from shared.contract.events import Form, PackRule, ReferenceTablePublished, RuleSide
from shared.contract.events.registry import ColumnType, ReferenceType
from shared.contract.events.rules import MissingStrategy

#: codes of built-in findings look like this
_BUILT_IN = re.compile(r"[A-Z][0-9]{2}")
_OPERAND = re.compile(r"\{([^{}]*)\}")
_OWN_WORDS = frozenset({"provided", "expected", "difference"})
_OPERATORS: dict[str, Operator] = {
    "equal_to": "=",
    "not_equal_to": "<>",
    "greater_than": ">",
    "greater_than_or_equal_to": ">=",
    "less_than": "<",
    "less_than_or_equal_to": "<=",
}
_BACK = frozenset({"PREV", "YOY", "REF", "CHILDREN_SUM"})
#: what rests on the reports of other agencies, for which nobody is returned
_OF_OTHERS = "CHILDREN_SUM"
_LOOKING_UP = frozenset({"LOOKUP", "EXISTS", "MISSINGROWS", "MISSINGKEYS"})
#: what a formula that names something beside the form holds
_ELSEWHERE = re.compile("|".join(("REF", *sorted(_LOOKING_UP))), re.IGNORECASE)
_OF_REFERENCES: dict[ReferenceType, Type] = {"number": Type.NUMBER, "text": Type.TEXT, "date": Type.DATE}
#: characters of all formulas of a form: so many are compiled within a second
MAX_FORMULA_CHARACTERS = 100_000
#: steps (services/validator/formula/effort.py) that the rules take for a report with the most rows, about half a second
MAX_EFFORT = 3_000_000
#: of those about other reports, 20 ms: they are asked within the transaction (handlers.py, LOOKING_SECONDS). A figure
#: that is added up over a thousand agencies takes a millisecond more; the steps leave room for some 190 of them.
MAX_EFFORT_BACK = 100_000
#: a value is written into a message
_WRITTEN = 25
_TYPES: dict[ColumnType, Type] = {"text": Type.TEXT, "choice": Type.TEXT, "date": Type.DATE}


class Elsewhere(NamedTuple):
    """What rules may name beside their form: figures of other regimes, and columns of reference tables, by code."""

    regimes: Mapping[str, Fields] = MappingProxyType({})
    references: Mapping[str, Fields] = MappingProxyType({})


class Problem(NamedTuple):
    """What is wrong with a rule, and where in the form (JSON Pointer); a formula's place is in `marks`."""

    place: str
    message: str
    message_en: str
    marks: str = ""  # the line of the formula and carets beneath it

    def __str__(self) -> str:
        return f"{self.place}: {self.message} / {self.message_en}" + (f"\n{self.marks}" if self.marks else "")


class PackError(ValueError):
    """The rules cannot be asked of any report. Correct what `problems` lists."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        super().__init__("; ".join(f"{problem.place} {problem.message_en}" for problem in problems[:5]))
        self.problems = tuple(problems)


def compile_pack(form: Form, elsewhere: Elsewhere | None = None) -> Pack | None:
    """The form's rules ready to be asked; None where it has none. Raises PackError with all that is wrong.

    elsewhere: what there is beside the form; None: what rules name is taken to be there, as it was when the form was
    published.
    """
    if not form.rules:
        return None
    characters = sum(len(text) for rule in form.rules for text in _formulas_of(rule))
    if characters > MAX_FORMULA_CHARACTERS:
        raise PackError([_too_long(characters)])
    compiler = _Compiler(form, elsewhere)
    rules = [rule for place, given in enumerate(form.rules) if (rule := compiler.rule(place, given)) is not None]
    problems = compiler.problems or list(compiler.overspent())
    if problems:
        raise PackError(problems)
    return Pack(form, rules, compiler.references)


class _Compiler:
    """Compiles the rules of one form and collects what is wrong with them."""

    def __init__(self, form: Form, elsewhere: Elsewhere | None) -> None:
        self._form = form
        self._names = names_of(form, elsewhere)
        self._narratives = {narrative.code for narrative in form.narratives}
        self._figures = {figure.code for figure in form.figures}
        self._tables = {table.code: {column.code for column in table.columns} for table in form.tables}
        self._ids: set[str] = set()
        self._row: str | None = None  # the table of the rule at hand
        self._rows = {table.code: table.max_rows for table in form.tables}
        self._efforts: list[tuple[int, int, bool]] = []  # of each rule: its place, its steps, whether it looks back
        self.problems: list[Problem] = []
        self.references = self._names.references

    def rule(self, place: int, given: PackRule) -> CompiledRule | None:
        """One rule; None, and problems, where something is wrong with it."""
        at = f"/form/rules/{place}"
        before = len(self.problems)
        self._row = given.table
        self._check_shape(at, given)
        if len(self.problems) > before:
            return None
        when = self._formula(f"{at}/when", given.when, Type.BOOLEAN) if given.when else None
        expected = self._formula(f"{at}/expected", given.expected) if given.expected else None
        sides = self._sides(at, given)
        messages = [
            self._message(f"{at}/{name}", getattr(given, name)) for name in ("message", "message_en", "fix", "fix_en")
        ]
        if len(self.problems) > before or sides is None:
            return None
        left, right, operator = sides
        formulas = [found for found in (when, expected, left[0], None if right is None else right[0]) if found]
        operands = [self._bound(text) for text in _operands(given)]
        adds_up = frozenset(
            part.code
            for formula in (*formulas, *operands)
            for node in walk(formula.root)
            if isinstance(node, Call) and node.name == _OF_OTHERS
            for part in walk(node)
            if isinstance(part, Figure)
        )
        if adds_up and given.severity == "error":
            self._problem(
                f"{at}/severity",
                "Quy tắc dùng số liệu của cơ quan khác (CHILDREN_SUM) không trả lại báo cáo: ghi confirm hoặc info.",
                "A rule over figures of other agencies (CHILDREN_SUM) returns nobody: give confirm or info.",
            )
        nodes = [node for formula in (*formulas, *operands) for node in _walk(formula.root)]
        figures = _figures_of(nodes)
        columns = frozenset((node.table, node.column) for node in nodes if isinstance(node, Column))
        if given.table is not None and any(table != given.table for table, _ in columns):
            self._problem(f"{at}/table", f"Quy tắc của bảng {given.table} dùng cột của bảng khác.",
                          f"The rule of table {given.table} names columns of another table.")  # fmt: skip
        pointed = given.at or _first_figure([left[0], *([] if right is None else [right[0]])])
        if len(self.problems) > before:
            return None
        if expected is None and right is not None and operator in _OPERATORS.values():
            expected = right[0]
        rule = self._words(given, messages)
        looks_back = any(isinstance(node, Call) and node.name in _BACK for node in nodes)
        asked = [found for found in (when, left[0], None if right is None else right[0]) if found]
        steps = self._steps(asked, given.table) + self._steps(
            [*([expected] if expected else []), left[0], *operands], given.table, told=True
        )
        self._efforts.append((place, steps, looks_back))
        tolerance = Tolerance(given.tolerance, NUMBERS.divide(given.tolerance_percent, HUNDRED))
        right_formula, right_missing = right or (None, given.missing)
        asked_of_report = Asked(when, *left, right_formula, right_missing, operator, tolerance)
        return CompiledRule(
            rule=rule,
            more_rows=_more_rows(rule),
            path=pointer("tables", given.table) if given.table else self._place(pointed),
            table=given.table or "",
            identified_by=given.row,
            when=None if when is None else self._compiled(when),
            left=self._compiled(*left),
            right=None if right is None else self._compiled(*right),
            operator=operator,
            tolerance=tolerance,
            asked=None if given.table else asked_of_report,
            expected=None if expected is None else self._compiled(expected),
            provided=self._compiled(self._bound(f"[{pointed}]")) if self._shows(pointed) and not given.table else (
                None if right is None else self._compiled(left[0])
            ),
            operands=tuple(map(self._compiled, operands)),
            figures=figures,
            columns=columns,
            since=given.since,
            until=given.until,
            looks_back=looks_back,
            refers_to=frozenset(regime for node in nodes if (regime := _regime_of(node)) is not None),
            adds_up=adds_up,
            looks_up=frozenset(table for node in nodes if (table := _table_of(node)) is not None),
            shown=self._explained(formulas),
        )  # fmt: skip

    def _steps(self, formulas: Iterable[Formula], table: str | None, *, told: bool = False) -> int:
        """Steps of a rule's formulas for a report with the most rows. told: only of the rows that are told of."""
        rows = self._rows.get(table, 1) if table is not None else 1
        found = [effort(formula.root, self._names, self._rows) for formula in formulas]
        if told:
            return sum((steps.each + _WRITTEN) * min(rows, LISTED_ROWS) + steps.once for steps in found)
        return sum(steps.each * rows + steps.once for steps in found)

    def overspent(self) -> Iterator[Problem]:
        """What the rules take too much of, all together; the rule that takes the most is named."""
        for limit, efforts, which, which_en in (
            (MAX_EFFORT, self._efforts, "Các quy tắc", "The rules"),
            (
                MAX_EFFORT_BACK,
                [found for found in self._efforts if found[2]],
                "Các quy tắc dùng PREV, YOY, REF, CHILDREN_SUM",
                "The rules with PREV, YOY, REF, CHILDREN_SUM",
            ),
        ):
            total = sum(steps for _, steps, _ in efforts)
            if total > limit:
                place, most, _ = max(efforts, key=lambda found: found[1])
                name = self._form.rules[place].id
                yield Problem(
                    f"/form/rules/{place}",
                    f"{which} tốn {total} bước cho báo cáo nhiều dòng nhất; tối đa {limit}. Nặng nhất là {name} "
                    f"({most} bước). Rút gọn công thức, bớt quy tắc từng dòng, hoặc đặt `max_rows` của bảng nhỏ hơn.",
                    f"{which_en} take {total} steps for a report with the most rows; at most {limit} are allowed. The "
                    f"heaviest is {name} ({most} steps). Shorten formulas, have fewer rules of rows, or give the table "
                    "a smaller `max_rows`.",
                )

    def _place(self, code: str | None) -> str:
        if code is None:
            return ""
        return pointer("figures" if code in self._figures else "narratives", code)

    def _shows(self, code: str | None) -> bool:
        """Whether what the rule points to is shown as provided: a figure, not the whole of a text."""
        return code is not None and code in self._figures

    def _explained(self, formulas: Iterable[Formula]) -> tuple[tuple[str, Evaluate], ...]:
        """The formulas and what they name, each once."""
        shown: dict[str, Evaluate] = {}
        for formula in formulas:
            shown.setdefault(formula.text_of(formula.root), self._compiled(formula))
            for node in _walk(formula.root):
                if (
                    isinstance(node, Figure)
                    or (isinstance(node, Column) and self._row)
                    or (isinstance(node, Call) and node.name in _BACK | _LOOKING_UP)
                ):
                    shown.setdefault(formula.text_of(node), self._compiled(Formula(formula.text, node)))
        return tuple(shown.items())

    def _check_shape(self, at: str, given: PackRule) -> None:
        if given.id in self._ids:
            self._problem(f"{at}/id", f"Mã quy tắc {given.id} lặp lại.", f"The rule id {given.id} is repeated.")
        self._ids.add(given.id)
        if _BUILT_IN.fullmatch(given.id):
            self._problem(f"{at}/id", f"{given.id} có dạng mã có sẵn (như K01): đặt mã khác, ví dụ QT-01.",
                          f"{given.id} looks like a built-in code (such as K01): choose another.")  # fmt: skip
        sided = (given.left is not None, given.operator is not None, given.right is not None)
        if bool(given.assert_) == any(sided) or any(sided) != all(sided):
            self._problem(at, "Ghi hoặc `assert`, hoặc đủ `left`, `operator`, `right`.",
                          "Give either `assert`, or all of `left`, `operator`, `right`.")  # fmt: skip
        if given.tolerance < 0 or given.tolerance_percent < 0:
            self._problem(f"{at}/tolerance", "Độ lệch cho phép không được âm.", "A tolerance is not negative.")
        if given.at is not None and given.at not in self._figures | self._narratives:
            self._problem(f"{at}/at", f"Biểu mẫu không có chỉ tiêu {given.at}.", f"The form has no figure {given.at}.")
        if given.table is not None and given.table not in self._tables:
            self._problem(f"{at}/table", f"Biểu mẫu không có bảng {given.table}.",
                          f"The form has no table {given.table}.")  # fmt: skip
        elif unknown := [code for code in given.row if code not in self._tables.get(given.table or "", ())]:
            self._problem(f"{at}/row", f"Bảng không có cột {', '.join(unknown)}.",
                          f"The table has no column {', '.join(unknown)}.")  # fmt: skip
        if given.since is not None and given.until is not None and given.until < given.since:
            self._problem(f"{at}/until", "`until` trước `since`.", "`until` is before `since`.")
        if not given.tests:
            self._problem(f"{at}/tests", "Quy tắc chưa có phép thử nào.", "The rule has no test.")

    def _sides(
        self, at: str, given: PackRule
    ) -> tuple[tuple[Formula, MissingStrategy], tuple[Formula, MissingStrategy] | None, str] | None:
        if given.left is not None and given.right is not None and given.operator is not None:
            left = self._dhis2_side(f"{at}/left", given.left, given)
            right = self._dhis2_side(f"{at}/right", given.right, given)
            if left is None or right is None:
                return None
            return left, right, _OPERATORS.get(given.operator, given.operator)
        formula = self._formula(f"{at}/assert", given.assert_, Type.BOOLEAN)
        if formula is None:
            return None
        apart = sides(formula)  # for the tolerance, and for what is expected
        if apart is None:
            return (formula, given.missing), None, ""
        return (apart[0], given.missing), (apart[2], given.missing), apart[1]

    def _dhis2_side(self, at: str, side: RuleSide, given: PackRule) -> tuple[Formula, MissingStrategy] | None:
        formula = self._formula(f"{at}/expression", side.expression)
        return None if formula is None else (formula, side.missing or given.missing)

    def _formula(self, at: str, text: str, wanted: Type = Type.ANY) -> Formula | None:
        """The formula, checked; None, and problems, where it is wrong."""
        try:
            formula = parse(text)
        except FormulaError as error:
            self._wrong(at, text, error)
            return None
        kind, errors = check(formula, self._names, row=self._row)
        errors += [
            FormulaError(
                "Trong REF phải ghi từng chỉ tiêu, không dùng dải.",
                "Within REF name each figure, not a range.",
                *part.span,
            )
            for node in walk(formula.root)
            if _regime_of(node) is not None
            for part in walk(node)
            if isinstance(part, Range)
        ]
        for found in errors:
            self._wrong(at, formula.text, found)
        if errors:
            return None
        if Type.ANY not in (kind, wanted) and kind is not wanted:
            self._problem(at, "Công thức phải cho đúng hoặc sai.", "The formula has to be true or false.")
            return None
        return bind(formula, self._names)[0]

    def _compiled(self, formula: Formula, missing: MissingStrategy = "skip_if_any_missing") -> Evaluate:
        return compile_formula(formula, self._names, missing=missing)

    def _bound(self, text: str) -> Formula:
        return bind(parse(text), self._names)[0]

    def _message(self, at: str, text: str) -> str:
        """The text as a template of `str.format`: each formula in braces becomes {v0}, {v1} …"""
        numbers: dict[str, int] = {}
        template, last = "", 0
        for found in _OPERAND.finditer(text):
            template += _escaped(text[last : found.start()])
            last = found.end()
            inner = found[1]
            if inner in _OWN_WORDS:
                template += "{" + inner + "}"
                continue
            self._formula(at, inner)
            template += f"{{{'e' if at.endswith('_en') else 'v'}:{inner}}}"
            numbers.setdefault(inner, len(numbers))
        return template + _escaped(text[last:])

    def _words(self, given: PackRule, messages: Sequence[str]) -> Rule:
        operands = _operands(given)
        filled = []
        for text in messages:
            for number, operand in enumerate(operands):
                text = text.replace(f"{{v:{operand}}}", f"{{v{number}}}").replace(f"{{e:{operand}}}", f"{{e{number}}}")
            filled.append(text)
        message, message_en, fix, fix_en = filled
        return Rule(
            given.id, given.tier, "error" if given.severity == "error" else "warning", given.message, given.message_en,
            "{where}" + message, "{where_en}" + message_en, fix, fix_en,
            legal_basis=given.legal_basis or None, explain=True if given.severity == "confirm" else None,
        )  # fmt: skip

    def _wrong(self, at: str, text: str, error: FormulaError) -> None:
        self.problems.append(Problem(at, error.message_vi, error.message_en, caret(text, error)))

    def _problem(self, at: str, message: str, message_en: str) -> None:
        self.problems.append(Problem(at, message, message_en))


def figures_of_form(form: Form) -> dict[str, Field]:
    """The figures of a form that are numbers, as formulas read them."""
    return {
        figure.code: Field(Type.NUMBER, figure.fraction_digits, figure.minimum, figure.maximum)
        for figure in form.figures
        if figure.kind != "text"
    }


def fields_of_table(table: ReferenceTablePublished) -> dict[str, Field]:
    """The columns of a reference table, as formulas read them."""
    return {column.code: Field(_OF_REFERENCES[column.type]) for column in table.columns}


def _too_long(characters: int) -> Problem:
    return Problem(
        "/form/rules",
        f"Công thức của các quy tắc dài tổng cộng {characters} ký tự; tối đa {MAX_FORMULA_CHARACTERS}.",
        f"The formulas of the rules have {characters} characters in all; at most {MAX_FORMULA_CHARACTERS} are allowed.",
    )


def _formulas_of(given: PackRule) -> Iterator[str]:
    """The formulas of a rule as often as they are compiled, those of its messages too."""
    yield from (given.when, given.assert_, given.expected)
    yield from (side.expression for side in (given.left, given.right) if side is not None)
    for text in (given.message, given.message_en, given.fix, given.fix_en):
        yield from _OPERAND.findall(text)


def _regime_of(node: Node) -> str | None:
    """The regime whose report the node is about, where it is REF."""
    return _text(node.arguments[0]) if isinstance(node, Call) and node.name == "REF" and node.arguments else None


def _table_of(node: Node) -> str | None:
    """The reference table that the node looks up."""
    return _text(node.arguments[0]) if isinstance(node, Call) and node.name in _LOOKING_UP and node.arguments else None


def _text(node: Node) -> str | None:
    return node.value if isinstance(node, Literal) and isinstance(node.value, str) else None


def tables_looked_up(form: Form) -> frozenset[str]:
    """The codes of the reference tables that the form's rules look up."""
    return frozenset(_named_elsewhere(form).references)


def _named_elsewhere(form: Form) -> Elsewhere:
    """The regimes, figures, reference tables and columns that rules name, taken to be there."""
    regimes: dict[str, dict[str, Field]] = {}
    references: dict[str, dict[str, Field]] = {}
    for rule in form.rules:
        sides = [side.expression for side in (rule.left, rule.right) if side is not None]
        for text in (rule.when, rule.assert_, rule.expected, *sides, *_operands(rule)):
            if not _ELSEWHERE.search(text):
                continue
            try:
                root = parse(text).root
            except FormulaError:
                continue  # it is told where the formula is compiled
            for node in walk(root):
                if (regime := _regime_of(node)) is not None:
                    codes = [part.code for part in walk(node) if isinstance(part, Figure)]
                    regimes.setdefault(regime, {}).update(dict.fromkeys(codes, Field(Type.NUMBER)))
                if (table := _table_of(node)) is not None:
                    columns = references.setdefault(table, {})
                    last = _text(node.arguments[-1]) if isinstance(node, Call) and node.name == "LOOKUP" else None
                    if last is not None:
                        columns[last] = Field(Type.ANY)
    return Elsewhere(regimes, references)


def names_of(form: Form, elsewhere: Elsewhere | None = None) -> Names:
    """What formulas of this form may name. elsewhere: as for `compile_pack`."""
    texts = {narrative.code: Field(Type.TEXT) for narrative in form.narratives}
    texts |= {figure.code: Field(Type.TEXT) for figure in form.figures if figure.kind == "text"}
    numbers = figures_of_form(form)
    beside = _named_elsewhere(form) if elsewhere is None else elsewhere
    return Names(
        regimes=beside.regimes,
        references=beside.references,
        # a narrative with the code of a figure cannot be named
        figures=numbers | {code: text for code, text in texts.items() if code not in numbers},
        tables={
            table.code: {
                column.code: Field(
                    _TYPES.get(column.type, Type.NUMBER), column.fraction_digits, column.minimum, column.maximum
                )
                for column in table.columns
            }
            for table in form.tables
        },
    )


def _walk(node: Node) -> Iterator[Node]:
    """The node and all beneath it that is about this report: not what is evaluated in another one."""
    found = [node]
    while found:
        current = found.pop()
        yield current
        if not (isinstance(current, Call) and current.name in ELSEWHERE):
            found.extend(reversed(parts(current)))


def _figures_of(nodes: Iterable[Node]) -> frozenset[str]:
    found: set[str] = set()
    for node in nodes:
        if isinstance(node, Figure):
            found.add(node.code)
        elif isinstance(node, Range):
            found.update(node.codes or ())
    return frozenset(found)


def _operands(given: PackRule) -> list[str]:
    """The formulas in braces of all messages, each once."""
    texts = (given.message, given.message_en, given.fix, given.fix_en)
    found = (operand for text in texts for operand in _OPERAND.findall(text) if operand not in _OWN_WORDS)
    return list(dict.fromkeys(found))


def _escaped(text: str) -> str:
    return text.replace("{", "{{").replace("}", "}}")


def _first_figure(formulas: Iterable[Formula]) -> str | None:
    for formula in formulas:
        for node in _walk(formula.root):
            if isinstance(node, Figure):
                return node.code
    return None


def _more_rows(rule: Rule) -> Rule:
    return Rule(
        rule.code, rule.tier, rule.severity, rule.meaning, rule.meaning_en,
        "Bảng {table} còn {count} dòng khác không đạt quy tắc này, không liệt kê.",
        "Table {table} has {count_en} that fail this rule and are not listed.",
        "Soát lại các dòng tương tự của bảng rồi gửi lại.",
        "Look through the other rows of the table, then send again.",
        legal_basis=rule.legal_basis, explain=rule.explain,
    )  # fmt: skip
