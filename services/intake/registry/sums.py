"""Finds sums of a form that cannot hold together within the bounds of its figures, so that no complete report passes.

Each sum is a balance: its total minus its terms is zero, within its tolerance. Substituting terms for totals derives
further balances (A = B + C and A = B + C + D give D = 0). Sums that then leave a figure without a value are refused.
A contradiction that intervals do not show, or that costs too much to find, goes unnoticed.
"""

from __future__ import annotations

import heapq
from collections.abc import Collection, Iterator, Mapping, Sequence
from decimal import Decimal, localcontext
from math import floor

from services.intake.registry.narrowing import MAX_DIGITS, Balance, Dead, Narrowing
from services.intake.registry.source import Located
from shared.contract.events import FigureField, SumRule
from shared.runtime.file_errors import FileError
from shared.runtime.hidden_characters import shown

#: limit on the figures in all derived balances; beyond it none is derived
MAX_MADE = 20_000
#: limit on the sums that a message names
_NAMED = 10


def together(
    located: Located,
    sums: Sequence[SumRule],
    figures: Mapping[str, FigureField],
    values: Mapping[str, tuple[Decimal, Decimal]],
    reported: Collection[int],
) -> Iterator[FileError]:
    """Reports the first contradiction between sums. values: minimum and maximum of each figure, on its grid.

    reported: places of sums that are wrong by themselves; they are left out.
    """
    places = [n for n, rule in enumerate(sums) if n not in reported and _always_checked(rule, figures)]
    if len(places) < 2 or any(low > high for low, high in values.values()):
        return
    try:
        found = _contradiction(places, sums, figures, values)
    except OverflowError:
        return
    if len(found) < 2:
        return
    names = [f"“{shown(sums[place].code, 30)}”" for place in found[:_NAMED]]
    if (left_out := len(found) - _NAMED) > 0:
        names.append(f"… ({left_out})")
    yield located.error(
        f"form/sums/{found[-1]}",
        f"Các tổng {', '.join(names)} không bao giờ cùng đúng với giới hạn của các chỉ tiêu.",
        f"The sums {', '.join(names)} never hold together within the bounds of their figures.",
        "Sửa số hạng của một trong các tổng này, hoặc giới hạn của các chỉ tiêu trong đó.",
        "Correct the terms of one of these sums, or the bounds of the figures in them.",
    )


def _always_checked(rule: SumRule, figures: Mapping[str, FigureField]) -> bool:
    """Whether every complete report is checked by the sum: it is not if the total, or all terms, may be left out."""
    total = figures.get(rule.total)
    known = all(term in figures for term in rule.terms)
    return known and total is not None and total.required and any(figures[term].required for term in rule.terms)


def _contradiction(
    places: Sequence[int],
    sums: Sequence[SumRule],
    figures: Mapping[str, FigureField],
    values: Mapping[str, tuple[Decimal, Decimal]],
) -> list[int]:
    """Places of sums that contradict each other, in order; empty if none is found."""
    codes = list(dict.fromkeys(code for place in places for code in (sums[place].total, *sums[place].terms)))
    number = {code: n for n, code in enumerate(codes)}
    digits = max(figures[code].fraction_digits for code in codes)
    balances: list[Balance] = []
    for place in places:
        rule = sums[place]
        signs = {number[rule.total]: 1} | {number[term]: -1 for term in rule.terms}
        balances.append((signs, _scaled(rule.tolerance, digits)))
    made, made_of = _made(balances)
    every = [*balances, *made]
    rules_of: list[list[int]] = [[] for _ in codes]
    for at, (balance, _) in enumerate(every):
        for figure in balance:
            rules_of[figure].append(at)
    search = Narrowing(every, rules_of, [10 ** (digits - figures[code].fraction_digits) for code in codes])
    try:
        for code in codes:
            low, high = values[code]
            if not figures[code].required:  # a figure left out counts as zero
                low, high = min(low, Decimal(0)), max(high, Decimal(0))
            search.narrow(number[code], _bound(low, digits), _bound(high, digits))
        search.settle(range(len(every)))
    except Dead as dead:
        sources = [*([place] for place in range(len(balances))), *made_of]
        return sorted({places[source] for place in dead.places for source in sources[place]})
    return []


def _made(balances: Sequence[Balance]) -> tuple[list[Balance], list[list[int]]]:
    """Balances between figures that are no totals, each with the places of the sums it derives from.

    Substitutes each total's first sum; a further sum of the same total then binds the terms alone.
    """
    first: dict[int, int] = {}
    for place, (weights, _) in enumerate(balances):
        first.setdefault(next(iter(weights)), place)
    order = _order(balances, first)
    made: list[Balance] = []
    sources: list[list[int]] = []
    cost = 0
    for place, (weights, tolerance) in enumerate(balances):
        mixed, allowed, used = dict(weights), tolerance, [place]
        ahead = [(order[total], total) for total in mixed if first.get(total, place) != place]
        heapq.heapify(ahead)
        while ahead:
            at, total = heapq.heappop(ahead)
            factor = mixed.get(total, 0)
            if not factor:
                continue
            other, slack = balances[first[total]]
            used.append(first[total])
            allowed += abs(factor) * slack
            for figure, weight in other.items():
                mixed[figure] = mixed.get(figure, 0) - factor * weight
                # only to later totals, so that this ends even in a circle, which is reported elsewhere
                if figure in first and order[figure] > at:
                    heapq.heappush(ahead, (order[figure], figure))
            cost += len(other)
            if cost > MAX_MADE:
                return made, sources
        if len(used) > 1:
            made.append(({figure: weight for figure, weight in mixed.items() if weight}, allowed))
            sources.append(used)
    return made, sources


def _order(balances: Sequence[Balance], first: Mapping[int, int]) -> dict[int, int]:
    """The totals, each before those among its terms."""
    done: dict[int, None] = {}
    for start in first:
        way = [(start, False)]
        while way:
            total, back = way.pop()
            if back:
                done.setdefault(total)
            elif total not in done:
                way.append((total, True))
                way += [(term, False) for term in balances[first[total]][0] if term in first and term != total]
            if len(way) > MAX_MADE:  # a circle
                return {total: n for n, total in enumerate(first)}
    return {total: n for n, total in enumerate(reversed(done))}


def _scaled(value: Decimal, digits: int) -> int:
    with localcontext(prec=6 * MAX_DIGITS):
        return floor(value.scaleb(digits))


def _bound(value: Decimal, digits: int) -> int:
    """The bounds in whole units; a figure without a bound gets the largest that a report can hold."""
    most: int = 10**MAX_DIGITS * 10**digits
    if not value.is_finite():
        return most if value > 0 else -most
    if value and abs(value.adjusted()) > 2 * MAX_DIGITS:
        raise OverflowError("a bound is not a number that a report can hold")
    return _scaled(value, digits)
