"""Scoring's HTTP routes: what is owed, how it stands, what it scores and why. It only reads.

Only operators read it, but for the rules: by which policy and calendar people are judged anybody may read.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

import msgspec
from fastapi import APIRouter, Depends, Path, Query, Request, Response

from services.scoring import queries, tables
from services.scoring.calendar import api as calendars
from services.scoring.obligations import setbacks
from services.scoring.obligations.domain import Obligation, published
from services.scoring.obligations.facts import Relief, Version
from services.scoring.reliefs import api as reliefs
from services.scoring.scores.policy import api as policies
from shared.contract.events import ObligationChanged, ScoreLine, obligation_key
from shared.postgres.database import Database
from shared.postgres.json_values import json_row
from shared.web.answers import many, of_columns, of_model, of_struct, page_of
from shared.web.authentication import Anybody, Operators
from shared.web.errors import not_found
from shared.web.paging import PageRequest, link_next, page_request, paginate

#: what agencies call the standings
STANDINGS: dict[str, tuple[str, str]] = {
    "nothing_sent": ("chưa nộp", "nothing sent"),
    "awaiting_verdict": ("chờ kiểm tra", "awaiting verdict"),
    "returned": ("trả lại", "returned"),
    "fulfilled": ("đã nộp, đạt", "fulfilled"),
}
_STANDING_NAMES = {"standing_vi": (str, ...), "standing_en": (str, ...)}
_Line = of_model("ScoreLineView", ScoreLine, ("clause_text", "clause_text_en", "legal_basis"))
_Summary = of_model("ObligationSummary", ObligationChanged, ("at", "changes", "lines"), **_STANDING_NAMES)
_View = of_model(
    "ObligationView",
    ObligationChanged,
    ("at", "changes"),
    **_STANDING_NAMES,
    lines=many(_Line),
    remind_at=(datetime, ...),
    versions=many(of_struct(Version)),
    reliefs=many(of_struct(Relief)),
    passed_at=(datetime | None, ...),
)
_Page = page_of("ObligationPage", _Summary)
_SetbackPage = page_of("SetbackPage", of_columns("SetbackView", tables.setbacks, setbacks.SHOWN))
_LISTING = "obligations"
_CODE = r"^[0-9A-Za-z._-]{1,64}$"
_Filter = Annotated[str | None, Query(pattern=_CODE)]
_Part = Annotated[str, Path(pattern=_CODE)]


def router(database: Database, operators: Operators) -> APIRouter:
    """Scoring's routes."""
    rules = APIRouter(prefix="/v1", tags=["rules"], dependencies=[Depends(Anybody())])
    calendars.mount(rules, database)
    policies.mount(rules, database)
    routes = APIRouter(prefix="/v1", tags=["scoring"], dependencies=[Depends(operators)])

    @routes.get("/obligations", response_model=_Page, summary="Danh sách nghĩa vụ báo cáo / obligations")
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
        async with database.read_transaction() as snapshot:
            rows = await queries.list_obligations(
                snapshot, wanted, str(position[0]) if position else "", page.limit + 1
            )
        shown = paginate(_LISTING, rows, page.limit, lambda row: [row.key])
        link_next(request, response, shown.next)
        return {"items": [_summary(row) for row in shown.items], "next": shown.next}

    @routes.get(
        "/obligations/{agency}/{regime}/{period}",
        response_model=_View,
        summary="Một nghĩa vụ và điểm / one obligation, its score",
    )
    async def obligation(agency: _Part, regime: _Part, period: _Part) -> dict[str, Any]:
        key = obligation_key(agency, regime, period)
        async with database.read_transaction() as snapshot:
            found = await queries.one_obligation(snapshot, key)
            if found is None:
                raise not_found("nghĩa vụ báo cáo này", "such obligation")
        return _whole(found)

    @routes.get(
        "/setbacks",
        response_model=_SetbackPage,
        summary="Việc tự động bị lỗi riêng lẻ / what a sweep could not do for one subject",
    )
    async def set_back(
        request: Request, response: Response, page: Annotated[PageRequest, Depends(page_request)]
    ) -> dict[str, Any]:
        position = page.position("setbacks", [str, str])
        after = (str(position[0]), str(position[1])) if position else ("", "")
        async with database.read_transaction() as snapshot:
            rows = await setbacks.listed(snapshot, after, page.limit + 1)
        shown = paginate("setbacks", rows, page.limit, lambda row: [row["sweep"], row["subject"]])
        link_next(request, response, shown.next)
        return {"items": [json_row(row) for row in shown.items], "next": shown.next}

    reliefs.mount(routes, database)
    both = APIRouter()
    both.include_router(rules)
    both.include_router(routes)
    return both


def _summary(obligation: Obligation) -> dict[str, Any]:
    """As it is published, without its lines."""
    return {name: value for name, value in _published(obligation).items() if name != "lines"}


def _whole(obligation: Obligation) -> dict[str, Any]:
    """As it is published, with the facts that it follows from."""
    facts = obligation.facts
    return _published(obligation) | {
        "remind_at": json_row({"at": obligation.terms.remind_at})["at"],
        "versions": [json_row(_version(version)) for version in facts.versions],
        "reliefs": [json_row(msgspec.structs.asdict(relief)) for relief in facts.reliefs],
        "passed_at": json_row({"at": facts.passed_at})["at"],
    }


_OF_POLICY = frozenset({"clause_text", "clause_text_en", "legal_basis"})


def _published(obligation: Obligation) -> dict[str, Any]:
    event = published(obligation, (), obligation.terms.opens_at)
    shown = event.model_dump(exclude={"at", "changes"})
    # what clauses say is read of the policy
    shown["lines"] = [
        json_row({name: line[name] for name in line if name not in _OF_POLICY}) for line in shown["lines"]
    ]
    vi, en = STANDINGS[event.standing]
    return json_row(shown) | {"standing_vi": vi, "standing_en": en}


def _version(version: Version) -> dict[str, Any]:
    shown = msgspec.structs.asdict(version)
    return shown | {
        "verdicts": [json_row(msgspec.structs.asdict(verdict)) for verdict in version.verdicts],
        "steps": [json_row(msgspec.structs.asdict(step)) for step in version.steps],
    }
