"""Measures the formula language: `python -m tests.programs.measure_formulas [ROWS]`.

It reports evaluations per second of this process's CPU time, the best of many rounds, since the machine is shared.
The budget is of `[a] = [b] + [c] + [d]`, the rule that forms have most of. For tables it reports rows per second of CPU
for 20 rules over 20 columns, beside the same checks written by hand in polars.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from decimal import Decimal

import polars as pl

from services.validator.formula import Context, Field, Names, compile_formula, parse
from services.validator.formula.columns import to_polars

BUDGET_PER_SECOND = 2_000_000
FORMULAS = (
    "[A] = [B] + [C] + [D]",
    "[A] = SUM([B]:[D])",
    "[A] <> [B] + [C] + [D]",
    "[A] = [B] + [C] - [D]",
    "ABS([A] - PREV([A])) <= 20% * PREV([A])",
    "IF([B] > 0; ROUND(PCT([B]; [A]); 1) <= 100; ISBLANK([C]))",
)
_TIMES, _ROUNDS = 50_000, 9


def evaluations_per_second(text: str) -> float:
    """CPU rate of the best round."""
    names = Names(dict.fromkeys("ABCD", Field()))
    run = compile_formula(parse(text), names)
    figures = {"A": Decimal("1234567.25"), "B": Decimal("1000000"), "C": Decimal("234567"), "D": Decimal("0.25")}
    context = Context(figures, previous={"A": Decimal(1_200_000)})
    best = float("inf")
    for _ in range(_ROUNDS):
        started = time.process_time_ns()
        for _ in range(_TIMES):
            run(context)
        best = min(best, (time.process_time_ns() - started) / _TIMES)
    return 1e9 / best


def rows_per_second(rows: int) -> tuple[float, float]:
    """CPU rates of 20 rules over a table of 20 columns: formulas, and the same by hand."""
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
    assert data.select(rules).equals(data.select(by_hand))
    return _rate(lambda: data.select(rules), rows), _rate(lambda: data.select(by_hand), rows)


def _rate(work: Callable[[], object], rows: int) -> float:
    best = float("inf")
    for _ in range(3):
        started = time.process_time_ns()
        work()
        best = min(best, time.process_time_ns() - started)
    return rows * 1e9 / best


def main() -> int:
    """Print the rates; 1 if the budget is missed."""
    rows = int(sys.argv[1]) if len(sys.argv) > 1 else 200_000
    rates = {text: evaluations_per_second(text) for text in FORMULAS}
    for text, rate in rates.items():
        print(f"{rate:>12,.0f}/s  {text}")
    formulas, by_hand = rows_per_second(rows)
    print(f"{formulas:>12,.0f} rows/s  20 rules over 20 columns")
    print(f"{by_hand:>12,.0f} rows/s  the same by hand in polars")
    return 0 if rates[FORMULAS[0]] >= BUDGET_PER_SECOND else 1


if __name__ == "__main__":
    sys.exit(main())
