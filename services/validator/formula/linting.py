"""Finds rules that say something other than they seem to: no answer is evaluated wrongly, but somebody should look.

What is told is certain, so there are no false alarms, and what is not told may still be wrong. Conditions are looked at
where they compare one figure (or column) with constants, joined by AND, OR, NOT and IF: between two neighbouring
constants such a condition does not change, so one value of each stretch decides, with the engine's own answer. Figures
are taken within their bounds and digits.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal
from itertools import pairwise
from typing import Literal, TypeAlias

from services.validator.formula import nodes
from services.validator.formula.check import Field, Names, bind, cycles
from services.validator.formula.compiling import Compiler
from services.validator.formula.context import Context, Run
from services.validator.formula.nodes import Formula, Node
from services.validator.formula.values import BLANK, NUMBERS, ZERO, Type, Value, written

Code = Literal[
    "always_holds",
    "never_holds",
    "unreachable",
    "gap",
    "overlap",
    "holds_its_total",
    "term_twice",
    "circle",
]
#: constants that one condition may compare with; one with more is not looked at
_MOST_CONSTANTS = 200
#: digits after the point that any figure may have
_FINEST = 12

Variable: TypeAlias = nodes.Figure | nodes.Column


@dataclass(frozen=True, slots=True)
class RuleFormulas:
    """A rule as this module reads it. With `tolerance` its assertion is not a plain comparison."""

    rule: str
    asserts: Formula
    when: Formula | None = None
    tolerance: bool = False


@dataclass(frozen=True, slots=True)
class Remark:
    """Something to look at, at characters `start` to `end` of the rule's `part`."""

    rule: str
    code: Code
    part: Literal["when", "assert"]
    message_vi: str
    message_en: str
    start: int
    end: int


def lint(rules: Sequence[RuleFormulas], names: Names) -> list[Remark]:
    """Remarks on each rule, then on rules beside each other."""
    bound = [
        RuleFormulas(
            rule.rule,
            bind(rule.asserts, names)[0],
            None if rule.when is None else bind(rule.when, names)[0],
            rule.tolerance,
        )
        for rule in rules
    ]
    remarks = [remark for rule in bound for remark in _Rule(rule, names).remarks()]
    remarks += _circles(bound)
    remarks += _boundaries(bound, names)
    return remarks


@dataclass(frozen=True, slots=True)
class _Rule:
    rule: RuleFormulas
    names: Names

    def remarks(self) -> Iterator[Remark]:
        when, asserts = self.rule.when, self.rule.asserts
        if when is not None:
            yield from self._conditions(when.root, "when")
            yield from self._branches(when.root, (), "when")
        if not self.rule.tolerance:
            yield from self._assertion(asserts.root, None if when is None else when.root)
        yield from self._branches(asserts.root, () if when is None else ((when.root, True),), "assert")
        yield from self._sums(asserts.root)

    def _remark(self, node: Node, part: Literal["when", "assert"], code: Code, vi: str, en: str) -> Remark:
        return Remark(self.rule.rule, code, part, vi, en, *node.span)

    def _conditions(self, when: Node, part: Literal["when", "assert"]) -> Iterator[Remark]:
        answers = _answers(when, self.names)
        if answers is None:
            return
        if True not in answers:
            yield self._remark(
                when,
                part,
                "never_holds",
                "Điều kiện không bao giờ đúng: quy tắc không bao giờ được xét.",
                "The condition never holds: the rule is never looked at.",
            )
        elif all(answer is True for answer in answers):
            yield self._remark(
                when,
                part,
                "always_holds",
                "Điều kiện luôn đúng: bỏ đi được.",
                "The condition always holds: it can be left out.",
            )

    def _assertion(self, root: Node, when: Node | None) -> Iterator[Remark]:
        answers = _answers(root, self.names, when)
        if answers is None or not (True in answers or False in answers):
            return
        if False not in answers:
            yield self._remark(
                root,
                "assert",
                "always_holds",
                "Khẳng định luôn đúng: quy tắc không bao giờ báo lỗi.",
                "The assertion always holds: the rule never fires.",
            )
        elif True not in answers:
            yield self._remark(
                root,
                "assert",
                "never_holds",
                "Khẳng định không bao giờ đúng: quy tắc luôn báo lỗi.",
                "The assertion never holds: the rule always fires.",
            )

    def _branches(
        self, node: Node, path: tuple[tuple[Node, bool], ...], part: Literal["when", "assert"]
    ) -> Iterator[Remark]:
        """Branches of IF that no value reaches. `path`: conditions on the way, and how they turned out."""
        if not (isinstance(node, nodes.Call) and node.name == "IF"):
            for child in nodes.parts(node):
                yield from self._branches(child, path, part)
            return
        condition, *branches = node.arguments
        yield from self._branches(condition, path, part)
        reached = _reached(condition, path, self.names)
        for outcome, branch in zip((True, False), branches, strict=False):
            if reached is not None and outcome not in reached:
                yield self._remark(
                    branch, part, "unreachable", "Không giá trị nào đi vào nhánh này.", "No value reaches this branch."
                )
            else:
                yield from self._branches(branch, (*path, (condition, outcome)), part)

    def _sums(self, root: Node) -> Iterator[Remark]:
        for node in nodes.walk(root):
            if isinstance(node, nodes.Comparison) and node.operator == "=":
                for subject, summed in ((node.left, node.right), (node.right, node.left)):
                    if isinstance(subject, nodes.Figure) and summed != subject and subject.code in _added(summed):
                        yield self._remark(
                            summed,
                            "assert",
                            "holds_its_total",
                            f"Tổng có chứa chính [{subject.code}].",
                            f"The sum holds [{subject.code}], which it should give.",
                        )
        for summed in _outermost_sums(root):
            twice = [code for code, times in Counter(_added(summed)).items() if times > 1]
            if twice:
                codes = ", ".join(f"[{code}]" for code in twice)
                yield self._remark(
                    summed,
                    "assert",
                    "term_twice",
                    f"Trong tổng này {codes} được cộng nhiều lần.",
                    f"This sum adds {codes} more than once.",
                )


def _added(node: Node) -> list[str]:
    """The codes of figures that a sum adds, as often as it does."""
    match node:
        case nodes.Figure():
            return [node.code]
        case nodes.Range():
            return list(node.codes or ())
        case nodes.Sum():
            return [code for term in node.terms if not term.negative for code in _added(term.node)]
        case nodes.Call(name="SUM"):
            return [code for argument in node.arguments for code in _added(argument)]
    return []


def _outermost_sums(node: Node) -> Iterator[Node]:
    if isinstance(node, nodes.Sum) or (isinstance(node, nodes.Call) and node.name == "SUM"):
        yield node
        return
    for part in nodes.parts(node):
        yield from _outermost_sums(part)


def _circles(rules: Sequence[RuleFormulas]) -> Iterator[Remark]:
    by_code: dict[str, RuleFormulas] = {}
    for rule in rules:
        root = rule.asserts.root
        if rule.when is None and isinstance(root, nodes.Comparison) and isinstance(root.left, nodes.Figure):
            by_code.setdefault(root.left.code, rule)
    for circle in cycles(rule.asserts for rule in by_code.values()):
        if len(circle) > 2:  # a figure that needs itself is a sum that holds its total
            rule = by_code[circle[0]]
            shown = " → ".join(f"[{code}]" for code in circle)
            yield Remark(
                rule.rule,
                "circle",
                "assert",
                f"Các quy tắc định nghĩa vòng quanh: {shown}.",
                f"These rules define each other in a circle: {shown}.",
                *rule.asserts.root.span,
            )


@dataclass(frozen=True, slots=True)
class _Stretch:
    """Values among which no condition changes, by one of them. `alone`: it is the only one."""

    value: Decimal
    alone: bool = False


def _answers(condition: Node, names: Names, when: Node | None = None) -> list[Value] | None:
    """The condition's answers to all values of its variable, a blank too; None if it is not of the kind looked at.

    Only values for which `when` holds count, where that is about the same variable.
    """
    same = _same_sides(condition)
    if same is not None:
        return [same]
    variable, constants = _shape(condition)
    if constants is None:
        return None
    if variable is None:
        return [Compiler().compile(condition)(Context({}))]
    limits = list(constants)
    holds: Run | None = None
    if when is not None:
        other, more = _shape(when)
        if other == variable and more is not None:
            limits += more
            holds = Compiler().compile(when)
    stretches = _stretches(variable, limits, names)
    if stretches is None:
        return None
    run = Compiler().compile(condition)
    contexts = _contexts(variable, stretches)
    return [run(context) for context in contexts if holds is None or holds(context) is True]


def _reached(condition: Node, path: tuple[tuple[Node, bool], ...], names: Names) -> set[Value] | None:
    """How the condition can turn out after the conditions of the path; None: not known."""
    variable, constants = _shape(condition)
    if constants is None:
        return None
    run = Compiler().compile(condition)
    if variable is None:
        return {run(Context({}))}
    limits = list(constants)
    before: list[tuple[Run, bool]] = []
    for passed, outcome in path:
        other, more = _shape(passed)
        if other == variable and more is not None:
            limits += more
            before.append((Compiler().compile(passed), outcome))
    stretches = _stretches(variable, limits, names)
    if stretches is None:
        return None
    contexts = _contexts(variable, stretches)
    return {run(context) for context in contexts if all(earlier(context) is outcome for earlier, outcome in before)}


def _same_sides(node: Node) -> bool | None:
    """`[a] = [a]`, whatever [a] is."""
    if isinstance(node, nodes.Comparison) and node.left == node.right and not isinstance(node.left, nodes.Literal):
        return node.operator in ("=", "<=", ">=")
    return None


def _shape(node: Node) -> tuple[Variable | None, list[Decimal | date] | None]:
    """The one variable of a condition and the constants that it is compared with; None for them: another kind."""
    found: set[Variable] = set()
    constants: list[Decimal | date] = []
    if not _collect(node, found, constants) or len(found) > 1 or len(constants) > _MOST_CONSTANTS:
        return None, None
    return (found.pop() if found else None), constants


def _collect(node: Node, found: set[Variable], constants: list[Decimal | date]) -> bool:
    match node:
        case nodes.Literal(value=bool()):
            return True
        case nodes.Comparison():
            return _collect_compared((node.left, node.right), found, constants)
        case nodes.Call(name="IN"):
            return _collect_compared(node.arguments, found, constants)
        case nodes.Call(name="ISBLANK"):
            subject = node.arguments[0]
            if isinstance(subject, nodes.Figure | nodes.Column):
                found.add(subject)
                return True
            return False
        case nodes.Call(name="AND" | "OR" | "NOT" | "IF"):
            return all(_collect(argument, found, constants) for argument in node.arguments)
    return False


def _collect_compared(sides: Sequence[Node], found: set[Variable], constants: list[Decimal | date]) -> bool:
    """Each side is a variable or a constant."""
    for side in sides:
        if isinstance(side, nodes.Figure | nodes.Column):
            found.add(side)
            continue
        if any(isinstance(part, nodes.Figure | nodes.Column | nodes.Range) for part in nodes.walk(side)):
            return False
        if any(isinstance(part, nodes.Call) and part.name not in ("DATE", "ROUND", "ABS") for part in nodes.walk(side)):
            return False
        value = Compiler().compile(side)(Context({}))
        if isinstance(value, bool) or not isinstance(value, Decimal | date):
            return False
        constants.append(value)
    return True


def _context(variable: Variable, value: Value) -> Context:
    if isinstance(variable, nodes.Figure):
        return Context({variable.code: value})
    return Context({}, row_table=variable.table, row={variable.column: value})


def _contexts(variable: Variable, stretches: Sequence[_Stretch]) -> list[Context]:
    """One for each stretch, and one where the variable is blank."""
    values: list[Value] = [stretch.value for stretch in stretches]
    return [_context(variable, value) for value in [*values, BLANK]]


def _field(variable: Variable, names: Names) -> Field | None:
    if isinstance(variable, nodes.Figure):
        return names.figures.get(variable.code)
    return names.tables.get(variable.table, {}).get(variable.column)


def _stretches(variable: Variable, constants: Sequence[Decimal | date], names: Names) -> list[_Stretch] | None:
    """The variable's values in order, as stretches between the constants; None if it is no number of a form."""
    field = _field(variable, names)
    if field is None or field.type is not Type.NUMBER or not all(isinstance(limit, Decimal) for limit in constants):
        return None
    limits = {limit for limit in constants if isinstance(limit, Decimal)}
    if any(_far(limit) for limit in limits):
        return None
    step = Decimal((0, (1,), -(_FINEST if field.scale is None else field.scale)))
    least = None if field.minimum is None or _far(field.minimum) else _on_grid(field.minimum, step, ROUND_CEILING)
    most = None if field.maximum is None or _far(field.maximum) else _on_grid(field.maximum, step, ROUND_FLOOR)
    marks = sorted(limits | {bound for bound in (least, most) if bound is not None})
    found: list[_Stretch] = []
    for low, high in pairwise([None, *marks, None]):
        found += _between(low, high, step)
        if high is not None and _on_grid(high, step, ROUND_FLOOR) == high:
            found.append(_Stretch(high, alone=True))
    return [
        stretch
        for stretch in found
        if (least is None or stretch.value >= least) and (most is None or stretch.value <= most)
    ]


def _far(value: Decimal) -> bool:
    return bool(value) and value.adjusted() > 20


def _on_grid(value: Decimal, step: Decimal, rounding: str) -> Decimal:
    """The value, or the next one that has no more digits than the variable takes."""
    return NUMBERS.multiply(NUMBERS.divide(value, step).to_integral_value(rounding), step)


def _between(low: Decimal | None, high: Decimal | None, step: Decimal) -> list[_Stretch]:
    """The values strictly between, by the first and the last of them."""
    first = None if low is None else NUMBERS.add(_on_grid(low, step, ROUND_FLOOR), step)
    last = None if high is None else NUMBERS.subtract(_on_grid(high, step, ROUND_CEILING), step)
    if first is not None and last is not None:
        if first > last:
            return []
        return [_Stretch(first, alone=True)] if first == last else [_Stretch(first), _Stretch(last)]
    return [_Stretch(first if first is not None else last if last is not None else ZERO)]


def _boundaries(rules: Sequence[RuleFormulas], names: Names) -> Iterator[Remark]:
    """Rules on the same subject whose conditions meet at a boundary: none or two of them take the value there."""
    groups: dict[tuple[Variable, Variable], list[tuple[RuleFormulas, list[Decimal | date]]]] = {}
    for rule in rules:
        subject = _subject(rule.asserts.root)
        if rule.when is None or subject is None:
            continue
        variable, constants = _shape(rule.when.root)
        if variable is not None and constants is not None:
            groups.setdefault((variable, subject), []).append((rule, constants))
    for (variable, _), members in groups.items():
        stretches = _stretches(variable, [limit for _, limits in members for limit in limits], names)
        if stretches is None or len(members) < 2:
            continue
        runs: list[tuple[RuleFormulas, Run]] = [
            (rule, Compiler().compile(rule.when.root)) for rule, _ in members if rule.when is not None
        ]
        yield from _meetings(variable, stretches, runs)


def _subject(root: Node) -> Variable | None:
    if isinstance(root, nodes.Comparison) and isinstance(root.left, nodes.Figure | nodes.Column):
        return root.left
    return None


def _meetings(
    variable: Variable, stretches: Sequence[_Stretch], runs: Sequence[tuple[RuleFormulas, Run]]
) -> Iterator[Remark]:
    taken = [[rule for rule, run in runs if run(_context(variable, stretch.value)) is True] for stretch in stretches]
    for place in range(1, len(stretches) - 1):
        if not stretches[place].alone:
            continue
        before, here, after = taken[place - 1], taken[place], taken[place + 1]
        if len(before) != 1 or len(after) != 1 or before == after:
            continue
        text = f"[{variable.code}] = {written(stretches[place].value)}"
        rule, other = before[0], after[0]
        if not here:
            yield _boundary(rule, other, "gap", f"Không quy tắc nào xét {text}", f"no rule looks at {text}")
        elif rule in here and other in here:
            yield _boundary(rule, other, "overlap", f"Cả hai quy tắc đều xét {text}", f"both rules look at {text}")


def _boundary(rule: RuleFormulas, other: RuleFormulas, code: Code, vi: str, en: str) -> Remark:
    assert rule.when is not None
    return Remark(
        rule.rule,
        code,
        "when",
        f"{vi}: điều kiện của {rule.rule} và {other.rule} gặp nhau ở đó.",
        f"The conditions of {rule.rule} and {other.rule} meet, and {en}.",
        *rule.when.root.span,
    )
