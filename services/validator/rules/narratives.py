"""A narrative is measured in characters after NFC and trimming, so that how it was typed never changes the verdict.

Errors are about what can be counted. Emptiness in other words is a warning: a machine does not judge prose.
"""

from __future__ import annotations

import re

from services.validator.rules import catalogue
from services.validator.rules.flaws import Flaw, shown
from services.validator.rules.forms import Narrative
from shared.contract.text import nfc

_INVISIBLE = "\ufeff\u200b\u200c\u200d\u2060\u00ad"
#: stripped at once: in turns, layer by layer, the two cost the square of the layers
_OUTER = _INVISIBLE + "".join(filter(str.isspace, map(chr, range(0x3001))))  # no white space lies beyond
#: all of Cc but TAB, LF, CR; bidirectional overrides, which disguise text; surrogates, which nobody can store
_CONTROL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
_NOT_LETTERS = re.compile(r"[\W_]+")
_RUN = re.compile(r"(\S)\1{9,}")

_PHRASE_CHARACTERS = 60
_EMPTY_PHRASES = frozenset(
    nfc(phrase)
    for phrase in (
        "",
        "không",
        "không có",
        "không có gì",
        "không biết",
        "chưa có",
        "chưa có gì",
        "đang cập nhật",
        "sẽ cập nhật",
        "sẽ bổ sung",
        "bổ sung sau",
        "như trên",
        "như kỳ trước",
        "n a",
        "na",
        "nil",
        "none",
        "nothing",
        "tbd",
        "todo",
        "abc",
        "xyz",
        "asdf",
        "qwerty",
        "test",
        "thử",
        "lorem ipsum",
    )
)

_PADDING_WORDS = 200  # the share of distinct words falls in long honest texts: only the head is measured
_FEWEST_PADDING_WORDS = 12
_REPETITION = 6  # each word this many times, on average, is no prose
_LONGEST_HONEST_AVERAGE = 20  # characters per word; Vietnamese has about 4


def trimmed(text: str) -> str:
    """The text that counts: NFC, without outer white space and invisible characters. Linear in its length."""
    text = nfc(text).strip()
    if text and (text[0] in _INVISIBLE or text[-1] in _INVISIBLE):
        return text.strip(_OUTER)
    return text


def check(narrative: Narrative, text: str, flaws: list[Flaw]) -> None:
    """Add what is wrong with a given, trimmed, non-empty text."""
    before = len(flaws)
    characters = len(text)
    if characters < narrative.minimum:
        flaws.append(_length(narrative, catalogue.TOO_SHORT, characters, narrative.minimum, ">="))
    elif characters > narrative.maximum:
        flaws.append(_length(narrative, catalogue.TOO_LONG, characters, narrative.maximum, "<="))
    control = _CONTROL.search(text)
    if control:
        words = narrative.words | {"count": str(len(_CONTROL.findall(text))), "place": str(control.start() + 1)}
        flaws.append(
            Flaw(catalogue.CONTROL_CHARACTER, narrative.path, words, provided=f"U+{ord(control[0]):04X}"),
        )
    if len(flaws) == before:
        _check_emptiness(narrative, text, flaws)


def _length(narrative: Narrative, rule: catalogue.Rule, characters: int, limit: int, sign: str) -> Flaw:
    words = narrative.words | {"characters": str(characters), "limit": str(limit)}
    words["difference"] = str(abs(characters - limit))
    return Flaw(
        rule, narrative.path, words, str(characters), expected=f"{sign} {limit}", difference=str(characters - limit)
    )


def _check_emptiness(narrative: Narrative, text: str, flaws: list[Flaw]) -> None:
    characters = len(text)
    if characters <= _PHRASE_CHARACTERS and _NOT_LETTERS.sub(" ", text).strip().casefold() in _EMPTY_PHRASES:
        flaws.append(Flaw(catalogue.EMPTY_PHRASE, narrative.path, narrative.words, provided=shown(text)))
        return
    head = text.split(None, _PADDING_WORDS)[:_PADDING_WORDS]
    count = len(head)
    repeated = count >= _FEWEST_PADDING_WORDS and len(set(head)) * _REPETITION < count
    if not repeated and characters > _LONGEST_HONEST_AVERAGE * count:
        repeated = 2 * sum(len(run[0]) for run in _RUN.finditer(text)) > characters
    if repeated:
        flaws.append(Flaw(catalogue.PADDING, narrative.path, narrative.words, provided=shown(text, 60)))
