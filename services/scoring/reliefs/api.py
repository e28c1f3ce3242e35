"""Reliefs over HTTP: read only; they are proposed and decided by command."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Path, Request, Response
from pydantic import Field

from services.scoring import tables
from services.scoring.obligations.facts import ReliefStatus
from services.scoring.reliefs import store
from shared.postgres.database import Database
from shared.postgres.json_values import json_row
from shared.web.answers import many, of_columns, of_model, page_of
from shared.web.errors import not_found
from shared.web.paging import PageRequest, link_next, page_request, paginate

_Summary = of_columns(
    "ReliefSummary",
    tables.reliefs,
    store.SHOWN,
    status=(ReliefStatus, ...),
    applied=(bool, Field(description="Đã áp dụng vào mọi nghĩa vụ / brought to every obligation it covers")),
)
_Page = page_of("ReliefPage", _Summary)
_Decision = of_columns("ReliefDecision", tables.relief_decisions, store.DECISIONS_SHOWN)
_WithDecisions = of_model("ReliefWithDecisions", _Summary, decisions=many(_Decision))


def mount(routes: APIRouter, database: Database) -> None:
    """Add the routes that read reliefs."""

    @routes.get("/reliefs", response_model=_Page, summary="Gia hạn, miễn trừ / reliefs")
    async def reliefs(
        request: Request,
        response: Response,
        page: Annotated[PageRequest, Depends(page_request)],
        status: ReliefStatus | None = None,
    ) -> dict[str, Any]:
        position = page.position("reliefs", [str])
        async with database.read_transaction() as snapshot:
            rows = await store.listed(snapshot, str(position[0]) if position else "", page.limit + 1, status)
        shown = paginate("reliefs", rows, page.limit, lambda row: [row["relief_id"]])
        link_next(request, response, shown.next)
        return {"items": [json_row(row) for row in shown.items], "next": shown.next}

    @routes.get(
        "/reliefs/{relief_id}",
        response_model=_WithDecisions,
        summary="Một gia hạn, kèm mọi quyết định / one relief, with every decision",
    )
    async def one_relief(relief_id: Annotated[str, Path(pattern=r"^[0-9A-Za-z._-]{1,64}$")]) -> dict[str, Any]:
        async with database.read_transaction() as snapshot:
            row = await store.one(snapshot, relief_id)
        if row is None:
            raise not_found(f"gia hạn {relief_id}", f"relief {relief_id}")
        return json_row(row)
