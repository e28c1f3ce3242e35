"""What an event may hold so that every follower's columns can hold it; asked of every event that is read.

It is wider than what the owners admit: an event that was rightly published stays readable when admission gets
stricter. A number, moment or code beyond these is a fault of the event, not of a follower's database.
"""

from __future__ import annotations

import json
import types
import typing
from dataclasses import dataclass
from datetime import date, datetime
from functools import cache
from typing import Any

from pydantic import AwareDatetime

from shared.contract.events.base import EventModel

#: PostgreSQL's integer
LARGEST_NUMBER = 2**31 - 1
#: moments in any zone, and periods some years ahead of them, stay within what Python and PostgreSQL know
FIRST_YEAR, LAST_YEAR = 1900, 2999
#: two such codes fit into one entry of a B-tree (2,704 bytes)
LONGEST_CODE_BYTES = 1000

#: fields that grow by one with every change: 1 is the first
VERSIONS = frozenset({"version", "regime_version", "submission_version"})
#: text that no follower looks up by
FREE_TEXT = frozenset({"name", "name_en", "title", "title_en", "legal_basis", "message_id", "email"})


def unstorable(body: EventModel) -> str:
    """Why some column could not hold this event; empty where all can."""
    columns = _columns(type(body))
    for name, least in columns.numbers:
        number = getattr(body, name)
        if number is not None and not least <= number <= LARGEST_NUMBER:
            return f"/{name}: {number} is not between {least} and {LARGEST_NUMBER}"
    for name in columns.days:
        day = getattr(body, name)
        if day is not None and not FIRST_YEAR <= day.year <= LAST_YEAR:
            return f"/{name}: the year {day.year} is not {FIRST_YEAR} to {LAST_YEAR}"
    for name in columns.codes:
        code = getattr(body, name)
        if code is not None and len(code) > LONGEST_CODE_BYTES // 4 and len(code.encode()) > LONGEST_CODE_BYTES:
            return f"/{name}: longer than {LONGEST_CODE_BYTES} bytes"
    for name in columns.lists:
        if any(len(code.encode()) > LONGEST_CODE_BYTES for code in getattr(body, name) or ()):
            return f"/{name}: a code longer than {LONGEST_CODE_BYTES} bytes"
    return ""


def holds_nul(value: bytes) -> bool:
    """Whether some text in this JSON holds a NUL character, which PostgreSQL has no place for."""
    if b"\\u0000" not in value:
        return False
    return _any_nul(json.loads(value))  # the escape's backslash may itself be escaped


def _any_nul(value: Any) -> bool:
    if isinstance(value, str):
        return "\x00" in value
    if isinstance(value, dict):
        return any(_any_nul(key) or _any_nul(inner) for key, inner in value.items())
    return isinstance(value, list) and any(_any_nul(inner) for inner in value)


@dataclass(frozen=True, slots=True)
class _Columns:
    """Field names of a model by what their columns hold; what is nested is kept as JSON."""

    numbers: tuple[tuple[str, int], ...]  # with the least that each may be
    days: tuple[str, ...]
    codes: tuple[str, ...]
    lists: tuple[str, ...]


@cache
def _columns(model: type[EventModel]) -> _Columns:
    hints = typing.get_type_hints(model)
    kinds = {name: _kinds(hints[name]) for name in model.model_fields}
    return _Columns(
        tuple((name, 1 if name in VERSIONS else -LARGEST_NUMBER) for name, its in kinds.items() if int in its),
        tuple(name for name, its in kinds.items() if {datetime, date, AwareDatetime} & its),
        tuple(name for name, its in kinds.items() if str in its and name not in FREE_TEXT),
        tuple(name for name, its in kinds.items() if tuple[str, ...] in its),
    )


def _kinds(hint: Any) -> set[Any]:
    origin = typing.get_origin(hint)
    if origin is typing.Annotated:
        return _kinds(typing.get_args(hint)[0])
    if origin in (typing.Union, types.UnionType):
        return {kind for option in typing.get_args(hint) for kind in _kinds(option)}
    if origin is tuple:
        return {tuple[str, ...]} if str in _kinds(typing.get_args(hint)[0]) else set()
    return {hint} if isinstance(hint, type) else set()
