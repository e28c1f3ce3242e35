"""Outside text is normalised at a cost that is linear in its length, whatever is in it.

Canonical ordering sorts each run of combining marks by insertion: a run of 20,000 in descending order takes seconds.
Stream-safe text (UAX #15, section 13) has at most 30 non-starters in a run; a longer run is parted by U+034F
COMBINING GRAPHEME JOINER. Nothing else in the project calls `unicodedata.normalize` (an architecture test looks).
"""

from __future__ import annotations

import re
import unicodedata
from typing import Literal

MAX_NON_STARTERS = 30
JOINER = "\u034f"

#: A run of marks shorter than this is safe whatever the marks: each stands for at most two non-starters, and the
#: letter before them ends in at most three.
_SHORTEST_SUSPECT = 14
#: marks that stand for two non-starters each (in NFKD); no other stands for more than one
_DOUBLES = "\u0344\u0f73\u0f75\u0f81"
#: what else begins with a non-starter in NFKD, without being one itself: half-width voiced sound marks
_FOLDED = "\uff9e\uff9f"
#: no mark lies outside
_MARK_POINTS = range(0x300, 0x1F000)
_FILLER = "\0"
#: has no decomposition: its stroke is no mark
_STROKED = str.maketrans("đĐ", "dD")


def _mark_class() -> str:
    """A regular expression's class of all characters whose NFKD begins with a non-starter.

    Beyond the BMP one range holds them all, with some starters: `re` looks into a second range one by one.
    """
    ranges: list[list[int]] = []
    beyond: list[int] = []
    for point in _MARK_POINTS:
        character = chr(point)
        if not unicodedata.combining(character) and character not in _DOUBLES + _FOLDED:
            continue
        if point > 0xFFFF:
            beyond.append(point)
        elif ranges and ranges[-1][1] == point - 1:
            ranges[-1][1] = point
        else:
            ranges.append([point, point])
    ranges.append([beyond[0], beyond[-1]])
    return "".join(f"{chr(first)}-{chr(last)}" for first, last in ranges)


_SUSPECTS = re.compile(f"[{_mark_class()}]{{{_SHORTEST_SUSPECT},}}")


def _non_starters(character: str) -> tuple[int, int, bool]:
    """Non-starters that the NFKD of one character begins with, and ends with, and whether it holds nothing else."""
    kind = unicodedata.combining(character)
    if not unicodedata.decomposition(character):
        return (1, 1, True) if kind else (0, 0, False)
    kinds = [unicodedata.combining(part) for part in unicodedata.normalize("NFKD", character)]
    leading = next((place for place, kind in enumerate(kinds) if not kind), len(kinds))
    trailing = next((place for place, kind in enumerate(reversed(kinds)) if not kind), len(kinds))
    return leading, trailing, leading == len(kinds)


#: UTF-8 bytes of characters that may be marks as "x"; ASCII and what begins with C2–CB (below U+0300) as "."
_BYTE_KINDS = bytes(0x2E if byte < 0x80 or 0xC2 <= byte <= 0xCB else 0x78 for byte in range(256))
_SUSPECT_BYTES = b"x" * (2 * _SHORTEST_SUSPECT - 1)


def may_hold_long_runs(utf8: bytes) -> bool:
    """False where no text in these bytes can have a run of marks that matters: the quick answer for Vietnamese.

    In JSON, ask also whether there is a `\\u`: an escape hides its character.
    """
    return not utf8.isascii() and _SUSPECT_BYTES in utf8.translate(_BYTE_KINDS)


def is_stream_safe(text: str) -> bool:
    """Whether no run of non-starters is longer than 30."""
    return stream_safe(text) is text


def stream_safe(text: str) -> str:
    """The text with U+034F in each run of more than 30 non-starters; the same object where there is none."""
    if text.isascii() or not may_hold_long_runs(text.encode("utf-8", "surrogatepass")):
        return text
    part = _part if any(double in text for double in _DOUBLES) or _is_beyond_bmp(text) else _part_singles
    pieces: list[str] = []
    done = 0
    for suspect in _SUSPECTS.finditer(text):
        first, last = suspect.span()
        room = MAX_NON_STARTERS - (_non_starters(text[first - 1])[1] if first else 0)
        parted = part(suspect[0], room)
        if parted is not None:
            pieces += (text[done:first], parted)
            done = last
    return "".join((*pieces, text[done:])) if done else text


def _is_beyond_bmp(text: str) -> bool:
    return len(text.encode("utf-16-le", "surrogatepass")) > 2 * len(text)


def _part_singles(run: str, room: int) -> str | None:
    """As `_part`, where each character is one non-starter: a text may be thousands of such runs."""
    if len(run) <= room:
        return None
    ends = range(room, len(run), MAX_NON_STARTERS)
    return JOINER.join([run[:room], *[run[end : end + MAX_NON_STARTERS] for end in ends]])


def _part(run: str, room: int) -> str | None:
    """The run in pieces of at most 30 non-starters, the first of at most `room`; None where it is one piece."""
    if _is_beyond_bmp(run):
        return _part_one_by_one(run, room)
    counted = run
    for double in _DOUBLES:
        counted = counted.replace(double, double + _FILLER)
    if len(counted) <= room:
        return None
    pieces: list[str] = []
    begin = 0
    end = room
    while end < len(counted):
        if counted[end] == _FILLER:
            end -= 1
        pieces.append(counted[begin:end])
        begin, end = end, end + MAX_NON_STARTERS
    pieces.append(counted[begin:])
    return JOINER.join(pieces).replace(_FILLER, "")


def _part_one_by_one(run: str, room: int) -> str | None:
    """The same for a run that may hold starters."""
    parts: list[str] = []
    count = MAX_NON_STARTERS - room
    for character in run:
        leading, trailing, whole = _non_starters(character)
        if count + leading > MAX_NON_STARTERS:
            parts.append(JOINER)
            count = 0
        count = count + leading if whole else trailing
        parts.append(character)
    return "".join(parts) if len(parts) > len(run) else None


def nfc(text: str) -> str:
    """NFC of the text made stream-safe: canonically equal texts of outside become equal."""
    return _normal("NFC", text)


def nfkc(text: str) -> str:
    """NFKC of the text made stream-safe: full-width digits, ligatures and the like become plain."""
    return _normal("NFKC", text)


def nfkd(text: str) -> str:
    """NFKD of the text made stream-safe: each letter apart from its marks."""
    return _normal("NFKD", text)


def unmarked(text: str) -> str:
    """Each letter without its marks, đ as d: as people type Vietnamese who have no keyboard for it."""
    return "".join(letter for letter in nfkd(text) if not unicodedata.combining(letter)).translate(_STROKED)


def _normal(form: Literal["NFC", "NFKC", "NFKD"], text: str) -> str:
    if text.isascii():
        return text
    text = stream_safe(text)
    return text if unicodedata.is_normalized(form, text) else unicodedata.normalize(form, text)


def header_safe(text: str) -> str:
    """`text`, fit for a header (HTTP or mail). Raises ValueError on CR, LF, NUL and other control characters."""
    for character in text:
        code = ord(character)
        if code < 32 or 127 <= code < 160 or character in "\u2028\u2029":
            raise ValueError(f"control character U+{code:04X} in what becomes a header")
    return text
