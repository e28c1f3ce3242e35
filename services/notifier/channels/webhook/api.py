"""What was sent to an agency's webhooks, over HTTP, for those who keep them: listed with each attempt, sent again."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Literal
from uuid import UUID

from fastapi import APIRouter, Depends, Query, Request, Response
from pydantic import AwareDatetime, Field

from services.notifier import metrics, tables
from services.notifier.channels.webhook import queries, replaying
from services.notifier.channels.webhook.callers import keeps
from services.notifier.channels.webhook.messages import TEST
from services.notifier.channels.webhook.queries import DeliveryState, Filter
from services.notifier.channels.webhook.replaying import (
    MAX_MESSAGES,
    KeyReused,
    NotActive,
    Order,
    Outcome,
    Replayed,
    ReplayState,
    TooMany,
    Unknown,
    Wanted,
)
from services.notifier.channels.webhook.signing import message_id
from shared.contract.events import WebhookEvent
from shared.postgres.database import Database, ReadTransaction
from shared.postgres.json_values import json_row
from shared.runtime.clock import Clock
from shared.web.answers import Answer, many, of_columns, of_model, page_of
from shared.web.bodies import Body
from shared.web.callers import Caller, Callers
from shared.web.errors import FieldError, Problem, describe, not_found, too_many, unprocessable
from shared.web.filters import moment
from shared.web.idempotency import IdempotencyKey, given_key, key_of_something_else
from shared.web.paging import PageRequest, link_next, page_request, paginate

#: a page holds no more, whatever is asked for: each message comes with its attempts
MAX_LISTED = 100
Event = WebhookEvent | Literal["webhook.test"]
_MESSAGE_ID = "msg_01932f5e7a107cc398c4dc0c0c07398f"
_FIRST, _LAST = datetime(1970, 1, 1, tzinfo=UTC), datetime(3000, 1, 1, tzinfo=UTC)

NOT_ACTIVE = describe(
    "webhook-not-active",
    409,
    "Webhook đang tạm dừng hoặc đã bị nơi nhận từ chối",
    "The webhook is paused, or its receiver wanted nothing more",
    "Hiện không gửi gì đến webhook này. Hãy gọi POST /v1/webhooks/{webhook_id}/resumption của intake, chờ vài giây rồi "
    "gọi lại.",
    "Nothing is sent to this webhook at present. Call intake's POST /v1/webhooks/{webhook_id}/resumption, wait a few "
    "seconds, and call again.",
)

_Attempt = of_columns(
    "DeliveryAttempt",
    tables.webhook_attempts,
    queries.ATTEMPTS_SHOWN,
    outcome=(Literal["delivered", "refused", "away", "gone"], ...),
    status=(int | None, Field(description="HTTP; null: không có trả lời / no answer came", examples=[503])),
    answer=(str, Field(description="Phần đầu của trả lời / how the answer begins", examples=["bao tri"])),
    milliseconds=(int, Field(examples=[182])),
)
_Delivery = of_columns(
    "Delivery",
    tables.webhook_deliveries,
    queries.SHOWN,
    message_id=(str, Field(description="Tiêu đề `webhook-id` / the header `webhook-id`", examples=[_MESSAGE_ID])),
    event=(str, Field(examples=["verdict.reached"])),
    state=(DeliveryState, Field(examples=["delivered"])),
    attempts=(int, Field(description="Số lần đã gửi / attempts made so far")),
    replays=(int, Field(description="Số lần được gửi lại theo yêu cầu / times it was replayed", examples=[0])),
    reason=(str | None, Field(examples=[None])),
    queued_at=(datetime, ...),
    next_at=(datetime | None, Field(description="Lần gửi tới / the next attempt", examples=[None])),
    attempts_made=many(_Attempt),
)
_View = of_model(
    "DeliveryView",
    _Delivery,
    body=(str, Field(description="Nội dung đã ký / what is signed", examples=['{"type":"verdict.reached"}'])),
)
_Page = page_of("DeliveryPage", _Delivery)


class WebhookHealth(Answer):
    """How the receiver fares."""

    state: Literal["active", "paused", "stopped"] = Field(
        description="stopped: đã trả lời 410 / it answered 410", examples=["active"]
    )
    delivered_at: datetime | None = Field(description="Lần gửi được gần nhất / when it took a message last")
    failing_since: datetime | None = Field(
        description="null: lần gửi gần nhất không hỏng / the latest attempt did not fail", examples=[None]
    )
    failures: int = Field(description="Số lần hỏng liên tiếp / failures in a row", examples=[0])
    rest_until: datetime | None = Field(description="Chưa gửi trước lúc này / nothing is sent before", examples=[None])
    waiting: int = Field(description="Số thông báo đang chờ / messages that wait", examples=[0])


class WebhookReplayView(Answer):
    """Messages that go out again, under their old `webhook-id`."""

    replay_id: UUID
    webhook_id: UUID
    messages: int = Field(description="Số thông báo được gửi lại / how many go out again", examples=[12])
    at: datetime


class WebhookReplaySpan(Body):
    """Gửi lại những thông báo vào hàng đợi trong một khoảng / messages queued in a span of time."""

    since: Annotated[AwareDatetime, Field(ge=_FIRST, lt=_LAST, examples=["2026-10-16T08:00:00+07:00"])]
    until: Annotated[
        AwareDatetime | None,
        Field(ge=_FIRST, lt=_LAST, description="null: đến nay / until now", examples=["2026-10-16T12:00:00+07:00"]),
    ] = None
    states: list[ReplayState] = Field(["delivered", "failed"], min_length=1, max_length=3)
    events: list[Event] | None = Field(
        None, min_length=1, max_length=20, description="null: mọi loại / all", examples=[["verdict.reached"]]
    )


def router(database: Database, keepers: Callers, system_clock: Clock) -> APIRouter:
    """The routes of those who keep webhooks."""
    routes, keeping = APIRouter(prefix="/v1", tags=["webhooks"]), Depends(keepers)

    @routes.get(
        "/webhooks/{webhook_id}/health",
        summary="Nơi nhận có nhận được không / how the receiver fares",
    )
    async def webhook_health(webhook_id: str, keeper: Caller = keeping) -> WebhookHealth:
        async with database.read_transaction() as tx:
            found = await queries.health(tx, await _kept(tx, webhook_id, keeper))
        return WebhookHealth.model_validate(json_row(found))

    @routes.get(
        "/webhooks/{webhook_id}/deliveries",
        response_model=_Page,
        summary="Thông báo đã gửi đến webhook, mới nhất trước / messages to a webhook, newest first",
        description=(
            f"Trong 30 ngày, mỗi trang nhiều nhất {MAX_LISTED}; mỗi thông báo kèm {queries.ATTEMPTS_LISTED} lần gửi "
            f"cuối. / Of 30 days, at most {MAX_LISTED} a page; each with its last {queries.ATTEMPTS_LISTED} attempts."
        ),
    )
    async def webhook_deliveries(
        webhook_id: str,
        request: Request,
        response: Response,
        page: Annotated[PageRequest, Depends(page_request)],
        state: DeliveryState | None = None,
        event: Event | None = None,
        since: Annotated[datetime | None, moment("since"), Query(description="Vào hàng đợi từ / queued since")] = None,
        until: Annotated[
            datetime | None, moment("until"), Query(description="Vào hàng đợi trước / queued before")
        ] = None,
        keeper: Caller = keeping,
    ) -> dict[str, Any]:
        wanted = Filter(state, event, since, until)
        listing = f"webhook-deliveries/{wanted.name}/{webhook_id[:80]}"
        position = page.position(listing, (datetime, int))
        before = None if position is None else (position[0], position[1])
        limit = min(page.limit, MAX_LISTED)
        async with database.read_transaction() as tx:
            webhook = await _kept(tx, webhook_id, keeper)
            rows = await queries.deliveries(tx, webhook, wanted, before=before, limit=limit + 1)  # type: ignore[arg-type]
            attempts = await queries.attempts(tx, [row["delivery_id"] for row in rows], queries.ATTEMPTS_LISTED)
        shown = paginate(listing, rows, limit, lambda row: [row["queued_at"], row["place"]])
        link_next(request, response, shown.next)
        return {"items": [_shown(row, attempts) for row in shown.items], "next": shown.next}

    @routes.get(
        "/webhooks/{webhook_id}/deliveries/{message_id}",
        response_model=_View,
        summary="Một thông báo với từng lần gửi / a message with each attempt",
    )
    async def webhook_delivery(webhook_id: str, message_id: str, keeper: Caller = keeping) -> dict[str, Any]:
        wanted = _id(message_id.removeprefix("msg_"))
        async with database.read_transaction() as tx:
            webhook = await _kept(tx, webhook_id, keeper)
            row = None if wanted is None else await queries.delivery(tx, webhook, wanted)
            if row is None:
                raise _no_message(message_id)
            attempts = await queries.attempts(tx, [row["delivery_id"]], queries.ATTEMPTS_OF_ONE)
        return _shown(row, attempts) | {"body": row["body"]}

    @routes.post(
        "/webhooks/{webhook_id}/deliveries/{message_id}/replay",
        summary="Gửi lại một thông báo / send a message again",
        description=_EXPLAINED,
        status_code=202,
    )
    async def replay_delivery(
        webhook_id: str, message_id: str, response: Response, keeper: Caller = keeping, key: IdempotencyKey = None
    ) -> WebhookReplayView:
        key = given_key(key)
        wanted = _id(message_id.removeprefix("msg_"))
        async with database.transaction() as tx:
            webhook = await _kept(tx, webhook_id, keeper)
            if wanted is None or await queries.delivery(tx, webhook, wanted) is None:
                raise _no_message(message_id)
            order = Order(webhook, keeper.name, key, Wanted(wanted), system_clock.now())
            made = _made(await replaying.replay(tx, order), webhook_id)
        return _answer(response, webhook, made)

    @routes.post(
        "/webhooks/{webhook_id}/replay",
        summary="Gửi lại thông báo của một khoảng thời gian / send the messages of a span again",
        description=_EXPLAINED,
        status_code=202,
    )
    async def replay_deliveries(
        webhook_id: str,
        body: WebhookReplaySpan,
        response: Response,
        keeper: Caller = keeping,
        key: IdempotencyKey = None,
    ) -> WebhookReplayView:
        key = given_key(key)
        if body.until is not None and body.until <= body.since:
            raise unprocessable([_EMPTY_SPAN])
        events = None if body.events is None else tuple(sorted(set(body.events)))
        wanted = Wanted(None, body.since, body.until, tuple(sorted(set(body.states))), events)
        async with database.transaction() as tx:
            webhook = await _kept(tx, webhook_id, keeper)
            order = Order(webhook, keeper.name, key, wanted, system_clock.now())
            made = _made(await replaying.replay(tx, order), webhook_id)
        return _answer(response, webhook, made)

    return routes


_EXPLAINED = (
    "Cùng `webhook-id`, lần gửi mới; cần Idempotency-Key; cứ 10 giây một lần cho mỗi webhook. Thông báo còn trên đường "
    f"gửi thì không đổi; mỗi lần nhiều nhất {MAX_MESSAGES}. / The same `webhook-id`, new attempts; needs an "
    "Idempotency-Key; once in 10 seconds for each webhook. What is on its way is left alone; at most "
    f"{MAX_MESSAGES} at once."
)
_EMPTY_SPAN = FieldError(
    "/until", "Không sau `since`.", "It is not after `since`.", "Ghi thời điểm sau `since`.", "Give a later moment."
)
_TOO_LONG = FieldError(
    "/since",
    f"Khoảng này có hơn {MAX_MESSAGES} thông báo.",
    f"The span holds more than {MAX_MESSAGES} messages.",
    "Chia thành những khoảng ngắn hơn, hoặc chọn `events`, `states`.",
    "Take shorter spans, or name `events` and `states`.",
)


def _made(outcome: Outcome, webhook_id: str) -> Replayed:
    """What was ordered. Raises Problem for what was refused, so that the transaction leaves nothing behind."""
    match outcome:
        case Replayed():
            return outcome
        case Unknown():
            raise _unknown(webhook_id)
        case KeyReused():
            raise key_of_something_else()
        case NotActive(state):
            raise Problem.of(NOT_ACTIVE, extensions={"state": state})
        case TooMany():
            raise unprocessable([_TOO_LONG])
        case timedelta():
            raise too_many(int(outcome.total_seconds()) + 1)


def _answer(response: Response, webhook_id: UUID, made: Replayed) -> WebhookReplayView:
    if made.again:
        response.headers["Idempotent-Replayed"] = "true"
    metrics.WEBHOOK_REPLAYED_TOTAL.inc(0 if made.again else made.messages)
    return WebhookReplayView(replay_id=made.replay_id, webhook_id=webhook_id, messages=made.messages, at=made.at)


def _shown(row: Mapping[Any, Any], attempts: Mapping[UUID, Sequence[Mapping[Any, Any]]]) -> dict[str, Any]:
    made = attempts.get(row["delivery_id"], ())
    return {
        "message_id": message_id(row["delivery_id"]),
        **_picked(row, (*queries.SHOWN, "queued_at", "next_at")),
        "attempts_made": [_picked(one, (*queries.ATTEMPTS_SHOWN, "milliseconds")) for one in made],
    }


def _picked(row: Mapping[Any, Any], names: Collection[str]) -> dict[str, Any]:
    return json_row({name: row[name] for name in names})


async def _kept(tx: ReadTransaction, asked: str, keeper: Caller) -> UUID:
    """The id of the webhook if there is one and it is the caller's to keep. Raises 404."""
    webhook_id = _id(asked)
    of = None if webhook_id is None else await queries.agency_of(tx, webhook_id)
    if webhook_id is None or of is None or not await keeps(keeper, tx, *of):
        raise _unknown(asked)
    return webhook_id


def _id(asked: str) -> UUID | None:
    try:
        return UUID(asked)
    except ValueError:
        return None


def _unknown(webhook_id: str) -> Problem:
    return not_found(f"webhook {webhook_id[:80]}", f"webhook {webhook_id[:80]}")


def _no_message(message_id: str) -> Problem:
    return not_found(f"thông báo {message_id[:80]} của webhook này", f"message {message_id[:80]} of this webhook")


assert TEST == "webhook.test"  # of Event: a type cannot be computed
