"""The agency's obligations over HTTP: it translates, and asks one query about the agency of the key alone."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, cast

from fastapi import Depends, Query, Request, Response

from services.intake import pages, views
from services.intake.access.callers import Access, Reading, ReadingById
from services.intake.obligations import queries
from services.intake.obligations.queries import (
    ObligationDetail,
    ObligationFilter,
    ObligationPage,
    ObligationView,
    StandingName,
)
from services.intake.obligations.timeline import Timeline, timeline_of
from services.intake.parameters import Code, Page, UpdatedAfter, no_submission, submission_id_of
from services.intake.registry.cache import RegistryCache
from services.intake.submissions import queries as submissions
from shared.postgres.database import Database
from shared.reports.limits import is_code
from shared.web.app import Application
from shared.web.errors import not_found
from shared.web.filters import truth
from shared.web.paging import paginate

_Overdue = Annotated[bool | None, truth("overdue"), Query(description="true: đang quá hạn / overdue now")]


def mount(app: Application, *, access: Access, cache: RegistryCache, database: Database) -> None:
    """Add the routes that read obligations."""
    agency_of_key, reading_of_key = Depends(access), Depends(ReadingById(access))

    @app.get(
        "/v1/obligations",
        tags=["obligations"],
        summary="Báo cáo phải gửi, theo hạn / what is owed, by deadline",
        response_model=ObligationPage,
    )
    async def obligations(
        request: Request,
        page: Page,
        agency: str = agency_of_key,
        regime: Code = None,
        period: Code = None,
        standing: StandingName | None = None,
        overdue: _Overdue = None,
        updated_after: UpdatedAfter = None,
    ) -> Response:
        wanted = ObligationFilter(regime, period, standing, overdue)
        await cache.be_fresh()
        if updated_after is None:
            position = page.position("obligations", (datetime, str))
            async with database.read_transaction() as tx:
                rows = await queries.obligations(
                    tx,
                    agency,
                    cache.registry,
                    wanted,
                    after=cast("tuple[datetime, str]", position) if position else None,
                    limit=page.limit + 1,
                )
            found = paginate("obligations", rows, page.limit, _obligation_position)
        else:
            position = page.position("obligations by change", (datetime, str))
            until = await views.horizon(database)
            async with database.read_transaction() as tx:
                rows = await queries.changed_obligations(
                    tx,
                    agency,
                    cache.registry,
                    wanted,
                    after=cast("tuple[datetime, str]", position) if position else (updated_after, None),
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
        await cache.be_fresh()
        found = None
        if is_code(regime) and is_code(period):
            async with database.read_transaction() as tx:
                found = await queries.obligation(tx, agency, cache.registry, regime, period)
        if found is None:
            raise not_found("nghĩa vụ báo cáo này", "such obligation")
        return found

    @app.get(
        "/v1/submissions/{submission_id}/timeline",
        tags=["submissions"],
        summary="Dòng thời gian của một bài nộp / what happened to a submission",
    )
    async def timeline(submission_id: str, reading: Reading = reading_of_key) -> Timeline:
        wanted = submission_id_of(submission_id)
        await cache.be_fresh()
        async with database.read_transaction() as tx:
            sent = await submissions.submission(tx, reading.agency, wanted, cache.registry)
            found = None
            if sent is not None:
                found = await queries.obligation(tx, reading.agency, cache.registry, sent.regime, sent.period)
        if sent is None or not reading.covers(sent.regime):
            raise no_submission(wanted)
        return timeline_of(sent, found)


def _obligation_change(row: ObligationView) -> tuple[datetime, str]:
    return row.updated_at, row.obligation


def _obligation_position(row: ObligationView) -> tuple[datetime, str]:
    return row.deadline, row.obligation
