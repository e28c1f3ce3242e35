"""An escalation at the HTTP edge, for those who were told: with a key of their own, or by the link of the letter.

The link's page shows what is asked; only its buttons act, each once. Who has the link is who was written to; a mail
scanner that follows it changes nothing.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import date, datetime
from typing import Annotated, Any, get_args
from urllib.parse import parse_qs
from uuid import UUID

from fastapi import APIRouter, Depends, Request, Response
from fastapi.responses import HTMLResponse
from jinja2 import Environment, PackageLoader, StrictUndefined
from pydantic import Field

from services.notifier import metrics
from services.notifier.escalation import answering
from services.notifier.escalation.answering import MAX_REASON_CHARACTERS, REFUSALS, Asked, Given
from services.notifier.escalation.domain import Refused
from services.notifier.escalation.handing import Handings
from services.notifier.escalation.links import AnswerLinks
from services.notifier.templates import words
from shared.access import Scope
from shared.access.rights import answers_for
from shared.contract.reporting_window import local_day
from shared.postgres.database import Database, ReadTransaction, Transaction
from shared.runtime.clock import LOCAL_ZONE, Clock
from shared.web.answers import Answer, page_of
from shared.web.app import read_body
from shared.web.bodies import Body
from shared.web.callers import Caller, Callers
from shared.web.errors import FieldError, Problem, describe, not_found, unprocessable
from shared.web.paging import PageRequest, link_next, page_request, paginate

SCOPES: tuple[Scope, ...] = ("submit", "review")
#: a page holds no more, whatever is asked for: each comes with its climb
MAX_LISTED = 100
_NOTICE_ID = "01932f5e-7a10-7cc3-98c4-dc0c0c07398f"
#: a refusal that one member of the body is to blame for
_FAULTY = {
    "no_date": "/until",
    "in_the_past": "/until",
    "too_far": "/until",
    "no_reason": "/reason",
    "no_reason_to_hand_on": "/reason",
    "nobody": "/to",
    "outside": "/to",
    "unfit_reason": "/reason",
    "classified": "/reason",
}

REFUSED = describe(
    "answer-refused",
    409,
    "Câu trả lời không được nhận",
    "The answer is not taken",
    "Báo cáo không còn quá hạn, thông báo này đã được trả lời, hoặc đã hẹn đủ số lần cho phép; `reason` nói rõ. "
    "GET /v1/escalations cho biết những gì còn phải trả lời.",
    "The report is overdue no more, this notice has been answered, or it was put off as often as is allowed; `reason` "
    "says which. GET /v1/escalations shows what is left to answer.",
)


class EscalationAnswer(Answer):
    """Đã trả lời gì / what was answered."""

    by: str = Field(description="Người được báo / who was told", examples=["TT-H99.131"])
    via: str = Field(description="Hệ thống của cơ quan nào / by which agency's system", examples=["H99.131"])
    kind: Given
    at: datetime
    until: datetime | None
    reason: str = Field(examples=["Đang tổng hợp số liệu của các phòng"])


class HandedOnView(Answer):
    """Đã chuyển giao cho ai, vì sao / to whom it was handed on, and why."""

    by: str = Field(examples=["TT-H99.131"])
    via: str = Field(description="Hệ thống của cơ quan, người vận hành / by which system or operator", examples=[""])
    to: str = Field(examples=["PCT-H99.131"])
    at: datetime
    reason: str = Field(examples=["Phụ trách khối"])


class EscalationView(Answer):
    """Một báo cáo quá hạn, như người được báo thấy / a late report as one who was told of it sees it."""

    notification_id: UUID = Field(description="Thông báo được trả lời / the notice to answer", examples=[_NOTICE_ID])
    person: str = Field(description="Người được báo / who was told", examples=["TT-H99.131"])
    obligation: str = Field(examples=["H99.131/KTXH-THANG/2026-M10"])
    agency: str = Field(examples=["H99.131"])
    agency_name: str
    agency_name_en: str = Field(examples=["People's Committee of Thượng Nguyên commune"])
    regime_name: str = Field(examples=["Báo cáo tháng tình hình kinh tế – xã hội"])
    regime_name_en: str = Field(examples=["Monthly report on the economy and society"])
    period: str = Field(examples=["2026-M10"])
    deadline: datetime | None
    told_at: datetime | None
    next_at: datetime | None = Field(description="Khi nào báo người kế tiếp / when the next is told")
    held_until: datetime | None = Field(description="Tạm dừng đến / the climb is stopped until", examples=[None])
    last_day: date | None = Field(description="Ngày xa nhất được hẹn / the furthest day to promise")
    answers: list[EscalationAnswer]
    handed_on: list[HandedOnView] = Field(description="Đã chuyển giao cho ai / to whom it was handed on")


class GivenAnswer(Body):
    """Trả lời một thông báo chuyển cấp / answer to an escalation."""

    kind: Given = Field(
        description=(
            "acknowledged: đã nắm, hẹn ngày / noted, by that day · snoozed: tạm hoãn / put off · taken_back: rút lại / "
            "take the answer back"
        ),
        examples=["acknowledged"],
    )
    until: date | None = Field(
        None, description="Cần, trừ taken_back / needed but for taken_back", examples=["2026-10-26"]
    )
    reason: Annotated[str, Field(max_length=MAX_REASON_CHARACTERS, examples=["Đang tổng hợp số liệu"])] = ""


class Handing(Body):
    """Chuyển giao một báo cáo quá hạn / hand a late report on."""

    to: str = Field(min_length=1, max_length=64, description="Mã người / the person's id", examples=["PCT-H99"])
    reason: Annotated[str, Field(min_length=1, max_length=MAX_REASON_CHARACTERS, examples=["Phụ trách khối"])]


_Page = page_of("EscalationPage", EscalationView)


def router(database: Database, callers: Callers, business: Clock, handing: Handings) -> APIRouter:
    """The routes of those who were told."""
    routes, calling = APIRouter(prefix="/v1", tags=["escalations"]), Depends(callers)

    @routes.get(
        "/escalations",
        response_model=_Page,
        summary="Báo cáo quá hạn đã được báo, chưa xong / late reports one was told of that are still open",
        description=(
            "Khóa của người: những gì đã báo người đó; của cơ quan: những gì đã báo người của cơ quan. / A person's "
            "key: what that person was told; an agency's: what its people were told."
        ),
    )
    async def escalations(
        request: Request,
        response: Response,
        page: Annotated[PageRequest, Depends(page_request)],
        caller: Caller = calling,
    ) -> dict[str, Any]:
        position = page.position("escalations", [UUID])
        before = position[0] if position else None
        assert before is None or isinstance(before, UUID)
        limit = min(page.limit, MAX_LISTED)
        async with database.read_transaction() as tx:
            people = await _people(tx, caller)
            found = await answering.open_ones(tx, people, business.now(), before=before, limit=limit + 1)
        answer = paginate("escalations", found, limit, lambda asked: [asked.notice])
        link_next(request, response, answer.next)
        return {"items": [_shown(asked) for asked in answer.items], "next": answer.next}

    async def once(
        notice: UUID,
        caller: Caller,
        now: datetime,
        act: Callable[[Transaction, str], Awaitable[None]],
        repeated: str,
        is_the_same: Callable[[Asked], bool],
    ) -> tuple[Asked, bool]:
        """The notice after `act(tx, via)`, and whether it acted. Raises what it is refused with.

        The refusal `repeated` of what was done before in the same words is none: the first answer is given again.
        """
        via, is_new = caller.principal.id if caller.principal.kind == "agency" else "", True
        try:
            async with database.transaction() as tx:
                await _asked(tx, notice, caller, now)
                await act(tx, via)
        except Refused as refused:
            reason, is_new = refused.reason, False
        async with database.read_transaction() as snapshot:
            found = await _asked(snapshot, notice, caller, now)
        if not is_new and (reason != repeated or not is_the_same(found)):
            raise _refusal(reason, found.last_day)
        return found, is_new

    @routes.post(
        "/escalations/{notification_id}/answers",
        summary="Trả lời: đã nắm, tạm hoãn, rút lại / answer: noted, put off, taken back",
        description=(
            "Đến ngày hẹn không báo thêm ai. Gửi lại cùng nội dung thì không trả lời hai lần. / Nobody further is told "
            "until the day promised. The same answer sent again is not given twice."
        ),
    )
    async def answer_escalation(
        notification_id: UUID, body: GivenAnswer, response: Response, caller: Caller = calling
    ) -> EscalationView:
        now, reason = business.now(), " ".join(body.reason.split())

        async def give(tx: Transaction, via: str) -> None:
            await answering.give(tx, notification_id, body.kind, body.until, reason, now, via)

        found, is_new = await once(
            notification_id, caller, now, give, "answered", lambda asked: _is_given(asked, body, reason)
        )
        if is_new:
            metrics.ESCALATIONS_ANSWERED_TOTAL.labels(body.kind).inc()
        else:
            response.headers["Idempotent-Replayed"] = "true"
        return _shown(found)

    @routes.post(
        "/escalations/{notification_id}/handing-on",
        summary="Chuyển giao cho người khác chỉ đạo / hand it on to another person",
        description=(
            "Người đó thuộc cơ quan của người được báo hoặc cấp dưới, nhận thông báo và trả lời được; lịch báo cấp "
            "trên không đổi. Gửi lại thì không chuyển hai lần. / That person, of the agency of whoever was told or "
            "below it, is told and may answer; the climb goes on as it did. Sent again it is not handed on twice."
        ),
    )
    async def hand_on(
        notification_id: UUID, body: Handing, response: Response, caller: Caller = calling
    ) -> EscalationView:
        now, reason = business.now(), " ".join(body.reason.split())

        async def plan(tx: Transaction, via: str) -> None:
            await handing.plan(tx, notification_id, body.to, reason, now, via=via)

        found, is_new = await once(
            notification_id, caller, now, plan, "told_already", lambda asked: _is_handed_on(asked, body, reason)
        )
        if not is_new:
            response.headers["Idempotent-Replayed"] = "true"
        return _shown(found)

    return routes


async def _people(tx: ReadTransaction, caller: Caller) -> list[str]:
    """For whom the caller answers."""
    principal = caller.principal
    if principal.kind == "agency":
        return await answering.people_of(tx, principal.id)
    return [principal.id]


async def _asked(tx: ReadTransaction, notice: UUID, caller: Caller, now: datetime) -> Asked:
    """The notice, if it was made out to whom the caller answers for. Raises 404."""
    found = await answering.asked(tx, notice, now)
    if found is not None:
        agency = caller.principal.id if found.person in await _people(tx, caller) else ""
        if answers_for(caller.principal, found.person, agency, caller.on):
            return found
    raise not_found(f"thông báo chuyển cấp {notice}", f"escalation notice {notice}")


def _is_given(found: Asked, body: GivenAnswer, reason: str) -> bool:
    """Whether this answer is the one that the notice got before."""
    given = [] if found.escalation is None else found.escalation.climb.answers
    return any(
        (one.notice, one.kind, one.reason) == (str(found.notice), body.kind, reason)
        and (body.kind == "taken_back" or (one.until and local_day(one.until)) == body.until)
        for one in given
    )


def _is_handed_on(found: Asked, body: Handing, reason: str) -> bool:
    """Whether this is how it was handed on before."""
    handed = [] if found.escalation is None else found.escalation.climb.handed_on
    return any((one.notice, one.told.person, one.reason) == (str(found.notice), body.to, reason) for one in handed)


def _refusal(reason: str, last_day: date | None) -> Problem:
    vi, en = REFUSALS[reason]
    if reason in _FAULTY:
        fix = ("", "")
        if reason == "too_far" and last_day is not None:
            fix = f"Ngày muộn nhất: {last_day:%d/%m/%Y}.", f"The last day that may be promised: {last_day:%d/%m/%Y}."
        return unprocessable([FieldError(_FAULTY[reason], vi, en, *fix)])
    return Problem.of(REFUSED, vi, en, extensions={"reason": reason})


def _local(moment: datetime | None) -> datetime | None:
    return moment and moment.astimezone(LOCAL_ZONE)


def _shown(asked: Asked) -> EscalationView:
    climb = None if asked.escalation is None else asked.escalation.climb
    return EscalationView(
        notification_id=asked.notice,
        person=asked.person,
        obligation=asked.obligation,
        agency=asked.agency,
        agency_name=asked.names.agency[0],
        agency_name_en=asked.names.agency[1],
        regime_name=asked.names.regime[0],
        regime_name_en=asked.names.regime[1],
        period=asked.period,
        deadline=_local(asked.deadline),
        told_at=_local(asked.told_at),
        next_at=_local(None if asked.escalation is None else asked.escalation.next_at),
        held_until=_local(None if climb is None else climb.held_until),
        last_day=asked.last_day,
        answers=[
            EscalationAnswer(
                by=one.by,
                via=one.via,
                kind=one.kind,
                at=one.at.astimezone(LOCAL_ZONE),
                until=_local(one.until),
                reason=one.reason,
            )
            for one in (() if climb is None else climb.answers)
        ],
        handed_on=[
            HandedOnView(
                by=one.by, via=one.via, to=one.told.person, at=one.at.astimezone(LOCAL_ZONE), reason=one.reason
            )
            for one in (() if climb is None else climb.handed_on)
        ],
    )


#: of the page: a date and a reason
MAX_BODY_BYTES = 8 * 1024
PAGE_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
    ),
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
    "X-Robots-Tag": "noindex",
}


def page_router(database: Database, links: AnswerLinks, business: Clock) -> APIRouter:
    """The page and its button. Outside the OpenAPI document: people come by the link in their mail."""
    routes = APIRouter(prefix="/v1/answers")
    page = Environment(
        autoescape=True, undefined=StrictUndefined, loader=PackageLoader("services.notifier", "templates")
    ).get_template("answer.page.html.j2")

    def notice_of(token: str) -> UUID:
        notice = links.read(token)
        if notice is None:
            raise not_found("trang này", "such page")
        return notice

    async def shown(notice: UUID, refusal: str = "") -> HTMLResponse:
        async with database.read_transaction() as snapshot:
            found = await answering.asked(snapshot, notice, business.now())
        if found is None:
            raise not_found("trang này", "such page")
        return HTMLResponse(
            page.render(_page_view(found, refusal)), status_code=409 if refusal else 200, headers=PAGE_HEADERS
        )

    @routes.get("/{token}", include_in_schema=False)
    async def show(token: str) -> HTMLResponse:
        return await shown(notice_of(token))

    @routes.post("/{token}", include_in_schema=False)
    async def give(token: str, request: Request) -> HTMLResponse:
        notice = notice_of(token)
        form = parse_qs((await read_body(request, MAX_BODY_BYTES)).decode("utf-8", "replace"))
        kind = form.get("kind", [""])[0]
        if kind not in get_args(Given):
            return await shown(notice)
        try:
            until = date.fromisoformat(form.get("until", [""])[0])
        except ValueError:
            until = None
        reason = " ".join(form.get("reason", [""])[0].replace("\x00", "").split())
        try:
            async with database.transaction() as tx:
                await answering.give(tx, notice, kind, until, reason, business.now())  # type: ignore[arg-type]
        except Refused as refused:
            return await shown(notice, refused.reason)
        metrics.ESCALATIONS_ANSWERED_TOTAL.labels(kind).inc()
        return await shown(notice)

    return routes


def _page_view(found: Asked, refusal: str) -> dict[str, Any]:
    escalation, given = found.escalation, found.answered
    until = escalation.climb.held_until if escalation is not None else None
    return {
        "refusal": REFUSALS.get(refusal, ("", "")),
        "facts": found.facts,
        "names": found.names,
        "obligation": found.obligation,
        "deadline": words.deadline_words(found.deadline),
        "over": escalation is None,
        "given": given is not None and not found.taken_back,
        "taken_back": found.taken_back,
        "until": words.deadline_words(until) if until is not None else ("", ""),
        "last_day": found.last_day.isoformat() if found.last_day else "",
    }
