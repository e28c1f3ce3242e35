"""A page of a list is made and written in slices: between two of them every neighbour has a turn of the loop.

However many pages are asked for at once, one slice of one of them is made in a turn of the loop.
"""

from __future__ import annotations

import asyncio
from asyncio import AbstractEventLoop
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from functools import cache
from typing import Any, TypeVar
from weakref import WeakKeyDictionary

import msgspec
from fastapi import Request, Response
from pydantic import BaseModel, TypeAdapter
from sqlalchemy import TextClause

from shared.postgres.database import ReadTransaction
from shared.web.paging import Page, link_next

#: rows made, or written, in one turn of the loop: about half a millisecond
SLICE_ROWS = 50

#: rows that the driver decodes in one turn of the loop
FETCHED_ROWS = 200

T = TypeVar("T")
R = TypeVar("R")

_turns: WeakKeyDictionary[AbstractEventLoop, asyncio.Lock] = WeakKeyDictionary()


@asynccontextmanager
async def turn() -> AsyncIterator[None]:
    """Whoever makes a slice has the turn, first come, first served; then the loop goes round once.

    A request takes several turns of the loop. Were each of them as long as all pages in work make a slice, a
    neighbour's answer would wait for the product of the two.
    """
    async with _turns.setdefault(asyncio.get_running_loop(), asyncio.Lock()):
        yield
        await asyncio.sleep(0)


async def in_slices(rows: Iterable[R], make: Callable[[R], T]) -> list[T]:
    """What `make` makes of each row."""
    made: list[T] = []
    kept = list(rows)
    for start in range(0, len(kept), SLICE_ROWS):
        async with turn():
            made += map(make, kept[start : start + SLICE_ROWS])
    return made


async def fetched(
    tx: ReadTransaction, query: TextClause, parameters: Mapping[str, Any], make: Callable[[Mapping[Any, Any]], T]
) -> list[T]:
    """What `make` makes of each row of the query, which are not decoded all at once."""
    made: list[T] = []
    result = await tx.stream(query, dict(parameters), execution_options={"yield_per": FETCHED_ROWS})
    async for rows in result.mappings().partitions():
        made += await in_slices(rows, make)
    return made


@cache
def _adapter(kind: type[BaseModel]) -> TypeAdapter[Any]:
    return TypeAdapter(list[kind])  # type: ignore[valid-type]


async def answer(request: Request, page: Page[Any], kind: type[BaseModel]) -> Response:
    """`{"items": […], "next": …}` with its Link, the items written as models of `kind`."""
    written: list[bytes] = []
    items: Sequence[Any] = page.items
    for start in range(0, len(items), SLICE_ROWS):
        async with turn():
            written.append(_adapter(kind).dump_json(items[start : start + SLICE_ROWS])[1:-1])
    body = b'{"items":[' + b",".join(written) + b'],"next":' + msgspec.json.encode(page.next) + b"}"
    response = Response(body, media_type="application/json")
    link_next(request, response, page.next)
    return response
