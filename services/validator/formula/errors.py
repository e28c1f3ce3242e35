"""What is wrong with a formula, and where; in Vietnamese and English."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches

from shared.contract.text import nfc

#: of a name that is looked for among the known ones: no code is longer
MAX_COMPARED_CHARACTERS = 100


class FormulaError(ValueError):
    """The formula is wrong from character `start` up to `end` of its NFC text. Correct it there."""

    def __init__(self, message_vi: str, message_en: str, start: int, end: int) -> None:
        super().__init__(f"{message_vi} / {message_en}")
        self.message_vi = message_vi
        self.message_en = message_en
        self.start = start
        self.end = max(end, start + 1)


def caret(text: str, error: FormulaError) -> str:
    """The line of the formula that is wrong and, beneath it, marks under the wrong characters."""
    text = nfc(text)
    start = min(error.start, len(text))
    before = text.rfind("\n", 0, start) + 1
    after = text.find("\n", start)
    line = text[before : len(text) if after < 0 else after]
    column = start - before
    width = max(1, min(error.end - start, len(line) - column))
    return f"{line.replace(chr(9), ' ')}\n{' ' * column}{'^' * width}"


def near_miss(name: str, known: Iterable[str]) -> str | None:
    """The known name that was probably meant."""
    folded = {candidate.casefold(): candidate for candidate in known}
    wanted = name.strip().casefold()[:MAX_COMPARED_CHARACTERS]
    if wanted in folded:
        return folded[wanted]
    close = get_close_matches(wanted, folded, n=1, cutoff=0.6)
    return folded[close[0]] if close else None


def suggestion(name: str, known: Iterable[str]) -> tuple[str, str]:
    """Words to put behind “there is no such name”, Vietnamese and English."""
    meant = near_miss(name, known)
    return (f" Có phải là “{meant}”?", f" Did you mean “{meant}”?") if meant else ("", "")
