"""Registry files are YAML, read strictly: an unknown or repeated field, a lossy number or a wrong type is an error.

Every error is collected with its file, line and place, so that one run tells all there is to correct.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from services.intake.registry.records import KINDS, Kind
from shared.events import RegistryEvent
from shared.validation import field_error, pointer_of

_SECTIONS: dict[str, Kind] = {"agencies": "agency", "officers": "officer", "regimes": "regime", "requests": "request"}


@dataclass(frozen=True, slots=True)
class FileError:
    """One thing wrong in one file. `line` counts from 1; `place` is a JSON Pointer (RFC 6901) into the file."""

    file: str
    line: int
    place: str
    message: str
    message_en: str
    fix: str
    fix_en: str

    def __str__(self) -> str:
        return (
            f"{self.file}:{self.line} {self.place or '/'}\n"
            f"  {self.message} → {self.fix}\n"
            f"  {self.message_en} → {self.fix_en}"
        )


@dataclass(frozen=True, slots=True)
class Located:
    """A record (version 0: not yet given) and where it was written."""

    record: RegistryEvent
    file: str
    line: int
    place: str

    def error(self, field: str, message: str, message_en: str, fix: str, fix_en: str) -> FileError:
        place = f"{self.place}/{field}" if field else self.place
        return FileError(self.file, self.line, place, message, message_en, fix, fix_en)


class _Loader(yaml.SafeLoader):
    """YAML without surprises: `0.50` keeps its digits, a key given twice is an error, `no` is a word."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[str] = set()
        for name, _ in node.value:
            if name.value in seen:
                raise yaml.MarkedYAMLError(problem=f"{name.value!r} is given twice", problem_mark=name.start_mark)
            seen.add(name.value)
        return super().construct_mapping(node, deep)


def _as_written(loader: yaml.SafeLoader, node: yaml.ScalarNode) -> str:
    return str(loader.construct_scalar(node))


_Loader.add_constructor("tag:yaml.org,2002:float", _as_written)
_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag != "tag:yaml.org,2002:bool" or first in "tTfF"]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


def read_folder(folder: Path) -> tuple[list[Located], list[FileError]]:
    """Every record of `agencies*.yaml`, `officers*.yaml`, `requests*.yaml`, `regimes*.yaml` and `regimes/*.yaml`."""
    records: list[Located] = []
    errors: list[FileError] = []
    files = [
        *sorted(folder.glob("agencies*.yaml")),
        *sorted(folder.glob("officers*.yaml")),
        *sorted(folder.glob("regimes*.yaml")),
        *sorted(folder.glob("regimes/*.yaml")),
        *sorted(folder.glob("requests*.yaml")),
    ]
    if not files:
        errors.append(
            FileError(
                str(folder),
                0,
                "",
                "Không có tệp danh mục nào.",
                "There is no registry file.",
                "Đặt agencies.yaml, officers.yaml, regimes/*.yaml, requests.yaml vào thư mục này.",
                "Put agencies.yaml, officers.yaml, regimes/*.yaml, requests.yaml into this folder.",
            )
        )
    for file in files:
        _read_file(file, str(file.relative_to(folder)), records, errors)
    return records, errors


def _read_file(file: Path, name: str, records: list[Located], errors: list[FileError]) -> None:
    try:
        # _Loader is a SafeLoader
        loader = _Loader(file.read_text(encoding="utf-8"))
        root = loader.get_single_node()
        document = loader.construct_document(root) if root is not None else {}
    except UnicodeDecodeError as error:
        errors.append(
            FileError(
                name,
                1,
                "",
                "Tệp không phải UTF-8.",
                f"The file is not UTF-8 (byte {error.start}).",
                "Lưu lại bằng UTF-8.",
                "Save it as UTF-8.",
            )
        )
        return
    except (yaml.YAMLError, ValueError) as error:
        mark = getattr(error, "problem_mark", None)
        what = getattr(error, "problem", None) or str(error)
        errors.append(
            FileError(
                name,
                mark.line + 1 if mark else 1,
                "",
                f"YAML sai cú pháp: {what}.",
                f"The YAML is malformed: {what}.",
                "Sửa cú pháp tại dòng này.",
                "Correct the syntax at this line.",
            )
        )
        return
    if not isinstance(document, dict) or root is None:
        errors.append(_shape(name))
        return
    if "code" in document and name.startswith("regimes"):
        _read_record("regime", document, root, (), name, records, errors)
        return
    for section, items in document.items():
        kind = _SECTIONS.get(section)
        if kind is None or not isinstance(items, list):
            errors.append(_shape(name, _line(root, (section,)), pointer_of((section,))))
            continue
        for place, item in enumerate(items):
            _read_record(kind, item, root, (section, place), name, records, errors)


def _read_record(
    kind: Kind,
    item: Any,
    root: yaml.Node,
    place: Sequence[str | int],
    name: str,
    records: list[Located],
    errors: list[FileError],
) -> None:
    if isinstance(item, dict) and "version" in item:
        errors.append(
            FileError(
                name,
                _line(root, (*place, "version")),
                pointer_of((*place, "version")),
                "`version` do hệ thống cấp.",
                "`version` is given by the system.",
                "Bỏ trường này (chế độ báo cáo dùng `regime_version`).",
                "Leave it out (a regime has `regime_version`).",
            )
        )
        return
    try:
        record = KINDS[kind].model_validate({**item, "version": 0} if isinstance(item, dict) else item, extra="forbid")
    except ValidationError as error:
        for fault in error.errors():
            told = field_error({**fault, "loc": ("body", *place, *fault["loc"])})
            line = _line(root, (*place, *fault["loc"]))
            errors.append(FileError(name, line, told.pointer, told.message, told.message_en, told.fix, told.fix_en))
        return
    records.append(Located(record, name, _line(root, place), pointer_of(place)))


def _shape(name: str, line: int = 1, place: str = "") -> FileError:
    sections = ", ".join(f"{section}: […]" for section in _SECTIONS)
    return FileError(
        name,
        line,
        place,
        "Tệp không đúng dạng.",
        "The file does not have the expected form.",
        f"Dùng một trong các mục: {sections}; mỗi tệp trong regimes/ cũng có thể là một chế độ báo cáo.",
        f"Use the sections {sections}; a file in regimes/ may also be one regime.",
    )


def _line(root: yaml.Node, path: Sequence[str | int]) -> int:
    """The line of the node at `path`, or of its nearest ancestor that exists."""
    node = root
    line = root.start_mark.line + 1
    for step in path:
        found = next(_children(node, step), None)
        if found is None:
            break
        line, node = found
    return line


def _children(node: yaml.Node, step: str | int) -> Iterator[tuple[int, yaml.Node]]:
    if isinstance(node, yaml.MappingNode):
        for name, value in node.value:
            if name.value == str(step):
                yield name.start_mark.line + 1, value
    elif isinstance(node, yaml.SequenceNode) and isinstance(step, int) and step < len(node.value):
        yield node.value[step].start_mark.line + 1, node.value[step]
