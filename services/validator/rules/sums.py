"""A sum is checked exactly, and only where all it needs is known: a missing or misread term is no difference.

An optional figure left blank adds nothing, and the finding says so. A rule whose total, or every term, was left blank
has nothing to compare. What is required and missing, or unreadable, has its own finding.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal

from services.validator.rules import catalogue
from services.validator.rules.flaws import Flaw
from services.validator.rules.forms import CompiledForm, Sum
from services.validator.rules.numbers import is_blank

_ZERO = Decimal(0)
_LISTED_TERMS = 20


def check(form: CompiledForm, figures: Mapping[str, str | None], values: dict[str, Decimal], flaws: list[Flaw]) -> None:
    """Add a flaw for each rule that does not hold. Runs in a context that is exact for 38-digit numbers."""
    complete = len(values) == len(form.steps)
    for rule in form.sums:
        if complete:
            expected = sum(rule.pick(values), _ZERO)
            total = values[rule.total]
            if total == expected or abs(total - expected) <= rule.tolerance:
                continue
            flaws.append(_differs(form, rule, total, expected, ()))
        elif rule.total in values:
            blanks = tuple(term for term in rule.terms if term not in values)
            if len(blanks) == len(rule.terms) or not all(
                is_blank(figures.get(term)) and not form.figures[term].required for term in blanks
            ):
                continue
            expected = sum((values[term] for term in rule.terms if term in values), _ZERO)
            total = values[rule.total]
            if abs(total - expected) > rule.tolerance:
                flaws.append(_differs(form, rule, total, expected, blanks))


def _differs(form: CompiledForm, rule: Sum, total: Decimal, expected: Decimal, blanks: tuple[str, ...]) -> Flaw:
    tolerance = format(rule.tolerance, "f")
    return Flaw(
        catalogue.SUM_DIFFERS,
        rule.path,
        form.figures[rule.total].words
        | {
            "rule": rule.code,
            "terms": _listed(rule.terms, " + "),
            "parts": _listed(rule.terms, ", "),
            "tolerance": f" (cho phép lệch {tolerance})" if rule.tolerance else "",
            "tolerance_en": f" (tolerance {tolerance})" if rule.tolerance else "",
            "blanks": f" Để trống, tính là không có: {_listed(blanks, ', ')}." if blanks else "",
            "blanks_en": f" Left blank, adding nothing: {_listed(blanks, ', ')}." if blanks else "",
        },
        provided=format(total, "f"),
        expected=format(expected, "f"),
        difference=format(total - expected, "f"),
    )


def _listed(codes: tuple[str, ...], joint: str) -> str:
    return joint.join(codes[:_LISTED_TERMS]) + (f"{joint}…" if len(codes) > _LISTED_TERMS else "")
