"""What a formula is evaluated on: one report, and what is known beside it. What is not known is never guessed."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

from services.validator.formula.values import CannotEvaluate, Value

#: None and "" are blank; CannotEvaluate stands for a cell that could not be read
Figures: TypeAlias = Mapping[str, Value | None]
Row: TypeAlias = Mapping[str, Value | None]
#: key, as `written` gives it, → columns
Reference: TypeAlias = Mapping[str, Row]


def _unknown(name: str) -> None:
    return None


@dataclass(slots=True)
class Context:
    """One report. Texts are in NFC.

    `previous`, `year_ago`: figures of the agency's accepted report of the period before, and of a year ago.
    `ref`: those of its report under another regime for the same period. `children`: the figure's values in the accepted
    reports of the agencies beneath, empty where none of them reports; None while one is still to come. `lookup`: a
    reference table. None: not known, and what asks for it cannot be evaluated.
    """

    figures: Figures
    tables: Mapping[str, Sequence[Row]] = field(default_factory=dict)
    previous: Figures | None = None
    year_ago: Figures | None = None
    ref: Callable[[str], Figures | None] = _unknown
    children: Callable[[str], Sequence[Value | None] | None] = _unknown
    lookup: Callable[[str], Reference | None] = _unknown
    order: Sequence[str] = ()  # the form's figures, for ranges of formulas that were compiled without the form's names
    row_table: str | None = None
    row: Row | None = None
    row_number: int = 0
    memo: dict[object, object] = field(default_factory=dict)  # what one report's formulas computed of whole tables


#: a compiled formula
Run: TypeAlias = Callable[[Context], Value]
#: the values of a list argument, or why there are none
Listed: TypeAlias = Callable[[Context], Sequence[Value] | CannotEvaluate]


def each_row(run: Run, context: Context, table: str) -> Iterator[Value]:
    """The formula's value in each row of the table. Between two values the context stands at that row."""
    before = context.row_table, context.row, context.row_number
    try:
        for number, row in enumerate(context.tables.get(table, ())):
            context.row_table, context.row, context.row_number = table, row, number
            yield run(context)
    finally:
        context.row_table, context.row, context.row_number = before
