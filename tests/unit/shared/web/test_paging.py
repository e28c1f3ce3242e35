"""Cursors come back as the values they were made of, and nothing else passes for one."""

from __future__ import annotations

import base64
import json
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
from fastapi import Depends, FastAPI, Response
from hypothesis import given
from hypothesis import strategies as st
from starlette.requests import Request

from shared.web.errors import Problem
from shared.web.paging import CursorValue, PageRequest, decode_cursor, encode_cursor, link_next, page_request, paginate
from tests.unit.shared.web.asking import ask, bare_app

ZONES = st.sampled_from([UTC, timezone(timedelta(hours=7))])
VALUES = st.one_of(
    st.text(st.characters(blacklist_categories=["Cs"], blacklist_characters="\x00"), max_size=40),
    st.integers(-(2**63), 2**63 - 1),
    st.booleans(),
    st.decimals(-(10**30), 10**30, allow_nan=False, allow_infinity=False),
    st.datetimes(datetime(2, 1, 1), datetime(9998, 1, 1), timezones=ZONES),  # noqa: DTZ001 - hypothesis adds the zone
    st.dates(),
    st.uuids(),
)


@given(st.lists(VALUES, min_size=1, max_size=4))
def test_a_cursor_gives_back_its_values_with_their_types(values: list[Any]) -> None:
    types = [type(value) for value in values]
    assert decode_cursor("a", encode_cursor("a", values), types) == tuple(values)


@given(st.text(max_size=200))
def test_no_text_but_a_cursor_is_taken_for_one(text: str) -> None:
    with pytest.raises(Problem) as raised:
        decode_cursor("a", text, [int])
    assert raised.value.status == 400
    assert raised.value.errors[0].pointer == "/after"


def test_every_altered_character_is_noticed() -> None:
    cursor = encode_cursor("a", [12345])
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    for place in range(len(cursor) - 1):  # the last character has bits that mean nothing
        other = alphabet[(alphabet.index(cursor[place]) + 1) % 64]
        with pytest.raises(Problem):
            decode_cursor("a", cursor[:place] + other + cursor[place + 1 :], [int])


def test_a_cursor_of_another_listing_is_refused() -> None:
    with pytest.raises(Problem):
        decode_cursor("b", encode_cursor("a", [1]), [int])


@pytest.mark.parametrize("types", [[str], [int, int], [bool], []])
def test_a_cursor_of_other_types_is_refused(types: list[type]) -> None:
    with pytest.raises(Problem):
        decode_cursor("a", encode_cursor("a", [1]), types)


@pytest.mark.parametrize(
    "row",
    [
        ["i9223372036854775808"],
        ["t2026-01-01"],
        ["s\x00"],
        ["x1"],
        ["n"],
        ["dNaN"],
        ["d1E+999999"],
        [f"i{'9' * 5_000}"],
        ["t9999-12-31T23:59:59-14:00"],
        [1],
        {"a": 1},
        "i1",
        [[]],
    ],
)
def test_values_that_no_query_could_take_are_refused_even_with_the_right_mark(row: Any) -> None:
    from shared.web.paging import _mark

    payload = json.dumps(row).encode()
    forged = base64.urlsafe_b64encode(_mark("a", payload) + payload).rstrip(b"=").decode()
    for kind in (int, str, datetime):
        with pytest.raises(Problem):
            decode_cursor("a", forged, [kind])


def test_a_page_has_a_cursor_only_if_more_follows() -> None:
    assert paginate("a", [1, 2], 2, lambda row: [row]).next is None
    page = paginate("a", [1, 2, 3], 2, lambda row: [row])
    assert page.items == [1, 2]
    assert page.next is not None
    assert decode_cursor("a", page.next, [int]) == (2,)


def _listing() -> FastAPI:
    app = bare_app()

    async def numbers(
        request: Request, response: Response, colour: str = "", page: PageRequest = Depends(page_request)
    ) -> dict[str, Any]:
        after = page.position("numbers", [int])
        start = after[0] if after else 0
        assert isinstance(start, int)
        found = paginate(
            "numbers", list(range(start + 1, min(start + page.limit + 2, 8))), page.limit, lambda row: [row]
        )
        link_next(request, response, found.next)
        return found.document()

    app.add_api_route("/v1/numbers", numbers)
    return app


async def test_following_the_links_reads_everything_once() -> None:
    app = _listing()
    seen: list[int] = []
    url: str | None = "/v1/numbers?limit=3&colour=%C4%91%E1%BB%8F"
    while url:
        answer = await ask(app, "GET", url)
        seen += answer.json()["items"]
        url = answer.links["next"]["url"] if "link" in answer.headers else None
        assert url is None or "colour=%C4%91%E1%BB%8F" in url
    assert seen == [1, 2, 3, 4, 5, 6, 7]
    assert answer.json()["next"] is None


@pytest.mark.parametrize("limit", ["0", "1001", "-1", "x", "9" * 5000])
async def test_a_limit_out_of_bounds_is_refused_with_its_place(limit: str) -> None:
    answer = await ask(_listing(), "GET", "/v1/numbers", params={"limit": limit})
    assert answer.status_code == 422
    assert (answer.json()["errors"][0]["in"], answer.json()["errors"][0]["pointer"]) == ("query", "/limit")


async def test_a_bad_cursor_is_a_400_problem() -> None:
    answer = await ask(_listing(), "GET", "/v1/numbers", params={"after": "nonsense"})
    assert (answer.status_code, answer.json()["type"]) == (400, "/problems/bad-request")


def test_the_kinds_of_value_are_kept_apart() -> None:
    values: list[CursorValue] = [Decimal("1.50"), date(2026, 1, 2), datetime(2026, 1, 2, tzinfo=UTC), UUID(int=1), None]
    types = [type(value) for value in values]
    back = decode_cursor("a", encode_cursor("a", values), types)
    assert str(back[0]) == "1.50"
    assert back[4] is None
