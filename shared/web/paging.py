"""Keyset paging: a page starts after the sort values of the last row, so new rows neither repeat nor hide others.

A cursor is opaque to clients: base64url of the JSON of typed values, bound to its listing.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Annotated, Any, Generic, TypeVar
from urllib.parse import urlencode
from uuid import UUID

from fastapi import Query, Request, Response
from pydantic import AfterValidator

from shared.web.errors import FieldError, Problem
from shared.web.validation import bad_query, unreadable

DEFAULT_LIMIT = 100
MAX_LIMIT = 1000
MAX_CURSOR_CHARACTERS = 2048
MAX_DECIMAL_EXPONENT = 1_000

T = TypeVar("T")
CursorValue = str | int | bool | Decimal | datetime | date | UUID | None

_TAGS: dict[type, tuple[str, Callable[[Any], Any]]] = {
    str: ("s", str),
    int: ("i", str),
    bool: ("b", lambda value: "1" if value else "0"),
    Decimal: ("d", str),
    datetime: ("t", datetime.isoformat),
    date: ("D", date.isoformat),
    UUID: ("u", str),
    type(None): ("n", lambda value: ""),
}


def _moment(text: str) -> datetime:
    value = datetime.fromisoformat(text)
    if value.tzinfo is None:
        raise ValueError("a moment without an offset")
    value.astimezone(UTC)  # of year 1 or 9999 there may be none
    return value


def _integer(text: str) -> int:
    value = int(text)
    if not -(2**63) <= value < 2**63:  # PostgreSQL's bigint
        raise ValueError("an integer out of range")
    return value


def _text(text: str) -> str:
    text.encode()  # lone surrogates
    if "\x00" in text:  # PostgreSQL refuses it
        raise ValueError("a NUL character")
    return text


def _decimal(text: str) -> Decimal:
    value = Decimal(text)
    if not value.is_finite() or abs(value.adjusted()) > MAX_DECIMAL_EXPONENT:
        raise ValueError("a decimal that no column holds")
    return value


_PARSERS: dict[str, Callable[[str], CursorValue]] = {
    "s": _text,
    "i": _integer,
    "b": lambda text: {"1": True, "0": False}[text],
    "d": _decimal,
    "t": _moment,
    "D": date.fromisoformat,
    "u": UUID,
    "n": lambda text: None,
}


_BAD_CURSOR = (
    "Con trỏ trang không phải do hệ thống cấp cho danh sách này.",
    "This cursor does not belong to this listing.",
    "Bỏ tham số này để đọc từ đầu, hoặc dùng nguyên giá trị `next` của trang trước.",
    "Leave it out to read from the start, or use `next` of the page before unchanged.",
)


def bad_cursor() -> Problem:
    return bad_query([FieldError("/after", *_BAD_CURSOR, where="query")])


def encode_cursor(listing: str, values: Sequence[CursorValue]) -> str:
    """The cursor after the row with these sort values. `listing` names the listing, so that cursors do not mix."""
    row = []
    for value in values:
        tag, show = _TAGS[type(value)]
        row.append(tag + show(value))
    payload = json.dumps(row, ensure_ascii=False, separators=(",", ":")).encode()
    return base64.urlsafe_b64encode(_mark(listing, payload) + payload).rstrip(b"=").decode()


def decode_cursor(listing: str, cursor: str, types: Sequence[type]) -> tuple[CursorValue, ...]:
    """The sort values in `cursor`. Raises the 400 problem when it is malformed, altered, or of another listing."""
    try:
        mark, payload, values = _unpack(cursor)
    except ValueError:
        raise bad_cursor() from None
    if mark != _mark(listing, payload):  # altered, or of another listing
        raise bad_cursor()
    # `null` has a tag, but no row sorts by it: the cursor was made by hand
    if len(values) != len(types) or any(type(value) is not kind for value, kind in zip(values, types, strict=True)):
        raise bad_cursor()
    return values


def _unpack(cursor: str) -> tuple[bytes, bytes, tuple[CursorValue, ...]]:
    """Mark, payload and values. Raises ValueError if the text is no cursor of any listing."""
    try:
        if len(cursor) > MAX_CURSOR_CHARACTERS:
            raise ValueError("too long")
        raw = base64.b64decode(cursor.encode("ascii") + b"=" * (-len(cursor) % 4), altchars=b"-_", validate=True)
        mark, payload = raw[:6], raw[6:]
        row = json.loads(payload)
        return mark, payload, tuple(_PARSERS[item[0]](item[1:]) for item in row)
    except (ArithmeticError, LookupError, ValueError, TypeError, RecursionError) as error:
        raise ValueError("no cursor") from error


def _readable(cursor: str | None) -> str | None:
    if cursor:
        try:
            _unpack(cursor)
        except ValueError:
            raise unreadable(*_BAD_CURSOR) from None
    return cursor


#: the parameter `after`: a malformed cursor is reported with the query's other errors, another list's by `position`
Cursor = Annotated[
    str | None, AfterValidator(_readable), Query(description="`next` của trang trước / `next` of the page before")
]


def _mark(listing: str, payload: bytes) -> bytes:
    """A checksum that binds a cursor to its listing. It is no secret: a cursor grants no rights."""
    return hashlib.blake2b(
        payload, digest_size=6, person=hashlib.blake2b(listing.encode(), digest_size=16).digest()
    ).digest()


@dataclass(frozen=True, slots=True)
class PageRequest:
    """The requested page: at most `limit` rows after `after` (None: from the start)."""

    after: str | None
    limit: int

    def position(self, listing: str, types: Sequence[type]) -> tuple[CursorValue, ...] | None:
        """The sort values that the page starts after, or None for the first page."""
        return None if not self.after else decode_cursor(listing, self.after, types)


def page_request(
    after: Cursor = None,
    limit: Annotated[int, Query(ge=1, le=MAX_LIMIT, description="số dòng / rows, 1–1000")] = DEFAULT_LIMIT,
) -> PageRequest:
    """FastAPI dependency: `page: Annotated[PageRequest, Depends(page_request)]`."""
    return PageRequest(after=after, limit=limit)


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    """`{"items": […], "next": cursor | null}`; `next` is null on the last page."""

    items: Sequence[T]
    next: str | None

    def document(self) -> dict[str, Any]:
        return {"items": list(self.items), "next": self.next}


def paginate(listing: str, rows: Sequence[T], limit: int, key: Callable[[T], Sequence[CursorValue]]) -> Page[T]:
    """A page from up to `limit + 1` rows in order; `key` returns the sort values of a row."""
    if len(rows) <= limit:
        return Page(rows, None)
    kept = rows[:limit]
    return Page(kept, encode_cursor(listing, key(kept[-1])))


def link_next(request: Request, response: Response, cursor: str | None) -> None:
    """Add `Link: <…>; rel="next"` (RFC 8288), a relative reference that keeps the other query parameters."""
    if cursor is None:
        return
    query = [(name, value) for name, value in request.query_params.multi_items() if name != "after"]
    response.headers["Link"] = f'<{request.url.path}?{urlencode([*query, ("after", cursor)])}>; rel="next"'
