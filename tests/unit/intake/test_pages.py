"""A page is written as its model says, and a large one leaves the loop to others again and again."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from datetime import UTC, datetime
from typing import Any

import pytest
from fastapi import Request
from pydantic import BaseModel

from services.intake.pages import answer, in_slices
from services.intake.views import View
from shared.paging import Page


class Row(View):
    number: int
    at: datetime


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
