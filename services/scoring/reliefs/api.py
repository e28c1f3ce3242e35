"""Reliefs over HTTP: read only; they are proposed and decided by command.

Operators list them all. Whoever may read an agency's reports reads the reliefs that cover it: a deadline that moved is
explained to those who are judged by it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Path, Request, Response
from pydantic import Field

from services.scoring import registry, tables
from services.scoring.obligations.facts import ReliefStatus
from services.scoring.reliefs import store
from shared.access import Scope, may
from shared.access.rights import Tree
from shared.postgres.database import Database
from shared.postgres.json_values import json_row
from shared.web.answers import many, of_columns, of_model, page_of
from shared.web.callers import Caller, Callers
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


SCOPES: tuple[Scope, ...] = ("read", "operate")


def mount(routes: APIRouter, database: Database) -> None:
    """Add the route that lists reliefs."""

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


def readers_router(database: Database, readers: Callers) -> APIRouter:
    """The route that explains one relief to those it covers."""
    routes, reading = APIRouter(prefix="/v1", tags=["scoring"]), Depends(readers)

    @routes.get(
        "/reliefs/{relief_id}",
        response_model=_WithDecisions,
        summary="Một gia hạn, kèm mọi quyết định / one relief, with every decision",
        description=(
            "Cho người vận hành, và cho ai được xem báo cáo của một cơ quan mà gia hạn này áp dụng. Cơ quan khác và "
            "chứng cứ về họ không hiện ra. / For operators, and for whoever may read the reports of an agency that it "
            "covers. Other agencies, and the evidence about them, are not shown."
        ),
    )
    async def one_relief(
        relief_id: Annotated[str, Path(pattern=r"^[0-9A-Za-z._-]{1,64}$")], reader: Caller = reading
    ) -> dict[str, Any]:
        async with database.read_transaction() as snapshot:
            row = await store.one(snapshot, relief_id)
            if row is not None:
                above = await registry.read_tree(snapshot, sorted(_named(row)))
                row = _as_seen_by(reader, row, {code: parents.on(reader.on) for code, parents in above.parents.items()})
        if row is None:
            raise not_found(f"gia hạn {relief_id}", f"relief {relief_id}")
        return json_row(row)

    return routes


def _named(relief: Mapping[str, Any]) -> set[str]:
    """The agencies that the relief is for; empty: for all."""
    return {*relief["agencies"], *(key.split("/", 1)[0] for key in relief["obligations"])}


def _as_seen_by(reader: Caller, relief: dict[str, Any], tree: Tree) -> dict[str, Any] | None:
    """The relief, without what is of agencies that the reader does not see; None where it covers none that he sees."""
    named = _named(relief)
    if not named or may(reader.principal, "operate", None, {}, reader.on):
        return relief
    regimes = relief["regimes"] or sorted({key.split("/", 2)[1] for key in relief["obligations"]}) or [""]
    seen = {
        agency
        for agency in named
        if any(may(reader.principal, "read", agency, tree, reader.on, regime) for regime in regimes)
    }
    if seen == named:
        return relief
    shown = {
        "agencies": [agency for agency in relief["agencies"] if agency in seen],
        "obligations": [key for key in relief["obligations"] if key.split("/", 1)[0] in seen],
        "evidence": [],
    }
    return relief | shown if seen else None
