"""A figure that a narrative names by its label, with a number that differs from the form's, is asked about.

Sure or silent: the label stands at the beginning of a clause, only words such as "là" or "đạt" part it from the number,
the number has the figure's unit, and nothing before it speaks of another time, a plan or a part. Roundings are no
difference, and "gần", "hơn", "khoảng" leave room.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from decimal import Decimal

from services.validator.rules import catalogue
from services.validator.rules.flaws import Flaw, shown
from services.validator.rules.forms import Figure, Narrative
from services.validator.rules.labels import Labels
from services.validator.rules.numbers import MAX_DIGITS, written_readings
from services.validator.rules.units import POWERS
from shared.contract.events import Severity

_MOST_FINDINGS = 5
_NUMBER = re.compile(r"[0-9]+(?:[.,][0-9]+)*")
_OPENERS = frozenset(("trong", "kỳ", "tháng", "quý", "tuần", "này", "và", "tổng", "số", "có", "toàn"))
_MOST_OPENERS = 6
_LINKS = frozenset(("", "là", "đạt", "ước", "ở", "mức", "được", "kỳ", "này", "trong", "thực", "hiện"))
_ABOUT = frozenset(("gần", "hơn", "khoảng", "trên", "xấp", "xỉ", "chừng", "dưới", "ngót", "tầm"))
_MOST_LINKS = 5
#: what may follow the unit: anything else may narrow down what the number counts
_FOLLOWERS = frozenset(("so", "tăng", "giảm", "bằng", "chiếm", "và", "với", "tương"))
_OF_SOMETHING_ELSE = frozenset((
    "trước", "lũy", "lu\u1ef9", "cùng", "dự", "hoạch", "phấn", "mục", "đầu", "riêng", "tại", "xã", "phường", "thôn",
    "bản", "ấp", "khối", "của", "giao", "bình",
))  # fmt: skip
_TIMES = frozenset(("tháng", "quý", "năm", "tuần", "ngày", "đến", "từ", "kỳ"))
#: words looked at before the label, of its sentence, and after the number
_OF_SENTENCE, _AFTER = 40, 7
_SENTENCE_MARKS = (".", ";", "!", "?", "\n")
_CLAUSE_MARKS = (*_SENTENCE_MARKS, ",", ":", "(", "–", "-")
_MARKS = ".;!?,:()…\n"
#: room that "gần", "hơn" and "khoảng" leave, of the larger number
_ROOM = Decimal("0.25")
_ROUND_FROM = 1000


def check(
    labels: Labels,
    figures: Mapping[str, Figure],
    values: Mapping[str, Decimal],
    narrative: Narrative,
    text: str,
    flaws: list[Flaw],
    severities: Mapping[str, Severity],
) -> None:
    """Add a flaw for each figure that the text gives otherwise. Runs in an exact context; linear in the text."""
    if "\n" in text:
        text = text.replace("\n", " \n ")
    words = text.lower().split(" ")
    told: set[str] = set()
    for place in [place for place, word in enumerate(words) if "0" <= word < ":"]:
        named = _named(labels, words, place)
        if named is None:
            continue
        begin, code, about = named
        value = values.get(code)
        if value is None or code in told:
            continue
        figure = figures[code]
        end = _differs(words, place, figure, value, about)
        if end is None or not _begins_a_clause(words, begin) or _is_of_something_else(words, begin):
            continue
        told.add(code)
        quote = shown(" ".join(filter(None, text.split(" ")[begin:end])).strip(_MARKS), 160)
        written = format(value, "f")
        named_words = narrative.words | {
            "quote": quote,
            "figure": figure.words["name"],
            "figure_en": figure.words["name_en"],
            "value": written + figure.words["unit"],
        }
        rule = catalogue.FIGURE_CONTRADICTED
        flaws.append(Flaw(rule, narrative.path, named_words, quote, expected=written, severity=severities[rule.code]))
        if len(told) == _MOST_FINDINGS:
            return


def _named(labels: Labels, words: list[str], place: int) -> tuple[int, str, bool] | None:
    """The label that leads to the number at `place`: where it begins, its figure, whether the number is about so."""
    about = False
    for end in range(place - 1, max(-1, place - 2 - _MOST_LINKS), -1):
        last = words[end].rstrip(":=,")
        for label in labels.get(last, ()):
            begin = end + 1 - len(label.words)
            if (
                begin >= 0
                and words[begin].lstrip("(") == label.words[0]
                and words[begin + 1 : end] == label.words[1:-1]
            ):
                return begin, label.code, about
        if last in _ABOUT:
            about = True
        elif last not in _LINKS:
            return None
    return None


def _begins_a_clause(words: list[str], begin: int) -> bool:
    """Whether only words such as "trong kỳ" stand between the clause's beginning and the label."""
    if words[begin].startswith("("):
        return True
    for place in range(begin - 1, max(-1, begin - 2 - _MOST_OPENERS), -1):
        word = words[place]
        if word.endswith(_CLAUSE_MARKS):
            return True
        if word and word not in _OPENERS:
            return False
    return begin <= _MOST_OPENERS


def _is_of_something_else(words: list[str], begin: int) -> bool:
    """Whether the sentence, up to the label, speaks of another time, a plan or a part."""
    after = ""
    for place in range(begin - 1, max(-1, begin - 1 - _OF_SENTENCE), -1):
        word = words[place]
        if word.endswith(_SENTENCE_MARKS):
            return False
        bare = word.strip(_MARKS)
        if bare in _OF_SOMETHING_ELSE or (bare in _TIMES and after[:1].isdigit()):
            return True
        after = bare
    return False


def _differs(words: list[str], place: int, figure: Figure, value: Decimal, about: bool) -> int | None:
    """The place after what differs: the number, or its unit; None where nothing does."""
    number = _NUMBER.match(words[place])
    assert number is not None  # it begins with a digit
    written = number[0]
    if len(written) > MAX_DIGITS:
        return None
    if written.replace(".", "").replace(",", ".") == str(value):
        following = words[place + 1].rstrip(_MARKS) if place + 1 < len(words) else ""
        if POWERS.get(following, 0) == figure.unit.power:
            return None  # by far the most common
    after, ends = _after(words, place, words[place][number.end() :])
    count = power = 0
    while count < len(after) and after[count] in POWERS:
        power += POWERS[after[count]]
        count += 1
    unit = figure.unit.thing.split()
    if unit and after[count : count + len(unit)] == unit:
        count += len(unit)
    elif unit == ["%"] or (figure.unit.power and not power):
        return None  # without its unit
    if after[count] not in _FOLLOWERS if count < len(after) else not ends:
        return None
    shift = power - figure.unit.power if power or figure.unit.power else 0
    readings = written_readings(written)
    if not readings or any(_agrees(reading, shift, value, about) for reading in readings):
        return None
    return place + 1 + count - (number.end() < len(words[place].rstrip(_MARKS)))


def _after(words: list[str], place: int, glued: str) -> tuple[list[str], bool]:
    """The words after a number, up to the end of its clause, and whether that is reached. `glued`: to the number."""
    after: list[str] = []
    for word in (glued, *words[place + 1 : place + 1 + _AFTER]):
        bare = word.rstrip(_MARKS)
        if bare.startswith(("(", "–", "-")):
            return after, True
        if bare:
            after.append(bare)
        if bare != word:
            return after, True
    return after, place + 1 + _AFTER >= len(words)


def _agrees(reading: str, shift: int, value: Decimal, about: bool) -> bool:
    """Whether a number as written, in units of 10^shift, may stand for the value."""
    whole, _, fraction = reading.partition(".")
    written = Decimal(reading).scaleb(shift)
    zeros = len(whole) - len(whole.rstrip("0")) if not fraction and abs(Decimal(reading)) >= _ROUND_FROM else 0
    if abs(written - value) < Decimal(1).scaleb(shift - len(fraction) + zeros):
        return True
    return about and abs(written - value) <= _ROOM * max(abs(written), abs(value))
