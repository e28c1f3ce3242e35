"""An error in a file that a person wrote: where it is, what is wrong and how to mend it, in both languages; pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from shared.runtime.hidden_characters import shown

#: limit on the characters of a place in a message: a field's name may be as long as its file
MAX_PLACE_CHARACTERS = 200

#: (line, column), both from 1
Mark = tuple[int, int]


@dataclass(frozen=True, slots=True)
class FileError:
    """One error. `line` and `column` count from 1 (0: unknown); `place` is a JSON Pointer (RFC 6901)."""

    file: str
    line: int
    place: str
    message: str
    message_en: str
    fix: str
    fix_en: str
    column: int = 0
    missing: str = ""  # the kind of the record that does not exist
    remark: bool = False  # something to look at, for which nothing is refused

    def __str__(self) -> str:
        where = ":".join(str(part) for part in (self.file, self.line, self.column) if part)
        place = shown(self.place, MAX_PLACE_CHARACTERS) or "/"
        return f"{where} {place}\n  {self.message} → {self.fix}\n  {self.message_en} → {self.fix_en}".lstrip()


def nearest_mark(marks: Mapping[str, Mark], pointer: str) -> Mark:
    """The mark of the value at this JSON Pointer, or of the nearest one around it that has a mark; (0, 0): of none."""
    while pointer and pointer not in marks:
        pointer = pointer.rpartition("/")[0]
    return marks.get(pointer, (0, 0))


def encloses(outer: str, inner: str) -> bool:
    """Whether the place `inner` is the place `outer` or lies within it; both are JSON Pointers."""
    return inner == outer or inner.startswith(f"{outer}/")
