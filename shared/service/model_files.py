"""Reads a YAML file that an operator wrote into its model, or says every fault with line, place and cure.

A fault is one line, `file:line: field: what to mend`, Vietnamese first. What the model says of a place that YAML
already objects to would be a guess and is left out.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import date
from typing import Annotated, Any, TypeVar

from pydantic import BaseModel, BeforeValidator, ValidationError
from pydantic_core import ErrorDetails

from shared.contract.events.fields import BROKEN
from shared.runtime.file_errors import MAX_PLACE_CHARACTERS, FileError, encloses
from shared.runtime.hidden_characters import shown
from shared.runtime.strict_yaml import MAX_DEPTH, MAX_ERRORS, MAX_FILE_BYTES, Document, Scalars, read
from shared.web.validation import field_error, pointer_of

FileModel = TypeVar("FileModel", bound=BaseModel)
_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
#: limit on the characters of what is said of one fault
MAX_SAID_CHARACTERS = 1_000
_CURES = {
    "missing": "thiếu, hãy thêm / is missing, add it",
    "extra_forbidden": "không có mục này, hãy bỏ / there is no such field, drop it",
}


def _day(value: object) -> object:
    if isinstance(value, date):
        return value
    try:
        if _DAY.fullmatch(str(value)):
            return date.fromisoformat(str(value))
    except ValueError:
        pass
    raise ValueError("không phải ngày, ghi như 2026-03-31 / no day, write like 2026-03-31")


#: a day of a file, written as ISO 8601
FileDay = Annotated[date, BeforeValidator(_day)]


def read_model(
    content: bytes,
    name: str,
    model: type[FileModel],
    *,
    scalars: Scalars = "values",
    max_bytes: int = MAX_FILE_BYTES,
    max_depth: int = MAX_DEPTH,
) -> tuple[FileModel | None, list[str]]:
    """The file's content as the model; or None and its faults, the first hundred."""
    document = read(content, name, scalars=scalars, max_bytes=max_bytes, max_depth=max_depth)
    faults = [_line(error) for error in document.errors]
    if document.whole:  # else what is missing may stand where nothing was read
        try:
            found = model.model_validate(_fields(document.value))
        except ValidationError as error:
            for fault in _own(error.errors()):
                pointer = pointer_of(fault["loc"])
                if not _spoiled(document, pointer):
                    place = _dotted(pointer) or "tệp / the file"
                    faults.append(f"{name}:{document.line(pointer)}: {place}: {sentence_of(fault)}")
        except ValueError as error:  # no fields at all
            faults.append(f"{name}:1: {error}")
        else:
            if not faults:
                return found, []
    if len(faults) > MAX_ERRORS:
        more = len(faults) - MAX_ERRORS
        faults[MAX_ERRORS:] = [f"… và {more} lỗi nữa / and {more} more errors"]
    return None, faults


def sentence_of(fault: Mapping[str, Any]) -> str:
    """What pydantic found at a place of a file, with its cure, in both languages on one line."""
    if fault["type"] == "value_error":  # raised by our own validators, in both languages
        return shown(str(fault["ctx"]["error"]), MAX_SAID_CHARACTERS)
    if fault["type"] == BROKEN:
        words = fault["ctx"]
        return f"{words['message']} {words['fix']} / {words['message_en']} {words['fix_en']}"
    told = field_error({**fault, "loc": ()})
    words = _CURES.get(fault["type"]) or f"{told.message} {told.fix} / {told.message_en} {told.fix_en}"
    return shown(words, MAX_SAID_CHARACTERS)


def _fields(value: object) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise ValueError("tệp phải gồm các mục dạng “tên: giá trị” / the file must hold fields like “name: value”")
    return value


def _own(faults: Sequence[ErrorDetails]) -> list[ErrorDetails]:
    """Without lists that are called too short because an item of theirs is wrong."""
    places = [fault["loc"] for fault in faults]
    return [
        fault for fault in faults
        if fault["type"] != "too_short" or not any(
            place[: len(fault["loc"])] == fault["loc"] and len(place) > len(fault["loc"]) for place in places
        )
    ]  # fmt: skip


def _spoiled(document: Document, pointer: str) -> bool:
    around = [error.place for error in document.errors if error.place]
    return document.broken(pointer) or any(encloses(place, pointer) for place in around)


def _line(error: FileError) -> str:
    place = f"{_dotted(error.place)}: " if error.place else ""
    return f"{error.file}:{error.line}: {place}{error.message} {error.fix} / {error.message_en} {error.fix_en}"


def _dotted(pointer: str) -> str:
    path = pointer[1:].replace("/", ".").replace("~1", "/").replace("~0", "~")
    return shown(path, MAX_PLACE_CHARACTERS)
