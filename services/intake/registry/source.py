"""Where a record was written, so that its errors can be reported at its line; pure.

A record that came by another way than a file has no file and line 0: its errors have their JSON Pointers.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from shared.contract.events import RegistryEvent
from shared.contract.events.fields import shown

#: of a place that is written out; a field's name may be as long as its file
MAX_PLACE_CHARACTERS = 200


@dataclass(frozen=True, slots=True)
class FileError:
    """One thing wrong. `line` and `column` count from 1 (0: not known); `place` is a JSON Pointer (RFC 6901)."""

    file: str
    line: int
    place: str
    message: str
    message_en: str
    fix: str
    fix_en: str
    column: int = 0
    missing: str = ""  # the kind of record of which it misses one

    def __str__(self) -> str:
        where = ":".join(str(part) for part in (self.file, self.line, self.column) if part)
        place = shown(self.place, MAX_PLACE_CHARACTERS) or "/"
        return f"{where} {place}\n  {self.message} → {self.fix}\n  {self.message_en} → {self.fix_en}".lstrip()


#: (line, column), both from 1
Mark = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Source:
    """A record's file, its place in it, and the marks of every place of the file, by JSON Pointer."""

    file: str = ""
    place: str = ""
    marks: Mapping[str, Mark] = field(default_factory=dict, repr=False)

    def pointer(self, within: str) -> str:
        """The place in the file of a JSON Pointer into the record."""
        return f"{self.place}{within}"

    def mark(self, within: str = "") -> Mark:
        """Where that place begins, or its nearest surroundings that are written."""
        pointer = self.pointer(within)
        while pointer and pointer not in self.marks:
            pointer = pointer.rpartition("/")[0]
        return self.marks.get(pointer, (0, 0))

    def error(self, within: str, message: str, message_en: str, fix: str, fix_en: str) -> FileError:
        """Something wrong at a JSON Pointer into the record."""
        line, column = self.mark(within)
        return FileError(self.file, line, self.pointer(within), message, message_en, fix, fix_en, column)


@dataclass(frozen=True, slots=True)
class Located:
    """A record (version 0: not yet given) and where it was written."""

    record: RegistryEvent
    source: Source

    def error(self, field: str, message: str, message_en: str, fix: str, fix_en: str) -> FileError:
        """Something wrong with the field at this path (`form/sums/0`; empty: the record)."""
        return self.source.error(f"/{field}" if field else "", message, message_en, fix, fix_en)

    def unknown(self, field: str, what: str, what_en: str, name: str, kind: str = "") -> FileError:
        """The field names something that is not there; `kind`: of the registry's records, where it would be one."""
        error = self.error(
            field,
            f"Không có {what} “{shown(name)}”.",
            f"There is no {what_en} “{shown(name)}”.",
            "Sửa mã, hoặc thêm vào danh mục.",
            "Correct the code, or add it to the registry.",
        )
        return replace(error, missing=kind)
