"""A short text that stands where a value should: it promises one, or is punctuation alone.

"Không có" is no placeholder: of a grade or a name it may be the answer. What a whole section may not say, narratives.py
knows.
"""

from __future__ import annotations

import re
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
    "như trên",
    "như kỳ trước",
    "như báo cáo trước",
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
#: a longer text says something
_LONGEST = 40


def is_placeholder(text: str) -> bool:
    """Whether a text that is not blank says nothing, in whatever case, accents, spaces and punctuation."""
    return len(text) <= _LONGEST and _says_nothing(text)


@lru_cache(maxsize=4096)  # the same few words fill the columns of a table
def _says_nothing(text: str) -> bool:
    letters = bare(text)
    return not letters or letters in _BARE
