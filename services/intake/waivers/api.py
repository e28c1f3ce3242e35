"""Waivers over HTTP: an agency asks, another person above it grants or refuses, both see how it stands."""

from __future__ import annotations

import asyncio
import hashlib
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Annotated, cast

import msgspec
from fastapi import Depends, Query, Request, Response
from msgspec import structs

from services.intake import pages
from services.intake.access.callers import Access, AnyKey, Sender, Sending
from services.intake.administration.callers import Reaching
from services.intake.administration.reach import Reach
from services.intake.audit import trail
from services.intake.audit.domain import Author, Change
from services.intake.parameters import Page
from services.intake.registry import load as loading
from services.intake.registry.agency_codes import newer
from services.intake.registry.cache import RegistryCache
from services.intake.registry.load import RegistryMoved
from services.intake.waivers import domain, problems, store
from services.intake.waivers.domain import Asked, WaiverRequest
from services.intake.waivers.store import Seen
from services.intake.waivers.views import (
    State,
    WaiverAsked,
    WaiverDecided,
    WaiverRequestPage,
    WaiverRequestView,
    view,
)
from shared.access import Principal, may
from shared.access.rights import reach_of
from shared.contract.ids import new_id
from shared.contract.reporting_window import local_day
from shared.postgres.database import Database, Transaction
from shared.reports.limits import is_code
from shared.runtime.clock import Clock
from shared.web.app import Application
from shared.web.errors import FieldError, unprocessable
from shared.web.idempotency import IdempotencyKey, given_key, key_of_something_else
from shared.web.paging import paginate

#: how often a grant is looked at again because somebody else changed the registry meanwhile
ATTEMPTS = 3
#: before the first page
_NEWEST = (datetime(9999, 12, 31, tzinfo=UTC), "")

_State = Annotated[State | None, Query(description="open: chờ quyết định / not decided yet")]


@dataclass(frozen=True, slots=True)
class Desk:
    """Takes requests and decisions. What is granted passes the gate that every change of the registry passes."""

    cache: RegistryCache
    database: Database
    clock: Clock
    system_clock: Clock
    grants: asyncio.Semaphore  # each reads the whole registry

    async def ask(self, by: Sender, key: str, asked: Asked) -> tuple[WaiverRequest, bool]:
        """The request, and whether an earlier call with this key made it. Raises Problem."""
        now = self.clock.now()
        sha256 = hashlib.sha256(msgspec.json.encode(asked)).digest()
        async with self.database.transaction() as tx:
            if (made := await store.by_key(tx, by.agency, key)) is not None:
                earlier = await store.one(tx, made[0])
                if earlier is None or made[1] != sha256:
                    raise key_of_something_else()
                return earlier, True
            if found := domain.faults(asked, by.agency, self.cache.registry, local_day(now)):
                raise unprocessable(found)
            if await store.count_open(tx, by.agency) >= domain.MAX_OPEN:
                raise problems.too_many_open()
            request = WaiverRequest(f"MN-{new_id().hex}", by.agency, by.principal.id, asked, now)
            await store.insert(tx, request, key, sha256)
            change = Change("requested", "waiver_request", request.waiver_id, None, domain.audited_request(request))
            await self._note(tx, by.principal, asked.reason, change)
        return request, False

    async def decide(self, by: Principal, waiver_id: str, wanted: WaiverDecided) -> WaiverRequest:
        """The request as it is decided now, or was decided the same by this person before. Raises Problem."""
        decision: domain.Decision = "granted" if wanted.decision == "grant" else "refused"
        if (decision == "refused" or wanted.reason) and (unfit := domain.unfit_reason(wanted.reason)):
            raise unprocessable(unfit)
        for _ in range(ATTEMPTS):
            now = self.clock.now()
            await self.cache.be_fresh()
            try:
                return await self._decide(by, waiver_id, decision, wanted, now)
            except RegistryMoved:
                await self.cache.refresh()
        raise problems.moving()

    async def _decide(
        self, by: Principal, waiver_id: str, decision: domain.Decision, wanted: WaiverDecided, now: datetime
    ) -> WaiverRequest:
        today = local_day(now)
        registry = self.cache.registry
        tree = registry.tree(today)
        async with self.database.transaction() as tx:
            request = await store.one(tx, waiver_id, lock=True) if is_code(waiver_id) else None
            if request is None or not any(
                may(by, scope, agency, tree, today, request.asked.regime)
                for scope in ("review", "administer")
                for agency in (request.agency, *request.asked.agencies)
            ):
                raise problems.unknown(waiver_id)
            if domain.is_own(by, request):
                raise problems.own_request()
            if not domain.may_decide(by, request, tree, today):
                raise problems.not_yours()
            if request.decision is not None:
                same = (decision, by.id, wanted.reason)
                other_day = wanted.until not in (None, request.granted_until)
                if (request.decision, request.decided_by, request.decision_reason) != same or other_day:
                    raise problems.decided(request)
                return request
            decided = structs.replace(
                request, decision=decision, decided_by=by.id, decided_at=now, decision_reason=wanted.reason
            )
            if decision == "granted":
                since, until = domain.granted_term(request, wanted.until, today)
                decided = structs.replace(decided, granted_since=since, granted_until=until)
                revision, stored = await loading.stored_records(tx)
                proposals = [domain.proposal(request, by.id, since, until)]
                draft = await asyncio.to_thread(loading.drafted, revision, stored, proposals, now)
                if draft.errors:
                    raise unprocessable(
                        [FieldError(e.place, e.message, e.message_en, e.fix, e.fix_en) for e in draft.errors]
                    )
                author = Author(by.id, wanted.reason or request.asked.reason, "api")
                await loading.save(tx, draft, self.system_clock.now(), author)
            await store.decide(tx, decided)
            after = domain.audited_decision(decided)
            change = Change(decision, "waiver_request", waiver_id, dict.fromkeys(after), after)
            await self._note(tx, by, wanted.reason, change)
        return decided

    async def _note(self, tx: Transaction, by: Principal, why: str, change: Change) -> None:
        await trail.append(tx, Author(by.id, why, "api"), [change], self.system_clock.now())


def mount(
    app: Application,
    *,
    access: Access,
    cache: RegistryCache,
    database: Database,
    clock: Clock,
    system_clock: Clock,
) -> None:
    """Add the routes."""
    sender, reader = Depends(Sending(access)), Depends(AnyKey(access))
    decider = Depends(Reaching(access, cache, clock, ("review", "administer")))
    desk = Desk(cache, database, clock, system_clock, asyncio.Semaphore(1))

    @app.post(
        "/v1/waivers",
        tags=["waivers"],
        summary="Đề nghị miễn áp dụng một quy tắc / ask that a rule is waived",
        status_code=201,
        responses={200: {"model": WaiverRequestView, "description": "Lặp lại một đề nghị / a repetition"}},
    )
    async def ask_waiver(
        body: WaiverAsked, response: Response, by: Sender = sender, key: IdempotencyKey = None
    ) -> WaiverRequestView:
        key = given_key(key)
        await cache.be_fresh()
        agencies = tuple(dict.fromkeys(map(newer, body.agencies))) or (by.agency,)
        asked = Asked(body.regime, body.rule, agencies, body.reason, body.since, body.until, _asker(by, body.asked_by))
        request, replayed = await desk.ask(by, key, asked)
        response.status_code = 200 if replayed else 201
        if replayed:
            response.headers["Idempotent-Replayed"] = "true"
        response.headers["Location"] = f"/v1/waivers/{request.waiver_id}"
        return view(request)

    @app.get(
        "/v1/waivers",
        tags=["waivers"],
        summary="Đề nghị miễn áp dụng, mới nhất trước / requests for waivers, newest first",
        response_model=WaiverRequestPage,
    )
    async def waivers(request: Request, page: Page, state: _State = None, by: Principal = reader) -> Response:
        listing = f"waivers/{state}"
        position = page.position(listing, (datetime, str))
        await cache.be_fresh()
        before = cast("tuple[datetime, str]", position) if position else _NEWEST
        query, given = store.page(seen_by(by, cache, local_day(clock.now())), state, before, page.limit + 1)
        async with database.read_transaction() as tx:
            rows = await pages.fetched(tx, query, given, lambda row: view(store.request_of(row)))
        return await pages.answer(request, paginate(listing, rows, page.limit, _position), WaiverRequestView)

    @app.get("/v1/waivers/{waiver_id}", tags=["waivers"], summary="Một đề nghị miễn áp dụng / one request for a waiver")
    async def waiver(waiver_id: str, by: Principal = reader) -> WaiverRequestView:
        await cache.be_fresh()
        async with database.read_transaction() as tx:
            found = await store.one(tx, waiver_id) if is_code(waiver_id) else None
        if found is None or not seen_by(by, cache, local_day(clock.now())).covers(found):
            raise problems.unknown(waiver_id)
        return view(found)

    @app.post(
        "/v1/waivers/{waiver_id}/decision",
        tags=["waivers"],
        summary="Quyết định một đề nghị miễn áp dụng / decide a request for a waiver",
    )
    async def decide_waiver(waiver_id: str, body: WaiverDecided, reach: Reach = decider) -> WaiverRequestView:
        async with desk.grants:
            decided = await desk.decide(reach.principal, waiver_id, body)
        await cache.refresh()
        return view(decided)


def seen_by(by: Principal, cache: RegistryCache, today: date) -> Seen:
    """Whose requests the caller sees: an agency's key its own, a person those that an office reads for."""
    if by.kind == "agency":
        return Seen(frozenset({by.agency} if by.agency is not None else ()))
    codes, pairs = frozenset[str](), frozenset[str]()
    for office, agencies in reach_of(by, "read", cache.registry.tree(today), today):
        if office.regimes:
            pairs |= {f"{agency}/{regime}" for agency in agencies for regime in office.regimes}
        else:
            codes |= agencies
    return Seen(codes, pairs)


def _asker(by: Sender, given: str | None) -> str:
    """Who asks: the person whose key it is; with a system's key, the one it names. Raises 422."""
    if by.principal.kind == "person":
        if given in (None, by.principal.id):
            return by.principal.id
        raise unprocessable([FieldError("/asked_by", *_ANOTHER)])
    if given is None:
        raise unprocessable([FieldError("/asked_by", *_NOBODY)])
    return given


_ANOTHER = (
    "Khóa của người chỉ đề nghị nhân danh người đó.",
    "A person's key asks in that person's name alone.",
    "Bỏ `asked_by`.",
    "Leave out `asked_by`.",
)
_NOBODY = (
    "Khóa của hệ thống phải nêu người đề nghị.",
    "A system's key names the person who asks.",
    "Thêm `asked_by`: mã cán bộ của cơ quan.",
    "Add `asked_by`: the code of an officer of the agency.",
)


def _position(row: WaiverRequestView) -> tuple[datetime, str]:
    return row.asked_at, row.waiver_id
