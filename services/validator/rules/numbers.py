"""A figure is an exact decimal written `-?digits[.digits]` in ASCII, or it is misread with the likely meaning.

Nothing is guessed silently: "1,234" is one thousand to some and one and a bit to others, so the sender decides.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from decimal import Decimal

from services.validator.rules import catalogue
from services.validator.rules.catalogue import Rule
from shared.contract.text import nfkc

MAX_DIGITS = 38
#: digits of a group of thousands
GROUP_DIGITS = 3

# Each is linear: no two neighbouring parts can take the same characters, so nothing is tried twice.
_PLAIN = re.compile(r"-?([0-9]+)(?:\.([0-9]+))?")
_is_plain = re.compile(r"-?[0-9]+(?:\.[0-9]+)?").fullmatch
_EXPONENT = re.compile(r"[+-]?[0-9]+(?:[.,][0-9]+)?[eE][+-]?[0-9]{1,3}")
_EXPONENT_ANY = re.compile(r"[+-]?(?:[0-9]+(?:[.,][0-9]*)?|[.,][0-9]+)[eE][+-]?[0-9]+")
_NUMERIC = re.compile(r"[+-]?[., '_]*[0-9][0-9., '_]*")
_GROUPS = re.compile(r"[0-9]{1,3}(?:([., '_])[0-9]{3})(?:\1[0-9]{3})*")
_NOT_FINITE = frozenset({"nan", "inf", "infinity", "∞", "snan", "qnan", "vô cực", "1.#inf", "1.#qnan"})
_LONGEST_DIAGNOSED = 120
#: what nobody sees: zero-width characters, marks of direction, fillers, the mark of a file's beginning
HIDDEN = "\ufeff\u200b\u200c\u200d\u200e\u200f\u2060\u2061\u2062\u2063\u2064\u00ad\u034f\u061c\u180e\u3164\ufe0f\uffa0"
_WITHOUT_HIDDEN = str.maketrans("", "", HIDDEN)
_UNIT_BEGINS = re.compile(r"[^\W\d_]|[%‰₫$€]")
#: letters, signs between them, the 2 or 3 of a square or cubic measure; one letter beside the digits, and letters that
#: look like digits ("1oo"), are slips
_UNIT = re.compile(r"[%‰₫$€đĐ]|(?![oOlI]+\Z)[^\W\d_][^\d_]+[23]?|[^\W\d_][23]")
_MARKS = str.maketrans({"−": "-", "–": "-", "—": "-", "’": "'", "‘": "'", "ʼ": "'"})


@dataclass(frozen=True, slots=True)
class Number:
    """The text is a number; `fraction_digits` are those written, trailing zeros too."""

    value: Decimal
    fraction_digits: int


@dataclass(frozen=True, slots=True)
class Misread:
    """The text is not a number as the form wants it; `readings` are what it may mean, likeliest first."""

    rule: Rule
    readings: tuple[str, ...] = ()
    digits: int = 0
    suffix: str = ""  # the unit or word after the number; the readings leave it out


def is_blank(text: str | None) -> bool:
    """An empty cell: null, or nothing that one can see. It is "not given", neither zero nor a bad number."""
    if text is None or not text or text.isspace():
        return True
    return text[0] in HIDDEN and not text.translate(_WITHOUT_HIDDEN).strip()


def plainly(text: str) -> Number | None:
    """The number that the text is, or None where it is none; what it may mean instead is not looked for."""
    plain = _PLAIN.fullmatch(text)
    if plain is None or len(plain[1]) + len(plain[2] or "") > MAX_DIGITS:
        return None
    return Number(Decimal(text), len(plain[2] or ""))


def value_of(text: str) -> Decimal | None:
    """As `plainly` of the text without its outer white space, the value alone: thousands are read for one verdict."""
    if len(text) <= MAX_DIGITS and _is_plain(text):
        return Decimal(text)
    number = plainly(text.strip())
    return None if number is None else number.value


def read(text: str) -> Number | Misread:
    """Read the text of a figure. Never raises; time is linear in the length of the text."""
    plain = _PLAIN.fullmatch(text)
    if plain:
        whole, fraction = plain[1], plain[2] or ""
        digits = len(whole) + len(fraction)
        if digits > MAX_DIGITS:
            return Misread(catalogue.TOO_MANY_DIGITS, digits=digits)
        return Number(Decimal(text), len(fraction))
    if len(text) > _LONGEST_DIAGNOSED:
        return Misread(catalogue.NOT_A_NUMBER)
    return _diagnose(text)


def unseen(text: str) -> list[str]:
    """The hidden characters of the text and its outer white space, each once, in order."""
    outer = text[: len(text) - len(text.lstrip())] + text[len(text.rstrip()) :]
    return list(dict.fromkeys(character for character in text if character in HIDDEN or character in outer))


def thousands_reading(text: str) -> str | None:
    """What "1.234" means if its point groups thousands, as Vietnamese writing does: "1234"."""
    sign, body = _sign(text)
    if _GROUPS.fullmatch(body) and body[0] != "0":
        return sign + re.sub("[^0-9]", "", body)
    return None


def _diagnose(given: str) -> Misread:
    seen = given.translate(_WITHOUT_HIDDEN).strip()
    text = _ascii(seen)
    if _usable(text):
        return Misread(catalogue.UNSEEN if text == seen else catalogue.OTHER_SCRIPT, (text,))
    sign, body = _sign(text)
    if body.casefold() in _NOT_FINITE:
        return Misread(catalogue.NOT_FINITE)
    if _EXPONENT_ANY.fullmatch(text):
        return Misread(catalogue.EXPONENT, _expanded(text))
    if _PLAIN.fullmatch(sign + body):
        return Misread(catalogue.NOT_A_NUMBER, _usable(sign + body))
    if body[:1] in (".", ",") and body[1:].isascii() and body[1:].isdigit():
        return Misread(catalogue.NOT_A_NUMBER, _usable(f"{sign}0.{body[1:]}"))
    if body[-1:] in (".", ",") and body[:-1].isascii() and body[:-1].isdigit():
        return Misread(catalogue.NOT_A_NUMBER, _usable(sign + body[:-1]))
    if _NUMERIC.fullmatch(text):
        readings = _numeric(sign, body)
        return Misread(catalogue.SEPARATORS if readings else catalogue.NOT_A_NUMBER, readings)
    unit = _UNIT_BEGINS.search(body)
    if unit:
        number, suffix = body[: unit.start()], body[unit.start() :]
        if _UNIT.fullmatch(suffix) or (number[-1:] == " " and suffix.isalpha()):
            readings = _with_unit(sign, number.rstrip())
            if readings:
                return Misread(catalogue.WITH_UNIT, readings, suffix=suffix)
    return Misread(catalogue.NOT_A_NUMBER)


def _numeric(sign: str, body: str) -> tuple[str, ...]:
    return tuple(reading for body_read in _readings(body) for reading in _usable(sign + body_read))


def written_readings(text: str) -> tuple[str, ...]:
    """What a number in prose may mean, likeliest last: "1.234" is 1.234 or 1234; empty where it is none."""
    return _with_unit("", text)


def _with_unit(sign: str, body: str) -> tuple[str, ...]:
    """What the number before a unit may mean: "1.234 tỷ" is 1234 where the point groups thousands."""
    plain = _usable(sign + body)
    if not plain and body[:1] in (".", ","):
        return _usable(f"{sign}0.{body[1:]}")
    if not plain:
        return _numeric(sign, body) if _NUMERIC.fullmatch(body) else ()
    thousands = thousands_reading(sign + body)
    return (*plain, thousands) if thousands is not None and thousands != plain[0] else plain


def _ascii(text: str) -> str:
    """Digits of any script, full-width forms and typographic signs as ASCII; outer spaces gone."""
    folded = nfkc(text).translate(_MARKS).strip()
    if folded.isascii():
        return folded
    return "".join(
        str(unicodedata.decimal(character)) if unicodedata.decimal(character, None) is not None else character
        for character in folded
    )


def _sign(text: str) -> tuple[str, str]:
    if text[:1] == "-":
        return "-", text[1:].lstrip()
    if text[:1] == "+":
        return "", text[1:].lstrip()
    return "", text


def _usable(reading: str) -> tuple[str, ...]:
    """The reading, if it would itself be accepted as a number."""
    plain = _PLAIN.fullmatch(reading)
    if plain and len(plain[1]) + len(plain[2] or "") <= MAX_DIGITS:
        return (reading,)
    return ()


def _expanded(text: str) -> tuple[str, ...]:
    if not _EXPONENT.fullmatch(text):
        return ()
    value = Decimal(text.replace(",", "."))
    if abs(value.adjusted()) > MAX_DIGITS:
        return ()
    return _usable(format(value, "f") if value else "0")


def _readings(body: str) -> tuple[str, ...]:
    """What digits with separators may mean; empty when their grouping makes no sense."""
    found = {mark for mark in body if not mark.isdigit()}
    decimal_marks = found & {",", "."}
    others = found - decimal_marks
    if len(decimal_marks) == 2:
        last = max(decimal_marks, key=body.rindex)
        whole, _, fraction = body.rpartition(last)
        return (f"{_ungrouped(whole)}.{fraction}",) if fraction.isdigit() and _ungrouped(whole) else ()
    if others and decimal_marks:
        mark = decimal_marks.pop()
        whole, _, fraction = body.partition(mark)
        return (f"{_ungrouped(whole)}.{fraction}",) if fraction.isdigit() and _ungrouped(whole) else ()
    if body.count(",") == 1 and not others:
        whole, _, fraction = body.partition(",")
        decimal_reading = f"{whole}.{fraction}"
        grouped = _ungrouped(body) if whole and whole[0] != "0" else ""
        return (decimal_reading, grouped) if grouped else (decimal_reading,)
    grouped = _ungrouped(body)
    return (grouped,) if grouped else ()


def _ungrouped(body: str) -> str:
    """The digits of a well grouped whole number ("1 234 567"), else nothing."""
    if body.isdigit() or _GROUPS.fullmatch(body):
        return re.sub("[^0-9]", "", body)
    return ""
