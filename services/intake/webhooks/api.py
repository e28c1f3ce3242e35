"""Webhooks over HTTP: an agency's system, or who administers it, adds, reads, changes and tests them."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, get_args
from uuid import UUID

from fastapi import Depends, Header, Query, Request, Response

from services.intake import pages
from services.intake.administration.callers import Reaching
from services.intake.administration.reach import Reach
from services.intake.parameters import Page, id_of, version_of_etag
from services.intake.problems import PRECONDITION_REQUIRED
from services.intake.webhooks import domain, handlers, problems, store
from services.intake.webhooks.callers import keeps, kept_by
from services.intake.webhooks.domain import TwoLive, Webhook
from services.intake.webhooks.handlers import Call, KeyReused, Made, Stale, TooMany
from services.intake.webhooks.views import (
    WebhookEdit,
    WebhookMade,
    WebhookPage,
    WebhookRegistration,
    WebhookRotation,
    WebhookTest,
    WebhookView,
    webhook_made,
    webhook_view,
)
from shared.contract.events.registry import WebhookCovers
from shared.contract.webhook_secrets import MasterKeys
from shared.contract.webhook_targets import Networks
from shared.postgres.database import Database, Transaction
from shared.runtime.clock import Clock
from shared.runtime.watched_file import WatchedFile
from shared.web.app import Application
from shared.web.errors import Problem, bad_request, not_found, too_many, unprocessable
from shared.web.idempotency import IdempotencyKey, given_key, key_of_something_else
from shared.web.paging import paginate

_IfMatch = Annotated[str | None, Header(description="ETag đã đọc / the ETag that was read")]
_Agency = Annotated[
    str | None, Query(max_length=64, description="Chỉ của cơ quan này / of this agency alone", examples=["H99.131"])
]


def mount(
    app: Application,
    *,
    database: Database,
    keepers: Reaching,
    master_keys: WatchedFile[MasterKeys],
    private: Networks,
    system_clock: Clock,
) -> None:
    """Add the routes. private: networks that webhooks may reach beside public addresses."""
    reaching = Depends(keepers)

    def call_of(reach: Reach = reaching, key: IdempotencyKey = None) -> Call:
        key = given_key(key)
        return Call(reach.principal, key, system_clock.now())

    calling = Depends(call_of)

    @app.post(
        "/v1/webhooks",
        tags=["webhooks"],
        summary="Đăng ký webhook / add a webhook",
        status_code=201,
        responses={200: {"model": WebhookMade, "description": "Lặp lại một lần gọi / a repetition"}},
    )
    async def add_webhook(
        body: WebhookRegistration, response: Response, reach: Reach = reaching, call: Call = calling
    ) -> WebhookMade:
        agency = body.agency or reach.principal.agency or ""
        if not keeps(reach, agency, body.covers):
            raise not_found(f"cơ quan {agency[:80]}", f"agency {agency[:80]}")
        if found := domain.faults(body.wanted, private, body.covers):
            raise unprocessable(found)
        async with database.transaction() as tx:
            made = _made(await handlers.register(tx, call, agency, body.wanted, body.covers, _master(master_keys)))
        response.headers["Location"] = f"/v1/webhooks/{made.webhook.webhook_id}"
        return _answer(response, made, 201)

    @app.get(
        "/v1/webhooks",
        tags=["webhooks"],
        summary="Webhook đã đăng ký, cũ nhất trước / webhooks, the oldest first",
        response_model=WebhookPage,
    )
    async def webhooks(request: Request, page: Page, agency: _Agency = None, reach: Reach = reaching) -> Response:
        position = page.position("webhooks", (UUID,))
        kept = {covers: kept_by(reach, covers) for covers in get_args(WebhookCovers)}
        if agency is not None:
            kept = {covers: frozenset({agency} if of is None else of & {agency}) for covers, of in kept.items()}
        after = position[0] if position else None
        assert after is None or isinstance(after, UUID)
        async with database.read_transaction() as tx:
            rows = await store.page(tx, kept, after, page.limit + 1)
        found = paginate("webhooks", [webhook_view(row) for row in rows], page.limit, _position)
        return await pages.answer(request, found, WebhookView)

    @app.get("/v1/webhooks/{webhook_id}", tags=["webhooks"], summary="Một webhook, với ETag / one, with its ETag")
    async def webhook(webhook_id: str, response: Response, reach: Reach = reaching) -> WebhookView:
        wanted = _id(webhook_id)
        async with database.read_transaction() as tx:
            found = _kept(await store.one(tx, wanted), reach, webhook_id)
        response.headers["ETag"] = f'"{found.version}"'
        return webhook_view(found)

    @app.put(
        "/v1/webhooks/{webhook_id}",
        tags=["webhooks"],
        summary="Sửa, tạm dừng hoặc dùng lại / change, pause or resume",
        description="`If-Match` với ETag đã đọc. / `If-Match` with the ETag that was read.",
    )
    async def edit_webhook(
        webhook_id: str, body: WebhookEdit, response: Response, reach: Reach = reaching, if_match: _IfMatch = None
    ) -> WebhookView:
        wanted, expected = _id(webhook_id), _expected(if_match)
        async with database.transaction() as tx:
            before = await _locked(tx, wanted, reach)
            if found := domain.faults(body.wanted, private, before.covers):
                raise unprocessable(found)
            call = Call(reach.principal, "", system_clock.now())
            made = _made(await handlers.edit(tx, call, before, body.wanted, body.state, expected))
        response.headers["ETag"] = f'"{made.webhook.version}"'
        return webhook_view(made.webhook)

    @app.post(
        "/v1/webhooks/{webhook_id}/resumption",
        tags=["webhooks"],
        summary="Gửi tiếp / send again",
        description=(
            "Sau khi nơi nhận trả lời 410, sau khi tạm dừng, hoặc để thử ngay nơi nhận đang được nghỉ. Gọi lại không "
            "hại gì. / After the receiver answered 410, after a pause, or to try a resting receiver at once. To call "
            "it again does no harm."
        ),
    )
    async def resume_webhook(webhook_id: str, response: Response, reach: Reach = reaching) -> WebhookView:
        wanted = _id(webhook_id)
        async with database.transaction() as tx:
            before = await _locked(tx, wanted, reach)
            made = await handlers.resume(tx, Call(reach.principal, "", system_clock.now()), before)
        response.headers["ETag"] = f'"{made.webhook.version}"'
        return webhook_view(made.webhook)

    @app.delete(
        "/v1/webhooks/{webhook_id}",
        tags=["webhooks"],
        summary="Xóa / delete",
        description="`If-Match` với ETag đã đọc. / `If-Match` with the ETag that was read.",
        status_code=204,
    )
    async def delete_webhook(webhook_id: str, reach: Reach = reaching, if_match: _IfMatch = None) -> None:
        wanted, expected = _id(webhook_id), _expected(if_match)
        async with database.transaction() as tx:
            before = await _locked(tx, wanted, reach)
            stale = await handlers.delete(tx, Call(reach.principal, "", system_clock.now()), before, expected)
            if stale is not None:
                raise problems.stale(stale.version)

    @app.post(
        "/v1/webhooks/{webhook_id}/rotation",
        tags=["webhooks"],
        summary="Đổi khóa ký / a new secret; for a while both sign",
        status_code=201,
        responses={200: {"model": WebhookMade, "description": "Lặp lại một lần gọi / a repetition"}},
    )
    async def rotate_webhook_secret(
        webhook_id: str, body: WebhookRotation, response: Response, reach: Reach = reaching, call: Call = calling
    ) -> WebhookMade:
        keep = timedelta(hours=body.old_ends_after_hours)
        wanted = _id(webhook_id)
        async with database.transaction() as tx:
            before = await _locked(tx, wanted, reach)
            made = _made(await handlers.rotate(tx, call, before, keep, _master(master_keys)))
        return _answer(response, made, 201)

    @app.post(
        "/v1/webhooks/{webhook_id}/test",
        tags=["webhooks"],
        summary="Gửi thử / have a test sent",
        status_code=202,
    )
    async def test_webhook(
        webhook_id: str, response: Response, reach: Reach = reaching, call: Call = calling
    ) -> WebhookTest:
        wanted = _id(webhook_id)
        async with database.transaction() as tx:
            made = _made(await handlers.test(tx, call, await _locked(tx, wanted, reach)))
        if made.replayed:
            response.headers["Idempotent-Replayed"] = "true"
        assert made.test_id is not None
        return WebhookTest(webhook_id=made.webhook.webhook_id, test_id=made.test_id)


def _made(outcome: Made | KeyReused | TooMany | TwoLive | Stale | timedelta) -> Made:
    """What was made. Raises Problem for what was refused, so that the transaction leaves nothing behind."""
    match outcome:
        case Made():
            return outcome
        case KeyReused():
            raise key_of_something_else()
        case TooMany():
            raise Problem.of(problems.TOO_MANY_WEBHOOKS)
        case TwoLive(until):
            raise problems.two_live(until)
        case Stale():
            raise problems.stale(outcome.version)
        case timedelta():
            raise too_many(int(outcome.total_seconds()) + 1)


def _answer(response: Response, made: Made, status: int) -> WebhookMade:
    response.status_code = 200 if made.replayed else status
    if made.replayed:
        response.headers["Idempotent-Replayed"] = "true"
    response.headers["ETag"] = f'"{made.webhook.version}"'
    response.headers["Cache-Control"] = "no-store"
    return webhook_made(made.webhook, made.secret)


def _master(master_keys: WatchedFile[MasterKeys]) -> MasterKeys:
    keys = master_keys.value()
    if keys is None:
        raise problems.no_master_key()
    return keys


async def _locked(tx: Transaction, webhook_id: UUID, reach: Reach) -> Webhook:
    return _kept(await store.lock(tx, webhook_id), reach, str(webhook_id))


def _kept(webhook: Webhook | None, reach: Reach, asked: str) -> Webhook:
    """The webhook if there is one and it is the caller's to keep. Raises 404."""
    if webhook is None or not keeps(reach, webhook.agency, webhook.covers):
        raise problems.unknown(asked)
    return webhook


def _id(text: str) -> UUID:
    return id_of(text, "webhook này", "such webhook")


def _expected(if_match: str | None) -> int:
    """The version that the caller has read. Raises 428, 400."""
    if if_match is None:
        raise Problem.of(PRECONDITION_REQUIRED)
    version = version_of_etag(if_match)
    if version is None:
        raise bad_request(
            'If-Match phải là ETag đã đọc, ví dụ "3".', 'If-Match must be the ETag that was read, such as "3".'
        )
    return version


def _position(row: WebhookView) -> tuple[UUID]:
    return (UUID(int=row.webhook_id.int),)
