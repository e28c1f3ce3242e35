"""The agency's submissions over HTTP: it translates, and asks one query about the agency of the key alone."""

from __future__ import annotations

from collections.abc import Awaitable
from datetime import datetime
from typing import Any, cast
from uuid import UUID

from fastapi import Depends, Request, Response
from starlette.routing import Match, Route
from starlette.types import ASGIApp, Receive, Scope, Send

from services.intake import pages, views
from services.intake.access.callers import Access, Reading, ReadingById
from services.intake.parameters import Code, Page, UpdatedAfter, no_submission, submission_id_of
from services.intake.registry.cache import RegistryCache
from services.intake.submissions import openapi, queries
from services.intake.submissions.endpoint import SubmitEndpoint
from services.intake.submissions.queries import Status, SubmissionDetail, SubmissionPage, SubmissionView
from shared.postgres.database import Database
from shared.reports.limits import MAX_BODY_BYTES
from shared.web.allowance import Metered
from shared.web.app import Application, RequestMiddleware, preferred_language
from shared.web.exports import Export
from shared.web.paging import paginate

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
        self._app = Metered(RequestMiddleware(route.app, body_limit_bytes=MAX_BODY_BYTES))

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        scope["route"] = self._route
        return self._app(scope, receive, send)


def mount_submissions(app: Application, endpoint: ASGIApp) -> None:
    """Route submissions past FastAPI's machinery, which costs more than parsing a report.

    The OpenAPI entry is written by hand.
    """
    route = _RawRoute("/v1/submissions", cast(Any, endpoint), methods=["POST"])
    app.router.routes.insert(0, route)
    app.shortcuts["POST", route.path] = _Hot(route)


def mount(
    app: Application, *, access: Access, endpoint: SubmitEndpoint, cache: RegistryCache, database: Database
) -> None:
    """Add the routes that send and read submissions."""
    agency_of_key, reading_of_key = Depends(access), Depends(ReadingById(access))
    mount_submissions(app, endpoint)
    app.document_parts.append(openapi.add_submission_operation)

    @app.get("/v1/submissions/{submission_id}", tags=["submissions"], summary="Một bài nộp / one submission")
    async def submission(
        request: Request, response: Response, submission_id: str, reading: Reading = reading_of_key
    ) -> SubmissionDetail:
        language = preferred_language(request.headers.get("accept-language", ""))
        wanted = submission_id_of(submission_id)
        await cache.be_fresh()
        async with database.read_transaction() as tx:
            found = await queries.submission(tx, reading.agency, wanted, cache.registry, language)
        if found is None or not reading.covers(found.regime):
            raise no_submission(wanted)
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
        page: Page,
        agency: str = agency_of_key,
        regime: Code = None,
        period: Code = None,
        status: Status | None = None,
        updated_after: UpdatedAfter = None,
    ) -> Response:
        wanted = {"regime": regime, "period": period, "status": status}
        if updated_after is None:
            position = page.position("submissions", (UUID,))
            async with database.read_transaction() as tx:
                rows = await queries.submissions(
                    tx,
                    agency,
                    wanted,
                    before=cast(UUID, position[0]) if position else None,
                    limit=page.limit + 1,
                )
            found = paginate("submissions", rows, page.limit, _submission_position)
        else:
            position = page.position("submissions by change", (datetime, UUID))
            until = await views.horizon(database)
            async with database.read_transaction() as tx:
                rows = await queries.changed_submissions(
                    tx,
                    agency,
                    wanted,
                    after=cast("tuple[datetime, UUID]", position) if position else (updated_after, None),
                    before=until,
                    limit=page.limit + 1,
                )
            found = paginate("submissions by change", rows, page.limit, _submission_change)
        return await pages.answer(request, found, SubmissionView)


def _submission_position(row: SubmissionView) -> tuple[UUID]:
    return (UUID(int=row.submission_id.int),)  # the driver's UUID is a subclass of ours


def _submission_change(row: SubmissionView) -> tuple[datetime, UUID]:
    return row.updated_at, UUID(int=row.submission_id.int)
