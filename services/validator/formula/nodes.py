"""Nodes of a parsed formula: immutable; each knows the characters it stands for. Nodes that say the same are equal."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from typing import NamedTuple, TypeAlias

from services.validator.formula.values import Operator


class Span(NamedTuple):
    """Characters of the formula's text, from `start` up to but without `end`."""

    start: int
    end: int


NOWHERE = Span(0, 0)


@dataclass(frozen=True, slots=True)
class Literal:
    """A number, a text, TRUE or FALSE."""

    value: Decimal | str | bool | date
    span: Span = field(default=NOWHERE, compare=False)


@dataclass(frozen=True, slots=True)
class Figure:
    """`[CT01]`: the value of a figure."""

    code: str
    span: Span = field(default=NOWHERE, compare=False)


@dataclass(frozen=True, slots=True)
class Column:
    """`[BANG.cot]`: the cell of the row that a rule looks at; within SUM and the like, the cells of all rows."""

    table: str
    column: str
    span: Span = field(default=NOWHERE, compare=False)

    @property
    def code(self) -> str:
        return f"{self.table}.{self.column}"


@dataclass(frozen=True, slots=True)
class Range:
    """`[CT02]:[CT05]`: the figures from one to another in the form's order. `codes`: which, once the form is known."""

    first: str
    last: str
    codes: tuple[str, ...] | None = None
    span: Span = field(default=NOWHERE, compare=False)


@dataclass(frozen=True, slots=True)
class Unary:
    """`-x`, `+x`, or `x%`."""

    operator: str
    operand: Node
    span: Span = field(default=NOWHERE, compare=False)


class Term(NamedTuple):
    """One term of a sum."""

    negative: bool
    node: Node


@dataclass(frozen=True, slots=True)
class Sum:
    """`a + b - c`, kept flat however long it is."""

    terms: tuple[Term, ...]
    span: Span = field(default=NOWHERE, compare=False)


@dataclass(frozen=True, slots=True)
class Binary:
    """`*`, `/`, `^` or `&`."""

    operator: str
    left: Node
    right: Node
    span: Span = field(default=NOWHERE, compare=False)


@dataclass(frozen=True, slots=True)
class Comparison:
    operator: Operator
    left: Node
    right: Node
    span: Span = field(default=NOWHERE, compare=False)


@dataclass(frozen=True, slots=True)
class Call:
    """A function and its arguments. `x IN (a; b)` is IN(x; a; b)."""

    name: str
    arguments: tuple[Node, ...]
    span: Span = field(default=NOWHERE, compare=False)


Node: TypeAlias = Literal | Figure | Column | Range | Unary | Sum | Binary | Comparison | Call


@dataclass(frozen=True, slots=True)
class Formula:
    """A parsed formula and its text in NFC, which the spans count in."""

    text: str
    root: Node

    def text_of(self, node: Node) -> str:
        return self.text[node.span.start : node.span.end]


def parts(node: Node) -> tuple[Node, ...]:
    """The nodes directly beneath."""
    match node:
        case Unary():
            return (node.operand,)
        case Sum():
            return tuple(term.node for term in node.terms)
        case Binary() | Comparison():
            return (node.left, node.right)
        case Call():
            return node.arguments
    return ()


def walk(node: Node) -> Iterator[Node]:
    """The node and all beneath it."""
    found = [node]
    while found:
        current = found.pop()
        yield current
        found.extend(reversed(parts(current)))


def depth(node: Node) -> int:
    """Levels of nodes, without recursion: a formula of outside may be deeper than the stack."""
    deepest = 0
    level: tuple[Node, ...] = (node,)
    while level:
        deepest += 1
        level = tuple(child for parent in level for child in parts(parent))
    return deepest
