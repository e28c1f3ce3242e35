"""A narrative is measured in characters after NFC and trimming, so that how it was typed never changes the verdict.

Filler is what says nothing in whatever writing: a stock phrase, repetition, punctuation. What prose is worth, a machine
does not judge. Whether filler returns the report is the regime's to say (`form.filler`).
"""

from __future__ import annotations

import re

from services.validator.rules import catalogue
from services.validator.rules.flaws import Flaw, shown
from services.validator.rules.forms import Narrative
from shared.contract.events import Severity
from shared.contract.text import nfc, nfkd
from shared.runtime.english import counted

_INVISIBLE = "\ufeff\u200b\u200c\u200d\u2060\u00ad"
#: stripped at once: in turns, layer by layer, the two cost the square of the layers
_OUTER = _INVISIBLE + "".join(filter(str.isspace, map(chr, range(0x3001))))  # no white space lies beyond
#: all of Cc but TAB, LF, CR; bidirectional overrides, which disguise text; surrogates, which nobody can store
_CONTROL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
_LETTER = re.compile(r"[^\W_]")
_NOT_LETTERS = re.compile(r"[\W_]+")
_RUN = re.compile(r"(\S)\1{9,}")
#: invisible wherever they stand, as those of _INVISIBLE: of no script that reports are written in
_HIDDEN = (
    _INVISIBLE
    + "\u034f\u115f\u1160\u180b\u180c\u180d\u180e\u200e\u200f\u2061\u2062\u2063\u2064\u3164\ufe0e\ufe0f\uffa0"
)
_WITHOUT_HIDDEN = str.maketrans("", "", _HIDDEN)

#: letters of a stock phrase at most
_SHORT_LETTERS = 40
#: as often as this a unit repeats before it is filler: "tốt, rất tốt" is prose
_TIMES = 3
_LONGEST_UNIT = 160  # letters
_PHRASES = (
    "không",
    "không có",
    "không có gì",
    "không có gì thêm",
    "không có nội dung",
    "không có ý kiến",
    "không biết",
    "không rõ",
    "chưa có",
    "chưa có gì",
    "chưa có số liệu",
    "chưa cập nhật",
    "đang cập nhật",
    "đang cập nhật số liệu",
    "đang bổ sung",
    "đang hoàn thiện",
    "đang tổng hợp",
    "sẽ cập nhật",
    "sẽ cập nhật sau",
    "sẽ bổ sung",
    "sẽ bổ sung sau",
    "cập nhật sau",
    "bổ sung sau",
    "như trên",
    "như kỳ trước",
    "như báo cáo trước",
    "nội dung",
    "n/a",
    "nil",
    "null",
    "none",
    "nothing",
    "tba",
    "tbd",
    "todo",
    "updating",
    "to be updated",
    "xx",
    "abc",
    "xyz",
    "abcd",
    "abc xyz",
    "asd",
    "asdf",
    "asdfgh",
    "qwe",
    "qwerty",
    "blah",
    "test",
    "testing",
    "this is a test",
    "thử",
    "thử nghiệm",
    "lorem ipsum",
    "lorem ipsum dolor sit amet",
)


def _bare(text: str) -> str:
    """Letters and digits alone, without case, marks or spaces: "Đ A N G  cập-nhật…" becomes "dangcapnhat"."""
    return _NOT_LETTERS.sub("", nfkd(text).casefold()).replace("đ", "d")


_EMPTY_PHRASES = frozenset(map(_bare, _PHRASES))

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


def check(narrative: Narrative, text: str, flaws: list[Flaw], filler: Severity) -> None:
    """Add what is wrong with a given, trimmed, non-empty text. `filler`: how bad it is in this regime."""
    characters = len(text)
    # looked for one by one: that is quicker than any regular expression
    hidden = not text.isascii() and any(map(text.__contains__, _HIDDEN))
    seen = text.translate(_WITHOUT_HIDDEN) if hidden else text
    if len(seen) < narrative.minimum:
        flaws.append(_length(narrative, catalogue.TOO_SHORT, len(seen), narrative.minimum, ">="))
    elif characters > narrative.maximum:
        flaws.append(_length(narrative, catalogue.TOO_LONG, characters, narrative.maximum, "<="))
    control = _CONTROL.search(text)
    if control:
        count = len(_CONTROL.findall(text))
        words = {
            "count": str(count),
            "count_en": counted(count, "control character"),
            "place": str(control.start() + 1),
        }
        flaws.append(
            Flaw(
                catalogue.CONTROL_CHARACTER,
                narrative.path,
                narrative.words | words,
                provided=f"U+{ord(control[0]):04X}",
            ),
        )
    if _is_phrase(seen):
        # nothing is lost where nobody asked for the section: leaving it blank says the same
        severity = filler if narrative.required else "warning"
        flaws.append(
            Flaw(catalogue.EMPTY_PHRASE, narrative.path, narrative.words, provided=shown(text, 60), severity=severity)
        )
    elif _is_repetition(seen):
        flaws.append(
            Flaw(catalogue.PADDING, narrative.path, narrative.words, provided=shown(text, 60), severity=filler)
        )


def _length(narrative: Narrative, rule: catalogue.Rule, characters: int, limit: int, sign: str) -> Flaw:
    difference = abs(characters - limit)
    words = {
        "characters": str(characters),
        "characters_en": counted(characters, "character"),
        "limit": str(limit),
        "difference": str(difference),
        "difference_en": counted(difference, "character"),
    }
    return Flaw(
        rule,
        narrative.path,
        narrative.words | words,
        str(characters),
        expected=f"{sign} {limit}",
        difference=str(characters - limit),
    )


def _is_phrase(text: str) -> bool:
    """Whether the text is punctuation alone, or one of the phrases that stand where content should."""
    if _LETTER.search(text) is None:
        return True
    if len(_NOT_LETTERS.sub("", text[: 2 * _SHORT_LETTERS])) > _SHORT_LETTERS:
        return False
    letters = _NOT_LETTERS.sub("", text)
    return len(letters) <= _SHORT_LETTERS and _bare(letters) in _EMPTY_PHRASES


def _is_repetition(text: str) -> bool:
    """Whether the text is mostly one thing again and again: characters, a word, a few words."""
    head = text.split(None, _PADDING_WORDS)[:_PADDING_WORDS]
    count = len(head)
    distinct = len(set(head))
    if count >= _FEWEST_PADDING_WORDS and distinct * _REPETITION < count:
        return True
    if len(text) > _LONGEST_HONEST_AVERAGE * count:
        if 2 * sum(len(run[0]) for run in _RUN.finditer(text)) > len(text):
            return True
    elif distinct * _TIMES > count >= _FEWEST_PADDING_WORDS:
        return False  # prose, by far the most common: no need to look closer
    return _repeats(_bare(text[: max(3 * _LONGEST_UNIT, len(text) // 2 + 1)]))


def _repeats(letters: str) -> bool:
    """Whether the letters are one unit, at least three times over; the last may be cut short."""
    longest = min(_LONGEST_UNIT, len(letters) // _TIMES)
    return any(letters.startswith(letters[unit:]) for unit in range(1, longest + 1))
