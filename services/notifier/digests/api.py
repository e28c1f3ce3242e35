"""The HTTP edge of digests: which ones a person gets, and what was sent. With a key of one's own."""

from __future__ import annotations

from datetime import date, datetime
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request, Response
from pydantic import Field

from services.notifier.delivery.states import State
from services.notifier.digests import store
from services.notifier.digests.domain import KINDS, reader
from services.notifier.escalation.answering import people_of
from shared.access import Scope
from shared.contract.events.registry import DigestKind
from shared.postgres.database import Database
from shared.runtime.clock import LOCAL_ZONE, Clock
from shared.web.answers import Answer, page_of
from shared.web.callers import Caller, Callers
from shared.web.paging import PageRequest, link_next, page_request, paginate

SCOPES: tuple[Scope, ...] = ("submit", "review", "read")
_LISTING = "digests"


class DigestSent(Answer):
    """Một thư tổng hợp / a digest."""

    kind: DigestKind
    on: date = Field(description="Ngày, hoặc thứ Hai của tuần / the day, or the week's Monday", examples=["2026-10-26"])
    state: State
    sent_at: datetime | None
    overdue: int
    due: int
    sha256: str = Field(description="Của nội dung thư nêu / of what it states", examples=["3f5ac9d0e1b24a6c"])


class DigestsView(Answer):
    """Một người nhận những thư tổng hợp nào / which digests a person gets."""

    person: str = Field(examples=["TT-H99.131"])
    digests: list[DigestKind] = Field(description="Đang nhận / in force")
    chosen: bool = Field(description="Theo lựa chọn; không thì theo chức vụ / chosen, else by office")
    latest: list[DigestSent] = Field(description="Thư mới nhất mỗi loại / the newest of each kind")


_Page = page_of("DigestsPage", DigestsView)


def router(database: Database, callers: Callers, business: Clock) -> APIRouter:
    """The route of digests."""
    routes, calling = APIRouter(prefix="/v1", tags=["digests"]), Depends(callers)

    @routes.get(
        "/digests",
        response_model=_Page,
        summary="Thư tổng hợp: nhận những thư nào, đã gửi gì / digests: which ones, and what was sent",
        description=(
            "Khóa của người: của chính người đó; của cơ quan: của người thuộc cơ quan. Đổi lựa chọn trong danh mục "
            "(`digests` của people). / A person's key: that person's; an agency's: its people's. The choice is changed "
            "in the registry (`digests` of people)."
        ),
    )
    async def digests(
        request: Request,
        response: Response,
        page: Annotated[PageRequest, Depends(page_request)],
        caller: Caller = calling,
    ) -> dict[str, Any]:
        position = page.position(_LISTING, [str])
        async with database.read_transaction() as tx:
            principal = caller.principal
            mine = await people_of(tx, principal.id) if principal.kind == "agency" else [principal.id]
            after = str(position[0]) if position else ""
            people = await store.candidates(tx, after, only=mine, limit=page.limit + 1)
            sent = await store.latest(tx, [one.id for one in people])
        answer = paginate(_LISTING, [_shown(one, sent, caller.on) for one in people], page.limit, _position)
        link_next(request, response, answer.next)
        return answer.document()

    return routes


def _position(row: dict[str, Any]) -> list[Any]:
    return [row["person"]]


def _shown(one: store.Candidate, sent: store.Rows, on: date) -> dict[str, Any]:
    found = reader(one.officer, one.person, one.chosen, on)
    return {
        "person": one.id,
        "digests": [] if found is None else [kind for kind in KINDS if kind in found.kinds],
        "chosen": one.chosen is not None,
        "latest": [
            {
                "kind": row["digest"]["kind"],
                "on": row["digest"]["on"],
                "state": row["state"],
                "sent_at": row["settled_at"] and row["settled_at"].astimezone(LOCAL_ZONE).isoformat(),
                "overdue": row["digest"]["overdue_total"],
                "due": row["digest"]["due_total"],
                "sha256": row["digest"]["sha256"],
            }
            for row in sent
            if row["officer_id"] == one.id
        ],
    }
