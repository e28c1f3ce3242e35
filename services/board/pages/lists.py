"""What pages with lists by deadline share: where the next page begins, and what the rows' regimes are called."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import MAXYEAR, MINYEAR, datetime
from typing import Any
from urllib.parse import quote

from services.board.pages.web import Visit
from services.board.readmodel import queries
from services.board.readmodel.queries import PAGE_ROWS, Line


async def called(visit: Visit, lines: Sequence[Line]) -> dict[str, Any]:
    """What regimes and requests of these rows are called."""
    return {
        "regimes": await queries.regimes(visit.snapshot, (line.regime for line in lines), visit.today),
        "titles": await queries.requests(visit.snapshot, sorted({line.period for line in lines})),
    }


def following(lines: Sequence[Line]) -> str:
    """Where the next page begins, for an address; empty where these are no more than one page."""
    last = lines[PAGE_ROWS - 1] if len(lines) > PAGE_ROWS else None
    return quote(f"{last.deadline.isoformat()}|{last.obligation}") if last is not None else ""


def after_of(text: str) -> tuple[datetime, str] | None:
    """Where a page of a list by deadline begins; a text that no page gave begins at the first."""
    moment, _, key = text.partition("|")
    try:
        parsed = datetime.fromisoformat(moment)
    except ValueError:
        return None
    # the first and the last year hold moments that have no time in UTC
    sound = parsed.tzinfo is not None and MINYEAR < parsed.year < MAXYEAR and key.isprintable()
    return (parsed, key) if sound else None
