"""Silences over HTTP: who operates, or administers the agency, keeps notices back for a term, and says why."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Depends, Query, Request, Response
from pydantic import AwareDatetime, Field

from services.notifier import tables
from services.notifier.callers import tree_for
from services.notifier.mailing import store
from services.notifier.mailing.domain import LONGEST_SILENCE, MAX_IN_FORCE
from services.notifier.planning.domain import NoticeKind
from shared.access import Scope
from shared.access.rights import keeps_silences
from shared.contract.events.fields import flaw_of_text
from shared.postgres.database import Database, ReadTransaction
from shared.postgres.json_values import json_row
from shared.reports.classified import CLASSIFIED, is_classified
from shared.runtime.clock import Clock
from shared.runtime.operator import when
from shared.web.answers import of_columns, page_of
from shared.web.bodies import Body
from shared.web.callers import Caller, Callers
from shared.web.errors import FieldError, Problem, describe, forbidden, not_found, unprocessable
from shared.web.filters import truth
from shared.web.idempotency import IdempotencyKey, given_key, key_of_something_else
from shared.web.paging import PageRequest, link_next, page_request, paginate

SCOPES: tuple[Scope, ...] = ("administer", "operate")
MATCHER = ("agency", "regime", "person", "kind")
SHOWN = (
    "id", *MATCHER, "until", "reason", "made_by", "made_at", "ended_at", "ended_by", "end_reason"
)  # fmt: skip
MAX_REASON_CHARACTERS = 500
_REASON = "Lũ lớn, cả xã mất liên lạc đến hết tuần."

OVER = describe(
    "silence-over",
    409,
    "Lần tạm ngừng báo này đã hết",
    "The silence is over",
    "Lần tạm ngừng báo đã hết hạn hoặc đã được bỏ; không còn gì để bỏ. GET /v1/silences?all=true cho biết ai đã bỏ, "
    "lúc nào, vì sao.",
    "The silence has run out or was ended; there is nothing left to end. GET /v1/silences?all=true says who ended it, "
    "when and why.",
)

TOO_MANY = describe(
    "too-many-silences",
    409,
    "Cơ quan đang có quá nhiều lần tạm ngừng báo",
    "Too many silences of the agency are in force",
    f"Mỗi cơ quan có tối đa {MAX_IN_FORCE} lần tạm ngừng báo đang có hiệu lực; lần này không được lưu. Bỏ bớt bằng "
    "POST /v1/silences/{id}/end, hoặc dùng một lần khớp rộng hơn (bỏ `regime`, `person` hoặc `kind`).",
    f"An agency has at most {MAX_IN_FORCE} silences in force; this one is not stored. End some by "
    "POST /v1/silences/{id}/end, or use one that matches more (leave out `regime`, `person` or `kind`).",
)

_View = of_columns(
    "SilenceView",
    tables.silences,
    SHOWN,
    agency=(str | None, Field(description="Cơ quan nợ báo cáo / the agency that owes", examples=["H99.149"])),
    regime=(str | None, Field(examples=[None])),
    person=(str | None, Field(description="Người nhận / the recipient", examples=[None])),
    kind=(NoticeKind | None, Field(description="null: mọi loại / every kind", examples=["escalation"])),
    reason=(str, Field(examples=[_REASON])),
    made_by=(str, Field(examples=["person/QT-H99"])),
    ended_at=(datetime | None, Field(description="Bỏ trước hạn / ended before its time", examples=[None])),
    ended_by=(str | None, Field(examples=[None])),
    end_reason=(str | None, Field(examples=[None])),
    holds=(int, Field(description="Số thông báo đang được giữ lại / notices kept back now", examples=[3])),
)
_Page = page_of("SilencePage", _View)

_Code = Annotated[str | None, Field(min_length=1, max_length=100)]
_Reason = Annotated[str, Field(min_length=3, max_length=MAX_REASON_CHARACTERS, pattern=r"\S", examples=[_REASON])]


class SilenceOrder(Body):
    """Tạm ngừng báo những gì khớp mọi điều kiện đã ghi / keep back what matches all that is given."""

    agency: Annotated[_Code, Field(examples=["H99.149"])] = None
    regime: Annotated[_Code, Field(examples=["KTXH-THANG"])] = None
    person: Annotated[_Code, Field(description="Người nhận / the recipient", examples=["CB-H99.149"])] = None
    kind: Annotated[NoticeKind | None, Field(examples=["escalation"])] = None
    until: Annotated[
        AwareDatetime,
        Field(
            description=f"Nhiều nhất {LONGEST_SILENCE.days} ngày nữa / at most {LONGEST_SILENCE.days} days ahead",
            examples=["2026-11-02T08:00:00+07:00"],
        ),
    ]
    reason: _Reason


class SilenceEnd(Body):
    """Bỏ một lần tạm ngừng trước hạn / end a silence before its time."""

    reason: _Reason


def router(database: Database, callers: Callers, business: Clock) -> APIRouter:
    """The routes of silences."""
    routes, calling = APIRouter(prefix="/v1", tags=["silences"]), Depends(callers)

    @routes.get(
        "/silences",
        response_model=_Page,
        summary="Các lần tạm ngừng báo, mới nhất trước / silences, newest first",
        description=(
            "Người quản trị thấy những lần nêu cơ quan trong phạm vi của mình. / An administrator sees those that name "
            "an agency within reach."
        ),
    )
    async def silences(
        request: Request,
        response: Response,
        page: Annotated[PageRequest, Depends(page_request)],
        every: Annotated[
            bool | None, truth("all"), Query(alias="all", description="Cả những lần đã hết / those that are over too")
        ] = None,
        caller: Caller = calling,
    ) -> dict[str, Any]:
        listing = f"silences/{bool(every)}"
        position = page.position(listing, [UUID])
        before = position[0] if position else None
        assert before is None or isinstance(before, UUID)
        async with database.read_transaction() as tx:
            agencies = None
            if not await _keeps(tx, caller, None):
                silenced = await store.silenced_agencies(tx)
                tree = await tree_for(tx, caller, silenced)
                agencies = [code for code in silenced if keeps_silences(caller.principal, code, tree, caller.on)]
            rows = await store.listed_silences(
                tx, business.now(), every=bool(every), limit=page.limit + 1, agencies=agencies, before=before
            )
        answer = paginate(listing, [_shown(row) for row in rows], page.limit, lambda row: [UUID(row["id"])])
        link_next(request, response, answer.next)
        return answer.document()

    @routes.post(
        "/silences",
        response_model=_View,
        status_code=201,
        summary="Tạm ngừng báo / keep notices back",
        description=(
            "Cần Idempotency-Key. Không thông báo nào bị bỏ: những gì còn đúng khi hết hạn được báo trong một thư, nói "
            "rõ vì sao muộn. Người quản trị phải ghi cơ quan. / Needs an Idempotency-Key. Nothing is dropped: what is "
            "still so at its end is told in one letter, which says why it comes late. An administrator names the "
            "agency."
        ),
    )
    async def make_silence(
        body: SilenceOrder, response: Response, caller: Caller = calling, key: IdempotencyKey = None
    ) -> dict[str, Any]:
        key, now = given_key(key), business.now()
        wanted = {name: getattr(body, name) for name in MATCHER}
        async with database.transaction() as tx:
            if not await _keeps(tx, caller, body.agency):
                raise _beyond(body.agency)
            # first: a call repeated after its `until` gets its answer too
            earlier = await store.made_before(tx, caller.name, key)
            made = store.new_silence(until=body.until, **wanted)
            if earlier is None:
                known = await store.known(tx, body.agency, body.regime, body.person)
                if errors := _faults(body, known, now):
                    raise unprocessable(errors)
                if (
                    caller.principal.kind == "person"
                    and body.agency
                    and await store.count_in_force(tx, body.agency, now) >= MAX_IN_FORCE
                ):
                    raise Problem.of(TOO_MANY, extensions={"limit": MAX_IN_FORCE})
                earlier = await store.silence(tx, made, by=caller.name, reason=body.reason.strip(), at=now, key=key)
            if earlier is not None:
                asked = {**wanted, "until": body.until, "reason": body.reason.strip()}
                if any(earlier[name] != value for name, value in asked.items()):
                    raise key_of_something_else()
                response.headers["Idempotent-Replayed"] = "true"
            found = await store.one_silence(tx, made.id if earlier is None else earlier["id"])
        assert found is not None
        return _shown(found)

    @routes.post(
        "/silences/{silence_id}/end",
        response_model=_View,
        summary="Bỏ trước hạn / end a silence before its time",
        description=("Những gì bị giữ lại đi trong thư kế tiếp. / What it kept back goes into the next letters."),
    )
    async def end_silence(silence_id: UUID, body: SilenceEnd, caller: Caller = calling) -> dict[str, Any]:
        async with database.transaction() as tx:
            found = await store.one_silence(tx, silence_id)
            if found is None or not await _keeps(tx, caller, found["agency"]):
                raise not_found(f"lần tạm ngừng {silence_id}", f"silence {silence_id}")
            if errors := _reason_faults(body.reason):
                raise unprocessable(errors)
            if not await store.end_silence(
                tx, silence_id, by=caller.name, reason=body.reason.strip(), at=business.now()
            ):
                raise Problem.of(OVER)
            found = await store.one_silence(tx, silence_id)
        assert found is not None
        return _shown(found)

    return routes


async def _keeps(tx: ReadTransaction, caller: Caller, agency: str | None) -> bool:
    tree = {} if agency is None else await tree_for(tx, caller, [agency])
    return keeps_silences(caller.principal, agency, tree, caller.on)


def _beyond(agency: str | None) -> Problem:
    if agency is None:
        return forbidden(
            "Chỉ người vận hành được tạm ngừng cho mọi cơ quan; hãy ghi `agency`.",
            "Only an operator may silence for every agency; give `agency`.",
        )
    return not_found(f"cơ quan {agency}", f"agency {agency}")


def _faults(body: SilenceOrder, known: Mapping[str, bool], now: datetime) -> list[FieldError]:
    found = []
    if not any(getattr(body, name) for name in MATCHER):
        found.append(
            FieldError(
                "",
                "Chưa có điều kiện nào.",
                "Nothing is given to match.",
                "Ghi ít nhất một trong agency, regime, person, kind.",
                "Give at least one of agency, regime, person, kind.",
            )
        )
    for name, fix, fix_en in (
        ("agency", "Ghi mã cơ quan như trong danh mục.", "Give an agency's code as in the registry."),
        ("regime", "Ghi mã chế độ như trong danh mục.", "Give a regime's code as in the registry."),
        ("person", "Ghi mã người như trong danh mục.", "Give a person's id as in the registry."),
    ):
        if not known[name]:
            found.append(FieldError(f"/{name}", "Không có trong danh mục.", "It is not in the registry.", fix, fix_en))
    found += _reason_faults(body.reason)
    latest = now + LONGEST_SILENCE
    if not now < body.until <= latest:
        found.append(
            FieldError(
                "/until",
                "Phải sau bây giờ và không quá xa.",
                "It must lie ahead, and not too far.",
                f"Ghi thời điểm sau {when(now)}, không sau {when(latest)}.",
                f"Give a moment after {when(now)} and no later than {when(latest)}.",
            )
        )
    return found


def _reason_faults(reason: str) -> list[FieldError]:
    """What is wrong with it: it is printed for operators and shown as it stands."""
    if is_classified(reason):
        return [FieldError("/reason", *CLASSIFIED)]
    flaw = flaw_of_text(reason.strip(), MAX_REASON_CHARACTERS, least=3)
    return [] if flaw is None else [FieldError("/reason", *flaw)]


def _shown(row: Mapping[str, Any]) -> dict[str, Any]:
    return json_row({name: row[name] for name in (*SHOWN, "holds")})
