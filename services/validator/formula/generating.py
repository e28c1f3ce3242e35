"""Rules → one Python function for them all, which says which of them may have something to say about a report.

Most rules hold for most reports. The function is certain where it is silent; whatever it is not certain of, a missing
figure or a sum that differs, is asked the closures, whose answer counts. So there is one rule, read twice, and a
property holds the two to each other.

The source is made of the checked nodes alone: operators and names that are counted here. What the analyst wrote,
codes and constants, is handed over by name and is never part of it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import NamedTuple, TypeAlias

from services.validator.formula import nodes
from services.validator.formula.compiling import Compiler, Missing
from services.validator.formula.context import Context, Figures
from services.validator.formula.nodes import Formula, Node
from services.validator.formula.values import NUMBERS, ZERO, Tolerance, rounded

#: nodes of a rule, a range counted by its figures, and levels of them; nodes of all rules. Python's own compiler has
#: limits, and takes 100 ms for so many.
MAX_NODES = 100
MAX_DEPTH = 30
MAX_ALL_NODES = 20_000

_ARITHMETIC = {"*": "*", "/": "/"}
_COMPARED: dict[str, str] = {"=": "==", "<>": "!=", "<": "<", "<=": "<=", ">": ">", ">=": ">="}
#: they hold of rounded numbers where they hold of the numbers
_HOLD_ROUNDED = frozenset({"=", "<=", ">="})

#: figures of the report, of the period before and of the year before → places of the rules that may say something
Unsure: TypeAlias = Callable[[Figures, Figures | None, Figures | None], list[int]]


class Asked(NamedTuple):
    """A rule as it is asked of a whole report. `right` None: `left` alone is true or false."""

    when: Formula | None
    left: Formula
    left_missing: Missing
    right: Formula | None
    right_missing: Missing
    operator: str
    tolerance: Tolerance


class Generated(NamedTuple):
    """`unsure` runs in the context NUMBERS. `figures`: the codes that it reads of this report; `others`: of others."""

    unsure: Unsure
    figures: frozenset[str]
    others: frozenset[str]
    sure_of: frozenset[int]  # places of the rules that it can be certain of


def generate(rules: Sequence[Asked | None], numbers: frozenset[str], texts: frozenset[str]) -> Generated:
    """The function for these rules; one that is None, or too much for it, is among the unsure always.

    `numbers`: codes whose values are decimals or missing; `texts`: texts, None or "" where they are missing.
    """
    source = _Source(numbers, texts)
    left = MAX_ALL_NODES
    body: list[str] = []
    sure_of: set[int] = set()
    for place, asked in enumerate(rules):
        size = 0 if asked is None else _size(asked)
        if asked is None or size > min(MAX_NODES, left):
            body.append(f"    add({place})")
            continue
        source.next_rule()
        try:
            silent = source.silent(asked)
        except _NotHereError:
            body.append(f"    add({place})")
            continue
        left -= size
        sure_of.add(place)
        known = " and ".join(f"{name} is not None" for name in sorted(source.looked_at))
        indent = "        " if known else "    "
        if known:
            body += [f"    if not ({known}):", f"        add({place})", "    else:"]
        body += [
            f"{indent}try:",
            f"{indent}    if not ({silent}): add({place})",
            f"{indent}except TROUBLE: add({place})",
        ]
    lines = ["def unsure(figures, previous, year_ago):", "    found = []", "    add = found.append"]
    lines += [*source.loads(), *body, "    return found"]
    namespace: dict[str, object] = {
        "__builtins__": {}, "abs": abs, "max": max, "min": min, "rounded": rounded,
        "TROUBLE": (TypeError, ArithmeticError),
        **source.constants,
    }  # fmt: skip
    code = compile("\n".join(lines), "<rules>", "exec")
    exec(code, namespace)  # noqa: S102  # no text of the analyst is in it
    unsure: Unsure = namespace["unsure"]  # type: ignore[assignment]  # the function defined above
    return Generated(unsure, frozenset(source.read["figures"]), source.others, frozenset(sure_of))


class _NotHereError(Exception):
    """The rule has a part that is left to the closures."""


def _size(asked: Asked) -> int:
    """Nodes of its formulas; more than there may be where one is nested too deeply."""
    formulas = [formula for formula in (asked.when, asked.left, asked.right) if formula is not None]
    if any(nodes.depth(formula.root) > MAX_DEPTH for formula in formulas):
        return MAX_NODES + 1
    return sum(
        len(node.codes or ()) + 1 if isinstance(node, nodes.Range) else 1
        for formula in formulas
        for node in nodes.walk(formula.root)
    )


class _Number(NamedTuple):
    """The source of a number. `rounded`: to 34 digits, as operations leave it; then it fails where one is missing."""

    source: str
    rounded: bool

    def as_rounded(self) -> str:
        """Fails where the figure is missing."""
        return self.source if self.rounded else f"(+{self.source})"


class _Source:
    """Writes the conditions of rules. A condition that fails with TROUBLE is not certain, as is one that is false."""

    def __init__(self, numbers: frozenset[str], texts: frozenset[str]) -> None:
        self._numbers, self._texts = numbers, texts
        self.constants: dict[str, object] = {}
        self._names: dict[object, str] = {}
        self.read: dict[str, dict[str, str]] = {"figures": {}, "previous": {}, "year_ago": {}}  # code → local
        self.looked_at: set[str] = set()  # other reports that the rule at hand needs

    @property
    def others(self) -> frozenset[str]:
        return frozenset((*self.read["previous"], *self.read["year_ago"]))

    def next_rule(self) -> None:
        """Another rule."""
        self.looked_at = set()

    def loads(self) -> list[str]:
        """The lines that read the figures, each once."""
        lines = []
        for report, found in self.read.items():
            reads = [f"{name} = get({self.constant(code)})" for code, name in found.items()]
            if not reads:
                continue
            if report == "figures":
                lines += ["    get = figures.get", *(f"    {line}" for line in reads)]
            else:
                lines += [f"    if {report} is not None:", f"        get = {report}.get"]
                lines += [f"        {line}" for line in reads]
        return lines

    def constant(self, value: object) -> str:
        key = (type(value), value) if not isinstance(value, Decimal) else value.as_tuple()
        name = self._names.get(key)
        if name is None:
            name = self._names[key] = f"k{len(self._names)}"
            self.constants[name] = value
        return name

    def silent(self, asked: Asked) -> str:
        """True only where the rule surely has nothing to say."""
        said = self._says_nothing(asked)
        if asked.when is None:
            return said
        when = _Side(self, "skip_if_any_missing").exactly(asked.when.root)
        return f"(not {when}) or ({said})"

    def _says_nothing(self, asked: Asked) -> str:
        left = _Side(self, asked.left_missing)
        if asked.right is None:
            return left.holds(asked.left.root, outermost=True)
        right = _Side(self, asked.right_missing)
        if asked.operator in ("compulsory_pair", "exclusive_pair"):
            if "never_skip" in (asked.left_missing, asked.right_missing):
                raise _NotHereError  # none is ever missing
            joint = "is" if asked.operator == "compulsory_pair" else "or"
            return f"{left.absence(asked.left.root)} {joint} {right.absence(asked.right.root)}"
        return compared(
            left.number(asked.left.root, last=True), asked.operator, right.number(asked.right.root, last=True),
            self, asked.tolerance,
        )  # fmt: skip

    def figure(self, report: str, code: str) -> str:
        if code not in self._numbers:
            raise _NotHereError
        return self._local(report, code)

    def _local(self, report: str, code: str) -> str:
        if report != "figures":
            self.looked_at.add(report)
        return self.read[report].setdefault(code, f"{report[0]}{len(self.read[report])}")

    def absence(self, code: str) -> str:
        """Whether the figure of this report is missing."""
        if code in self._texts:
            return f"(not {self._local('figures', code)})"
        return f"({self.figure('figures', code)} is None)"


def compared(left: _Number, operator: str, right: _Number, source: _Source, tolerance: Tolerance) -> str:
    """True only where the comparison holds. A tolerance excuses, but it widens what `<>` takes for equal."""
    exact = _COMPARED[operator]
    within = tolerance.absolute or tolerance.relative
    if operator == "<>" and within:
        raise _NotHereError
    if operator in _HOLD_ROUNDED:
        # one side fails where its figure is missing: two that are missing would be equal
        holds = f"{left.source if right.rounded else left.as_rounded()} {exact} {right.source}"
    else:
        holds = f"{left.as_rounded()} {exact} {right.as_rounded()}"
    if operator != "=" or not within:
        return holds
    margin = source.constant(tolerance.absolute)
    if tolerance.relative:
        margin = f"max({margin}, {source.constant(tolerance.relative)} * abs({right.source}))"
    return f"{holds} or abs({left.as_rounded()} - {right.as_rounded()}) <= {margin}"


class _Side:
    """A formula's conditions and numbers. `report`: which report's figures it names."""

    def __init__(self, source: _Source, missing: Missing, report: str = "figures") -> None:
        self._source = source
        self._missing: Missing = missing
        self._report = report

    def holds(self, node: Node, *, outermost: bool = False) -> str:
        """True only where the node is surely TRUE, or, where it is the outermost, TRUE or blank."""
        match node:
            case nodes.Comparison():
                left, right = self.number(node.left, last=True), self.number(node.right, last=True)
                return f"({compared(left, node.operator, right, self._source, Tolerance())})"
            case nodes.Call(name="AND" | "OR"):
                joint = f" {node.name.lower()} "
                return f"({joint.join(self.holds(argument) for argument in node.arguments)})"
            case nodes.Call(name="IF", arguments=(condition, then, otherwise)):
                chosen = self.exactly(condition)
                return f"({self.holds(then)} if {chosen} else {self.holds(otherwise)})"
            case nodes.Call(name="IF", arguments=(condition, then)) if outermost:
                return f"(not {self.exactly(condition)} or {self.holds(then)})"
        return self.exactly(node)

    def exactly(self, node: Node) -> str:
        """The truth value itself; fails where there is none."""
        match node:
            case nodes.Literal(value=bool()):
                return self._source.constant(node.value)
            case nodes.Comparison():
                left, right = self.number(node.left, last=True), self.number(node.right, last=True)
                return f"({left.as_rounded()} {_COMPARED[node.operator]} {right.as_rounded()})"
            case nodes.Call(name="AND" | "OR"):
                joint = f" {node.name.lower()} "
                return f"({joint.join(self.exactly(argument) for argument in node.arguments)})"
            case nodes.Call(name="NOT"):
                return f"(not {self.exactly(node.arguments[0])})"
            case nodes.Call(name="IF", arguments=(condition, then, otherwise)):
                return f"({self.exactly(then)} if {self.exactly(condition)} else {self.exactly(otherwise)})"
            case nodes.Call(name="ISBLANK"):
                return self.absence(node.arguments[0])
            case nodes.Call(name="IN"):
                searched, *allowed = (self.number(argument, last=True).as_rounded() for argument in node.arguments)
                return f"({searched} in ({', '.join(allowed)},))"
        raise _NotHereError

    def absence(self, node: Node) -> str:
        if not isinstance(node, nodes.Figure) or self._report != "figures":
            raise _NotHereError
        return self._source.absence(node.code)

    def number(self, node: Node, *, last: bool = False) -> _Number:
        """The number; fails where there is none. `last`: it is compared, not computed with."""
        constant = _constant(node)
        if constant is not None:
            return _Number(self._source.constant(constant), True)
        match node:
            case nodes.Figure():
                return _Number(self._figure(node.code), False)
            case nodes.Unary(operator="+"):
                return self.number(node.operand, last=last)
            case nodes.Unary(operator="-"):
                return _Number(f"(-{self.number(node.operand).source})", True)
            case nodes.Unary(operator="%"):
                return _Number(f"({self.number(node.operand).source} / {self._source.constant(Decimal(100))})", True)
            case nodes.Sum():
                return self._sum(node)
            case nodes.Binary() if node.operator in _ARITHMETIC:
                left, right = self.number(node.left).source, self.number(node.right).source
                return _Number(f"({left} {_ARITHMETIC[node.operator]} {right})", True)
            case nodes.Call():
                return self._call(node, last=last)
        raise _NotHereError

    def _figure(self, code: str) -> str:
        name = self._source.figure(self._report, code)
        if self._missing == "never_skip":
            return f"({self._source.constant(ZERO)} if {name} is None else {name})"
        return name

    def _sum(self, node: nodes.Sum) -> _Number:
        (negative, first), *others = node.terms
        if negative or not others:
            raise _NotHereError
        source = self.number(first).source
        for term in others:
            source += f" {'-' if term.negative else '+'} {self.number(term.node).source}"
        return _Number(f"({source})", True)

    def _call(self, node: nodes.Call, *, last: bool) -> _Number:
        arguments = node.arguments
        match node.name:
            case "ABS":
                return _Number(f"abs({self.number(arguments[0]).source})", True)
            case "PCT":
                part, whole = (self.number(argument).source for argument in arguments)
                return _Number(f"({part} / {whole} * {self._source.constant(Decimal(100))})", True)
            case "ROUND":
                value, digits = self.number(arguments[0]).source, ZERO
                if len(arguments) > 1 and (given := _constant(arguments[1])) is not None:
                    digits = given
                elif len(arguments) > 1:
                    raise _NotHereError
                return _Number(f"(+rounded({value}, {self._source.constant(digits)}))", True)
            case "SUM":
                listed = self._listed(arguments)
                return _Number(f"({' + '.join(listed)})", True)
            case "AVERAGE":
                listed = self._listed(arguments)
                return _Number(f"(({' + '.join(listed)}) / {self._source.constant(Decimal(len(listed)))})", True)
            case "MIN" | "MAX" if last:  # within a computation the number itself counts, not the rounded one
                listed = [f"(+{one})" for one in self._listed(arguments)]
                return _Number(f"{node.name.lower()}({', '.join(listed)})", True)
            case "IFBLANK" if isinstance(arguments[0], nodes.Figure) and self._report == "figures":
                name = self._source.figure("figures", arguments[0].code)
                return _Number(f"({self.number(arguments[1]).source} if {name} is None else {name})", False)
            case "IF" if len(arguments) == 3:
                then, otherwise = (self.number(argument).source for argument in arguments[1:])
                return _Number(f"({then} if {self.exactly(arguments[0])} else {otherwise})", False)
            case "PREV" | "YOY" if self._report == "figures":
                report = "previous" if node.name == "PREV" else "year_ago"
                return _Side(self._source, self._missing, report).number(arguments[0], last=last)
        raise _NotHereError

    def _listed(self, arguments: Sequence[Node]) -> list[str]:
        """The numbers of a list, two or more: one alone is not rounded."""
        found: list[str] = []
        for argument in arguments:
            if isinstance(argument, nodes.Range) and argument.codes is not None:
                found += [self._figure(code) for code in argument.codes]
            else:
                found.append(self.number(argument).source)
        if len(found) < 2:
            raise _NotHereError
        return found


def _constant(node: Node) -> Decimal | None:
    """The number that a node without figures is, rounded; None: it is none, or has figures."""
    if any(isinstance(part, nodes.Figure | nodes.Column | nodes.Range | nodes.Call) for part in nodes.walk(node)):
        return None
    value = Compiler().compile(node)(Context({}))
    return NUMBERS.plus(value) if isinstance(value, Decimal) else None
