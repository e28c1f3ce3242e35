"""Figures that are short texts, such as a grade: there and no placeholder, where required, and not too long."""

from __future__ import annotations

from collections.abc import Mapping

from services.validator.rules import catalogue
from services.validator.rules.flaws import Flaw, shown
from services.validator.rules.forms import TextFigure
from services.validator.rules.narratives import trimmed
from services.validator.rules.numbers import is_blank
from services.validator.rules.placeholders import is_placeholder
from shared.contract.events import Severity


def check(
    figure: TextFigure, text: str | None, flaws: list[Flaw], severities: Mapping[str, Severity], *, demanded: bool
) -> bool:
    """Add what is wrong with the text of a figure; whether it is there and can be used.

    `demanded` is false in a NIL report: then nothing is missing. `severities`: of the codes that the regime chooses.
    """
    if text is None or is_blank(text):
        if figure.required and demanded:
            flaws.append(Flaw(catalogue.FIGURE_MISSING, figure.path, figure.words))
        return False
    characters = len(trimmed(text))
    surplus = characters - figure.maximum
    if surplus > 0:
        words = figure.words | {"limit": str(figure.maximum)}
        flaws.append(
            Flaw(
                catalogue.TEXT_TOO_LONG, figure.path, words, str(characters), f"<= {figure.maximum}", str(surplus)
            )
        )  # fmt: skip
    if figure.required and is_placeholder(text):
        severity = severities[catalogue.PLACEHOLDER.code]
        flaws.append(
            Flaw(catalogue.PLACEHOLDER, figure.path, figure.words, provided=shown(text, 60), severity=severity)
        )
        return False
    return surplus <= 0
