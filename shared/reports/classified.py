"""Finds words of classification (độ mật) at the head of a text: MẬT, TỐI MẬT, TUYỆT MẬT, in any case or diacritics.

A state secret does not belong here (NĐ 09/2019/NĐ-CP), so a text that declares itself one is refused before anything of
it is kept. A heading stands alone, before a mark or a line's end; “mật độ” and “mặt bằng” are no headings. Pure.
"""

from __future__ import annotations

import re

from shared.contract.text import nfkc

#: what somebody is told whose text is headed so: message, message_en, fix, fix_en
CLASSIFIED = (
    "Hệ thống không nhận nội dung mang độ mật.",
    "Classified content is not taken here.",
    "Gửi qua kênh mà luật về bảo vệ bí mật nhà nước quy định.",
    "Send it by the channel the law on state secrets names.",
)
#: a heading lies within so many characters, decoration included
HEAD_CHARACTERS = 64
_FIRST = "toi|tối|tôi|tuyet|tuyêt|tuyệt"
_LAST = "mat|mât|mật"
_HEADING = re.compile(
    rf"[^\w]*(?:(?:độ|do)\s+(?:{_LAST})\s*[:\-–—]\s*[^\w]*)?"
    rf"(?P<words>(?:(?P<first>{_FIRST})\s+)?(?:{_LAST}))(?P<rest>[^\w].*)?",
    re.IGNORECASE | re.DOTALL,
)
#: the cheap look that nearly every text ends with: its first letter is none of a heading's
_MAY_BE = re.compile(r"[^\w]*[mtdđｍｔｄ]", re.IGNORECASE)
_NEXT_WORD = re.compile(r"[^\S\n]+(\w+)")


def is_classified(text: str) -> bool:
    """Whether the text is headed by a word of classification, or is nothing else."""
    if _MAY_BE.match(text) is None:
        return False
    found = _HEADING.fullmatch(nfkc(text[:HEAD_CHARACTERS]))
    if found is None:
        return False
    following = _NEXT_WORD.match(found["rest"] or "")
    if following is None:
        return True  # it stands alone, or before a mark
    words, word = found["words"], following[1]
    # words follow on the same line: a heading is set apart by its capitals, or can mean nothing else
    if words.isupper():
        return not (word.isupper() and len(word) > 1)
    return found["first"] is not None and "ậ" in words.lower()
