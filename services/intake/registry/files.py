"""Reads a folder of registry files into proposals and reports every file that is none.

It collects all errors with file, line and place, so that one run shows everything to correct.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from services.intake.registry.gate import Proposal
from services.intake.registry.records import Kind
from services.intake.registry.source import Source
from shared.runtime.file_errors import FileError
from shared.runtime.hidden_characters import shown
from shared.runtime.strict_yaml import MAX_FILE_BYTES, Document, read
from shared.web.validation import pointer_of

_SECTIONS: dict[str, Kind] = {
    "agencies": "agency",
    "officers": "officer",
    "people": "person",
    "regimes": "regime",
    "requests": "request",
    "sharings": "sharing",
    "references": "reference",
    "waivers": "waiver",
}
_SUFFIXES = frozenset({".yaml", ".yml"})
#: limit on files and folders; a nation's registry has fewer
MAX_ENTRIES = 10_000


@dataclass(slots=True)
class Folder:
    """The contents of a folder. `ignored`: files that are not YAML, reported without being errors.

    `unread`: kinds with records that could not be read; a reference to such a kind may be right.
    """

    proposals: list[Proposal] = field(default_factory=list)
    errors: list[FileError] = field(default_factory=list)
    ignored: list[str] = field(default_factory=list)
    unread: set[Kind] = field(default_factory=set)


def read_folder(folder: Path) -> Folder:
    """Every record of the YAML files `agencies*`, `officers*`, … (`_SECTIONS`), and of `regimes/*`."""
    found = Folder()
    files: list[tuple[int, str, Path]] = []
    for path in _entries(folder, found):
        name = path.relative_to(folder).as_posix()
        if path.suffix.lower() not in _SUFFIXES:
            found.ignored.append(shown(name))
        elif (order := _order(name)) is None:
            found.errors.append(_unknown_file(shown(name)))
        else:
            files.append((order, name, path))
    if not files and not found.errors:
        found.errors.append(
            FileError(
                shown(str(folder)),
                0,
                "",
                "Không có tệp danh mục nào.",
                "There is no registry file.",
                "Đặt agencies.yaml, officers.yaml, people.yaml, regimes/*.yaml, requests.yaml vào thư mục này.",
                "Put agencies.yaml, officers.yaml, people.yaml, regimes/*.yaml, requests.yaml into this folder.",
            )
        )
    for _, name, path in sorted(files):
        _read_file(path, name, found)
    return found


def _entries(folder: Path, found: Folder) -> list[Path]:
    """All files below, without hidden ones and Python's caches; refuses links to folders, which may form a circle."""
    entries: list[Path] = []

    def unreadable(error: OSError) -> None:
        found.errors.append(_unreadable(shown(str(error.filename or folder)), error))

    for top, folders, names in os.walk(folder, onerror=unreadable):
        folders[:] = sorted(name for name in folders if not name.startswith((".", "__pycache__")))
        for name in folders:
            path = Path(top, name)
            if path.is_symlink() or path.suffix.lower() in _SUFFIXES:
                found.errors.append(_no_file(shown(path.relative_to(folder).as_posix())))
                found.unread.update(_SECTIONS.values())
        entries.extend(Path(top, name) for name in sorted(names) if not name.startswith("."))
        if len(entries) > MAX_ENTRIES:
            found.errors.append(
                FileError(
                    shown(str(folder)),
                    0,
                    "",
                    f"Thư mục có hơn {MAX_ENTRIES} tệp.",
                    f"The folder holds more than {MAX_ENTRIES} files.",
                    "Chỉ đúng thư mục danh mục.",
                    "Name the registry's own folder.",
                )
            )
            return []
    return entries


def _kind(name: str) -> Kind:
    """The kind of record that a registry file of this name mainly holds."""
    return list(_SECTIONS.values())[_order(name) or 0]


def _order(name: str) -> int | None:
    """The position of a file of this name in the order of loading; None for an unknown name."""
    parent, _, last = name.rpartition("/")
    if parent == "regimes":
        return list(_SECTIONS).index("regimes")
    if not parent:
        for place, section in enumerate(_SECTIONS):
            if last.startswith(section):
                return place
    return None


def _read_file(path: Path, name: str, found: Folder) -> None:
    file_name = shown(name)
    try:
        if not path.is_file():
            raise OSError("it is no ordinary file")
        with path.open("rb") as file:
            content = file.read(MAX_FILE_BYTES + 1)
    except OSError as error:
        found.errors.append(_unreadable(file_name, error))
        found.unread.add(_kind(name))
        return
    document = read(content, file_name)
    found.errors.extend(document.errors)
    if not document.whole or not isinstance(document.value, dict):
        found.unread.add(_kind(name))
    if document.value is None:
        if not document.errors:
            found.errors.append(_shape(file_name, (1, 1), ""))
        return
    value = document.value
    if not isinstance(value, dict):
        found.errors.append(_shape(file_name, document.marks.get("", (1, 1)), ""))
    elif name.startswith("regimes") and "code" in value:
        _propose("regime", value, (), file_name, document, found)
    else:
        for section, items in value.items():
            kind = _SECTIONS.get(section)
            if kind is None or not isinstance(items, list):
                found.errors.append(_shape(file_name, document.marks[pointer_of((section,))], pointer_of((section,))))
                found.unread.add(kind or _kind(name))
                continue
            for place, item in enumerate(items):
                _propose(kind, item, (section, place), file_name, document, found)


def _propose(kind: Kind, item: Any, place: tuple[str | int, ...], name: str, document: Document, found: Folder) -> None:
    """Report only the YAML errors of a record that has some: its other errors would be guesses."""
    pointer = pointer_of(place)
    source = Source(name, pointer, document.marks)
    found.proposals.append(Proposal(kind, item, source, broken=document.broken(pointer)))


def _shape(name: str, mark: tuple[int, int], place: str) -> FileError:
    sections = ", ".join(f"{section}: […]" for section in _SECTIONS)
    return FileError(
        name,
        mark[0],
        place,
        "Tệp không đúng dạng.",
        "The file does not have the expected form.",
        f"Dùng một trong các mục: {sections}; mỗi tệp trong regimes/ cũng có thể là một chế độ báo cáo.",
        f"Use the sections {sections}; a file in regimes/ may also be one regime.",
        mark[1],
    )


def _unknown_file(name: str) -> FileError:
    return FileError(
        name,
        0,
        "",
        "Tên tệp không thuộc danh mục, nên không rõ tệp này nói gì.",
        "The file's name is not one of the registry's, so its content is unknown.",
        "Đổi tên thành agencies*, officers*, people*, regimes*, requests*.yaml hoặc regimes/*.yaml, hoặc chuyển đi.",
        "Rename it to agencies*, officers*, people*, regimes*, requests*.yaml or regimes/*.yaml, or move it away.",
    )


def _no_file(name: str) -> FileError:
    return FileError(
        name,
        0,
        "",
        "Đây là liên kết tới thư mục, hoặc thư mục mang tên tệp; không đọc những gì ở trong như được đặt tên.",
        "This is a link to a folder, or a folder named like a file: its content is not read under this name.",
        "Đặt chính các tệp vào thư mục danh mục.",
        "Put the files themselves into the registry's folder.",
    )


def _unreadable(name: str, error: OSError) -> FileError:
    why = error.strerror or str(error)
    return FileError(
        name,
        0,
        "",
        f"Không đọc được tệp: {why}.",
        f"The file cannot be read: {why}.",
        "Kiểm tra đường dẫn và quyền đọc.",
        "Check the path and the right to read it.",
    )
