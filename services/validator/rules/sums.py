"""A sum is checked exactly, and only where all it needs is known: a missing or misread term is no difference.

An optional figure left blank adds nothing, and the finding says so. A rule whose total, or every term, was left blank
has nothing to compare. What is required and missing, or unreadable, has its own finding; the sum that needs it says at
once what is known, so that a wrong sum does not come to light only when the report is sent again.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal

from services.validator.rules import catalogue
from services.validator.rules.flaws import Flaw
from services.validator.rules.forms import CompiledForm, Figure, Sum
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
        else:
            _check_partly(form, rule, figures, values, flaws)


def _check_partly(
    form: CompiledForm, rule: Sum, figures: Mapping[str, str | None], values: dict[str, Decimal], flaws: list[Flaw]
) -> None:
    """A sum of which not all is there: compared if blanks may stand, else named with what can be said of it now."""
    absent = tuple(term for term in rule.terms if term not in values)
    unknown = tuple(term for term in absent if form.figures[term].required or not is_blank(figures.get(term)))
    expected = sum((values[term] for term in rule.terms if term in values), _ZERO)
    total = values.get(rule.total)
    if total is not None and not unknown:
        if len(absent) < len(rule.terms) and abs(total - expected) > rule.tolerance:
            flaws.append(_differs(form, rule, total, expected, absent))
    elif total is not None and len(absent) < len(rule.terms):
        flaws.append(_not_checked(form, rule, unknown, total, expected))
    elif total is None and not unknown and len(absent) < len(rule.terms) and not _may_lack(form, rule, figures):
        flaws.append(_not_checked(form, rule, (rule.total,), None, expected))


def _may_lack(form: CompiledForm, rule: Sum, figures: Mapping[str, str | None]) -> bool:
    """An optional total left blank: there is nothing to compare."""
    return not form.figures[rule.total].required and is_blank(figures.get(rule.total))


def _not_checked(form: CompiledForm, rule: Sum, unknown: tuple[str, ...], total: Decimal | None, rest: Decimal) -> Flaw:
    shown_rest = format(rest, "f")
    if total is None:
        known = f"các thành phần cộng được {shown_rest}"
        known_en = f"the terms add up to {shown_rest}"
    else:
        left = format(total - rest, "f")
        known = f"các thành phần khác cộng được {shown_rest}, so với tổng {format(total, 'f')} còn lại {left}"
        known_en = f"the other terms add up to {shown_rest}; of the total of {format(total, 'f')}, {left} is left"
    return Flaw(
        catalogue.SUM_NOT_CHECKED,
        rule.path,
        form.figures[rule.total].words
        | _tolerance(rule)
        | {
            "rule": rule.code,
            "total": rule.total,
            "terms": _listed(rule.terms, " + "),
            "unknown": _listed(unknown, ", "),
            "known": known,
            "known_en": known_en,
        },
        provided=None if total is None else format(total, "f"),
        expected=shown_rest if total is None else None,
        difference=None if total is None else format(total - rest, "f"),
    )


def _tolerance(rule: Sum) -> dict[str, str]:
    tolerance = format(rule.tolerance, "f")
    return {
        "tolerance": f" (cho phép lệch {tolerance})" if rule.tolerance else "",
        "tolerance_en": f" (tolerance {tolerance})" if rule.tolerance else "",
    }


def _differs(form: CompiledForm, rule: Sum, total: Decimal, expected: Decimal, blanks: tuple[str, ...]) -> Flaw:
    figure = form.figures[rule.total]
    parts = _listed(rule.terms, ", ")
    if (corrected := _taken(figure, expected)) is not None:
        hint = f"Sửa tổng {rule.total} thành {corrected}, hoặc sửa các thành phần {parts} cho đúng."
        hint_en = f"Change the total {rule.total} to {corrected}, or correct its terms {parts}."
    else:  # the total could not be that: advice to write it would be returned by the next rule
        hint = f"Sửa các thành phần {parts} cho đúng, rồi sửa tổng {rule.total} theo đó."
        hint_en = f"Correct the terms {parts}, then the total {rule.total} to match."
    return Flaw(
        catalogue.SUM_DIFFERS,
        rule.path,
        figure.words
        | _tolerance(rule)
        | {
            "rule": rule.code,
            "terms": _listed(rule.terms, " + "),
            "hint": hint,
            "hint_en": hint_en,
            "blanks": f" Để trống, tính là không có: {_listed(blanks, ', ')}." if blanks else "",
            "blanks_en": f" Left blank, adding nothing: {_listed(blanks, ', ')}." if blanks else "",
        },
        provided=format(total, "f"),
        expected=format(expected, "f"),
        difference=format(total - expected, "f"),
    )


def _taken(figure: Figure, value: Decimal) -> str | None:
    """The value as the figure takes it, without zeros at its end; None where it takes it in no way."""
    written = format(value, "f")
    if "." in written:
        written = written.rstrip("0").rstrip(".")
    return written if figure.takes(value, len(written.partition(".")[2])) else None


def _listed(codes: tuple[str, ...], joint: str) -> str:
    return joint.join(codes[:_LISTED_TERMS]) + (f"{joint}…" if len(codes) > _LISTED_TERMS else "")
