"""The HTTP edge: verdicts for the operator, finding codes for everybody. Agencies read verdicts through intake."""

from __future__ import annotations

from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Depends, Query, Request, Response
from pydantic import Field

from services.validator import store, tables
from services.validator.rules.catalogue import RULES
from shared.contract.events import Severity, Tier, VerdictOutcome
from shared.postgres.database import Database
from shared.postgres.json_values import json_row
from shared.web.answers import Answer, many, of_columns, of_model, page_of
from shared.web.authentication import Anybody, Operators
from shared.web.errors import FieldError, not_found, unprocessable
from shared.web.exports import Export
from shared.web.paging import PageRequest, bad_cursor, link_next, page_request, paginate

_NEWEST = 2**31 - 1

_Summary = of_columns("VerdictSummary", tables.verdict, store.SHOWN, outcome=(VerdictOutcome, ...))
_Finding = of_columns("FindingView", tables.finding, store.FINDING_SHOWN, tier=(Tier, ...), severity=(Severity, ...))
_View = of_model("VerdictView", _Summary, findings=many(_Finding))
_Page = page_of("VerdictPage", _Summary)


class RuleView(Answer):
    """What a finding's code means."""

    code: str = Field(examples=["C01"])
    tier: Tier
    severity: Severity
    meaning: str
    meaning_en: str


class RuleList(Answer):
    """All finding codes."""

    items: list[RuleView]


EXPORTS = (
    Export(
        "verdicts",
        "SELECT submission_id, verdict_id, obligation, agency, regime, regime_version, period, version, outcome,"
        " errors, warnings, required_items, present_items, received_at, decided_at FROM verdict"
        " WHERE verdict_id > :after ORDER BY verdict_id LIMIT :limit",
        "verdict_id",
        UUID,
    ),
    Export(
        "findings",
        "SELECT verdict_id, position, submission_id, obligation, code, tier, severity, path, provided, expected,"
        " difference FROM finding JOIN verdict USING (verdict_id)"
        " WHERE (verdict_id, position) > (CAST(:after_verdict_id AS uuid), CAST(:after_position AS bigint))"
        " ORDER BY verdict_id, position LIMIT :limit",
        ("verdict_id", "position"),
        (UUID, int),
    ),
)


def router(database: Database, operators: Operators) -> APIRouter:
    """Validator's routes."""
    routes = APIRouter(prefix="/v1")
    operator = Depends(operators)

    @routes.get(
        "/verdicts/{submission_id}",
        dependencies=[operator],
        response_model=_View,
        tags=["verdicts"],
        summary="Kết quả kiểm tra một bản nộp / the verdict on a submission, with findings",
    )
    async def verdict(submission_id: UUID) -> dict[str, Any]:
        async with database.read_transaction() as snapshot:
            found = await store.verdict_on(snapshot, submission_id)
        if found is None:
            raise not_found(f"kết quả kiểm tra của bản nộp {submission_id}", f"verdict on submission {submission_id}")
        row, findings = found
        return json_row(row) | {"findings": [dict(finding) for finding in findings]}

    @routes.get(
        "/verdicts",
        dependencies=[operator],
        response_model=_Page,
        tags=["verdicts"],
        summary="Kết quả kiểm tra các bản nộp của một nghĩa vụ báo cáo / verdicts of an obligation, newest first",
    )
    async def verdicts(
        request: Request,
        response: Response,
        page: Annotated[PageRequest, Depends(page_request)],
        obligation: Annotated[str, Query(max_length=300, description="cơ quan/chế độ/kỳ – agency/regime/period")],
    ) -> dict[str, Any]:
        if "\x00" in obligation:
            raise unprocessable([_NUL])
        listing = f"verdicts/{obligation}"
        position = page.position(listing, [int])
        before = position[0] if position else _NEWEST
        assert isinstance(before, int)
        if not 0 <= before <= _NEWEST:
            raise bad_cursor()
        async with database.read_transaction() as snapshot:
            rows = await store.verdicts_of(snapshot, obligation, before_version=before, limit=page.limit + 1)
        answer = paginate(listing, [json_row(row) for row in rows], page.limit, lambda row: [row["version"]])
        link_next(request, response, answer.next)
        return answer.document()

    @routes.get(
        "/findings",
        dependencies=[Depends(Anybody())],
        tags=["findings"],
        response_model=RuleList,
        summary="Các mã kết quả kiểm tra / the finding codes",
    )
    async def findings() -> dict[str, Any]:
        return {
            "items": [
                {
                    "code": rule.code,
                    "tier": rule.tier,
                    "severity": rule.severity,
                    "meaning": rule.meaning,
                    "meaning_en": rule.meaning_en,
                }
                for rule in RULES.values()
            ]
        }

    return routes


_NUL = FieldError(
    "/obligation",
    "Chứa ký tự NUL.",
    "It holds a NUL character.",
    "Viết dạng cơ quan/chế độ/kỳ.",
    "Write agency/regime/period.",
    "query",
)
