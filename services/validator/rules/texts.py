"""Figures that are short texts, such as a grade: there, where required, and no longer than the form allows."""

from __future__ import annotations

from services.validator.rules import catalogue
from services.validator.rules.flaws import Flaw
from services.validator.rules.forms import TextFigure
from services.validator.rules.narratives import trimmed
from services.validator.rules.numbers import is_blank


def check(figure: TextFigure, text: str | None, flaws: list[Flaw], *, demanded: bool) -> bool:
    """Add what is wrong with the text of a figure; whether it is there and can be used.

    `demanded` is false in a NIL report: then nothing is missing.
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
    return surplus <= 0
