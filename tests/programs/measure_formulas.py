"""Measures the formula language: `python -m tests.programs.measure_formulas [ROWS]`.

It reports evaluations per second of this process's CPU time, the best of many rounds, since the machine is shared.
The budget is of `[a] = [b] + [c] + [d]`, the rule that forms have most of. For tables it reports rows per second of CPU
for 20 rules over 20 columns, in rounds that alternate with the same checks written by hand in polars, by pandera and,
over fewer rows, with a loop in Python; and the memory at its peak.

pandera gathers a value for each row that fails, so it is asked of rows that all hold, and apart of some that do not.
"""

from __future__ import annotations

import re
import resource
import sys
import time
from collections.abc import Callable, Sequence
from decimal import Decimal, localcontext
from typing import NamedTuple

import pandera.polars as pandera
import polars as pl

from services.validator.formula import NO_TOLERANCE, Context, Field, Names, bind, compile_formula, parse
from services.validator.formula.columns import to_polars
from services.validator.formula.generating import Asked, generate
from services.validator.formula.values import NUMBERS

BUDGET_PER_SECOND = 2_000_000
FORMULAS = (
    "[A] = [B] + [C] + [D]",
    "[A] = SUM([B]; [C]; [D])",
    "[A] <> [B] + [C] + [D]",
    "[A] = [B] + [C] - [D]",
    "ABS([A] - PREV([A])) <= 20% * PREV([A])",
    "IF([B] > 0; ROUND(PCT([B]; [A]); 1) <= 100; ISBLANK([C]))",
)
_RULES, _TIMES, _ROUNDS = 50, 1_000, 9


def evaluations_per_second(text: str) -> tuple[float, float]:
    """CPU rates of the best round: of the closures, and of the function that a pack of so many such rules is asked."""
    names = Names({f"{letter}{number}": Field() for number in range(_RULES) for letter in "ABCD"})
    values = {"A": Decimal("1234567.25"), "B": Decimal("1000000"), "C": Decimal("234567"), "D": Decimal("0.25")}
    figures = {code: values[code[0]] for code in names.figures}
    previous = {code: Decimal(1_200_000) for code in figures}
    formulas = [parse(re.sub(r"\[([A-D])\]", rf"[\g<1>{number}]", text)) for number in range(_RULES)]
    runs = [compile_formula(formula, names) for formula in formulas]
    context = Context(figures, previous=previous)
    asked = [
        Asked(None, bind(one, names)[0], "skip_if_any_missing", None, "skip_if_any_missing", "", NO_TOLERANCE)
        for one in formulas
    ]
    unsure, _, _, sure_of = generate(asked, frozenset(figures), frozenset())
    assert len(sure_of) == _RULES, text
    best = [float("inf")] * 2
    for _ in range(_ROUNDS):
        started = time.process_time_ns()
        for _ in range(_TIMES):
            for run in runs:
                run(context)
        between = time.process_time_ns()
        for _ in range(_TIMES):
            with localcontext(NUMBERS):
                unsure(figures, previous, None)
        best = [min(best[0], between - started), min(best[1], time.process_time_ns() - between)]
    return _TIMES * _RULES * 1e9 / best[0], _TIMES * _RULES * 1e9 / best[1]


#: rows that the loop in Python goes over: its rate does not depend on how many
_LOOPED_ROWS = 20_000
#: and pandera, where some fail
_FAILING_ROWS = 5_000


class TableRates(NamedTuple):
    """Rows per second of CPU."""

    formulas: float
    by_hand: float
    by_pandera: float  # where every row holds
    by_pandera_failing: float
    looped: float


def by_pandera(data: pl.DataFrame, checks: Sequence[pl.Expr]) -> int:
    """Values that fail, by pandera's polars back end."""
    schema = pandera.DataFrameSchema(
        {code: pandera.Column(data.schema[code]) for code in data.columns},
        checks=[
            pandera.Check(lambda given, check=check: given.lazyframe.select(check), name=f"r{place}")
            for place, check in enumerate(checks)
        ],
    )
    try:
        schema.validate(data, lazy=True)
    except pandera.errors.SchemaErrors as error:
        return len(error.failure_cases)
    return 0


def rows_per_second(rows: int) -> TableRates:
    """CPU rates of 20 rules over a table of 20 columns."""
    columns = [f"c{number:02}" for number in range(20)]
    names = Names({}, {"T": dict.fromkeys(columns, Field(scale=2))})
    base = pl.int_range(rows, eager=True)
    decimal = pl.Decimal(38, 2)
    data = pl.DataFrame({code: (base * (place + 3) % 100_003).cast(decimal) for place, code in enumerate(columns)})
    triples = [(columns[place], columns[(place + 1) % 20], columns[(place + 7) % 20]) for place in range(20)]
    rules = [
        to_polars(parse(f"AND([T.{a}] + [T.{b}] >= [T.{c}]; [T.{a}] <= 100000)"), "T", names).alias(f"r{place}")
        for place, (a, b, c) in enumerate(triples)
    ]
    by_hand = [
        ((pl.col(a) + pl.col(b) >= pl.col(c)) & (pl.col(a) <= Decimal(100_000))).alias(f"r{place}")
        for place, (a, b, c) in enumerate(triples)
    ]
    looped_rows = min(rows, _LOOPED_ROWS)
    cells = [data[code][:looped_rows].to_list() for code in columns]
    places = [(place, (place + 1) % 20, (place + 7) % 20) for place in range(20)]
    limit = Decimal(100_000)

    def looped() -> list[list[bool]]:
        return [
            [row[a] + row[b] >= row[c] and row[a] <= limit for a, b, c in places] for row in zip(*cells, strict=True)
        ]

    checked = data.select(rules)
    assert checked.equals(data.select(by_hand))
    assert [list(row) for row in checked[:looped_rows].rows()] == looped()
    holding = pl.DataFrame({code: (base % 100).cast(decimal) for code in columns})
    failing = data[:_FAILING_ROWS]
    assert by_pandera(holding, by_hand) == 0
    assert by_pandera(failing, by_hand) == sum((~column).sum() for column in failing.select(by_hand))
    works: tuple[tuple[Callable[[], object], int], ...] = (
        (lambda: data.select(rules), rows),
        (lambda: data.select(by_hand), rows),
        (lambda: by_pandera(holding, by_hand), rows),
        (lambda: by_pandera(failing, by_hand), len(failing)),
        (looped, looped_rows),
    )
    rates = [0.0] * len(works)
    for _ in range(3):  # in turns: the machine's moods strike all
        for place, (work, count) in enumerate(works):
            started = time.process_time_ns()
            work()
            rates[place] = max(rates[place], count * 1e9 / (time.process_time_ns() - started))
    return TableRates(*rates)


def main() -> int:
    """Print the rates; 1 if the budget is missed."""
    rows = int(sys.argv[1]) if len(sys.argv) > 1 else 200_000
    rates = {text: evaluations_per_second(text) for text in FORMULAS}
    for text, (alone, together) in rates.items():
        print(f"{together:>12,.0f}/s  {text}  (closures {alone:,.0f})")
    table = rows_per_second(rows)
    print(f"{table.formulas:>12,.0f} rows/s  20 rules over 20 columns")
    for rate, what in (
        (table.by_hand, "by hand in polars"),
        (table.by_pandera, "by pandera, where every row holds"),
        (table.by_pandera_failing, f"by pandera, {_FAILING_ROWS:,} rows of which some fail"),
        (table.looped, "in a loop"),
    ):
        print(f"{rate:>12,.0f} rows/s  the same {what}: formulas are {table.formulas / rate:.2f} times as fast")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"{peak:>12,.0f} MiB     of memory at most, {rows * 20 * 16 / 2**20:,.0f} of them the table itself")
    return 0 if rates[FORMULAS[0]][1] >= BUDGET_PER_SECOND else 1


if __name__ == "__main__":
    sys.exit(main())
