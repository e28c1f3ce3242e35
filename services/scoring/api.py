"""The HTTP door of scoring: what is owed, how it stands, what it scores and why. It only reads; the operator's token
opens it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Path, Query, Request, Response
from pydantic import SecretStr

from services.scoring import queries
from services.scoring.calendar import api as calendars
from services.scoring.obligations import setbacks
from services.scoring.scores.policy import api as policies
from shared.contract.events import obligation_key
from shared.postgres.database import Database
from shared.postgres.json_values import json_row
from shared.web.authentication import operator_token
from shared.web.errors import not_found
from shared.web.paging import PageRequest, link_next, page_request, paginate

#: what agencies call the standings
STANDINGS: dict[str, tuple[str, str]] = {
    "nothing_sent": ("chưa nộp", "nothing sent"),
    "awaiting_verdict": ("chờ kiểm tra", "awaiting verdict"),
    "returned": ("trả lại", "returned"),
    "fulfilled": ("đã nộp, đạt", "fulfilled"),
}
_LISTING = "obligations"
_CODE = r"^[0-9A-Za-z._-]{1,64}$"
_Filter = Annotated[str | None, Query(pattern=_CODE)]
_Part = Annotated[str, Path(pattern=_CODE)]


def router(database: Database, token: SecretStr) -> APIRouter:
    """Scoring's routes."""
    routes = APIRouter(prefix="/v1", tags=["scoring"], dependencies=[Depends(operator_token(token))])

    @routes.get("/obligations", summary="Danh sách nghĩa vụ báo cáo / obligations")
    async def obligations(
        request: Request,
        response: Response,
        page: Annotated[PageRequest, Depends(page_request)],
        agency: _Filter = None,
        regime: _Filter = None,
        period: _Filter = None,
        standing: Literal["nothing_sent", "awaiting_verdict", "returned", "fulfilled"] | None = None,
        overdue: bool | None = None,
    ) -> dict[str, Any]:
        position = page.position(_LISTING, [str])
        wanted = queries.Filter(agency, regime, period, standing, overdue)
        async with database.reading() as snapshot:
            rows = await queries.list_obligations(
                snapshot, wanted, str(position[0]) if position else "", page.limit + 1
            )
        shown = paginate(_LISTING, rows, page.limit, lambda row: [row["obligation"]])
        link_next(request, response, shown.next)
        return {"items": [_obligation(row) for row in shown.items], "next": shown.next}

    @routes.get("/obligations/{agency}/{regime}/{period}", summary="Một nghĩa vụ và điểm / one obligation, its score")
    async def obligation(agency: _Part, regime: _Part, period: _Part) -> dict[str, Any]:
        key = obligation_key(agency, regime, period)
        async with database.reading() as snapshot:
            found = await queries.one_obligation(snapshot, key)
            if found is None:
                raise not_found("nghĩa vụ báo cáo này", "such obligation")
            lines = await queries.score_lines(snapshot, key)
        return _obligation(found) | {"lines": [json_row(line) for line in lines]}

    @routes.get("/setbacks", summary="Việc tự động bị lỗi riêng lẻ / what a sweep could not do for one subject")
    async def set_back(
        request: Request, response: Response, page: Annotated[PageRequest, Depends(page_request)]
    ) -> dict[str, Any]:
        position = page.position("setbacks", [str, str])
        after = (str(position[0]), str(position[1])) if position else ("", "")
        async with database.reading() as snapshot:
            rows = await setbacks.listed(snapshot, after, page.limit + 1)
        shown = paginate("setbacks", rows, page.limit, lambda row: [row["sweep"], row["subject"]])
        link_next(request, response, shown.next)
        return {"items": [json_row(row) for row in shown.items], "next": shown.next}

    calendars.mount(routes, database)
    policies.mount(routes, database)
    return routes


def _obligation(row: Mapping[str, Any]) -> dict[str, Any]:
    vi, en = STANDINGS[row["standing"]]
    late = row["overdue_at"] is not None and row["accepted_version"] is None
    return json_row(row) | {"standing_vi": vi, "standing_en": en, "overdue": late and row["owed"]}
