"""The HTTP edge: verdicts for the operator, dry runs for agencies, finding codes for everybody.

Agencies read the verdicts on what they sent through intake.
"""

from __future__ import annotations

from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Depends, Query, Request, Response
from pydantic import Field

from services.validator import metrics, store, tables
from services.validator.callers import Sender, Senders
from services.validator.dry_runs import NOT_JUDGED, DryRuns
from services.validator.rules.catalogue import RULES
from shared.contract.events import Severity, Tier, VerdictOutcome
from shared.contract.events.verdicts import Waived, Weight
from shared.postgres.database import Database
from shared.postgres.json_values import json_row
from shared.reports.document import REPORT
from shared.reports.limits import MAX_BODY_BYTES
from shared.runtime.clock import Clock
from shared.web.allowance import Meter
from shared.web.answers import Answer, many, of_columns, of_model, page_of
from shared.web.app import read_body
from shared.web.authentication import Anybody, Operators
from shared.web.errors import FieldError, Problem, not_found, unprocessable
from shared.web.exports import Export
from shared.web.media import must_be_json
from shared.web.paging import PageRequest, bad_cursor, link_next, page_request, paginate

_NEWEST = 2**31 - 1

_Summary = of_columns("VerdictSummary", tables.verdict, store.SHOWN, outcome=(VerdictOutcome, ...))
_Finding = of_columns(
    "FindingView",
    tables.finding,
    store.FINDING_SHOWN,
    tier=(Tier, ...),
    severity=(Severity, ...),
    weight=(Weight | None, ...),
    waived=(Waived | None, ...),
)
_View = of_model("VerdictView", _Summary, findings=many(_Finding))
_Page = page_of("VerdictPage", _Summary)


class DryRunView(Answer):
    """The verdict that a report would get. Nothing of it is stored."""

    agency: str
    regime: str
    regime_version: int = Field(description="Theo biểu mẫu của phiên bản này / by the form of this version")
    period: str
    outcome: VerdictOutcome
    to_explain: bool = Field(description="Được chấp nhận nhưng phải giải trình / accepted and to be explained")
    errors: int
    warnings: int
    waived: int = Field(description="Không tính cho ai, do được miễn / count against nobody, being waived")
    required_items: int
    present_items: int
    findings: list[_Finding]  # type: ignore[valid-type]  # made of the table's columns
    findings_truncated: bool
    rule_pack: str | None
    compared_with: list[UUID] = Field(description="Báo cáo kỳ trước đã so / earlier submissions it was compared with")
    looked_up: list[str] = Field(description="Phiên bản danh mục đã tra / versions of reference tables looked up")


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
        "SELECT verdict_id, position, submission_id, obligation, code, tier, severity, weight, path, provided,"
        " expected, difference FROM finding JOIN verdict USING (verdict_id)"
        " WHERE (verdict_id, position) > (CAST(:after_verdict_id AS uuid), CAST(:after_position AS bigint))"
        " ORDER BY verdict_id, position LIMIT :limit",
        ("verdict_id", "position"),
        (UUID, int),
    ),
)


def router(
    database: Database, operators: Operators, senders: Senders, dry_runs: DryRuns, business_clock: Clock
) -> APIRouter:
    """Validator's routes."""
    routes = APIRouter(prefix="/v1")
    operator, sending = Depends(operators), Depends(senders)

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

    @routes.post(
        "/validations",
        response_model=DryRunView,
        tags=["validations"],
        summary="Kiểm tra thử một báo cáo / judge a report without submitting it",
        description=(
            "Nội dung như `POST /v1/submissions` của intake, kết quả như sẽ có nếu gửi; không lưu gì. Intake có nhận "
            "báo cáo không: `POST /v1/submissions?dry_run=true`. / The body of intake's `POST /v1/submissions`, the "
            "verdict that it would get; nothing is stored. Whether intake would take it: its `?dry_run=true`."
        ),
        openapi_extra={"requestBody": {"required": True, "content": {"application/json": {"schema": REPORT}}}},
    )
    async def validate(
        request: Request,
        sender: Sender = sending,
        regime_version: Annotated[
            int | None,
            Query(ge=1, le=_NEWEST, description="Bỏ trống: theo kỳ báo cáo / left out: as the period has it"),
        ] = None,
    ) -> dict[str, Any]:
        must_be_json(request.scope["headers"])
        body = await read_body(request, MAX_BODY_BYTES)
        meter = Meter.of(request.scope)
        if meter is not None:
            meter.body_bytes = len(body)
        try:
            report = await dry_runs.read(body)
            sender.must_send(report.regime)
            tried = await dry_runs.judge(report, sender.agency, regime_version, business_clock.now())
        except Problem as problem:
            if problem.status == 422:
                result = "not_judged" if problem.slug == NOT_JUDGED.slug else "refused"
                metrics.DRY_RUNS_TOTAL.labels(result).inc()
            raise
        judgement = tried.judgement
        if meter is not None and tried.apart:
            meter.seconds += tried.seconds  # of the process beside: what was judged here is measured already
        metrics.DRY_RUNS_TOTAL.labels(judgement.outcome).inc()
        return {
            "agency": sender.agency,
            "regime": report.regime,
            "regime_version": tried.regime_version,
            "period": report.period,
            "outcome": judgement.outcome,
            "to_explain": judgement.to_explain,
            "errors": judgement.errors,
            "warnings": judgement.warnings,
            "waived": judgement.waived,
            "required_items": judgement.required_items,
            "present_items": judgement.present_items,
            "findings": [finding.model_dump() for finding in judgement.findings],
            "findings_truncated": judgement.findings_truncated,
            "rule_pack": judgement.rule_pack,
            "compared_with": list(judgement.compared_with),
            "looked_up": list(judgement.references.versions),
        }

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
