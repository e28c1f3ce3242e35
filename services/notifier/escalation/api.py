"""The page behind the link of an escalation letter: it shows what is asked; only its buttons act, each once.

Who has the link is who was written to; a mail scanner that follows it changes nothing.
"""

from __future__ import annotations

from datetime import date
from typing import Any, get_args
from urllib.parse import parse_qs
from uuid import UUID

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse
from jinja2 import Environment, PackageLoader, StrictUndefined

from services.notifier import metrics
from services.notifier.escalation import answering
from services.notifier.escalation.answering import Asked, Given
from services.notifier.escalation.domain import Refused
from services.notifier.escalation.links import AnswerLinks
from services.notifier.templates import words
from shared.postgres.database import Database
from shared.runtime.clock import Clock
from shared.web.app import read_body
from shared.web.errors import not_found

#: a date and a reason
MAX_BODY_BYTES = 8 * 1024
HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
    ),
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
    "X-Robots-Tag": "noindex",
}
#: why an answer is not taken, and what to do
REFUSALS: dict[str, tuple[str, str]] = {
    "resolved": ("Báo cáo không còn quá hạn; không cần trả lời.", "It is overdue no more; no answer is needed."),
    "answered": ("Đường dẫn này đã được dùng để trả lời.", "This link has been used to answer."),
    "not_told": ("Thông báo này không gửi tới Ông/Bà.", "This notice was not made out to you."),
    "no_date": ("Hãy chọn ngày.", "Choose a date."),
    "in_the_past": ("Hãy chọn một ngày sau hôm nay.", "Choose a day after today."),
    "too_far": ("Ngày hẹn quá xa; hãy chọn ngày sớm hơn.", "The date is too far ahead; choose an earlier one."),
    "too_often": ("Đã hẹn đủ số lần cho phép.", "It was put off as often as is allowed."),
    "no_reason": ("Hãy ghi lý do tạm hoãn.", "Give the reason for putting it off."),
    "not_held": ("Hiện không có lời hẹn nào để rút.", "There is no promise to take back."),
    "no_calendar": ("Chưa có lịch làm việc; hãy thử lại sau.", "There is no working calendar yet; try again later."),
}


def router(database: Database, links: AnswerLinks, business: Clock) -> APIRouter:
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
        return HTMLResponse(page.render(_view(found, refusal)), status_code=409 if refusal else 200, headers=HEADERS)

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


def _view(found: Asked, refusal: str) -> dict[str, Any]:
    escalation, given = found.escalation, found.answered
    until = escalation.climb.held_until if escalation is not None else None
    return {
        "refusal": REFUSALS.get(refusal, ("", "")),
        "facts": found.facts,
        "obligation": found.obligation,
        "deadline": words.deadline_words(found.deadline),
        "over": escalation is None,
        "given": given is not None and not found.taken_back,
        "taken_back": found.taken_back,
        "until": words.deadline_words(until) if until is not None else ("", ""),
        "last_day": found.last_day.isoformat() if found.last_day else "",
    }
