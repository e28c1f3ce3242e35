"""Steps over HTTP: each route says which step it is; the handler and the state table do the rest."""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any, Literal, cast
from uuid import UUID

from fastapi import Depends, Query, Request, Response
from pydantic import AwareDatetime, ConfigDict, Field

from services.intake import pages
from services.intake.lifecycle import deciding, handlers, open_queries, problems, states, table
from services.intake.lifecycle.deciding import Faulty, Impossible, NotYours, Wanted
from services.intake.lifecycle.handlers import Asked, KeyReused, TakenNow, Unknown
from services.intake.lifecycle.open_queries import OpenReviewPage, OpenReviewView
from services.intake.lifecycle.states import History, Taken
from services.intake.lifecycle.views import PossibleStep, StepView, possible_steps, step_view
from services.intake.lifecycle.waiting import ReviewKind
from services.intake.parameters import Page, id_of, submission_id_of
from services.intake.registry.cache import RegistryCache
from shared.access import Principal
from shared.contract.events import LatenessKind, StepKind, obligation_key
from shared.contract.events.submissions import AppealEffect
from shared.contract.reporting_window import local_day
from shared.postgres.database import Database
from shared.reports.limits import is_code
from shared.runtime.clock import Clock
from shared.web.app import Application
from shared.web.bodies import Body
from shared.web.errors import not_found
from shared.web.idempotency import IdempotencyKey, given_key
from shared.web.paging import paginate

MAX_REASON = 4_000
_Reason = Annotated[str, Field(max_length=MAX_REASON, description="Lý do / why")]
_Until = Annotated[
    AwareDatetime | None, Field(description="Đến khi nào / until when", examples=["2026-10-25T17:00:00+07:00"])
]
_OWNER = Query(description="Của cơ quan này; với khóa của người / the agency that owes it, with a person's key")
_NEITHER = ("bài nộp hoặc yêu cầu này", "such submission or request")


class Certification(Body):
    """Ký xác nhận / certification by the head or a deputy with delegation."""

    reason: _Reason = ""


class Reviewed(Body):
    """Kết quả duyệt / what a reviewer decides."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [{"decision": "rework", "reason": "Thiếu nguyên nhân", "until": "2026-10-25T17:00:00+07:00"}]
        },
    )

    decision: Literal["approve", "rework"]
    reason: _Reason = ""
    until: _Until = None


class Reasoned(Body):
    """Một bước kèm lý do / a step with its reason."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"reason": "Gửi nhầm kỳ báo cáo"}]})

    reason: _Reason


class ExtensionRequested(Body):
    """Xin gia hạn / a request for more time."""

    reason: _Reason
    until: AwareDatetime


class Decided(Body):
    """Quyết định / a decision. `until` (gia hạn): khác thời điểm đã xin / another moment than was asked for."""

    decision: Literal["grant", "refuse"]
    reason: _Reason = ""
    until: _Until = None


class LatenessExplained(Body):
    """Giải trình chậm báo cáo / an explanation of lateness: cause and remedy by the head. The system adds the facts."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [
                {
                    "reason": "Số liệu của hai xã về sau ngày 17 do sáp nhập kho bạc khu vực",
                    "remedy": "Đã gửi báo cáo ngày 21; từ kỳ sau chốt số liệu với xã trước ngày 12",
                    "until": "2026-11-12T17:00:00+07:00",
                }
            ]
        },
    )

    reason: Annotated[str, Field(max_length=MAX_REASON, description="Nguyên nhân / the cause")]
    remedy: Annotated[str, Field(max_length=MAX_REASON, description="Biện pháp khắc phục / the remedy")]
    until: Annotated[AwareDatetime | None, Field(description="Khắc phục xong trước / by when the remedy is done")] = (
        None
    )


class LatenessDecided(Body):
    """Xem giải trình chậm báo cáo / a look at the explanation. `until` (ask): bổ sung trước / by when more is said."""

    decision: Literal["note", "ask"]
    reason: _Reason = ""
    until: _Until = None


class AppealDecided(Body):
    """Quyết định về khiếu nại / the decision on an appeal."""

    decision: Literal["uphold", "dismiss"]
    reason: _Reason
    effect: AppealEffect | None = None
    since: AwareDatetime | None = None
    until: AwareDatetime | None = None


class Unlocked(Body):
    """Mở khóa / unlocking."""

    reason: _Reason
    until: AwareDatetime


class StepReceipt(StepView):
    """The step, and how the report or request stands with it."""

    obligation: str
    state: str = Field(examples=["withdrawn"])
    certified: bool | None = Field(description="null: bước không thuộc một phiên bản / not about a version")
    possible: list[PossibleStep]


_Kind = Annotated[
    ReviewKind | None,
    Query(
        description="certification (ký), review (duyệt), extension, explanation, appeal (quyết định), lateness (xem)"
    ),
]


@dataclass(frozen=True, slots=True)
class Taking:
    """What a step is taken with."""

    cache: RegistryCache
    database: Database
    clock: Clock
    system_clock: Clock


@dataclass(frozen=True, slots=True)
class Asking:
    """Who asks for a step, and under which key; a FastAPI dependency of every route here."""

    taking: Taking
    by: Principal
    key: str | None
    response: Response

    async def take(self, wanted: Wanted, obligation: str | None = None) -> StepReceipt:
        """Take the step. Raises Problem where it cannot be taken."""
        key = given_key(self.key)
        taking = self.taking
        await taking.cache.be_fresh()
        asked = Asked(wanted, key, _sha256(wanted, obligation))
        now, system_now = taking.clock.now(), taking.system_clock.now()
        async with taking.database.transaction() as tx:
            outcome = await handlers.take(
                tx, self.by, asked, taking.cache.registry, now, system_now, obligation=obligation
            )
        match outcome:
            case TakenNow(step, history, replayed):
                self.response.status_code = 200 if replayed else 201
                if replayed:
                    self.response.headers["Idempotent-Replayed"] = "true"
                return _receipt(step, history)
            case Unknown():
                raise not_found(*_NEITHER)
            case KeyReused(step):
                raise problems.key_reused(step)
            case Impossible():
                raise problems.not_possible(outcome)
            case NotYours():
                raise problems.not_yours(outcome)
            case Faulty():
                raise problems.faulty(outcome)


def mount_open_reviews(
    app: Application,
    *,
    reader: Callable[[Request], Awaitable[Principal]],
    cache: RegistryCache,
    database: Database,
    clock: Clock,
) -> None:
    """Add the list of what waits for a person."""
    who = Depends(reader)

    @app.get(
        "/v1/reviews/open",
        tags=["lifecycle"],
        summary="Việc chờ tôi ký, duyệt, quyết định / what waits for my signature, review or decision",
        response_model=OpenReviewPage,
    )
    async def open_reviews(request: Request, page: Page, kind: _Kind = None, by: Principal = who) -> Response:
        position = page.position("open reviews", (datetime, UUID))
        await cache.be_fresh()
        reached = open_queries.reach(by, cache.registry, local_day(clock.now()))
        async with database.read_transaction() as tx:
            rows = await open_queries.open_reviews(
                tx,
                reached,
                cache.registry,
                kind=kind,
                after=cast("tuple[datetime, UUID]", position) if position else None,
                limit=page.limit + 1,
            )
        found = paginate("open reviews", rows, page.limit, _open_position)
        return await pages.answer(request, found, OpenReviewView)


def mount(
    app: Application,
    *,
    principal: Callable[[Request], Awaitable[Principal]],
    cache: RegistryCache,
    database: Database,
    clock: Clock,
    system_clock: Clock,
) -> None:
    """Add the routes that take steps."""
    who = Depends(principal)
    taking = Taking(cache, database, clock, system_clock)

    def asking_of(response: Response, by: Principal = who, key: IdempotencyKey = None) -> Asking:
        return Asking(taking, by, key, response)

    def obligation_of(
        regime: str, period: str, by: Principal = who, agency: Annotated[str | None, _OWNER] = None
    ) -> str:
        owner = agency or by.agency or ""
        if not (is_code(owner) and is_code(regime) and is_code(period)):
            raise not_found("nghĩa vụ báo cáo này", "such obligation")
        return obligation_key(owner, regime, period)

    asking_now, named_obligation = Depends(asking_of), Depends(obligation_of)

    def route(path: str, summary: str) -> Callable[[Any], Any]:
        return app.post(path, tags=["lifecycle"], summary=summary, status_code=201, responses=_RESPONSES)

    @route("/v1/submissions/{submission_id}/certification", "Ký xác nhận / certify a report")
    async def certification(submission_id: str, body: Certification, asking: Asking = asking_now) -> StepReceipt:
        return await asking.take(Wanted("certified", submission_id_of(submission_id), reason=body.reason))

    @route("/v1/submissions/{submission_id}/review", "Duyệt hoặc trả lại / approve, or send back for rework")
    async def review(submission_id: str, body: Reviewed, asking: Asking = asking_now) -> StepReceipt:
        kind: StepKind = "approved" if body.decision == "approve" else "rework"
        until = body.until if kind == "rework" else None
        return await asking.take(Wanted(kind, submission_id_of(submission_id), reason=body.reason, until=until))

    @route("/v1/submissions/{submission_id}/withdrawal", "Rút báo cáo / withdraw a report")
    async def withdrawal(submission_id: str, body: Reasoned, asking: Asking = asking_now) -> StepReceipt:
        return await asking.take(Wanted("withdrawn", submission_id_of(submission_id), reason=body.reason))

    @route("/v1/submissions/{submission_id}/explanation", "Giải trình / explain what a finding asks about")
    async def explanation(submission_id: str, body: Reasoned, asking: Asking = asking_now) -> StepReceipt:
        return await asking.take(Wanted("explanation_given", submission_id_of(submission_id), reason=body.reason))

    @route("/v1/submissions/{submission_id}/appeals", "Khiếu nại kết quả kiểm tra / appeal against a verdict")
    async def appeal_against_verdict(submission_id: str, body: Reasoned, asking: Asking = asking_now) -> StepReceipt:
        return await asking.take(Wanted("appeal_made", submission_id_of(submission_id), reason=body.reason))

    @route("/v1/obligations/{regime}/{period}/appeals", "Khiếu nại điểm / appeal against a score")
    async def appeal_against_score(
        body: Reasoned, asking: Asking = asking_now, obligation: str = named_obligation
    ) -> StepReceipt:
        return await asking.take(Wanted("appeal_made", reason=body.reason), obligation)

    @route("/v1/obligations/{regime}/{period}/extensions", "Xin gia hạn / ask for an extension")
    async def extension(
        body: ExtensionRequested, asking: Asking = asking_now, obligation: str = named_obligation
    ) -> StepReceipt:
        wanted = Wanted("extension_requested", reason=body.reason, until=body.until)
        return await asking.take(wanted, obligation)

    @route("/v1/obligations/{regime}/{period}/lateness", "Giải trình chậm báo cáo / explain why a report is late")
    async def lateness(
        body: LatenessExplained, asking: Asking = asking_now, obligation: str = named_obligation
    ) -> StepReceipt:
        wanted = Wanted("lateness_explained", reason=body.reason, until=body.until, remedy=body.remedy)
        return await asking.take(wanted, obligation)

    @route("/v1/obligations/{regime}/{period}/unlock", "Mở khóa / take reports again after the lock")
    async def unlock(body: Unlocked, asking: Asking = asking_now, obligation: str = named_obligation) -> StepReceipt:
        wanted = Wanted("unlocked", reason=body.reason, until=body.until)
        return await asking.take(wanted, obligation)

    @route("/v1/extensions/{step_id}/decision", "Quyết định gia hạn / decide a request for extension")
    async def extension_decision(step_id: str, body: Decided, asking: Asking = asking_now) -> StepReceipt:
        kind: StepKind = "extension_granted" if body.decision == "grant" else "extension_refused"
        until = body.until if kind == "extension_granted" else None
        return await asking.take(Wanted(kind, answers=_step_id(step_id), reason=body.reason, until=until))

    @route("/v1/explanations/{step_id}/decision", "Quyết định về giải trình / decide an explanation")
    async def explanation_decision(step_id: str, body: Decided, asking: Asking = asking_now) -> StepReceipt:
        kind: StepKind = "explanation_accepted" if body.decision == "grant" else "explanation_refused"
        return await asking.take(Wanted(kind, answers=_step_id(step_id), reason=body.reason))

    @route(
        "/v1/lateness/{step_id}/decision",
        "Ghi nhận giải trình chậm báo cáo, hoặc yêu cầu bổ sung / note an explanation of lateness, or ask for more",
    )
    async def lateness_decision(step_id: str, body: LatenessDecided, asking: Asking = asking_now) -> StepReceipt:
        kind: LatenessKind = "lateness_noted" if body.decision == "note" else "lateness_questioned"
        until = body.until if kind == "lateness_questioned" else None
        return await asking.take(Wanted(kind, answers=_step_id(step_id), reason=body.reason, until=until))

    @route("/v1/appeals/{step_id}/decision", "Quyết định khiếu nại / decide an appeal")
    async def appeal_decision(step_id: str, body: AppealDecided, asking: Asking = asking_now) -> StepReceipt:
        if body.decision == "dismiss":
            return await asking.take(Wanted("appeal_dismissed", answers=_step_id(step_id), reason=body.reason))
        wanted = Wanted(
            "appeal_upheld", answers=_step_id(step_id), reason=body.reason, effect=body.effect, since=body.since,
            until=body.until,
        )  # fmt: skip
        return await asking.take(wanted)


def _open_position(row: OpenReviewView) -> tuple[datetime, UUID]:
    return row.since, UUID(int=row.about.int)  # the driver's UUID is a subclass of ours


_RESPONSES: dict[int | str, dict[str, Any]] = {
    200: {
        "model": StepReceipt,
        "description": "Lặp lại một yêu cầu / a repetition: the same step, and how it stands now",
    },
}


def _receipt(step: Taken, history: History) -> StepReceipt:
    version = history.version(step.submission_id)
    thing = table.thing_of(step.kind)
    if version is not None:
        state: str = states.state_of(history, version)
        possible = deciding.possible_now(history, version)
    else:
        request = history.step(step.answers) if step.answers else step
        state = "open" if thing == "lock" else states.asked_state(history, request)
        possible = table.possible(thing, state)
    return StepReceipt(
        **step_view(step, history).model_dump(),
        obligation=step.obligation,
        state=state,
        certified=None if version is None else states.is_certified(history, version),
        possible=possible_steps(possible),
    )


def _step_id(text: str) -> UUID:
    return id_of(text, *_NEITHER)


def _sha256(wanted: Wanted, obligation: str | None) -> bytes:
    """What was asked for, so that one key names one step.

    A remedy is in it only where there is one: steps of before there were any keep their sums.
    """
    said = [getattr(wanted, name) for name in wanted.__struct_fields__ if name != "remedy" or wanted.remedy]
    return hashlib.sha256(repr([obligation, *map(_plain, said)]).encode()).digest()


def _plain(value: object) -> str:
    return value.isoformat() if isinstance(value, datetime) else str(value)
