"""JSON for the slow parser: one level at a time, so that a body costs no more than what its problems report.

msgspec walks over a value in C without making anything of it (0.5 ms for 256 KiB); a level's members are taken one by
one, with those given twice, and the walk ends at its limit. A number keeps its text.
"""

from __future__ import annotations

import re
from functools import cache
from typing import TypeVar

import msgspec

from shared.reports.body_errors import Errors

#: half of a surrogate pair, which msgspec does not read and nobody can store
_HALF_PAIR = re.compile(
    rb"(?<!\\)\\u(?:[dD][89abAB][0-9a-fA-F]{2}(?!\\u[dD][c-fC-F])|(?<!\\u[dD][89abAB][0-9a-fA-F]{2}\\u)[dD][c-fC-F]"
    rb"[0-9a-fA-F]{2})"
)
_NUL = rb"\\u0000"
#: so many are replaced by NUL, to be reported with their places; with more the body is not read
_MAX_HALF_PAIRS = 1_000

_BYTE_OF_ERROR = re.compile(r"^JSON is malformed: (.*) \(byte (\d+)\)$")
_text = msgspec.json.Decoder(str)

T = TypeVar("T")


class _Key(str):
    """A member's name; its own type, so that each comes by the hook, the second of two equal ones too."""

    __slots__ = ()


class _Enough(Exception):
    """The walk has met as many members as it may."""


class Level:
    """The members of one JSON object: raw values by name (the last of equal names), and the names given twice.

    `complete` is False where there are more than `limit` members: then `values` is empty, and `names` are the first.
    Raises msgspec.DecodeError where a name cannot be read.
    """

    __slots__ = ("complete", "names", "repeated", "values")

    def __init__(self, raw: msgspec.Raw | bytes, limit: int) -> None:
        self.names: dict[str, None] = {}
        self.repeated: dict[str, None] = {}
        self.values: dict[str, msgspec.Raw] = {}
        met = 0

        def hook(_: type, name: str) -> _Key:
            nonlocal met
            met += 1
            if met > limit:
                raise _Enough
            if name not in self.names:
                self.names[name] = None
            else:
                self.repeated[name] = None
            return _Key(name)

        try:
            read = msgspec.json.decode(raw, type=dict[_Key, msgspec.Raw], dec_hook=hook)
            self.values = {str(name): value for name, value in read.items()}
            self.complete = True
        except _Enough:
            self.complete = False


def whole(body: bytes, decoder: msgspec.json.Decoder[T], errors: Errors) -> tuple[T, bytes] | None:
    """What the decoder makes of the body, and the body with NUL in place of half pairs.

    None: the body is no JSON, and the errors say why.

    The type's members should be `msgspec.Raw`: then the body is walked over and nothing is made of it.
    """
    try:
        body.decode("utf-8")
    except UnicodeDecodeError as error:
        errors.not_json(f"byte {error.start}", "không phải UTF-8", "not UTF-8")
        return None
    try:
        try:
            return decoder.decode(body), body
        except msgspec.ValidationError:
            raise
        except msgspec.DecodeError:
            if b"\\u" not in body:
                raise
            mended = _HALF_PAIR.sub(_NUL, body, count=_MAX_HALF_PAIRS)
            return decoder.decode(mended), mended
    except msgspec.ValidationError:
        errors.no_object()
    except msgspec.DecodeError as error:
        found = _BYTE_OF_ERROR.match(str(error))
        if found:
            place = int(found[2])
            line = body.count(b"\n", 0, place) + 1
            column = place - (body.rfind(b"\n", 0, place) + 1) + 1
            errors.not_json(f"dòng/line {line}, cột/column {column}", "sai cú pháp", found[1])
        else:
            errors.not_json("", "bị cắt ngang hoặc có ký tự không lưu được", "cut off, or half of a surrogate pair")
    except RecursionError:
        errors.not_json("", "lồng quá sâu", "nested too deeply")
    return None


def level_of(raw: msgspec.Raw | bytes, pointer: str, limit: int, errors: Errors) -> Level | None:
    """The members of an object; those given twice are reported."""
    try:
        level = Level(raw, limit)
    except msgspec.DecodeError:
        errors.unreadable_name(pointer)
        return None
    for name in level.repeated:
        errors.duplicate(pointer, name)
    return level


def members_of(raw: msgspec.Raw, pointer: str, limit: int, example: str, errors: Errors) -> dict[str, msgspec.Raw]:
    """The members of an object; none where the value is no object, or there are more than may be."""
    if not is_object(raw):
        name = pointer.rpartition("/")[2]
        errors.add(
            pointer,
            f"`{name}` phải là một đối tượng JSON.",
            f"`{name}` must be a JSON object.",
            f"Ví dụ: {example}.",
            f"For example {example}.",
        )
        return {}
    level = level_of(raw, pointer, limit, errors)
    if level is None:
        return {}
    if not level.complete:
        errors.too_many(pointer, limit)
    return level.values


@cache
def _first_items(limit: int) -> msgspec.json.Decoder[msgspec.Struct]:
    """Takes the first `limit` items of an array. What comes behind the fields of such a struct msgspec walks over."""
    fields = [(f"item_{number}", msgspec.Raw | msgspec.UnsetType, msgspec.UNSET) for number in range(limit)]
    return msgspec.json.Decoder(msgspec.defstruct("_FirstItems", fields, array_like=True))


def items_of(raw: msgspec.Raw, limit: int) -> list[msgspec.Raw] | None:
    """The first `limit` items of an array, not looked into, or None where the value is none.

    A list of all of them would cost 30 times as much as the walk over 256 KiB of zeros.
    """
    if _first(raw) != b"[":
        return None
    items = msgspec.structs.astuple(_first_items(limit).decode(raw))
    return [item for item in items if not isinstance(item, msgspec.UnsetType)]


def exact_text_of(raw: msgspec.Raw) -> str | None:
    """A number as it was written, or the text; None where the value is neither."""
    number = number_of(raw)
    return text_of(raw) if number is None else number


def text_of(raw: msgspec.Raw) -> str | None:
    """The text, or None where the value is none."""
    return _text.decode(raw) if _first(raw) == b'"' else None


def number_of(raw: msgspec.Raw) -> str | None:
    """The number as it was written, digit for digit, or None where the value is none."""
    return _bytes(raw).decode("ascii") if _first(raw) in b"-0123456789" else None


def is_object(raw: msgspec.Raw) -> bool:
    return _first(raw) == b"{"


def is_literal(raw: msgspec.Raw, *literals: bytes) -> bool:
    """Whether the value is one of `null`, `true`, `false`."""
    return _bytes(raw, 5) in literals


def _first(raw: msgspec.Raw) -> bytes:
    return _bytes(raw, 1)


def _bytes(raw: msgspec.Raw, limit: int | None = None) -> bytes:
    return bytes(memoryview(raw)[:limit])
