"""The HTTP door for agencies: it translates, asks one query of one agency's own data, and never knows another's."""

from __future__ import annotations

from collections.abc import Awaitable
from datetime import datetime
from typing import Annotated, Any, cast
from uuid import UUID

from fastapi import Depends, Query, Request, Response
from starlette.routing import Match, Route
from starlette.types import ASGIApp, Receive, Scope, Send

from services.intake import filters, pages, queries
from services.intake.access.allowance import Metered
from services.intake.access.callers import Access
from services.intake.queries import (
    ObligationDetail,
    ObligationPage,
    ObligationView,
    StandingName,
    Status,
    SubmissionDetail,
    SubmissionPage,
    SubmissionView,
)
from services.intake.registry import agency_queries, regime_queries
from services.intake.registry.agency_queries import Me
from services.intake.registry.cache import Known
from services.intake.registry.records import Agency
from services.intake.registry.regime_queries import Examples, RegimeDetail, RegimePage, RegimeView
from services.intake.registry.regimes import Addressed
from services.intake.submissions import openapi
from services.intake.submissions.endpoint import SubmissionDoor
from services.intake.submissions.limits import MAX_BODY_BYTES, is_code
from shared.postgres.database import Database
from shared.runtime.clock import Clock
from shared.web.app import Application, Door, preferred_language
from shared.web.errors import not_found
from shared.web.exports import Export
from shared.web.paging import PageRequest, page_request, paginate

SUBMISSIONS_EXPORT = Export(
    "submissions",
    """
    SELECT submission_id, obligation, submissions.agency, regime, regime_version, period, version, officer_id,
           received_at, encode(sha256, 'hex') AS sha256, nil, coalesce(outcome, 'received') AS status,
           outcome AS verdict_outcome
    FROM submissions LEFT JOIN verdicts USING (submission_id)
    WHERE submission_id > CAST(:after AS uuid) ORDER BY submission_id LIMIT :limit
    """,
    cursor_column="submission_id",
    cursor_type=UUID,
)

_Code = Annotated[str | None, Query(pattern=r"^[0-9A-Za-z][0-9A-Za-z._-]{0,63}$")]
_Version = Annotated[int | None, Query(ge=1, le=2**31 - 1, description="Phiên bản / the version")]
_Overdue = Annotated[
    str | None, Query(description="true: đang quá hạn / overdue now", json_schema_extra={"enum": ["true", "false"]})
]
_UpdatedAfter = Annotated[
    str | None,
    Query(
        description="Đổi sau thời điểm này, theo thứ tự đổi / changed after this moment, in the order of change",
        json_schema_extra={"format": "date-time"},
        examples=["2026-03-31T17:00:00+07:00"],
    ),
]
_Page = Annotated[PageRequest, Depends(page_request)]


class _RawRoute(Route):
    """Tells the layer that measures which route it was, as FastAPI's own routes do."""

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        match, found = super().matches(scope)
        if match is Match.FULL:
            found["route"] = self
        return match, found


class _Hot:
    """The layer around every application and the route alone, without what FastAPI does between them."""

    def __init__(self, route: Route) -> None:
        self._route = route
        self._door = Metered(Door(route.app, body_limit_bytes=MAX_BODY_BYTES))

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        scope["route"] = self._route
        return self._door(scope, receive, send)


def mount_submissions(app: Application, door: ASGIApp) -> None:
    """Put what takes submissions past FastAPI's machinery, which costs more than the reading of a report.

    Its OpenAPI entry is made by hand.
    """
    route = _RawRoute("/v1/submissions", cast(Any, door), methods=["POST"])
    app.router.routes.insert(0, route)
    app.shortcuts["POST", route.path] = _Hot(route)


def mount(
    app: Application, *, access: Access, known: Known, door: SubmissionDoor, database: Database, clock: Clock
) -> None:
    """Put the agencies' routes on the application."""
    agency_of_key = Depends(access)
    addressed, examples = Addressed(), Examples()

    app.add_middleware(Metered)
    mount_submissions(app, door)
    openapi.add_submission_operation(app)

    async def own_agency(code: str) -> Agency:
        await known.be_fresh()
        found = known.registry.agencies.get(code)
        if found is None:
            raise not_found(f"cơ quan {code} trong danh mục", f"agency {code} in the registry")
        return found

    async def horizon() -> datetime:
        """Read before what it bounds: what was committed in between could be missing from both."""
        async with database.reading() as reading:
            return await queries.horizon(reading)

    @app.get("/v1/me", tags=["agency"], summary="Cơ quan của khóa này / the agency of this key")
    async def me(agency: str = agency_of_key) -> Me:
        own = await own_agency(agency)
        async with database.reading() as reading:
            found = await agency_queries.me(reading, agency, own.parent, known.registry)
        if found is None:
            raise not_found(f"cơ quan {agency} trong danh mục", f"agency {agency} in the registry")
        return found

    @app.get(
        "/v1/regimes",
        tags=["regimes"],
        summary="Chế độ báo cáo áp dụng / regimes that bind the agency",
        response_model=RegimePage,
    )
    async def list_regimes(request: Request, page: _Page, agency: str = agency_of_key) -> Response:
        position = page.position("regimes", (str, int))
        own = await own_agency(agency)
        addressed.be_of(known.registry, known.revision)
        async with database.reading() as reading:
            rows = await regime_queries.page(
                reading,
                own,
                known.registry,
                addressed,
                clock.now(),
                after=cast("tuple[str, int]", position) if position else None,
                limit=page.limit + 1,
            )
        found = paginate("regimes", rows, page.limit, _regime_position)
        return await pages.answer(request, found, RegimeView)

    @app.get("/v1/regimes/{code}", tags=["regimes"], summary="Biểu mẫu, thời hạn, ví dụ / form, deadlines, example")
    async def regime(code: str, agency: str = agency_of_key, version: _Version = None) -> RegimeDetail:
        own = await own_agency(agency)
        addressed.be_of(known.registry, known.revision)
        found = None
        if is_code(code):
            async with database.reading() as reading:
                people = await agency_queries.officers(reading, agency, regime=code, limit=1)
                found = await regime_queries.detail(
                    reading,
                    own,
                    known.registry,
                    addressed,
                    clock.now(),
                    [officer for officer in people if officer.active],
                    examples,
                    code=code,
                    version=version,
                )
        if found is None:
            what = code if version is None else f"{code}, {version}"
            raise not_found(f"chế độ báo cáo {what} của cơ quan này", f"regime {what} of this agency")
        return found

    @app.get("/v1/submissions/{submission_id}", tags=["submissions"], summary="Một bài nộp / one submission")
    async def submission(
        request: Request, response: Response, submission_id: str, agency: str = agency_of_key
    ) -> SubmissionDetail:
        language = preferred_language(request.headers.get("accept-language", ""))
        try:
            wanted = UUID(submission_id)
        except ValueError:
            raise not_found("bài nộp này", "such submission") from None
        async with database.reading() as reading:
            found = await queries.submission(reading, agency, wanted, language)
        if found is None:
            raise not_found(f"bài nộp {wanted}", f"submission {wanted}")
        response.headers.update({"Content-Language": language, "Vary": "Accept-Language"})
        return found

    @app.get(
        "/v1/submissions",
        tags=["submissions"],
        summary="Các bài nộp, mới nhất trước / submissions, newest first",
        response_model=SubmissionPage,
    )
    async def submissions(
        request: Request,
        page: _Page,
        agency: str = agency_of_key,
        regime: _Code = None,
        period: _Code = None,
        status: Status | None = None,
        updated_after: _UpdatedAfter = None,
    ) -> Response:
        since = filters.moment("updated_after", updated_after)
        if since is None:
            position = page.position("submissions", (UUID,))
            async with database.reading() as reading:
                rows = await queries.submissions(
                    reading,
                    agency,
                    regime=regime,
                    period=period,
                    status=status,
                    before=cast(UUID, position[0]) if position else None,
                    limit=page.limit + 1,
                )
            found = paginate("submissions", rows, page.limit, _submission_position)
        else:
            position = page.position("submissions by change", (datetime, UUID))
            until = await horizon()
            async with database.reading() as reading:
                rows = await queries.changed_submissions(
                    reading,
                    agency,
                    regime=regime,
                    period=period,
                    status=status,
                    after=cast("tuple[datetime, UUID]", position) if position else (since, None),
                    before=until,
                    limit=page.limit + 1,
                )
            found = paginate("submissions by change", rows, page.limit, _submission_change)
        return await pages.answer(request, found, SubmissionView)

    @app.get(
        "/v1/obligations",
        tags=["obligations"],
        summary="Báo cáo phải gửi, theo hạn / what is owed, by deadline",
        response_model=ObligationPage,
    )
    async def obligations(
        request: Request,
        page: _Page,
        agency: str = agency_of_key,
        regime: _Code = None,
        period: _Code = None,
        standing: StandingName | None = None,
        overdue: _Overdue = None,
        updated_after: _UpdatedAfter = None,
    ) -> Response:
        late, since = filters.truth("overdue", overdue), filters.moment("updated_after", updated_after)
        await known.be_fresh()
        if since is None:
            position = page.position("obligations", (datetime, str))
            async with database.reading() as reading:
                rows = await queries.obligations(
                    reading,
                    agency,
                    known.registry,
                    regime=regime,
                    period=period,
                    standing=standing,
                    overdue=late,
                    after=cast("tuple[datetime, str]", position) if position else None,
                    limit=page.limit + 1,
                )
            found = paginate("obligations", rows, page.limit, _obligation_position)
        else:
            position = page.position("obligations by change", (datetime, str))
            until = await horizon()
            async with database.reading() as reading:
                rows = await queries.changed_obligations(
                    reading,
                    agency,
                    known.registry,
                    regime=regime,
                    period=period,
                    standing=standing,
                    overdue=late,
                    after=cast("tuple[datetime, str]", position) if position else (since, None),
                    before=until,
                    limit=page.limit + 1,
                )
            found = paginate("obligations by change", rows, page.limit, _obligation_change)
        return await pages.answer(request, found, ObligationView)

    @app.get(
        "/v1/obligations/{regime}/{period}",
        tags=["obligations"],
        summary="Một nghĩa vụ: bài nộp, điểm, thông báo / one obligation: submissions, score lines, notices",
    )
    async def obligation(regime: str, period: str, agency: str = agency_of_key) -> ObligationDetail:
        await known.be_fresh()
        found = None
        if is_code(regime) and is_code(period):
            async with database.reading() as reading:
                found = await queries.obligation(reading, agency, known.registry, regime, period)
        if found is None:
            raise not_found("nghĩa vụ báo cáo này", "such obligation")
        return found


def _regime_position(row: RegimeView) -> tuple[str, int]:
    return row.code, row.regime_version


def _submission_position(row: SubmissionView) -> tuple[UUID]:
    return (UUID(int=row.submission_id.int),)  # the driver's UUID is a subclass of ours


def _submission_change(row: SubmissionView) -> tuple[datetime, UUID]:
    return row.updated_at, UUID(int=row.submission_id.int)


def _obligation_change(row: ObligationView) -> tuple[datetime, str]:
    return row.updated_at, row.obligation


def _obligation_position(row: ObligationView) -> tuple[datetime, str]:
    return row.deadline, row.obligation
