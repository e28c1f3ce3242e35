"""An assessment that mentions none of the form's key figures is asked about: it may be an assessment of anything.

Wide on purpose: three words of a label in a row are a mention, and so is a number that begins as a value does.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from decimal import ROUND_HALF_UP, Context, Decimal

from services.validator.rules import catalogue
from services.validator.rules.flaws import Flaw
from services.validator.rules.forms import Figure, KeyFigure, Narrative
from services.validator.rules.numbers import MAX_DIGITS
from shared.contract.events import Severity

_NUMBER = re.compile(r"[0-9]+(?:[.,][0-9]+)*")
#: digits that a rounded number has at least, to be a value's
_FEWEST_DIGITS = 2
_NAMED = 3  # figures named in the finding


def check(
    keys: tuple[KeyFigure, ...],
    figures: Mapping[str, Figure],
    values: Mapping[str, Decimal],
    narrative: Narrative,
    text: str,
    flaws: list[Flaw],
    severities: Mapping[str, Severity],
) -> None:
    """Add a flaw where the text has no mention of a key figure that is given and is not 0. Linear in the text."""
    given = [key for key in keys if values.get(key.code)]
    if not given or text.isascii():  # without accents, or in English, no label can be expected
        return
    folded = " ".join(text.lower().split())
    if any(run in folded for key in given for run in key.runs):
        return
    numbers = {found.replace(".", "").replace(",", "").strip("0") for found in _NUMBER.findall(folded)}
    if any(not numbers.isdisjoint(_written(values[key.code])) for key in given):
        return
    named = given[:_NAMED]
    more = ", …" if len(given) > _NAMED else ""
    words = narrative.words | {
        "figures": ", ".join(figures[key.code].words["name"] for key in named) + more,
        "figures_en": ", ".join(figures[key.code].words["name_en"] for key in named) + more,
    }
    rule = catalogue.NO_KEY_FIGURE
    flaws.append(Flaw(rule, narrative.path, words, severity=severities[rule.code]))


def _written(value: Decimal) -> Iterable[str]:
    """The digits of a value, whole or rounded, without zeros at either end: 12347.5 is 123475, 12348, …, 12."""
    digits = "".join(map(str, value.as_tuple().digits))[:MAX_DIGITS].strip("0")
    yield digits
    for length in range(_FEWEST_DIGITS, len(digits)):
        rounded = Context(prec=length, rounding=ROUND_HALF_UP).create_decimal(digits)
        yield "".join(map(str, rounded.as_tuple().digits)).strip("0")
