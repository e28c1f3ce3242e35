"""The labels of a form's figures by their last word: a text is read once, and asked for labels before its numbers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from shared.contract.text import nfc

FEWEST_WORDS, MOST_WORDS = 3, 30


class Label(NamedTuple):
    """The words of a figure's label, in lower case, and the figure's code."""

    words: list[str]
    code: str


#: last word -> the labels that end with it, the longest first
Labels = Mapping[str, tuple[Label, ...]]


def labels_of(labels: Mapping[str, str]) -> Labels:
    """The labels (code -> label) to look for; one that two figures share, or that is short, is not."""
    codes: dict[tuple[str, ...], list[str]] = {}
    for code, label in labels.items():
        words = tuple(nfc(label).lower().split())
        if FEWEST_WORDS <= len(words) <= MOST_WORDS:
            codes.setdefault(words, []).append(code)
    by_end: dict[str, list[Label]] = {}
    for words in sorted(codes, key=len, reverse=True):
        if len(codes[words]) == 1:
            by_end.setdefault(words[-1], []).append(Label(list(words), codes[words][0]))
    return {end: tuple(ending) for end, ending in by_end.items()}
