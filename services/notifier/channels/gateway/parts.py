"""How many parts a short text makes, and Vietnamese without its diacritics. Pure.

A part carries 160 characters of GSM-7 or 70 units of UCS-2; of a text in several parts each carries fewer, because a
header of 6 bytes says how they belong together. Source: 3GPP TS 23.038 (the alphabet), TS 23.040 9.2.3.24.1 (parts).
"""

from __future__ import annotations

from typing import Literal

from shared.contract.text import unmarked

Alphabet = Literal["gsm7", "ucs2"]

_BASIC = frozenset(
    "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklm"
    "nopqrstuvwxyzäöñüà"
)
#: two septets each: an escape and the character
_EXTENDED = frozenset("^{}\\[~]|€\f")
#: what is no letter with marks, in letters of the alphabet
_INSTEAD = str.maketrans({
    "–": "-", "—": "-", "‐": "-", "“": '"', "”": '"', "‘": "'", "’": "'", "•": "-", "₫": "d", "×": "x", "≥": ">=",
    "≤": "<=", "«": '"', "»": '"',
})  # fmt: skip
#: of a part that stands alone, and of one of several
_UNITS: dict[Alphabet, tuple[int, int]] = {"gsm7": (160, 153), "ucs2": (70, 67)}


def folded(text: str) -> str:
    """The text in letters of GSM-7 without any diacritics; what the alphabet lacks becomes a question mark."""
    letters = unmarked(text).translate(_INSTEAD)
    return "".join(letter if letter in _BASIC or letter in _EXTENDED else "?" for letter in letters)


def fits_gsm7(text: str) -> bool:
    """Whether every character is of the alphabet."""
    return all(letter in _BASIC or letter in _EXTENDED for letter in text)


def count_parts(text: str, alphabet: Alphabet) -> int:
    """How many parts the text makes; 0 where it is empty. A character is never cut in two.

    Raises ValueError where GSM-7 lacks a character.
    """
    if alphabet == "gsm7" and not fits_gsm7(text):
        raise ValueError("a character is not of GSM-7")
    alone, each = _UNITS[alphabet]
    sizes = [_units(letter, alphabet) for letter in text]
    if sum(sizes) <= alone:
        return 1 if sizes else 0
    parts, room = 1, each
    for size in sizes:
        if size > room:
            parts, room = parts + 1, each
        room -= size
    return parts


def _units(letter: str, alphabet: Alphabet) -> int:
    if alphabet == "ucs2":
        return 2 if ord(letter) > 0xFFFF else 1
    return 2 if letter in _EXTENDED else 1
