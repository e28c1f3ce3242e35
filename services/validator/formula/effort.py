"""How much work a formula is at most, told from its text and the form alone, in steps of about 0.2 µs.

A pack of rules whose report of the most rows takes too many steps is refused before it is published: whoever judges by
it could not keep up. Data never matter, so the answer is the same on every machine.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import NamedTuple

from services.validator.formula import nodes
from services.validator.formula.check import Names
from services.validator.formula.functions import FUNCTIONS
from services.validator.formula.nodes import Node
from services.validator.formula.patterns import free_columns
from services.validator.formula.values import Type

#: a root or another broken power takes some 60 µs; a whole exponent that is written out, some 1 µs
_POWER, _WHOLE_POWER = 500, 10
#: a narrative of 20,000 characters is read through
_NARRATIVE = 500
#: a row of a table that a function goes over, beside the expression that it evaluates there
_ROW = 10
#: the keys of a reference table, 10,000 at most, are gone through
_KEYS = 5_000
_OVER_KEYS = frozenset({"MISSINGROWS", "MISSINGKEYS"})


class Effort(NamedTuple):
    """Steps each time the formula is evaluated, and once for a report: the passes over its tables."""

    each: int
    once: int


def effort(root: Node, names: Names, rows: Mapping[str, int]) -> Effort:
    """Of a bound formula. rows: the most that each table may have."""
    each, once = 1, 0
    match root:
        case nodes.Figure():
            field = names.figures.get(root.code)
            each = _NARRATIVE if field is not None and field.type is Type.TEXT else 1
        case nodes.Range():
            each = len(root.codes or ()) + 1
        case nodes.Binary(operator="^"):
            exponent = root.right
            whole = (
                isinstance(exponent, nodes.Literal)
                and isinstance(exponent.value, Decimal)
                and exponent.value == exponent.value.to_integral_value()
            )
            each = _WHOLE_POWER if whole else _POWER
    if isinstance(root, nodes.Call):
        function = FUNCTIONS[root.name]
        each += function.weight
        if root.name in _OVER_KEYS:
            once += _KEYS
        if root.name == "CONTAINS":  # the text is read through for each phrase
            text = effort(root.arguments[0], names, rows).each + function.weight
            each += text * (len(root.arguments) - 2)
        for position, argument in enumerate(root.arguments):
            of_argument = effort(argument, names, rows)
            once += of_argument.once
            columns = free_columns(argument) if function.parameter(position) in ("list", "column") else []
            if columns:
                once += (of_argument.each + _ROW) * rows.get(columns[0].table, 0)
            else:
                each += of_argument.each
        return Effort(each, once)
    for part in nodes.parts(root):
        of_part = effort(part, names, rows)
        each += of_part.each
        once += of_part.once
    return Effort(each, once)
