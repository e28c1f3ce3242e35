"""The place of a record in its file, so that errors name the line; pure.

A record that does not come from a file has no file name and line 0; its errors still have a JSON Pointer.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from shared.contract.events import RegistryEvent
from shared.runtime.file_errors import FileError, Mark, nearest_mark
from shared.runtime.hidden_characters import shown


@dataclass(frozen=True, slots=True)
class Source:
    """A record's file, its place in it, and the marks of the whole file by JSON Pointer."""

    file: str = ""
    place: str = ""
    marks: Mapping[str, Mark] = field(default_factory=dict, repr=False)

    def pointer(self, within: str) -> str:
        """The JSON Pointer into the file for one into the record."""
        return f"{self.place}{within}"

    def mark(self, within: str = "") -> Mark:
        """The mark of that place, or of the nearest one around it that the file contains."""
        return nearest_mark(self.marks, self.pointer(within))

    def error(self, within: str, message: str, message_en: str, fix: str, fix_en: str) -> FileError:
        """An error at a JSON Pointer into the record."""
        line, column = self.mark(within)
        return FileError(self.file, line, self.pointer(within), message, message_en, fix, fix_en, column)


@dataclass(frozen=True, slots=True)
class Located:
    """A record (version 0: not yet assigned) and its source."""

    record: RegistryEvent
    source: Source

    def error(self, field: str, message: str, message_en: str, fix: str, fix_en: str) -> FileError:
        """An error in the field at this path (`form/sums/0`; empty: the whole record)."""
        return self.source.error(f"/{field}" if field else "", message, message_en, fix, fix_en)

    def unknown(self, field: str, what: str, what_en: str, name: str, kind: str = "") -> FileError:
        """An error for a field that names something unknown; `kind`: the kind of record, if it would be one."""
        error = self.error(
            field,
            f"Không có {what} “{shown(name)}”.",
            f"There is no {what_en} “{shown(name)}”.",
            "Sửa mã, hoặc thêm vào danh mục.",
            "Correct the code, or add it to the registry.",
        )
        return replace(error, missing=kind)
