"""The HTTP edge, for the operator: who was sent which notice, when, and what the mail server answered."""

from __future__ import annotations

from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Depends, Query, Request, Response
from pydantic import Field

from services.notifier import queries, tables
from services.notifier.delivery.states import State
from services.notifier.planning.domain import NoticeKind
from services.notifier.queries import Filter
from shared.postgres.database import Database
from shared.postgres.json_values import json_row
from shared.web.answers import many, of_columns, of_model, page_of
from shared.web.authentication import Operators
from shared.web.errors import not_found
from shared.web.exports import Export
from shared.web.paging import PageRequest, link_next, page_request, paginate

EXPORTS = (
    Export(
        "notifications",
        "SELECT id, obligation, agency, regime, period, kind, step, officer_id, channel, message_id,"
        " submission_version, state, reason, created_at, settled_at, attempts, refusals, unknowns, wait_until, held,"
        " released_at, mail_id FROM notifications"
        " WHERE id > :after ORDER BY id LIMIT :limit",
        "id",
        UUID,
    ),
    Export(
        "attempts",
        "SELECT notification_id, number, worker, resend, claimed_at, in_data_at, ended_at, outcome, stage, smtp_code,"
        " answer, late FROM attempts WHERE (notification_id, number) >"
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
        " FROM obligations WHERE obligation > :after ORDER BY obligation LIMIT :limit",
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

_Text = Query(max_length=300, pattern=r"^[^\x00-\x1f]*$")


def router(database: Database, operators: Operators) -> APIRouter:
    """Notifier's routes."""
    routes = APIRouter(prefix="/v1", dependencies=[Depends(operators)])

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
