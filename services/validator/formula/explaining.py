"""Why a formula answers what it does: its parts with their values, as a tree. For findings and `rules explain`.

It evaluates each part by itself with the compiler of the formula, so the tree cannot say other than the verdict.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from services.validator.formula import nodes
from services.validator.formula.check import Names, bind
from services.validator.formula.compiling import Compiler, Missing, compile_formula, compiler_for, missing_rows
from services.validator.formula.context import Context
from services.validator.formula.functions import FUNCTIONS
from services.validator.formula.nodes import Formula, Node
from services.validator.formula.patterns import free_columns
from services.validator.formula.values import BLANK, NO_TOLERANCE, CannotEvaluate, Tolerance, Value, written

#: figures of one range, and keys of one MISSINGROWS, that are listed
LISTED = 20


@dataclass(frozen=True, slots=True)
class Explained:
    """One part. `value` is None where the part is a list, of which the notes speak."""

    text: str
    value: Value | None
    parts: tuple[Explained, ...] = ()
    note_vi: str = ""
    note_en: str = ""


def explain(
    formula: Formula,
    context: Context,
    names: Names | None = None,
    *,
    missing: Missing = "skip_if_any_missing",
    tolerance: Tolerance = NO_TOLERANCE,
) -> Explained:
    """The tree of the formula's parts on this report. Literals are left out; of IF, the branch not taken."""
    bound = formula if names is None else bind(formula, names)[0]
    answer = compile_formula(formula, names, missing=missing, tolerance=tolerance)(context)
    return _Explaining(bound, context, compiler_for(names, missing)).explained(bound.root, answer)


@dataclass(frozen=True, slots=True)
class _Explaining:
    formula: Formula
    context: Context
    compiler: Compiler

    def explained(self, node: Node, answer: Value | None = None) -> Explained:
        value = self.compiler.compile(node)(self.context) if answer is None else answer
        explained = Explained(self.formula.text_of(node), value, tuple(self._parts(node)))
        if isinstance(value, CannotEvaluate):
            return replace(explained, note_vi=value.reason_vi, note_en=value.reason_en)
        if isinstance(node, nodes.Call) and node.name == "MISSINGROWS":
            keys = missing_rows(node)(self.context)
            if isinstance(keys, list) and keys:
                names = ", ".join(keys[:LISTED]) + (", …" if len(keys) > LISTED else "")
                return replace(explained, note_vi=f"Thiếu: {names}.", note_en=f"Missing: {names}.")
        return explained

    def _parts(self, node: Node) -> Iterator[Explained]:
        if not isinstance(node, nodes.Call):
            for part in nodes.parts(node):
                if not isinstance(part, nodes.Literal):
                    yield self.explained(part)
            return
        if node.name in ("PREV", "YOY", "REF", "CHILDREN_SUM"):
            return
        function = FUNCTIONS[node.name]
        arguments = node.arguments
        if node.name == "IF":
            condition = self.compiler.compile(arguments[0])(self.context)
            taken = {True: arguments[1:2], False: arguments[2:3]}.get(condition is True, ())
            arguments = (arguments[0], *(taken if isinstance(condition, bool) else ()))
        for position, argument in enumerate(arguments):
            if isinstance(argument, nodes.Literal):
                continue
            if function.parameter(position) in ("list", "column"):
                yield self._list(argument)
            else:
                yield self.explained(argument)

    def _list(self, node: Node) -> Explained:
        if isinstance(node, nodes.Range):
            codes = node.codes or ()
            shown = tuple(self._figure(code) for code in codes[:LISTED])
            return Explained(self.formula.text_of(node), None, shown, f"{len(codes)} chỉ tiêu", f"{len(codes)} figures")
        columns = free_columns(node)
        if not columns:
            return self.explained(node)
        rows = self.context.tables.get(columns[0].table)
        count = 0 if rows is None else len(rows)
        return Explained(self.formula.text_of(node), None, (), f"{count} dòng", f"{count} rows")

    def _figure(self, code: str) -> Explained:
        return Explained(f"[{code}]", self.compiler.compile(nodes.Figure(code))(self.context))


def said(value: Value, *, english: bool = False) -> str:
    """The value for a reader: `64`, `“Xã A”`, `ĐÚNG`, `(trống)`."""
    match value:
        case bool():
            return str(value).upper() if english else written(value)
        case str():
            return f"“{value}”"
        case CannotEvaluate():
            return "cannot be evaluated" if english else "không tính được"
    if value is BLANK:
        return "(blank)" if english else "(trống)"
    return written(value)


def lines(explained: Explained, *, english: bool = False, depth: int = 0) -> list[str]:
    """The tree as lines, a part indented beneath what it is a part of."""
    value = "" if explained.value is None else f" → {said(explained.value, english=english)}"
    note = explained.note_en if english else explained.note_vi
    text = " ".join(explained.text.split())
    found = [f"{'  ' * depth}{text}{value}{f' ({note})' if note else ''}"]
    for part in explained.parts:
        found += lines(part, english=english, depth=depth + 1)
    return found
