"""The formula language of rules: parsed and checked once, evaluated exactly, never raising.

Pure: no I/O, no clock, no event types. docs/formula.md describes the language to those who write rules.
"""

from services.validator.formula.check import (
    Field,
    Names,
    bind,
    check,
    cycles,
    expected,
    figures_of,
    sides,
)
from services.validator.formula.compiling import Missing, compile_formula
from services.validator.formula.context import Context, Run, each_row
from services.validator.formula.effort import Effort, effort
from services.validator.formula.errors import FormulaError, caret
from services.validator.formula.explaining import Explained, explain, lines, said
from services.validator.formula.linting import Remark, RuleFormulas, lint
from services.validator.formula.nodes import Formula
from services.validator.formula.parser import parse
from services.validator.formula.values import (
    BLANK,
    NO_TOLERANCE,
    Blank,
    CannotEvaluate,
    Operator,
    Tolerance,
    Type,
    Value,
    compare,
    pair_holds,
    written,
)

__all__ = [
    "BLANK",
    "NO_TOLERANCE",
    "Blank",
    "CannotEvaluate",
    "Context",
    "Effort",
    "Explained",
    "Field",
    "Formula",
    "FormulaError",
    "Missing",
    "Names",
    "Operator",
    "Remark",
    "RuleFormulas",
    "Run",
    "Tolerance",
    "Type",
    "Value",
    "bind",
    "caret",
    "check",
    "compare",
    "compile_formula",
    "cycles",
    "each_row",
    "effort",
    "expected",
    "explain",
    "figures_of",
    "lines",
    "lint",
    "pair_holds",
    "parse",
    "said",
    "sides",
    "written",
]
