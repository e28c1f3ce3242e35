"""A fingerprint of a section says how much of two texts is the same, and nothing of what they say.

Shingles of five syllables, one-permutation MinHash: each shingle falls into one of 64 buckets, which keeps the least of
them (Li, Owen, Zhang 2012). The share of buckets that agree estimates the share of shingles that two texts have in
common (Jaccard). Texts whose buckets agree in one of 16 bands are candidates of each other.
"""

from __future__ import annotations

import re
import struct
from functools import lru_cache
from hashlib import blake2b
from zlib import crc32

_SHINGLE = 5  # syllables
BUCKETS, _BANDS = 64, 16
_ROWS = BUCKETS // _BANDS
#: a section with fewer own syllables may well be the same in two honest reports
FEWEST_SYLLABLES = 40
#: a longer text is compared by its beginning
_MOST_SYLLABLES = 4_000
#: buckets that agree, of those that are not empty in both
NEAR = 0.8
_FEWEST_BUCKETS = 16

_EMPTY = 0xFFFFFFFF
_PACKED = struct.Struct(f">{BUCKETS}I")
#: what is quoted, such as the title of a decree, is no wording of the agency's own; from its last opening mark, so that
#: a text of opening marks alone is read once
_QUOTED = re.compile(r"[“\"«][^“«”\"»]{1,600}[”\"»]")
_WORD = re.compile(r"[^\W_]+")
#: a line of so few syllables, or without a small letter, is a heading
_HEADING_SYLLABLES = 12


def own_words(text: str) -> list[str]:
    """The syllables that are the agency's own: without quotations and headings. Linear in the text."""
    if "“" in text or '"' in text or "«" in text:
        text = _QUOTED.sub(" . ", text)
    if "\n" in text:
        text = "\n".join(line for line in text.split("\n") if not _is_heading(line))
    return _WORD.findall(text.lower(), 0, 12 * _MOST_SYLLABLES)[:_MOST_SYLLABLES]


def _is_heading(line: str) -> bool:
    bare = line.strip()
    return not bare or bare.isupper() or (bare[-1] not in ".;!?…" and bare.count(" ") < _HEADING_SYLLABLES)


def fingerprint(text: str) -> bytes | None:
    """The 64 buckets (256 bytes) of a section's text (NFC); None where it is too short to be compared."""
    if text.count(" ") < FEWEST_SYLLABLES - 1:
        return None
    words = own_words(text)
    if len(words) < FEWEST_SYLLABLES:
        return None
    joined = " ".join(words).encode()
    ends = [-1]
    place = -1
    for word in words:
        place += len(word.encode()) + 1
        ends.append(place)
    least = [_EMPTY] * BUCKETS
    for begin, end in zip(ends, ends[_SHINGLE:], strict=False):
        mixed = crc32(joined[begin + 1 : end]) * 0x9E3779B1 & 0xFFFFFFFF
        bucket, value = mixed >> 26, mixed & 0x3FFFFFF
        if value < least[bucket]:
            least[bucket] = value
    return _PACKED.pack(*least)


@lru_cache(maxsize=2_048)  # a batch asks by them, and keeps them
def bands(buckets: bytes, scope: str) -> tuple[int, ...]:
    """One signed 64-bit number for each band, of this scope alone; of a band of empty buckets none."""
    size = 4 * _ROWS
    empty = b"\xff" * size
    found = []
    for place in range(0, len(buckets), size):
        band = buckets[place : place + size]
        if band != empty:
            digest = blake2b(band + bytes((place // size,)) + scope.encode(), digest_size=8).digest()
            found.append(int.from_bytes(digest, signed=True))
    return tuple(found)


def likeness(one: bytes, other: bytes) -> float:
    """The share of what two texts have in common, 0 to 1, as far as their fingerprints tell."""
    if one == other:
        return 1.0
    agreeing = known = 0
    for mine, theirs in zip(_PACKED.unpack(one), _PACKED.unpack(other), strict=True):
        if mine != _EMPTY or theirs != _EMPTY:
            known += 1
            agreeing += mine == theirs
    return agreeing / known if known >= _FEWEST_BUCKETS else 0.0


def is_near(one: bytes, other: bytes) -> bool:
    """Whether two texts are near-copies of each other."""
    return likeness(one, other) >= NEAR
