"""The HTTP edge: what one was sent, with a key of one's own."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Depends, Query, Request, Response
from pydantic import Field

from services.notifier.callers import tree_for
from services.notifier.delivery.states import State
from services.notifier.notices import queries
from services.notifier.notices.domain import reach, stands
from services.notifier.planning.domain import NoticeKind
from services.notifier.templates import words
from shared.access import Scope
from shared.contract.words import period_words
from shared.postgres.database import Database
from shared.postgres.json_values import json_row
from shared.web.answers import Answer, page_of
from shared.web.callers import Caller, Callers
from shared.web.errors import not_found
from shared.web.paging import PageRequest, link_next, page_request, paginate

SCOPES: tuple[Scope, ...] = ("read",)


class NoticeAnswer(Answer):
    """Người nhận đã trả lời gì / what the recipient answered."""

    kind: str = Field(examples=["acknowledged"])
    at: datetime
    until: datetime | None
    reason: str


class OwnNotice(Answer):
    """Một thông báo như người nhận, cơ quan thấy / a notice as its recipient and the agency see it."""

    notice: UUID
    kind: NoticeKind
    about: str = Field(examples=["Quá hạn: Báo cáo tháng, tháng 10/2026"])
    about_en: str = Field(examples=["Overdue: Monthly report, October 2026"])
    step: str = Field(description="Bậc, lần báo / rung, and which time it is", examples=["overdue/rung-t+3d"])
    obligation: str = Field(examples=["H99.131/KTXH-THANG/2026-M10"])
    agency: str = Field(description="Cơ quan phải báo cáo / the agency that owes the report", examples=["H99.131"])
    regime: str
    period: str
    person: str = Field(description="Gửi cho ai; rỗng: không có ai / to whom; empty: nobody", examples=["TT-H99.131"])
    name: str
    title: str
    channel: str = Field(examples=["email"])
    address: str | None = Field(description="Chỉ của chính mình / the own one alone", examples=[None])
    state: State
    state_name: str = Field(examples=["đã gửi"])
    state_name_en: str = Field(examples=["sent"])
    planned_at: datetime = Field(description="Lập lúc / planned")
    wait_until: datetime | None = Field(description="Chờ đến / waits until")
    settled_at: datetime | None = Field(description="Gửi xong, hỏng hoặc thôi gửi lúc / sent, failed or given up at")
    answer: NoticeAnswer | None = Field(description="Câu trả lời mới nhất / the newest answer")


_Page = page_of("OwnNoticesPage", OwnNotice)
_Text = Query(max_length=300, pattern=r"^[^\x00-\x1f]*$")


def router(database: Database, callers: Callers) -> APIRouter:
    """The route of what one was sent."""
    routes, calling = APIRouter(prefix="/v1", tags=["notices"]), Depends(callers)

    @routes.get(
        "/notices",
        response_model=_Page,
        summary="Thông báo đã gửi cho tôi, hoặc về cơ quan tôi / what I was sent, or about my agency",
        description=(
            "Khóa của người: thông báo gửi cho chính người đó; với `agency`: thông báo về báo cáo của cơ quan mà người "
            "đó được đọc. Khóa của cơ quan: về báo cáo của cơ quan. Mới nhất trước. Không nêu địa chỉ của người khác. "
            "/ A person's key: notices to that person; with `agency`: those about what that agency owes, as far as the "
            "person reads it. An agency's key: those about what it owes. Newest first. Nobody else's address is told."
        ),
    )
    async def own_notices(
        request: Request,
        response: Response,
        page: Annotated[PageRequest, Depends(page_request)],
        agency: Annotated[str | None, _Text] = None,
        obligation: Annotated[str | None, _Text] = None,
        caller: Caller = calling,
    ) -> dict[str, Any]:
        listing = f"notices/{caller.name}/{agency or '*'}/{obligation or '*'}"
        position = page.position(listing, [UUID])
        before = position[0] if position else None
        assert before is None or isinstance(before, UUID)
        async with database.read_transaction() as tx:
            tree = await tree_for(tx, caller, [agency] if agency else [])
            reached = reach(caller.principal, agency, tree, caller.on)
            if reached is None:
                raise not_found("cơ quan này trong phạm vi của khóa", "such agency within the key's reach")
            rows = await queries.notices(tx, reached, obligation=obligation, before=before, limit=page.limit + 1)
        shown = [_shown(row, caller.principal.id) for row in rows]
        answer = paginate(listing, shown, page.limit, lambda row: [UUID(row["notice"])])
        link_next(request, response, answer.next)
        return answer.document()

    return routes


def _shown(row: Mapping[Any, Any], reader: str) -> dict[str, Any]:
    plain = json_row(row)
    about, about_en = _about(row)
    names = "kind", "step", "obligation", "agency", "regime", "period", "person", "channel", "state"
    state_name, state_name_en = stands(row["state"], row["reason"], row["next_contact"])
    given = row["answer"]
    return {
        **{name: plain[name] for name in ("notice", *names, "planned_at", "wait_until", "settled_at")},
        "name": row["name"] or "",
        "title": row["title"] or "",
        "about": about,
        "about_en": about_en,
        "address": row["recipient"] if row["person"] == reader else None,
        "state_name": state_name,
        "state_name_en": state_name_en,
        "answer": None if given is None else {
            "kind": given["kind"], "at": given["at"], "until": given.get("until"), "reason": given.get("reason") or "",
        },
    }  # fmt: skip


def _about(row: Mapping[Any, Any]) -> tuple[str, str]:
    """What it is about, as a letter's subject says it: Vietnamese, English."""
    vi, en = words.MATTERS[row["kind"]][:2]
    if row["kind"] == "digest":
        return vi, en
    name = row["regime_name"] or row["regime"]
    name_en = row["regime_name_en"] or name
    if row["kind"] == "regime":
        return f"{vi}: {name}", f"{en}: {name_en}"
    title = row["request_title"] or ""
    when, when_en = period_words(row["period"], title, row["request_title_en"] or title)
    return f"{vi}: {name}, {when}", f"{en}: {name_en}, {when_en}"
