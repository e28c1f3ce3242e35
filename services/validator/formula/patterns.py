"""Patterns of MATCHES and criteria of COUNTIF and its like.

MATCHES uses RE2 (google-re2): its time is linear in the text whatever the pattern, so that no analyst can write one
that stops the validator. Python's `re` with a list of safe forms would refuse honest patterns and trust our list.
"""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import date
from decimal import Decimal
from functools import lru_cache
from typing import Any, cast

import re2

from services.validator.formula import nodes
from services.validator.formula.errors import FormulaError
from services.validator.formula.functions import FUNCTIONS
from services.validator.formula.nodes import Node
from services.validator.formula.values import Operator

MAX_PATTERN_CHARACTERS = 500
_PATTERN_BYTES = 1 << 20
#: of RE2's program that cost as much as one step of a formula
_INSTRUCTIONS = 20

_OPERATORS: tuple[Operator, ...] = ("<>", "<=", ">=", "=", "<", ">")
_NUMBER = re.compile(r"-?[0-9]{1,34}(\.[0-9]{1,34})?")
_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")


class PatternError(ValueError):
    """RE2 does not take the pattern, for the reason given."""


@lru_cache(maxsize=1_000)
def compiled_pattern(pattern: str) -> Any:
    """The pattern ready for `fullmatch`. Raises PatternError."""
    if len(pattern) > MAX_PATTERN_CHARACTERS:
        raise PatternError(f"more than {MAX_PATTERN_CHARACTERS} characters")
    options = re2.Options()
    options.log_errors = False
    options.max_mem = _PATTERN_BYTES
    try:
        return re2.compile(pattern, options)
    except re2.error as error:
        raise PatternError(error.args[0].decode("utf-8", "replace")) from None
    except UnicodeError:
        raise PatternError("not valid Unicode") from None


def pattern_error(node: Node) -> FormulaError | None:
    """What is wrong with the pattern of a MATCHES."""
    if isinstance(node, nodes.Literal) and isinstance(node.value, str):
        try:
            compiled_pattern(node.value)
        except PatternError as error:
            return FormulaError(
                f"Mẫu không đúng cú pháp RE2: {error}.", f"The pattern is not valid RE2: {error}.", *node.span
            )
    return None


def pattern_cost(node: Node) -> int:
    """The cost of a pattern beside its function's: its length, and what its repetitions and classes make of it."""
    if not isinstance(node, nodes.Literal) or not isinstance(node.value, str):
        return 0
    try:
        return len(node.value) + int(compiled_pattern(node.value).programsize) // _INSTRUCTIONS
    except PatternError:
        return 0  # told as an error of its own


def criterion_operator(node: Node) -> tuple[Operator, Node]:
    """What a criterion asks: `5` and `"=5"` equality, `">=5"` and `">=" & [CT01]` more or equal."""
    match node:
        case nodes.Literal(value=str(text)):
            operator = _operator_of(text)
            return (operator, replace(node, value=_plain(text[len(operator) :]))) if operator else ("=", node)
        case nodes.Binary(operator="&"):
            leftmost: Node = node
            while isinstance(leftmost, nodes.Binary) and leftmost.operator == "&":
                leftmost = leftmost.left
            if isinstance(leftmost, nodes.Literal) and isinstance(leftmost.value, str):
                operator = _operator_of(leftmost.value)
                if operator:
                    return operator, cast(Node, _without(node, leftmost.value[len(operator) :].strip()))
    return "=", node


def _operator_of(text: str) -> Operator | None:
    return next((operator for operator in _OPERATORS if text.startswith(operator)), None)


def _plain(text: str) -> Decimal | str | date:
    text = text.strip()
    if _NUMBER.fullmatch(text):
        return Decimal(text)
    if _DAY.fullmatch(text):
        try:
            return date.fromisoformat(text)
        except ValueError:
            return text
    return text


def _without(node: Node, rest: str) -> Node | None:
    """The joined text, its leftmost part shortened to `rest`; a part that becomes empty is left out."""
    if isinstance(node, nodes.Binary) and node.operator == "&":
        left = _without(node.left, rest)
        return node.right if left is None else replace(node, left=left)
    return replace(node, value=rest) if rest and isinstance(node, nodes.Literal) else None


#: their arguments are columns, but their answer is of the current row
_OF_THE_ROW = frozenset({"SUMBY", "FIRSTROW"})


def free_columns(node: Node) -> list[nodes.Column]:
    """The columns whose cell of the current row the node needs; not those that a function goes over itself."""
    if isinstance(node, nodes.Column):
        return [node]
    if not isinstance(node, nodes.Call):
        return [column for part in nodes.parts(node) for column in free_columns(part)]
    function = FUNCTIONS[node.name]
    return [
        column
        for position, argument in enumerate(node.arguments)
        if node.name in _OF_THE_ROW or function.parameter(position) not in ("list", "column")
        for column in free_columns(argument)
    ]
