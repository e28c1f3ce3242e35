"""A page is written as its model says, and a large one leaves the loop to others again and again."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

import pytest
from fastapi import Request
from pydantic import BaseModel

from services.intake import pages
from services.intake.pages import SLICE_ROWS, answer, in_slices
from services.intake.views import Moment
from shared.web.paging import Page


class Row(BaseModel):
    number: int
    at: Moment


class Rows(BaseModel):
    items: list[Row]
    next: str | None


ROWS = [Row(number=number, at=datetime(2026, 10, 1, tzinfo=UTC)) for number in range(1000)]
REQUEST = Request({"type": "http", "method": "GET", "path": "/v1/rows", "query_string": b"limit=1000", "headers": []})


async def turns_of_another(work: Awaitable[Any]) -> int:
    """How often somebody else has the loop while `work` is done."""
    turns = 0

    async def neighbour() -> None:
        nonlocal turns
        while True:
            await asyncio.sleep(0)
            turns += 1

    beside = asyncio.create_task(neighbour())
    await work
    beside.cancel()
    return turns


@pytest.mark.parametrize(("count", "cursor"), [(0, None), (1, None), (50, "abc"), (51, None), (1000, "a-b_c")])
async def test_a_page_is_what_its_model_would_be(count: int, cursor: str | None) -> None:
    made = await answer(REQUEST, Page(ROWS[:count], cursor), Row)
    assert bytes(made.body).decode() == Rows(items=ROWS[:count], next=cursor).model_dump_json()
    assert made.headers["content-type"] == "application/json"
    link = f'</v1/rows?limit=1000&after={cursor}>; rel="next"' if cursor else None
    assert made.headers.get("link") == link


async def test_a_large_page_leaves_the_loop_to_others() -> None:
    assert await turns_of_another(answer(REQUEST, Page(ROWS, None), Row)) >= 15
    assert await turns_of_another(in_slices(range(1000), str)) >= 15


async def test_control_written_at_once_it_leaves_nobody_a_turn() -> None:
    async def at_once() -> str:
        return Rows(items=ROWS, next=None).model_dump_json()

    assert await turns_of_another(at_once()) <= 1


async def longest_turn(pages: int) -> int:
    """The most rows that are made in one turn of the loop while so many pages are made at once."""
    made = most = 0

    def make(row: int) -> int:
        nonlocal made
        made += 1
        return row

    async def neighbour() -> None:
        nonlocal made, most
        while True:
            most, made = max(most, made), 0
            await asyncio.sleep(0)

    beside = asyncio.create_task(neighbour())
    await asyncio.gather(*(in_slices(range(1000), make) for _ in range(pages)))
    beside.cancel()
    return max(most, made)


async def test_many_pages_at_once_take_no_longer_turns_than_one() -> None:
    assert await longest_turn(8) <= 2 * SLICE_ROWS


async def test_control_without_the_turn_every_page_makes_a_slice(monkeypatch: pytest.MonkeyPatch) -> None:
    @asynccontextmanager
    async def everybody_at_once() -> AsyncIterator[None]:
        yield
        await asyncio.sleep(0)

    monkeypatch.setattr(pages, "turn", everybody_at_once)
    assert await longest_turn(8) >= 8 * SLICE_ROWS
