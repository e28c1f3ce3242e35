"""Information requests over HTTP: an agency asks, withdraws, and reads what was asked and answered."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Annotated, Any, cast

import msgspec
from fastapi import Depends, Query, Request, Response
from pydantic import AwareDatetime, ConfigDict, Field

from services.intake import pages
from services.intake.access.callers import Access, Reading, ReadingById, Sender, Sending
from services.intake.audit.domain import Author
from services.intake.information import asking, problems, queries, store, views
from services.intake.information.answers import RequestState, successors
from services.intake.information.asking import MAX_ADDRESSEES, Question
from services.intake.information.queries import Role
from services.intake.information.turns import Turns
from services.intake.information.views import (
    AddresseeView,
    AnswerDetail,
    InformationRequestDetail,
    InformationRequestPage,
    InformationRequestView,
    request_link,
)
from services.intake.parameters import Page
from services.intake.registry import load as loading
from services.intake.registry import store as registry_store
from services.intake.registry.cache import RegistryCache
from services.intake.registry.gate import Proposal
from services.intake.registry.load import Draft, RegistryMoved
from services.intake.registry.neighbours import ask as ask_neighbours
from services.intake.registry.records import Registry
from shared.contract.addressing import closed_before
from shared.contract.events import RegistryEvent, RequestIssued
from shared.contract.events.fields import MAX_NAME_CHARACTERS, MAX_REASON_CHARACTERS, flaw_of_text
from shared.contract.reporting_window import local_day
from shared.postgres.database import Database, ReadTransaction
from shared.reports.classified import CLASSIFIED, is_classified
from shared.reports.limits import is_code
from shared.runtime.clock import Clock, SystemClock
from shared.web.app import Application
from shared.web.bodies import Body
from shared.web.errors import FieldError, Problem, conflict, not_found, unprocessable
from shared.web.idempotency import IdempotencyKey, given_key
from shared.web.paging import paginate

#: how often a question is looked at again because somebody else changed the registry meanwhile
ATTEMPTS = 3
#: how long a question waits for its turn
PATIENCE_SECONDS = 10.0

_Role = Annotated[
    Role | None,
    Query(description="asker: cơ quan này hỏi / it asked; addressee: cơ quan này được hỏi / it was asked"),
]
_State = Annotated[RequestState | None, Query(description="open: chưa đến hạn; due: đã đến hạn; withdrawn: đã rút")]


class InformationRequested(Body):
    """Yêu cầu cung cấp thông tin / what is asked of whom. Without `regime` and `form` the answer is free text."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [
                {
                    "title": "Số liệu hộ nghèo năm 2026",
                    "question": "Đề nghị cung cấp số hộ nghèo đến 30/9/2026, kèm nhận xét.",
                    "deadline": "2026-10-25T17:00:00+07:00",
                    "agencies": ["H99.131", "H99.133"],
                    "form": {
                        "figures": [{"code": "A01", "label": "Số hộ nghèo", "unit": "hộ", "minimum": "0"}],
                        "narratives": [{"code": "NX", "label": "Nhận xét", "required": False}],
                    },
                }
            ]
        },
    )

    title: str = Field(min_length=1, max_length=MAX_NAME_CHARACTERS)
    title_en: str = Field("", max_length=MAX_NAME_CHARACTERS)
    question: str = Field(min_length=1, max_length=MAX_REASON_CHARACTERS)
    deadline: AwareDatetime
    agencies: list[str] = Field(min_length=1, max_length=MAX_ADDRESSEES, description="Cơ quan được hỏi / whom it asks")
    regime: str | None = Field(
        None, description="Chế độ đột xuất mà cơ quan này là nơi nhận / an ad hoc regime whose receiver it is"
    )
    form: dict[str, Any] | None = Field(None, description="Biểu riêng, như của một chế độ / its own form")


class RequestWithdrawn(Body):
    """Rút yêu cầu / a withdrawal."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{"reason": "Đã có số liệu từ nguồn khác"}]}
    )

    reason: str = Field(min_length=1, max_length=MAX_REASON_CHARACTERS)


#: the revision of the registry, and those of its records that are needed
_StoredRecords = tuple[int, list[RegistryEvent]]


@dataclass(frozen=True, slots=True)
class Desk:
    """Stores questions and withdrawals: each passes the gate that every change of the registry passes."""

    cache: RegistryCache
    database: Database
    clock: Clock
    neighbours: Sequence[str]
    notice: timedelta
    turns: Turns

    async def ask(self, by: Sender, key: str, question: Question) -> tuple[str, bool]:
        """The id of the request, and whether an earlier call with this key has made it. Raises Problem."""
        sha256 = hashlib.sha256(msgspec.json.encode(question)).digest()
        for _ in range(ATTEMPTS):
            now = self.clock.now()
            await self.cache.refresh()
            async with self.database.read_transaction() as tx:
                if (made := await store.by_key(tx, by.agency, key)) is not None:
                    if made.sha256 != sha256:
                        raise problems.key_reused(made.request_id)
                    return made.request_id, True
                if found := asking.faults(question, now, self.notice):
                    raise unprocessable(found)
                # one that asks and withdraws all day floods others too
                numbers = await store.numbers(tx, by.agency, now, now - timedelta(days=1))
                if numbers.lately >= asking.MAX_A_DAY:
                    raise problems.too_many_a_day()
                if numbers.running >= asking.MAX_OPEN:
                    raise problems.too_many_open()
                ids = asking.next_ids(by.agency, numbers.made)
                registry = await self._part(
                    tx,
                    asking.agencies_of(question, by.agency),
                    asking.regime_of(question, by.agency),
                    [
                        f"{kind}/{name}{version}"
                        for name in ids
                        for kind, version in (("request", ""), ("regime", "/1"))
                    ],
                )
            if registry is None:
                continue
            proposed = asking.proposals(question, by.agency, numbers.made, registry[1], now)
            if proposed is None:
                raise _moving()
            draft = await self._checked(registry, proposed, now)
            request_id = _request_of(draft).request_id
            try:
                async with self.database.transaction() as tx:
                    author = Author(by.principal.id, question.title, "api")
                    await loading.save(tx, draft, SystemClock().now(), author)
                    await store.insert(tx, request_id, by.agency, by.principal.id, key, sha256)
            except RegistryMoved:
                continue
            return request_id, False
        raise _moving()

    async def withdraw(self, by: Sender, request_id: str, reason: str) -> None:
        """Withdraw a request of this agency or one it inherits from; a repetition changes nothing. Raises Problem."""
        await self.cache.be_fresh()
        for _ in range(ATTEMPTS):
            now = self.clock.now()
            async with self.database.read_transaction() as tx:
                request = await queries.one(tx, request_id) if is_code(request_id) else None
                if request is None or request.asked_by not in _with_duties_of(self.cache.registry, by.agency, now):
                    raise problems.unknown(request_id)
                if request.withdrawn_at is not None:
                    if request.withdrawal_reason != reason:
                        raise problems.withdrawn(request)
                    return
                agencies = [*request.agencies, *([request.asked_by] if request.asked_by else [])]
                registry = await self._part(tx, agencies, request.regime, [request.key])
            if registry is None:
                await self.cache.refresh()
                continue
            # the neighbours are not asked: nothing changes of what they check
            draft = _without_faults(await self._drafted(registry, [asking.withdrawal(request, reason, now)], now))
            try:
                async with self.database.transaction() as tx:
                    await loading.save(tx, draft, SystemClock().now(), Author(by.principal.id, reason, "api"))
            except RegistryMoved:
                continue
            return
        raise _moving()

    async def _part(
        self, tx: ReadTransaction, agencies: Sequence[str], regime: str | None, keys: Sequence[str]
    ) -> _StoredRecords | None:
        """The revision, and what the gate looks up of the registry: these agencies, versions and records.

        None where the cache, which knows what versions there are, is of another revision.
        """
        revision = await registry_store.revision(tx)
        if revision != self.cache.revision:
            return None
        versions = self.cache.registry.regimes.get(regime, {}) if regime is not None else {}
        wanted = [f"agency/{code}" for code in agencies] + [f"regime/{regime}/{number}" for number in versions]
        return revision, await registry_store.records_of(tx, [*wanted, *keys])

    async def _checked(self, registry: _StoredRecords, proposals: list[Proposal], now: datetime) -> Draft:
        draft = _without_faults(await self._drafted(registry, proposals, now))
        context = loading.context(draft)
        found = await asyncio.to_thread(ask_neighbours, self.neighbours, draft.located, context, now)
        if errors := [error for error in found if not error.remark]:
            raise unprocessable([FieldError(e.place, e.message, e.message_en, e.fix, e.fix_en) for e in errors])
        return draft

    async def _drafted(self, registry: _StoredRecords, proposals: list[Proposal], now: datetime) -> Draft:
        # not on the event loop: neighbours' requests would wait for all checks of a large registry
        return await asyncio.to_thread(loading.drafted, *registry, proposals, now)


def mount(
    app: Application,
    *,
    access: Access,
    sending: Sending,
    cache: RegistryCache,
    database: Database,
    clock: Clock,
    neighbours: Sequence[str],
    notice: timedelta,
) -> None:
    """Add the routes."""
    sender, reader, agency_of_key = Depends(sending), Depends(ReadingById(access)), Depends(access)
    desk = Desk(cache, database, clock, neighbours, notice, Turns(PATIENCE_SECONDS))

    @app.post(
        "/v1/information-requests",
        tags=["information"],
        summary="Yêu cầu cơ quan khác cung cấp thông tin / ask other agencies for information",
        status_code=201,
        responses={200: {"model": InformationRequestDetail, "description": "Lặp lại một yêu cầu / a repetition"}},
    )
    async def ask_information(
        body: InformationRequested, response: Response, by: Sender = sender, key: IdempotencyKey = None
    ) -> InformationRequestDetail:
        key = given_key(key)
        question = Question(
            body.title, body.title_en, body.question, body.deadline, tuple(body.agencies), body.regime, body.form
        )
        try:
            async with desk.turns.of(by.agency):
                request_id, replayed = await desk.ask(by, key, question)
        except TimeoutError:
            raise problems.busy() from None
        response.status_code = 200 if replayed else 201
        if replayed:
            response.headers["Idempotent-Replayed"] = "true"
        response.headers["Location"] = request_link(request_id)
        await cache.refresh()
        return await detail_of(request_id, Reading(by.agency, None))

    @app.post(
        "/v1/information-requests/{request_id}/withdrawal",
        tags=["information"],
        summary="Rút yêu cầu thông tin / withdraw an information request",
    )
    async def withdraw_information_request(
        request_id: str, body: RequestWithdrawn, by: Sender = sender
    ) -> InformationRequestDetail:
        _must_be_public_text(body.reason)
        try:
            async with desk.turns.of(by.agency):
                await desk.withdraw(by, request_id, body.reason)
        except TimeoutError:
            raise problems.busy() from None
        await cache.refresh()
        return await detail_of(request_id, Reading(by.agency, None))

    @app.get(
        "/v1/information-requests",
        tags=["information"],
        summary="Yêu cầu đã gửi và đã nhận, mới nhất trước / asked and received, newest first",
        response_model=InformationRequestPage,
    )
    async def information_requests(
        request: Request, page: Page, agency: str = agency_of_key, role: _Role = None, state: _State = None
    ) -> Response:
        listing = f"information-requests/{role}/{state}"
        position = page.position(listing, (datetime, str))
        await cache.be_fresh()
        now = clock.now()
        async with database.read_transaction() as tx:
            rows = await queries.listed(
                tx,
                _with_duties_of(cache.registry, agency, now),
                role=role,
                state=state,
                now=now,
                before=cast("tuple[datetime, str]", position) if position else None,
                limit=page.limit + 1,
            )
        return await pages.answer(request, paginate(listing, rows, page.limit, _position), InformationRequestView)

    @app.get(
        "/v1/information-requests/{request_id}",
        tags=["information"],
        summary="Một yêu cầu, từng cơ quan trả lời thế nào / one request, and how each agency stands",
    )
    async def information_request(request_id: str, reading: Reading = reader) -> InformationRequestDetail:
        return await detail_of(request_id, reading)

    @app.get(
        "/v1/information-requests/{request_id}/answers/{addressee}",
        tags=["information"],
        summary="Nội dung trả lời của một cơ quan / what an agency answered",
    )
    async def information_answer(request_id: str, addressee: str, reading: Reading = reader) -> AnswerDetail:
        await cache.be_fresh()
        async with database.read_transaction() as tx:
            request, shown = await _seen(tx, request_id, reading, cache.registry, clock.now())
            if addressee not in shown:
                raise problems.unknown(request_id)
            owing = successors(addressee, cache.registry)
            known = await queries.standings(tx, request, owing)
            owner = views.owing_of(owing, known)
            found = await queries.answers(
                tx, request, [owner], certified=_certified(request, cache.registry), whole=True
            )
        if owner not in found:
            raise not_found(f"câu trả lời của {addressee}", f"answer of {addressee}")
        return views.answer_detail(addressee, found[owner])

    async def detail_of(request_id: str, reading: Reading) -> InformationRequestDetail:
        await cache.be_fresh()
        registry = cache.registry
        async with database.read_transaction() as tx:
            request, shown = await _seen(tx, request_id, reading, registry, clock.now())
            chains = [successors(agency, registry) for agency in shown]
            everybody = list(dict.fromkeys(agency for chain in chains for agency in chain))
            known = await queries.standings(tx, request, everybody)
            given = await queries.answers(tx, request, everybody, certified=_certified(request, registry))
        rows: list[AddresseeView] = [views.addressee_view(request, chain, known, given) for chain in chains]
        return views.request_detail(request, rows, clock.now())


async def _seen(
    tx: ReadTransaction, request_id: str, reading: Reading, registry: Registry, now: datetime
) -> tuple[RequestIssued, list[str]]:
    """The request, and the addressees whose state is seen. Raises 404 unless the key reads for its asker or for one."""
    request = await queries.one(tx, request_id) if is_code(request_id) else None
    if request is None or not reading.covers(request.regime):
        raise problems.unknown(request_id)
    own = _with_duties_of(registry, reading.agency, now)
    shown = [agency for agency in request.agencies if request.asked_by in own or agency in own]
    if not shown:
        raise problems.unknown(request_id)
    return request, shown


def _with_duties_of(registry: Registry, agency: str, now: datetime) -> list[str]:
    """The agency, and those that have closed and whose duties it has inherited; not those that only will close."""
    today = local_day(now)
    return [agency, *(entry.code for entry in registry.inherits_from(agency) if closed_before(entry, today))]


def _certified(request: RequestIssued, registry: Registry) -> bool:
    """Whether only a certified answer counts."""
    versions = registry.regimes.get(request.regime, {})
    return bool(versions) and versions[max(versions)].certification != "none"


def _request_of(draft: Draft) -> RequestIssued:
    return next(record for record in draft.changed if isinstance(record, RequestIssued))


def _without_faults(draft: Draft) -> Draft:
    """Raises 422 with every error. A regime is named by the title, so its faults of name are said already."""
    errors = [
        FieldError(error.place, error.message, error.message_en, error.fix, error.fix_en)
        for error in draft.errors
        if error.place not in ("/name", "/name_en")
    ]
    if draft.errors:
        raise unprocessable(errors)
    return draft


def _must_be_public_text(reason: str) -> None:
    """Raises 422 for a reason that cannot be stored, or must not."""
    if is_classified(reason):
        raise unprocessable([FieldError("/reason", *CLASSIFIED)])
    if flaw := flaw_of_text(reason, MAX_REASON_CHARACTERS, least=1, lines=True):
        raise unprocessable([FieldError("/reason", *flaw)])


def _moving() -> Problem:
    return conflict(
        "Danh mục đang được thay đổi liên tục. Hãy gửi lại với cùng Idempotency-Key.",
        "The registry keeps changing. Send it again with the same Idempotency-Key.",
    )


def _position(row: InformationRequestView) -> tuple[datetime, str]:
    return row.issued_at, f"request/{row.request_id}"
