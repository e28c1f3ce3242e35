"""The HTTP edge, for the operator: who was sent which notice, when, and what the mail server answered."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator
from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Depends, Query, Request, Response
from fastapi.responses import StreamingResponse
from pydantic import Field

from services.notifier import metrics, queries, tables
from services.notifier.delivery import bounces, proving
from services.notifier.delivery.states import State
from services.notifier.planning.domain import NoticeKind
from services.notifier.queries import Filter
from shared.access import Principal
from shared.postgres.database import Database
from shared.postgres.json_values import json_row
from shared.runtime.clock import Clock
from shared.web.answers import Answer, many, of_columns, of_model, page_of
from shared.web.app import read_body
from shared.web.authentication import Operators
from shared.web.errors import FieldError, not_found, unprocessable
from shared.web.exports import Export
from shared.web.filters import moment
from shared.web.idempotency import IdempotencyKey, given_key, key_of_something_else
from shared.web.paging import PageRequest, link_next, page_request, paginate
from shared.web.preferences import prefers_csv

EXPORTS = (
    Export(
        "notifications",
        "SELECT id, obligation, agency, regime, period, kind, step, officer_id, channel, message_id,"
        " submission_version, state, reason, created_at, settled_at, attempts, refusals, unknowns, wait_until, held,"
        " released_at, mail_id, next_contact FROM notifications"
        " WHERE id > :after ORDER BY id LIMIT :limit",
        "id",
        UUID,
    ),
    Export(
        "attempts",
        "SELECT notification_id, number, worker, resend, claimed_at, in_data_at, ended_at, outcome, stage, smtp_code,"
        " answer, late, content_sha256 FROM attempts WHERE (notification_id, number) >"
        " (CAST(:after_notification_id AS uuid), CAST(:after_number AS bigint))"
        " ORDER BY notification_id, number LIMIT :limit",
        ("notification_id", "number"),
        (UUID, int),
    ),
    Export(
        "webhook_messages",
        "SELECT number, delivery_id, webhook_id, event, occurred_at, created_at, state, due_at, attempts, replays,"
        " settled_at, reason FROM webhook_deliveries WHERE number > :after ORDER BY number LIMIT :limit",
        "number",
        int,
    ),
    Export(
        "webhook_attempts",
        "SELECT token, delivery_id, number, started_at, ended_at, outcome, status, answer FROM webhook_attempts"
        " WHERE token > :after ORDER BY token LIMIT :limit",
        "token",
        UUID,
    ),
    Export(
        "webhook_replays",
        "SELECT replay_id, webhook_id, made_by, wanted, messages, at FROM webhook_replays"
        " WHERE replay_id > :after ORDER BY replay_id LIMIT :limit",
        "replay_id",
        UUID,
    ),
    Export(
        "obligations",
        "SELECT obligation, agency, deadline, standing, version, verdict_version, accepted_version, recorded_version"
        # what an agency is told of a regime version is kept under a name of its own, which is no obligation
        " FROM obligations WHERE obligation > :after AND NOT starts_with(period, 'version/')"
        " ORDER BY obligation LIMIT :limit",
        "obligation",
        str,
    ),
)

_Summary = of_columns(
    "NotificationSummary", tables.notifications, queries.SHOWN, kind=(NoticeKind, ...), state=(State, ...)
)
_Attempt = of_columns("AttemptView", tables.attempts, queries.ATTEMPTS_SHOWN)
_Resend = of_columns("ResendView", tables.resends, queries.RESENDS_SHOWN)
_View = of_model(
    "NotificationView",
    _Summary,
    facts=(dict[str, Any], Field(description="Điều thư nêu / what the letter states")),
    attempts_made=many(_Attempt),
    resends_ordered=many(_Resend),
)
_Page = page_of("NotificationPage", _Summary)


_SHA256 = "3f5ac9d0e1b24a6c8d7e9f00112233445566778899aabbccddeeff0011223344"


class ProofRow(Answer):
    """Một thông báo và bằng chứng đã gửi / a notice with the proof that it was sent."""

    notice: UUID
    obligation: str
    kind: NoticeKind
    step: str
    person: str = Field(examples=["TT-H99.131"])
    name: str
    title: str = Field(examples=["Chủ tịch"])
    channel: str = Field(examples=["email"])
    recipient: str | None = Field(examples=["ubnd@thuongnguyen.h99.example"])
    state: State
    reason: str | None = Field(examples=[None])
    held: str | None = Field(examples=["quiet_until:2026-10-26T08:15:00+07:00"])
    planned_at: datetime
    released_at: datetime | None
    settled_at: datetime | None
    mail: UUID = Field(description="Thông báo mang thư / the notice that carries the mail")
    message_id: str = Field(examples=["<k5x3@thongsuot.example>"])
    attempts: int
    data_at: datetime | None = Field(description="Bắt đầu gửi nội dung, giờ hệ thống / DATA began, system time")
    answered_at: datetime | None = Field(description="Máy chủ thư trả lời / the mail server answered")
    smtp_code: int | None = Field(examples=[250])
    smtp_answer: str | None = Field(examples=["queued as 4XyZ"])
    message_sha256: str | None = Field(
        description="Của thư như đã gửi / of the message as it was sent", examples=[_SHA256]
    )
    facts_sha256: str = Field(description="Của nội dung trong sổ / of what the ledger keeps of it", examples=[_SHA256])
    answers: list[dict[str, Any]] = Field(
        description="Người nhận đã trả lời gì / what the recipient answered", examples=[[]]
    )
    row_sha256: str = Field(
        description="Của JSON dòng này, trừ thành viên này, khóa theo thứ tự / of this row's JSON but for this member",
        examples=[_SHA256],
    )


class BounceView(Answer):
    """Thư bị trả về và các thông báo của nó / a mail that came back, and its notices."""

    message_id: str = Field(examples=["<k5x3@thongsuot.example>"])
    why: str = Field(examples=["5.1.1 smtp; 550 5.1.1 user unknown"])
    notices: list[UUID] = Field(description="Vừa thành failed / that became failed now")


_ProofPage = page_of("ProofPage", ProofRow)
_From = Annotated[datetime | None, moment("since"), Query(description="Lập từ lúc này / planned from then on")]
_To = Annotated[datetime | None, moment("until"), Query(description="Lập trước lúc này / planned before then")]
_Text = Query(max_length=300, pattern=r"^[^\x00-\x1f]*$")


def router(database: Database, operators: Operators, business: Clock) -> APIRouter:
    """Notifier's routes."""
    admitted = Depends(operators)
    routes = APIRouter(prefix="/v1", dependencies=[admitted])

    @routes.get(
        "/notifications",
        response_model=_Page,
        tags=["notifications"],
        summary="Sổ thông báo, mới nhất trước / the ledger of notifications, newest first",
    )
    async def notifications(
        request: Request,
        response: Response,
        page: Annotated[PageRequest, Depends(page_request)],
        obligation: Annotated[str | None, _Text] = None,
        agency: Annotated[str | None, _Text] = None,
        officer: Annotated[str | None, _Text] = None,
        kind: NoticeKind | None = None,
        state: State | None = None,
    ) -> dict[str, Any]:
        wanted = Filter(obligation, agency, officer, kind, state)
        # a cursor belongs to the filters it was given for
        listing = "notifications/" + "/".join(
            value or "*" for value in (wanted.obligation, wanted.agency, wanted.officer_id, wanted.kind, wanted.state)
        )
        position = page.position(listing, [UUID])
        before = position[0] if position else None
        assert before is None or isinstance(before, UUID)
        async with database.read_transaction() as snapshot:
            rows = await queries.notifications(snapshot, wanted, before=before, limit=page.limit + 1)
        answer = paginate(listing, [json_row(row) for row in rows], page.limit, lambda row: [UUID(row["id"])])
        link_next(request, response, answer.next)
        return answer.document()

    @routes.post(
        "/bounces",
        tags=["notifications"],
        summary="Thư bị trả về, do máy chủ thư báo / a mail that came back, as a mail server reports it",
        description=(
            "Thân là thông báo trạng thái gửi (RFC 3464) nguyên văn. Thông báo trong thư thành `failed`, người kế tiếp "
            "được báo; gửi lại không làm hai lần. Cần Idempotency-Key, ví dụ SHA-256 của thân. / The body is the "
            "delivery status notification (RFC 3464) as it came. What the mail told becomes `failed`, and whoever is "
            "next hears of it; sent again it changes nothing. Needs an Idempotency-Key, such as the body's SHA-256."
        ),
        openapi_extra={
            "requestBody": {
                "required": True,
                "content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}},
            }
        },
    )
    async def bounce(
        request: Request, response: Response, operator: Principal = admitted, key: IdempotencyKey = None
    ) -> BounceView:
        key = given_key(key)
        content = await read_body(request, bounces.MAX_DSN_BYTES)
        try:
            read = bounces.read_dsn(content)
        except bounces.NoBounce as error:
            vi, _, en = str(error).partition(" / ")
            fault = FieldError(
                "", f"Không phải báo trả thư: {vi}.", f"It is no bounce: {en}.",
                "Gửi nguyên văn thông báo trạng thái gửi (RFC 3464).",
                "Post the delivery status notification (RFC 3464) as it came.",
            )  # fmt: skip
            raise unprocessable([fault]) from None
        report = bounces.Report(operator.id, key, hashlib.sha256(content).hexdigest())
        taken = None
        try:
            async with database.transaction() as tx:
                earlier = await bounces.taken_before(tx, report)
                if earlier is None:
                    taken = await bounces.take(tx, read, by=report.by, at=business.now(), report=report)
        except bounces.KeyTaken:
            async with database.read_transaction() as snapshot:
                earlier = await bounces.taken_before(snapshot, report)
        if earlier is not None:
            if earlier.sha256 != report.sha256:
                raise key_of_something_else()
            response.headers["Idempotent-Replayed"] = "true"
            return BounceView(message_id=earlier.bounce.message_id, why=earlier.bounce.why, notices=earlier.notices)
        if taken is None:
            raise not_found(f"thư {read.message_id}", f"mail {read.message_id}")
        notices, events = taken
        for event in events:
            metrics.count_outcome(event)
        return BounceView(message_id=read.message_id, why=read.why, notices=notices)

    @routes.get(
        "/notifications/proof",
        response_model=_ProofPage,
        responses={200: {"content": {"text/csv": {"schema": {"type": "string"}}}}},
        tags=["notifications"],
        summary="Chứng minh đã báo cho ai, lúc nào / prove who was told what, when",
        description=(
            "Cần obligation hoặc officer. Cũ nhất trước; với `Accept: text/csv` trả toàn bộ dưới dạng CSV. Mỗi dòng có "
            "SHA-256 của thư đã gửi, của nội dung và của chính dòng đó. / Needs obligation or officer. The oldest "
            "first; with `Accept: text/csv` all of it as CSV. Each row has the SHA-256 of the message as sent, of what "
            "it states, and of the row itself."
        ),
    )
    async def proof(
        request: Request,
        response: Response,
        page: Annotated[PageRequest, Depends(page_request)],
        obligation: Annotated[str | None, _Text] = None,
        officer: Annotated[str | None, _Text] = None,
        since: _From = None,
        until: _To = None,
    ) -> Any:
        if obligation is None and officer is None:
            raise unprocessable([
                FieldError("/obligation", "Thiếu điều kiện.", "There is no condition.",
                           "Ghi obligation hoặc officer.", "Give obligation or officer.", "query"),
            ])  # fmt: skip
        wanted = proving.Wanted(obligation, officer, since, until)
        if prefers_csv(request.headers.get("accept", "")):
            return await _csv(database, wanted)
        listing = "proof/" + "/".join(str(value or "*") for value in (obligation, officer, since, until))
        position = page.position(listing, [UUID])
        after = position[0] if position else None
        assert after is None or isinstance(after, UUID)
        async with database.read_transaction() as snapshot:
            rows = await proving.proof(snapshot, wanted, after=after, limit=page.limit + 1)
        answer = paginate(listing, rows, page.limit, lambda row: [UUID(row["notice"])])
        link_next(request, response, answer.next)
        return answer.document()

    @routes.get(
        "/notifications/{notification_id}",
        response_model=_View,
        tags=["notifications"],
        summary="Một thông báo với từng lần gửi / a notification with each attempt and the server's answers",
    )
    async def notification(notification_id: UUID) -> dict[str, Any]:
        async with database.read_transaction() as snapshot:
            found = await queries.notification(snapshot, notification_id)
        if found is None:
            raise not_found(f"thông báo {notification_id}", f"notification {notification_id}")
        row, attempts, resends = found
        return json_row(row) | {
            "attempts_made": [json_row(attempt) for attempt in attempts],
            "resends_ordered": [json_row(resend) for resend in resends],
        }

    return routes


async def _csv(database: Database, wanted: proving.Wanted) -> Response:
    async def read(after: UUID | None) -> list[dict[str, Any]]:
        async with database.read_transaction() as snapshot:
            return await proving.proof(snapshot, wanted, after=after, limit=proving.AT_ONCE)

    # read before the answer begins: trouble that comes later can only cut it off
    first = await read(None)

    async def lines() -> AsyncIterator[str]:
        yield proving.as_csv(first, header=True)
        rows = first
        while len(rows) == proving.AT_ONCE:
            rows = await read(UUID(rows[-1]["notice"]))
            yield proving.as_csv(rows, header=False)

    return StreamingResponse(
        lines(),
        media_type="text/csv; charset=utf-8; header=present",
        headers={"Content-Disposition": 'attachment; filename="proof.csv"', "Vary": "Accept"},
    )
