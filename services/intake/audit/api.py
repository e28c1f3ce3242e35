"""`GET /v1/audit`: the audit trail for those who operate the system, as JSON pages or as one CSV stream."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import datetime
from typing import Annotated

from fastapi import Depends, Query, Request, Response
from fastapi.responses import StreamingResponse

from services.intake import pages
from services.intake.audit import as_csv, queries
from services.intake.audit.queries import NEWEST, AuditEntry, AuditFilter, AuditPage
from services.intake.parameters import Page
from shared.postgres.database import Database
from shared.web.app import Application
from shared.web.authentication import Operators
from shared.web.filters import moment
from shared.web.paging import paginate
from shared.web.preferences import prefers_csv

#: entries of a CSV read in one transaction
CSV_PAGE = 500

_Filter = Annotated[str | None, Query(min_length=1, max_length=300, pattern=r"^[^\x00-\x1f\x7f]+$")]
_From = Annotated[
    datetime | None, moment("from"), Query(alias="from", description="Từ lúc này / from this moment on (ISO 8601)")
]
_To = Annotated[datetime | None, moment("to"), Query(alias="to", description="Trước lúc này / before this moment")]


def mount(app: Application, *, database: Database, operators: Operators) -> None:
    """Add the route that reads the audit trail."""

    @app.get(
        "/v1/audit",
        tags=["audit"],
        summary="Nhật ký thay đổi: ai, khi nào, trước, sau, vì sao / audit trail: who, when, before, after, why",
        description=(
            "Mới nhất trước. Với `Accept: text/csv`, trả toàn bộ kết quả lọc dưới dạng CSV, không phân trang. / The "
            "newest first. With `Accept: text/csv` everything that passes the filters comes as CSV, without pages."
        ),
        response_model=AuditPage,
        responses={200: {"content": {"text/csv": {"schema": {"type": "string"}}}}},
        dependencies=[Depends(operators)],
    )
    async def audit(
        request: Request,
        page: Page,
        kind: _Filter = None,
        key: _Filter = None,
        by: _Filter = None,
        action: _Filter = None,
        since: _From = None,
        until: _To = None,
    ) -> Response:
        wanted = AuditFilter(kind, key, by, action, since, until)
        if prefers_csv(request.headers.get("accept", "")):
            return await _csv(database, wanted)
        position = page.position("audit", (int,))
        before_id = int(str(position[0])) if position else NEWEST
        async with database.read_transaction() as tx:
            rows = await queries.entries(tx, wanted, before_id=before_id, limit=page.limit + 1)
        return await pages.answer(request, paginate("audit", rows, page.limit, _position), AuditEntry)


def _position(entry: AuditEntry) -> tuple[int]:
    return (entry.audit_id,)


async def _csv(database: Database, wanted: AuditFilter) -> Response:
    async def page(before_id: int) -> list[AuditEntry]:
        async with database.read_transaction() as tx:
            return await queries.entries(tx, wanted, before_id=before_id, limit=CSV_PAGE)

    # read before the answer begins: trouble that comes later can only cut it off
    first = await page(NEWEST)

    async def lines() -> AsyncIterator[str]:
        yield as_csv.header()
        rows = first
        while rows:
            yield as_csv.rows(rows)
            rows = await page(rows[-1].audit_id) if len(rows) == CSV_PAGE else []

    return StreamingResponse(
        lines(),
        media_type="text/csv; charset=utf-8; header=present",
        headers={"Content-Disposition": 'attachment; filename="audit.csv"', "Vary": "Accept"},
    )
