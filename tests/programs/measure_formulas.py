"""Measures the formula language on one core: `python -m tests.programs.measure_formulas`.

It reports evaluations per second of this process's CPU time, the best of many rounds, since the machine is shared.
The budget is of `[a] = [b] + [c] + [d]`, the rule that forms have most of.
"""

from __future__ import annotations

import sys
import time
from decimal import Decimal

from services.validator.formula import Context, Field, Names, compile_formula, parse

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


def main() -> int:
    """Print the rates; 1 if the budget is missed."""
    rates = {text: evaluations_per_second(text) for text in FORMULAS}
    for text, rate in rates.items():
        print(f"{rate:>12,.0f}/s  {text}")
    return 0 if rates[FORMULAS[0]] >= BUDGET_PER_SECOND else 1


if __name__ == "__main__":
    sys.exit(main())
