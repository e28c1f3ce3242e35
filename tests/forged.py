"""Page cursors that nobody gave out: garbage, those of other listings, and ones made by hand for this listing."""

from __future__ import annotations

import base64
import itertools
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import UTC, date, datetime
from decimal import Decimal
from urllib.parse import parse_qsl
from uuid import UUID

import httpx
from fastapi import FastAPI

from shared.web.paging import CursorValue, encode_cursor

#: extremes of each type that a cursor may hold
EXTREMES: tuple[CursorValue, ...] = (
    *("", "x", "a\x00b", "\ud800", "x" * 300),
    *(0, -1, 2**31, 2**63 - 1, -(2**63), 2**63, 10**400),
    *(True, None, Decimal("1E+999999"), Decimal("NaN"), Decimal("0.5")),
    *(datetime.max.replace(tzinfo=UTC), datetime.min.replace(tzinfo=UTC), date.max, UUID(int=0), UUID(int=2**128 - 1)),
)
GARBAGE = (
    *("0", "%", "====", "a" * 2_100, "ÿ", "null", "MDAw", "../../etc", "' OR 1=1 --", "\x00", "a\x00", "-1", "{}"),
    *(base64.urlsafe_b64encode(raw).decode().rstrip("=") for raw in (b"\x00" * 40, b"[" * 900, b"\xff" * 30)),
)


#: what the other position of a pair may be
_OTHERS: tuple[CursorValue, ...] = ("x", 1, UUID(int=1), datetime(2026, 1, 1, tzinfo=UTC))


def cursors(listing: str) -> Iterator[str]:
    """Cursors with the mark of this listing, of one to three positions, each an extreme of each type."""
    pairs = [*itertools.product(EXTREMES, _OTHERS), *itertools.product(_OTHERS, EXTREMES)]
    rows: list[Sequence[CursorValue]] = [[], *([extreme] for extreme in EXTREMES), *pairs, ["x", 1, "x"]]
    for values in rows:
        try:
            yield encode_cursor(listing, values)
        except UnicodeEncodeError:
            continue


async def try_every_paged_route(
    app: FastAPI,
    headers: Mapping[str, str],
    listings: Mapping[str, tuple[str, str]],
    others: Mapping[str, Mapping[str, str]] | None = None,
    only: Collection[str] | None = None,
) -> list[str]:
    """What is wrong with answers to forged cursors, of every route of the application that takes one.

    `listings`: path -> (name of its listing, further query); exports name theirs by their path. `others`: path -> the
    headers of who may read there, where these may not. `only`: none but these paths.
    """
    wrong = []
    transport = httpx.ASGITransport(app=app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://test", headers=dict(headers)) as client:
        for path, operations in app.openapi()["paths"].items():
            names = {parameter["name"] for parameter in operations.get("get", {}).get("parameters", ())}
            if "after" not in names or (only is not None and path not in only):
                continue
            listing, query = listings.get(path, (path.removeprefix("/v1/") if "/exports/" in path else "", ""))
            if not listing:
                wrong.append(f"{path}: takes a cursor and is not tried here")
                continue
            further = dict(parse_qsl(query))
            strangers = [*GARBAGE, encode_cursor("another listing", ["x"])]
            for cursor, allowed in [*((c, {400}) for c in strangers), *((c, {200, 400}) for c in cursors(listing))]:
                # of a listing by kind, the kind that its name ends with
                url = re.sub(r"\{\w+\}", listing.rpartition("/")[2], path)
                asking = (others or {}).get(path)
                answer = await client.get(url, params={**further, "after": cursor}, headers=asking)
                if answer.status_code not in allowed:
                    wrong.append(f"{path}?after={cursor[:200]}: {answer.status_code}")
    return wrong
