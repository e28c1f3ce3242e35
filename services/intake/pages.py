"""A page of a list is made and written in slices: between two of them every neighbour has a turn of the loop."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence
from functools import cache
from typing import Any, TypeVar

import msgspec
from fastapi import Request, Response
from pydantic import BaseModel, TypeAdapter

from shared.paging import Page, link_next

#: rows made, or written, in one turn of the loop: about half a millisecond
SLICE_ROWS = 50

T = TypeVar("T")
R = TypeVar("R")


async def in_slices(rows: Iterable[R], make: Callable[[R], T]) -> list[T]:
    """What `make` makes of each row."""
    made: list[T] = []
    for number, row in enumerate(rows, 1):
        made.append(make(row))
        if not number % SLICE_ROWS:
            await asyncio.sleep(0)
    return made


@cache
def _adapter(kind: type[BaseModel]) -> TypeAdapter[Any]:
    return TypeAdapter(list[kind])  # type: ignore[valid-type]


async def answer(request: Request, page: Page[Any], kind: type[BaseModel]) -> Response:
    """`{"items": […], "next": …}` with its Link, the items written as models of `kind`."""
    written: list[bytes] = []
    items: Sequence[Any] = page.items
    for start in range(0, len(items), SLICE_ROWS):
        written.append(_adapter(kind).dump_json(items[start : start + SLICE_ROWS])[1:-1])
        await asyncio.sleep(0)
    body = b'{"items":[' + b",".join(written) + b'],"next":' + msgspec.json.encode(page.next) + b"}"
    response = Response(body, media_type="application/json")
    link_next(request, response, page.next)
    return response
