"""A short text that stands where a value should: it promises one, or is punctuation alone.

"Không có" is no placeholder: of a grade or a name it may be the answer; so may a sign be, such as "✓" or "+", and in
a column "như trên" repeats the row above. What a whole section may not say, narratives.py knows.
"""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache

from shared.contract.text import nfkd

NOT_LETTERS = re.compile(r"[\W_]+")


def bare(text: str) -> str:
    """Letters and digits alone, without case, marks or spaces: "Đ A N G  cập-nhật…" becomes "dangcapnhat"."""
    return NOT_LETTERS.sub("", nfkd(text).casefold()).replace("đ", "d")


_PHRASES = (
    "đang cập nhật",
    "đang cập nhật số liệu",
    "chưa cập nhật",
    "chưa có số liệu",
    "đang bổ sung",
    "đang tổng hợp",
    "đang rà soát",
    "sẽ cập nhật",
    "sẽ cập nhật sau",
    "sẽ bổ sung",
    "sẽ bổ sung sau",
    "cập nhật sau",
    "bổ sung sau",
    "báo cáo sau",
    "như kỳ trước",
    "như báo cáo trước",
)
#: compared with their marks: without them "Tô Đô", a name, is one of these
_FOREIGN_PHRASES = (
    "tba",
    "tbd",
    "todo",
    "updating",
    "to be updated",
    "xxx",
    "asdf",
    "qwerty",
    "lorem ipsum",
)
_BARE = frozenset(map(bare, _PHRASES))
_FOREIGN = frozenset(map(bare, _FOREIGN_PHRASES))
#: categories of signs that can be an answer, mathematical ones and pictures; of ASCII's, which fill a gap, "+" alone
_SIGNS = ("Sm", "So")
#: a longer text says something
_LONGEST = 40


def is_placeholder(text: str) -> bool:
    """Whether a text that is not blank says nothing, in whatever case, accents, spaces and punctuation."""
    return len(text) <= _LONGEST and _says_nothing(text)


@lru_cache(maxsize=4096)  # the same few words fill the columns of a table
def _says_nothing(text: str) -> bool:
    letters = bare(text)
    if not letters:
        return not any(map(_is_sign, text))
    return letters in _BARE or (letters in _FOREIGN and text.isascii())


def _is_sign(character: str) -> bool:
    return character == "+" or (not character.isascii() and unicodedata.category(character) in _SIGNS)
